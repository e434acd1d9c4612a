"""Saving and loading models: one file, checked by its sums, without pickle.

The file holds the agent (trees, optimizers, statistics, random streams) and a note in JSON with what Python owns:
constructor arguments, counters and spaces. Functions cannot be written as JSON; a schedule that is one is noted with
the value that it had, and loading says so.

A policy alone (model.gbrl, or a checkpoint of the program ``gbrl``) is loaded too: it predicts, and learns on with an
optimizer that knows nothing.
"""

from __future__ import annotations

import base64
import inspect
import io
import json
import math
import os
import platform
import threading
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar, NamedTuple, TypeVar

import numpy as np

from gbrl_rs import _gbrl, _options
from gbrl_rs._envs import Envs, RustEnvs, adapt
from gbrl_rs._space_file import pack, unpack
from gbrl_rs._spaces import FlatSpace, space_from_json

ENDING = ".gbrl"
FORMAT = 1
COUNTERS = ("num_timesteps", "_total_timesteps", "_num_timesteps_at_start", "_n_updates")

# What scripts for SB3 replace in its files, and what these files do not hold: the constructor's arguments say it all.
SB3_ATTRIBUTES = frozenset(
    "lr_schedule policy_class rollout_buffer_class rollout_buffer_kwargs sde_sample_freq action_noise "
    "replay_buffer_class replay_buffer_kwargs buffer_size optimize_memory_usage train_freq gradient_steps "
    "_last_obs _last_episode_starts _last_original_obs _vec_normalize_env env policy".split()
)

Self = TypeVar("Self", bound="ModelFile")


class Standing(NamedTuple):
    """Where a model stands: what changes while it learns."""

    counters: dict[str, Any]
    progress_remaining: float
    statistics: dict[str, Any]
    seen: bool
    is_learnt: bool
    moment: _gbrl.Moment | None
    """Where the agent and its environments stand together; None means as they are."""


class ModelFile:
    """save() and load() of a model."""

    ALGORITHM: ClassVar[str]

    # What the rest of a model brings along; see OnPolicyModel.
    _agent: _gbrl.Agent
    _envs: Envs | None

    _is_policy_alone: bool = False
    """Whether only a policy was loaded, which knows neither how many environments there will be nor whether with masks."""

    def save(self, path: Any, exclude: Any = None, include: Any = None) -> str | None:
        """Writes everything that is needed to go on learning.

        Any thread and any signal's handler may save while the model learns. Where the environments are Rust's, the file then
        is of the moment before the rollout that is not learnt from yet, and what is loaded from it learns what this one
        does. Callbacks save the model as it is when they are called.

        Args:
            path: a path, which gets the ending ``.gbrl`` if it has none, or a file open for writing bytes.
            exclude, include: for SB3's sake: the file holds no pickled attributes that could be chosen.

        Returns:
            The path that was written; None for an open file.

        Raises:
            OSError: when it cannot be written.
        """
        data = self._bytes()
        if hasattr(path, "write"):
            path.write(data)
            return None
        target = Path(path)
        if not target.suffix:
            target = target.with_name(target.name + ENDING)
        target.parent.mkdir(parents=True, exist_ok=True)
        _gbrl.write_file(target, data)
        return str(target)

    @classmethod
    def load(
        cls: type[Self],
        path: Any,
        env: Any = None,
        device: str = "auto",
        custom_objects: dict[str, Any] | None = None,
        print_system_info: bool = False,
        force_reset: bool = True,
        **kwargs: Any,
    ) -> Self:
        """A model that :meth:`save` wrote, or the policy of a run.

        Args:
            path: a path, also without its ending and with SB3's ``.zip`` instead of it, or a file open for reading. The
                folder of a run means its last checkpoint. Where that is of the program ``gbrl``, and where it is a
                model.gbrl, the policy is loaded with the settings that it was trained by: it predicts, and given
                environments learns on, with counters of its own.
            env: environments to go on with, same spaces. Another number of copies than before makes a new learner
                around the same policy. Where the model has a seed, they begin anew from it, as in SB3.
            device: "auto", "cpu", "cuda" or "cuda:N", whatever the model was trained on.
            custom_objects: constructor arguments that replace what the file says (functions, which it cannot hold).
                Attributes of SB3's models that have no meaning here are ignored with one warning.
            print_system_info: print versions.
            force_reset: whether the next learn() starts new episodes; False goes on in the middle of them, where the
                environments are Rust's and as many as before.
            **kwargs: as `custom_objects`. Another `n_steps` makes a new learner around the same policy; a `seed` starts
                all random numbers from it.

        Raises:
            FileNotFoundError: when there is none.
            gbrl_rs.FormatError: (a ValueError) for a damaged file, for one that is no model of this algorithm, and for
                SB3's own, whose networks are no trees.
            ValueError: for environments of other spaces, and for arguments that a model cannot change any more.
        """
        if print_system_info:
            print(system_info())
        given = _meaningful({**(custom_objects or {}), **kwargs}, custom_objects or {})
        data, what = _read(path)
        model, note = cls._from_bytes(data, what, {**given, "device": device})
        if env is not None:
            model._go_on_with(adapt(env), note, force_reset)
        return model

    @classmethod
    def _from_bytes(cls: type[Self], data: bytes, what: str, given: dict[str, Any]) -> tuple[Self, dict[str, Any]]:
        """The model in a file that is called `what`, without environments, and the file's note."""
        try:
            agent, text = _gbrl.Agent.from_bytes(data, given.get("n_threads"), _options.device(given["device"]))
        except _gbrl.FormatError as error:
            raise _gbrl.FormatError(f"{what}: {str(error).removeprefix('checkpoint: ')}") from None
        note = _note(text, agent, cls, what)
        model = cls.__new__(cls)
        model._is_policy_alone = note.get("is_policy_alone") is True
        model._restore(agent, note, given, what)
        return model, note

    def __reduce__(self) -> tuple[Any, ...]:
        return _unpickled, (type(self), self._bytes(), self._thread_count())

    def __deepcopy__(self: Self, memo: dict[int, Any]) -> Self:
        """The model without its environments, functions among the arguments included."""
        functions = {name: value for name, value in self._arguments().items() if _has_function(value)}
        threads = {"n_threads": self._thread_count()}
        return type(self).load(io.BytesIO(self._bytes()), custom_objects={**functions, **threads})

    def __copy__(self: Self) -> Self:
        return self.__deepcopy__({})

    def _bytes(self) -> bytes:
        model: Any = self
        # While this lock is held no rollout begins, and none that has begun is done with.
        with model._steady:
            before = None if model._caller == threading.get_ident() else model._before
            standing = before or self._standing(None)
            text = json.dumps(self._note(standing))
            return self._agent.to_bytes(text, standing.counters["num_timesteps"], standing.moment)

    def _thread_count(self) -> int:
        return int(self._agent.get("n_threads"))

    # -- what a model says of itself ---------------------------------------------------------------------------------

    def _arguments(self) -> dict[str, Any]:
        """The constructor's arguments but `env`, as the attributes say now."""
        raise NotImplementedError

    def _configure(self, arguments: dict[str, Any]) -> None:
        """Makes attributes of the constructor's arguments."""
        raise NotImplementedError

    def _counters(self) -> dict[str, Any]:
        return {name: int(getattr(self, name)) for name in COUNTERS}

    def _standing(self, moment: _gbrl.Moment | None) -> Standing:
        model: Any = self
        statistics = {
            "episodes": list(model.ep_info_buffer),
            "successes": list(model.ep_success_buffer),
            "n_episodes": model._episode_num,
            "returns": list(model._statistics.returns),
        }
        counters, progress = self._counters(), model._current_progress_remaining
        return Standing(counters, progress, statistics, model._seen, model._is_learnt, moment)

    def _note(self, standing: Standing) -> dict[str, Any]:
        model: Any = self
        progress = standing.progress_remaining
        note = {
            "format": FORMAT,
            "algorithm": self.ALGORITHM,
            "arguments": {name: _noted(value, progress) for name, value in self._arguments().items()},
            "counters": standing.counters,
            "progress_remaining": progress,
            "root_seed": model._root_seed,
            "env_id": model._env_id,
            "n_envs": model.n_envs,
            "is_learnt": standing.is_learnt,
            "observation_space": pack(model.observation_space),
            "action_space": pack(model.action_space),
            **standing.statistics,
        }
        if self._is_policy_alone:
            note["is_policy_alone"] = True
        if isinstance(self._envs, RustEnvs) and model._last_obs is not None:
            moment = standing.moment
            state = self._envs.env.core.save() if moment is None else moment.environments()
            note |= {"environments": base64.b64encode(state).decode(), "seen": standing.seen}
        return note

    def _restore(self, agent: _gbrl.Agent, note: dict[str, Any], given: dict[str, Any], what: str) -> None:
        model: Any = self
        observation_space, action_space = note["observation_space"], note["action_space"]
        for name, space in (("observation_space", observation_space), ("action_space", action_space)):
            wanted = given.pop(name, space)
            if wanted != space:
                raise ValueError(f"{name.replace('_', ' ').capitalize()}s do not match: {space} != {wanted}")
        model._take_spaces(observation_space, action_space)
        model.n_envs = agent.n_envs
        stored = note["arguments"]
        if given.get("policy_kwargs") is not None:
            wanted = _options.split_policy_kwargs(given["policy_kwargs"])
            if _without_functions(_noted(wanted, 1.0)) != _without_functions(stored.get("policy_kwargs", {})):
                raise ValueError(
                    "The specified policy kwargs do not equal the stored policy kwargs. "
                    f"Stored kwargs: {stored.get('policy_kwargs', {})}, specified kwargs: {given['policy_kwargs']}"
                )
            given["policy_kwargs"] = wanted
        lost: list[str] = []
        arguments = {
            name: _resolved(value, name, lost if given.get(name) is None else []) for name, value in stored.items()
        }
        progress = note["progress_remaining"]
        try:
            self._configure({**arguments, "device": "cpu"})
            model._settings(progress)
        except Exception as error:
            raise _gbrl.FormatError(f"{what}: expected the arguments of a {type(self).__name__}, got {error}") from error
        if lost:
            warnings.warn(
                f"a file holds no functions; these schedules stay at their last values: {'; '.join(lost)}. "
                "Pass them to load() to go on with them",
                UserWarning,
                stacklevel=4,
            )
        self._configure({**arguments, **given})
        model._root_seed = note["root_seed"]
        model._env_id = note["env_id"]
        model._reset_counters()
        for name in COUNTERS:
            setattr(self, name, note["counters"][name])
        model._current_progress_remaining = progress
        model._is_learnt = note["is_learnt"]
        statistics = model._statistics
        statistics.episodes.extend(note["episodes"])
        statistics.successes.extend(note["successes"])
        statistics.n_episodes = note["n_episodes"]
        statistics.returns.extend(note["returns"])
        self._agent = agent
        settings = model._settings(progress)
        # What the file's agent has already needs no telling; what is new must be allowed to change.
        model._pushed = {name: agent.get(name) for name in settings}
        if settings["n_steps"] != model._pushed["n_steps"]:
            self._begin_anew(settings, model.n_envs, agent.has_masks)
        for name, text in settings.items():
            if not _options.same(text, self._agent.get(name)):
                self._agent.set(name, text)
        model._pushed = settings
        if given.get("seed") is not None:
            model._root_seed = int(given["seed"])
            self._agent.seed(model._root_seed)
            model.action_space.seed(model._root_seed)
        model._connect_agent()
        model._take_envs(None)
        model._next_seed = None

    def _begin_anew(self, settings: dict[str, str], n_envs: int, has_masks: bool) -> None:
        """A new learner around the policy: what is learnt stays, what the old one had collected goes."""
        model: Any = self
        policy = self._agent.policy_bytes()
        self._agent = model._new_agent(model._env_id, n_envs, has_masks, settings)
        self._agent.set_policy_bytes(policy)

    def _go_on_with(self, envs: Envs, note: dict[str, Any], force_reset: bool) -> None:
        model: Any = self
        if self._is_policy_alone:
            model._take_spaces_like_its_own(envs)
        model._check_spaces(envs)
        is_alike = envs.n_envs == model.n_envs and envs.has_masks == self._agent.has_masks
        if not is_alike:
            self._begin_anew(model._pushed, envs.n_envs, envs.has_masks)
            model.n_envs = envs.n_envs
            model._connect_agent()
        self._is_policy_alone = False
        model._take_envs(envs)
        model._next_seed = model.seed
        # The state of other environments is of no use to these.
        is_alike = is_alike and envs.env_id == model._env_id
        if not force_reset and is_alike and note.get("environments") and isinstance(envs, RustEnvs):
            core = envs.env.core
            core.restore(base64.b64decode(note["environments"]))
            model._last_obs = envs.env.flat_observations.values(core.observations())
            model._seen = note["seen"]
            model._next_seed = None


def system_info() -> str:
    """Versions of everything that a report of a fault should name."""
    import gymnasium

    import gbrl_rs

    return "\n".join(
        [
            f"- OS: {platform.platform()}",
            f"- Python: {platform.python_version()}",
            f"- gbrl_rs: {gbrl_rs.__version__}",
            f"- Numpy: {np.__version__}",
            f"- Gymnasium: {gymnasium.__version__}",
        ]
    )


def _read(path: Any) -> tuple[bytes, str]:
    """A file's bytes, and what to call it."""
    if hasattr(path, "read"):
        data: bytes = path.read()
        return data, str(getattr(path, "name", "file"))
    wanted = Path(path)
    candidates = [wanted]
    if wanted.name:
        candidates += [wanted.with_name(wanted.name + ending) for ending in (ENDING, ".zip")]
    if wanted.suffix == ".zip":  # scripts that were written for SB3 name its files so
        candidates.append(wanted.with_suffix(ENDING))
    for candidate in candidates:
        if candidate.is_file():
            return candidate.read_bytes(), str(candidate)
    if wanted.is_dir():
        file = last_checkpoint(wanted) or wanted / "model.gbrl"
        if file.is_file():
            return file.read_bytes(), str(file)
        raise FileNotFoundError(
            f"{wanted}: expected a saved model, or the folder of a run with checkpoints/ or model.gbrl in it, got a "
            "folder without"
        )
    raise FileNotFoundError(f"expected a saved model at {' or '.join(map(str, candidates))}, got no file there")


def last_checkpoint(run: Path) -> Path | None:
    """The checkpoint of a run's folder with the most steps, if there is one."""
    numbered = [path for path in (run / "checkpoints").glob(f"*{ENDING}") if path.stem.isdigit()]
    return max(numbered, key=lambda path: int(path.stem), default=None)


def _unpickled(model: type[Self], data: bytes, n_threads: int) -> Self:
    return model.load(io.BytesIO(data), n_threads=n_threads)


def _meaningful(given: dict[str, Any], custom_objects: dict[str, Any]) -> dict[str, Any]:
    """What was given, less what only SB3's models have."""
    ignored = sorted(SB3_ATTRIBUTES & custom_objects.keys())
    if ignored:
        warnings.warn(
            f"custom_objects: {', '.join(ignored)} are attributes of SB3's models and no arguments of these; ignored",
            UserWarning,
            stacklevel=3,
        )
    return {name: value for name, value in given.items() if name not in ignored}


def _noted(value: Any, progress_remaining: float) -> Any:
    """A constructor argument as JSON."""
    if isinstance(value, float):
        return float(value)
    if callable(value) and not isinstance(value, type):
        name = getattr(value, "__qualname__", type(value).__name__)
        return {"function": name, "value": _options.at(value, progress_remaining)}
    if isinstance(value, dict):
        return {key: _noted(part, progress_remaining) for key, part in value.items()}
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    return value


def _is_function(noted: Any) -> bool:
    return isinstance(noted, dict) and noted.keys() == {"function", "value"}


def _has_function(value: Any) -> bool:
    if isinstance(value, dict):
        return any(_has_function(part) for part in value.values())
    return callable(value) and not isinstance(value, (type, float))


def _resolved(noted: Any, name: str, lost: list[str]) -> Any:
    """A noted argument, functions replaced by the values that they had; `lost` tells of them."""
    if _is_function(noted):
        lost.append(f"{name} = {noted['function']}, now {noted['value']}")
        return noted["value"]
    if isinstance(noted, dict):
        return {key: _resolved(part, f"{name}.{key}", lost) for key, part in noted.items()}
    return noted


def _without_functions(noted: Any) -> Any:
    """For comparison: a function equals any other, since the file does not know what it does."""
    if _is_function(noted):
        return "function"
    if isinstance(noted, dict):
        return {key: _without_functions(part) for key, part in noted.items()}
    return noted


def _note(text: str, agent: _gbrl.Agent, cls: type[ModelFile], what: str) -> dict[str, Any]:
    """The note of a file, everything in it checked: the sums say that it is whole, not that it means well.

    Raises:
        gbrl_rs.FormatError: for anything else than what :meth:`ModelFile.save` writes.
    """

    def refuse(expected: str, got: Any) -> _gbrl.FormatError:
        return _gbrl.FormatError(f"{what}: expected {expected}, got {str(got)[:200]}")

    try:
        note = json.loads(text) if text else {}
    except (ValueError, RecursionError) as error:
        raise refuse("a note in JSON", text[:80]) from error
    kind = note if isinstance(note, dict) else {}
    if agent.algo != cls.ALGORITHM:
        other = agent.algo.upper()
        raise refuse(f"a model of {cls.__name__}", f"one of {other}, for gbrl_rs.{other}.load()")
    if "policy" in kind:
        try:
            kind = note = _policy_note(kind["policy"], agent, cls)
        except Exception as error:
            raise refuse("what a policy is for", f"{type(error).__name__}: {error}") from error
    if kind.get("format") != FORMAT or kind.get("algorithm") != cls.ALGORITHM:
        got = f"one of format {kind.get('format')} for {kind.get('algorithm')}"
        raise refuse(f"a model that {cls.__name__}.save() wrote", got)
    note.setdefault("env_id", "")
    # Where the environments are not Rust's, and in older files.
    note.setdefault("environments", "")
    note.setdefault("seen", True)
    note.setdefault("is_learnt", True)
    for name, (kind_of, fits) in _FIELDS.items():
        if name not in note or not fits(note[name]):
            raise refuse(f"{name}: {kind_of}", note.get(name, "none"))
    if note["n_envs"] != agent.n_envs:
        raise refuse(f"n_envs: {agent.n_envs}, as the agent has it", note["n_envs"])
    for name, width in (("observation_space", agent.n_features), ("action_space", agent.action_len)):
        try:
            space = unpack(note[name])
            columns = FlatSpace(space).width
        except Exception as error:
            raise refuse(f"{name}: a space", f"{type(error).__name__}: {error}") from error
        if columns != width:
            raise refuse(f"{name}: a space of {width} columns, as the agent has it", f"{space} of {columns}")
        note[name] = space
    return note


def _policy_note(policy: dict[str, Any], agent: _gbrl.Agent, cls: type[ModelFile]) -> dict[str, Any]:
    """The note that :meth:`ModelFile.save` would write of a policy alone, with the settings that it was trained by."""
    parameters = inspect.signature(cls.__init__).parameters.values()
    arguments = {
        parameter.name: parameter.default
        for parameter in parameters
        if parameter.default is not parameter.empty and parameter.name not in ("device", "_init_setup_model")
    }
    sections = [_options.names(section) for section in ("agent", agent.algo, "tree")]
    settings = {name: agent.get(name) for name in sorted(frozenset().union(*sections))}
    spaces = {name: pack(space_from_json(json.dumps(policy[name]))) for name in ("observation_space", "action_space")}
    counters = {**dict.fromkeys(COUNTERS, 0), "num_timesteps": policy["timesteps"]}
    return {
        "format": FORMAT,
        "algorithm": agent.algo,
        "arguments": {**arguments, "policy": "TreePolicy", **_options.keywords(settings)},
        "counters": counters,
        "progress_remaining": 1.0,
        "root_seed": 0,
        "env_id": policy["env_id"],
        "n_envs": agent.n_envs,
        **spaces,
        "episodes": [],
        "successes": [],
        "n_episodes": 0,
        "returns": [],
        "is_policy_alone": True,
    }


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 1 << 64


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and math.isfinite(value)


def _is_base64(value: Any) -> bool:
    try:
        base64.b64decode(value, validate=True)
    except (TypeError, ValueError):
        return False
    return isinstance(value, str)


def _is_episode(value: Any) -> bool:
    return isinstance(value, dict) and all(_is_number(value.get(key)) for key in "rlt")


_FIELDS: dict[str, tuple[str, Callable[[Any], bool]]] = {
    "arguments": ("an object with the arguments", lambda value: isinstance(value, dict)),
    "counters": (
        f"whole numbers {', '.join(COUNTERS)}",
        lambda value: (
            isinstance(value, dict) and value.keys() == set(COUNTERS) and all(map(_is_whole, value.values()))
        ),
    ),
    "progress_remaining": ("a number", _is_number),
    "root_seed": ("a whole number", _is_whole),
    "env_id": ("a text", lambda value: isinstance(value, str)),
    "n_envs": ("a whole number", _is_whole),
    "observation_space": ("an object", lambda value: isinstance(value, dict)),
    "action_space": ("an object", lambda value: isinstance(value, dict)),
    "episodes": (
        "episodes with r, l and t",
        lambda value: isinstance(value, list) and all(map(_is_episode, value)),
    ),
    "successes": ("numbers", lambda value: isinstance(value, list) and all(map(_is_number, value))),
    "n_episodes": ("a whole number", _is_whole),
    "returns": ("numbers", lambda value: isinstance(value, list) and all(map(_is_number, value))),
    "environments": ("their state in base 64", _is_base64),
    "seen": ("true or false", lambda value: isinstance(value, bool)),
    "is_learnt": ("true or false", lambda value: isinstance(value, bool)),
}
