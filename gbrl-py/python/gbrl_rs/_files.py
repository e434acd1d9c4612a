"""Saving and loading models: one file, checked by its sums, without pickle.

The file holds the agent (trees, optimizers, statistics, random streams) and a note in JSON with what Python owns:
constructor arguments, counters and spaces. Functions cannot be written as JSON; a schedule that is one is noted with
the value that it had, and loading says so.
"""

from __future__ import annotations

import base64
import json
import os
import platform
import warnings
from pathlib import Path
from typing import IO, Any, ClassVar, TypeVar

import numpy as np

from gbrl_rs import _gbrl, _options
from gbrl_rs._envs import Envs, RustEnvs, adapt
from gbrl_rs._space_file import pack, unpack

ENDING = ".gbrl"
FORMAT = 1

Self = TypeVar("Self", bound="ModelFile")


class ModelFile:
    """save() and load() of a model."""

    ALGORITHM: ClassVar[str]

    # What the rest of a model brings along; see OnPolicyModel.
    _agent: _gbrl.Agent
    _envs: Envs | None

    def save(self, path: Any, exclude: Any = None, include: Any = None) -> str | None:
        """Writes everything that is needed to go on learning.

        Args:
            path: a path, which gets the ending ``.gbrl`` if it has none, or a file open for writing bytes.
            exclude, include: for SB3's sake: the file holds no pickled attributes that could be chosen.

        Returns:
            The path that was written; None for an open file.

        Raises:
            OSError: when it cannot be written.
        """
        data = self._agent.to_bytes(json.dumps(self._note()), self._counters()["num_timesteps"])
        if hasattr(path, "write"):
            path.write(data)
            return None
        target = Path(path)
        if not target.suffix:
            target = target.with_name(target.name + ENDING)
        target.parent.mkdir(parents=True, exist_ok=True)
        # Written beside and renamed, so that a crash leaves the old file whole.
        beside = target.with_name(f".{target.name}.{os.getpid()}.tmp")
        beside.write_bytes(data)
        beside.replace(target)
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
        """A model that :meth:`save` wrote.

        Args:
            path: a path, also without its ending and with SB3's ``.zip`` instead of it, or a file open for reading.
            env: environments to go on with, same spaces. Another number of copies than before makes a new learner
                around the same policy.
            device: "auto", "cpu", "cuda" or "cuda:N", whatever the model was trained on.
            custom_objects: constructor arguments that replace what the file says (functions, which it cannot hold).
            print_system_info: print versions.
            force_reset: whether the next learn() starts new episodes; False goes on in the middle of them, where the
                environments are Rust's.
            **kwargs: as `custom_objects`.

        Raises:
            FileNotFoundError: when there is none.
            gbrl_rs.FormatError: (a ValueError) for a damaged file and for one that is no model.
            ValueError: for environments of other spaces, and for arguments that a model cannot change any more.
        """
        if print_system_info:
            print(system_info())
        n_threads = kwargs.get("n_threads")
        agent, text = _gbrl.Agent.from_bytes(_read(path), n_threads, _options.device(device))
        note = json.loads(text) if text else {}
        if note.get("format") != FORMAT or note.get("algorithm") != cls.ALGORITHM:
            raise _gbrl.FormatError(
                f"{_name(path)}: expected a model that {cls.__name__}.save() wrote, "
                f"got one of format {note.get('format')} for {note.get('algorithm')}"
            )
        model = cls.__new__(cls)
        model._restore(agent, note, {**(custom_objects or {}), **kwargs, "device": device})
        if env is not None:
            model._go_on_with(adapt(env), note, force_reset)
        return model

    # -- what a model says of itself ---------------------------------------------------------------------------------

    def _arguments(self) -> dict[str, Any]:
        """The constructor's arguments but `env`, as the attributes say now."""
        raise NotImplementedError

    def _configure(self, arguments: dict[str, Any]) -> None:
        """Makes attributes of the constructor's arguments."""
        raise NotImplementedError

    def _counters(self) -> dict[str, Any]:
        names = ("num_timesteps", "_total_timesteps", "_num_timesteps_at_start", "_n_updates")
        return {name: int(getattr(self, name)) for name in names}

    def _note(self) -> dict[str, Any]:
        model: Any = self
        progress = model._current_progress_remaining
        note = {
            "format": FORMAT,
            "algorithm": self.ALGORITHM,
            "arguments": {name: _noted(value, progress) for name, value in self._arguments().items()},
            "counters": self._counters(),
            "progress_remaining": progress,
            "root_seed": model._root_seed,
            "n_envs": model.n_envs,
            "observation_space": pack(model.observation_space),
            "action_space": pack(model.action_space),
            "episodes": list(model.ep_info_buffer),
            "successes": list(model.ep_success_buffer),
            "n_episodes": model._episode_num,
        }
        if isinstance(self._envs, RustEnvs) and model._in_rust:
            note["environments"] = base64.b64encode(self._envs.env.core.save()).decode()
        return note

    def _restore(self, agent: _gbrl.Agent, note: dict[str, Any], given: dict[str, Any]) -> None:
        model: Any = self
        arguments = dict(note["arguments"])
        wanted = given.pop("policy_kwargs", None)
        if wanted is not None and _options.split_policy_kwargs(wanted) != arguments.get("policy_kwargs", {}):
            raise ValueError(
                "The specified policy kwargs do not equal the stored policy kwargs. "
                f"Stored kwargs: {arguments.get('policy_kwargs', {})}, specified kwargs: {wanted}"
            )
        lost = []
        for name, value in arguments.items():
            if isinstance(value, dict) and "function" in value:
                arguments[name] = value["value"]
                if name not in given:
                    lost.append(f"{name} = {value['function']}, now {value['value']}")
        if lost:
            warnings.warn(
                f"a file holds no functions; these schedules stay at their last values: {'; '.join(lost)}. "
                "Pass them to load() to go on with them",
                UserWarning,
                stacklevel=3,
            )
        model.observation_space, model.action_space = None, None
        self._configure({**arguments, **given})
        model._take_spaces(unpack(note["observation_space"]), unpack(note["action_space"]))
        model.n_envs = note["n_envs"]
        model._root_seed = note["root_seed"]
        model._reset_counters()
        for name, value in note["counters"].items():
            setattr(self, name, value)
        model._current_progress_remaining = note["progress_remaining"]
        statistics = model._statistics
        statistics.episodes.extend(note["episodes"])
        statistics.successes.extend(note["successes"])
        statistics.n_episodes = note["n_episodes"]
        self._agent = agent
        settings = model._settings(model._current_progress_remaining)
        # What the file's agent has already needs no telling; what is new must be allowed to change.
        model._pushed = {name: agent.get(name) for name in settings}
        for name, text in settings.items():
            if not _same(text, model._pushed[name]):
                agent.set(name, text)
        model._pushed = settings
        model._connect_agent()
        self._envs = None
        model.env = None
        model._last_obs = model._last_episode_starts = model._next_seed = None
        model._stage_begun = model._in_rust = model._seen = False

    def _go_on_with(self, envs: Envs, note: dict[str, Any], force_reset: bool) -> None:
        model: Any = self
        model._check_spaces(envs)
        if envs.n_envs != model.n_envs:
            policy = self._agent.policy_bytes()
            self._agent = model._new_agent(envs, model._pushed)
            self._agent.set_policy_bytes(policy)
            model.n_envs = envs.n_envs
            model._statistics = model._statistics.for_copies(envs.n_envs)
            model._connect_agent()
        model._take_envs(envs)
        state = note.get("environments")
        if not force_reset and state is not None and isinstance(envs, RustEnvs):
            envs.env.core.restore(base64.b64decode(state))
            model._in_rust = model._seen = True


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


def _read(path: Any) -> bytes:
    if hasattr(path, "read"):
        source: IO[bytes] = path
        return source.read()
    wanted = Path(path)
    candidates = [wanted, wanted.with_name(wanted.name + ENDING)]
    if wanted.suffix == ".zip":  # scripts that were written for SB3 name its files so
        candidates.append(wanted.with_suffix(ENDING))
    for candidate in candidates:
        if candidate.is_file():
            return candidate.read_bytes()
    raise FileNotFoundError(f"expected a saved model at {' or '.join(map(str, candidates))}, got no file there")


def _name(path: Any) -> str:
    return str(getattr(path, "name", "file") if hasattr(path, "read") else path)


def _noted(value: Any, progress_remaining: float) -> Any:
    """A constructor argument as JSON."""
    if callable(value) and not isinstance(value, type):
        name = getattr(value, "__qualname__", type(value).__name__)
        return {"function": name, "value": float(value(progress_remaining))}
    if isinstance(value, dict):
        return {key: _noted(part, progress_remaining) for key, part in value.items()}
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    return value


def _same(a: str, b: str) -> bool:
    """Whether two texts are one setting: "1" and "1.0" are."""
    try:
        return a == b or float(a) == float(b)
    except ValueError:
        return False
