"""One way to step environments, whatever they are: an id, a gymnasium.Env, a VectorEnv, a Stable-Baselines3 VecEnv.

Every adapter resets an ended copy **in the same step** and hands over the final observation beside the new one, so
that whoever learns sees each transition once and can bootstrap where an episode was only cut off.
"""

from __future__ import annotations

import functools
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import gymnasium
import numpy as np
from gymnasium import spaces
from gymnasium.vector import AsyncVectorEnv, AutoresetMode, SyncVectorEnv, VectorEnv
from gymnasium.vector.utils import batch_space, concatenate, create_empty_array, iterate
from numpy.typing import NDArray

from gbrl_rs import _gbrl

if TYPE_CHECKING:
    from gbrl_rs.vec_env import RustVectorEnv

Flags = NDArray[np.bool_]
Info = dict[str, Any]


class Step(NamedTuple):
    """What one step of all n copies gave. Batches are laid out as Gymnasium's vector environments lay them out."""

    observations: Any
    """What the next decision is about: after an end, the new episode's first observation."""
    rewards: NDArray[np.float32]
    terminated: Flags
    truncated: Flags
    finals: Any
    """A batch whose values of ended copies are their last observations; None where no copy ended."""
    infos: Callable[[], list[Info]]
    """One dictionary per copy in the form of Stable-Baselines3; made only when asked for."""
    ignored: Flags | None = None
    """Copies that only reset themselves, whatever they were told to do: their reward is 0, no episode of theirs ended, and
    nothing is to be learnt from the step. None where there are none."""


class Envs:
    """n copies of an environment. The base of all adapters."""

    def __init__(
        self, n_envs: int, observation_space: spaces.Space[Any], action_space: spaces.Space[Any], given: Any
    ) -> None:
        self.n_envs = n_envs
        self.observation_space = observation_space
        self.action_space = action_space
        self.given = given
        """What the user handed in."""
        self.has_masks = False
        self.reports = False
        """Whether the environments tell by themselves what an episode came to, in ``info["episode"]``: an end without it
        is none (of a life, say). Those that do not get it from here, as SB3 puts a Monitor around them."""
        self.reset_infos: list[Info] = [{} for _ in range(n_envs)]
        """What the last reset of each copy said."""
        self._tally = _Tally(n_envs)

    def reset(self, seed: int | None) -> Any:
        """Starts n new episodes and gives their first observations. Copy i gets seed + i; None draws fresh ones."""
        raise NotImplementedError

    def step(self, actions: Any) -> Step:
        """Advances all copies by a batch of actions."""
        raise NotImplementedError

    def masks(self) -> Flags:
        """Which choices are allowed now, bool `[n, choices]`; only where `has_masks`."""
        raise NotImplementedError

    def render(self, mode: str) -> None:
        """Shows the first copy."""
        self.given.render()

    @property
    def env_id(self) -> str:
        """The registered name, or what comes closest."""
        return _env_id(self.given)


class GymEnvs(Envs):
    """Environments stepped one after the other in this process: the quickest way where a step takes microseconds.

    Gymnasium's own SyncVectorEnv is taken apart and stepped through here too, since most of its time per step goes
    into bookkeeping that nobody reads.
    """

    def __init__(self, envs: Sequence[gymnasium.Env[Any, Any]], given: Any) -> None:
        first = envs[0]
        super().__init__(len(envs), first.observation_space, first.action_space, given)
        self.envs = list(envs)
        space = first.observation_space
        self._box = space if isinstance(space, spaces.Box) else None
        self._mask_functions = [function for env in envs if (function := mask_function(env)) is not None]
        self.has_masks = len(self._mask_functions) == len(self.envs)
        self.reports = all(_has_monitor(env) for env in self.envs)
        self.options: list[dict[str, Any] | None] = [None] * len(self.envs)
        """Options of each copy's next reset."""

    def reset(self, seed: int | None) -> Any:
        self._tally.restart()
        following = []
        for i, env in enumerate(self.envs):
            # No word of options to environments that may not know it.
            given: Any = {} if self.options[i] is None else {"options": self.options[i]}
            observation, self.reset_infos[i] = _begun(env, seed=None if seed is None else seed + i, **given)
            following.append(observation)
        self.options = [None] * self.n_envs
        return self._stack(following)

    def step(self, actions: Any) -> Step:
        n = self.n_envs
        check_count(self, self.n_envs, actions)
        rewards = np.empty(n, dtype=np.float32)
        terminated, truncated = np.zeros(n, dtype=np.bool_), np.zeros(n, dtype=np.bool_)
        infos: list[Info] = []
        following = []
        finals: dict[int, Any] = {}
        for i, (env, action) in enumerate(zip(self.envs, unstack(self.action_space, actions, n), strict=True)):
            answer = env.step(action)
            try:
                observation, reward, ended, cut, info = answer
                rewards[i] = reward
            except (TypeError, ValueError) as error:
                raise _broken_step(env, answer) from error
            if ended or cut:
                terminated[i], truncated[i] = ended, cut
                # The reset may write into the very objects that the step gave, so copies are kept.
                finals[i] = copied(observation)
                info = _with_end(dict(info), finals[i], bool(ended), bool(cut))
                observation, self.reset_infos[i] = _begun(env)
            following.append(observation)
            infos.append(info)
        if not self.reports:
            ended_now = terminated | truncated if finals else None
            for i, episode in self._tally.step(rewards, ended_now).items():
                infos[i].setdefault("episode", episode)
        last = self._stack([finals.get(i, x) for i, x in enumerate(following)]) if finals else None
        return Step(self._stack(following), rewards, terminated, truncated, last, lambda: infos)

    def masks(self) -> Flags:
        return np.array([function() for function in self._mask_functions], dtype=np.bool_)

    def render(self, mode: str) -> None:
        self.envs[0].render()

    @property
    def env_id(self) -> str:
        return _env_id(self.envs[0])

    def _stack(self, observations: list[Any]) -> Any:
        if self._box is None:
            try:
                return stack(self.observation_space, observations)
            except Exception as error:
                raise self._misshapen(observations) from error
        shape = self._box.shape
        batch = np.empty((len(observations), *shape), dtype=self._box.dtype)
        for i, observation in enumerate(observations):
            if getattr(observation, "shape", None) != shape and np.shape(observation) != shape:
                raise self._misshapen(observations)
            batch[i] = observation
        return batch

    def _misshapen(self, observations: list[Any]) -> Exception:
        space = self.observation_space
        for env, observation in zip(self.envs, observations, strict=True):
            if self._box is None and not space.contains(observation) or self._box is not None and (
                np.shape(observation) != self._box.shape
            ):
                return broken(env, "observation", f"one of {space}", _described(observation))
        return broken(self.envs[0], "observation", f"ones of {space}", _described(observations))


class VectorEnvs(Envs):
    """A gymnasium.vector.VectorEnv in any of the three modes of autoreset.

    * SAME_STEP is taken as it is.
    * DISABLED, and NEXT_STEP where it is Gymnasium's own Sync- or AsyncVectorEnv and nothing is wrapped around it: ended
      copies are reset at once through ``options={"reset_mask": ...}``.
    * NEXT_STEP of others, whose wrappers count on the step between: the step in which such an environment resets itself
      ignores its action. Nothing is learnt from it (`Step.ignored`, info "ignored"). It counts as a step, but in no
      episode.
    """

    def __init__(self, env: Any) -> None:
        super().__init__(env.num_envs, env.single_observation_space, env.single_action_space, env)
        self.env = env
        mode = AutoresetMode(env.metadata.get("autoreset_mode", AutoresetMode.NEXT_STEP))
        inner = env.unwrapped
        is_plain = env is inner and isinstance(inner, (SyncVectorEnv, AsyncVectorEnv))
        can_reset_some = mode is AutoresetMode.DISABLED or is_plain
        # Wrappers take the mask out of the options that they are given, so those further out see a reset of all.
        self._counts_are_off = mode is AutoresetMode.DISABLED and env is not inner
        self._resets_itself = mode is AutoresetMode.SAME_STEP
        self.waits = mode is AutoresetMode.NEXT_STEP and not can_reset_some
        self._resetting = np.zeros(self.n_envs, dtype=np.bool_)
        self._env_id, self._masks, reports = _described_copies(env)
        self.has_masks = self._masks is not None
        self.reports = reports and not self._counts_are_off

    @property
    def env_id(self) -> str:
        return self._env_id

    def reset(self, seed: int | None) -> Any:
        self._resetting[:] = False
        self._tally.restart()
        return self.env.reset(seed=seed)[0]

    def step(self, actions: Any) -> Step:
        check_count(self, self.n_envs, actions)
        answer = self.env.step(actions)
        try:
            observations, rewards, terminated, truncated, info = answer
            rewards = np.array(rewards, dtype=np.float32)
        except (TypeError, ValueError) as error:
            raise _broken_step(self.env, answer) from error
        terminated, truncated = np.array(terminated, dtype=np.bool_), np.array(truncated, dtype=np.bool_)
        ended = terminated | truncated
        if self.waits:
            return self._waiting_step(observations, rewards, terminated, truncated, info)
        finals = None
        episodes = {} if self.reports else self._tally.step(rewards, ended)
        if ended.any():
            if self._resets_itself:
                finals = self._finals(observations, info, ended)
            else:
                # Some vector environments write the new observations into the array they gave before.
                finals = copied(observations)
                observations = self._reset_some(ended)
        return Step(
            observations,
            rewards,
            terminated,
            truncated,
            finals,
            functools.cache(lambda: self._infos(info, finals, terminated, truncated, episodes)),
        )

    def _reset_some(self, ended: Flags) -> Any:
        try:
            return self.env.reset(options={"reset_mask": ended})[0]
        except (TypeError, ValueError, AssertionError) as error:
            expected = (
                "copies that are reset alone, which autoreset_mode DISABLED leaves to us; make it with NEXT_STEP or "
                "SAME_STEP, and instead of Gymnasium's NormalizeObservation take gbrl_rs.VecNormalize or norm_obs=True"
            )
            raise broken(self.env, 'reset(options={"reset_mask": ...})', expected, error) from error

    def masks(self) -> Flags:
        assert self._masks is not None
        masks = np.array(self._masks(), dtype=np.bool_).reshape(self.n_envs, -1)
        masks[self._resetting] = True  # whatever is chosen there is ignored, and something has to be
        return masks

    def _waiting_step(
        self,
        observations: Any,
        rewards: NDArray[np.float32],
        terminated: Flags,
        truncated: Flags,
        info: Mapping[str, Any],
    ) -> Step:
        resetting = self._resetting
        ignored = resetting if resetting.any() else None
        rewards[resetting] = 0.0
        terminated, truncated = terminated & ~resetting, truncated & ~resetting
        ended = terminated | truncated
        finals = copied(observations) if ended.any() else None
        # The reset counts in no episode.
        episodes = {} if self.reports else self._tally.step(rewards, ended | resetting)
        self._resetting = ended

        @functools.cache
        def infos() -> list[Info]:
            described = self._infos(info, finals, terminated, truncated, episodes)
            for i in np.flatnonzero(resetting):
                described[i]["ignored"] = True
            return described

        return Step(observations, rewards, terminated, truncated, finals, infos, ignored)

    def _finals(self, observations: Any, info: Mapping[str, Any], ended: Flags) -> Any:
        last = info.get("final_obs", info.get("final_observation"))
        if last is None:
            raise RuntimeError(
                f"{self.given}: expected infos['final_obs'] with the last observations of the episodes that ended, "
                f"as autoreset in the same step demands, got the keys {sorted(info)}"
            )
        if isinstance(self.observation_space, spaces.Box):
            batch = np.array(observations)
            batch[ended] = [last[i] for i in np.flatnonzero(ended)]
            return batch
        each = list(self._each(observations))
        return stack(self.observation_space, [last[i] if ended[i] else each[i] for i in range(self.n_envs)])

    def _each(self, observations: Any) -> Any:
        return unstack(self.observation_space, observations, self.n_envs)

    def _infos(
        self, info: Mapping[str, Any], finals: Any, terminated: Flags, truncated: Flags, episodes: dict[int, Info]
    ) -> list[Info]:
        described = split_infos(info, self.n_envs)
        ends = info.get("final_info")
        if isinstance(ends, Mapping):
            for i, end in enumerate(split_infos(ends, self.n_envs)):
                described[i].update(end)
        ended = np.flatnonzero(terminated | truncated)
        if len(ended):
            last = list(self._each(finals))
            for i in ended.tolist():
                described[i].pop("final_obs", None)
                _with_end(described[i], last[i], bool(terminated[i]), bool(truncated[i]))
                if self._counts_are_off:
                    described[i].pop("episode", None)
                if i in episodes:
                    described[i].setdefault("episode", episodes[i])
        return described


class Sb3Envs(Envs):
    """A Stable-Baselines3 VecEnv, or anything with its methods."""

    def __init__(self, env: Any) -> None:
        super().__init__(env.num_envs, env.observation_space, env.action_space, env)
        self.env = env
        self.has_masks = _sb3_has_masks(env)
        self.reports = is_monitored(env)
        self._waits = _waits(env)

    def reset(self, seed: int | None) -> Any:
        self._tally.restart()
        if seed is not None:
            self.env.seed(seed)
        return self.env.reset()

    def step(self, actions: Any) -> Step:
        answer = self.env.step(actions)
        try:
            observations, rewards, dones, infos = answer
        except (TypeError, ValueError) as error:
            expected = "(observations, rewards, dones, infos)"
            raise broken(self.env, "step()", expected, _described(answer)) from error
        dones = np.array(dones, dtype=np.bool_)
        truncated = np.zeros(self.n_envs, dtype=np.bool_)
        finals = None
        if dones.any():
            each = list(unstack(self.observation_space, observations, self.n_envs))
            for i in np.flatnonzero(dones).tolist():
                last = infos[i].get("terminal_observation")
                # Without what was seen last there is nothing to bootstrap from: SB3 takes it for a real end.
                if last is not None:
                    truncated[i] = infos[i].get("TimeLimit.truncated", False)
                    each[i] = last
            finals = stack(self.observation_space, each)
        rewards = np.array(rewards, dtype=np.float32)
        ignored = None
        if self._waits:
            ignored = np.array([info.get("ignored", False) for info in infos], dtype=np.bool_)
        episodes = {} if self.reports else self._tally.step(rewards, dones if ignored is None else dones | ignored)

        @functools.cache
        def described() -> list[Info]:
            ends = {i: episode for i, episode in episodes.items() if dones[i]}
            return [{"episode": ends[i], **info} if i in ends else info for i, info in enumerate(infos)]

        return Step(observations, rewards, dones & ~truncated, truncated, finals, described, ignored)

    def masks(self) -> Flags:
        return np.array(self.env.env_method("action_masks"), dtype=np.bool_).reshape(self.n_envs, -1)

    def render(self, mode: str) -> None:
        self.env.render(mode)

    @property
    def env_id(self) -> str:
        try:
            spec = self.env.get_attr("spec")[0]
        except Exception:  # whatever it is that an environment says of attributes that it has not
            spec = None
        return str(spec.id) if hasattr(spec, "id") else type(getattr(self.env, "unwrapped", self.env)).__name__


class RustEnvs(Envs):
    """Environments of the extension, :func:`gbrl_rs.make_vec`, stepped through Python."""

    def __init__(self, env: RustVectorEnv) -> None:
        super().__init__(env.num_envs, env.single_observation_space, env.single_action_space, env)
        self.env = env
        self.has_masks = env.has_masks
        self._started = time.time()

    def reset(self, seed: int | None) -> Any:
        return self.env.reset(seed=seed)[0]

    def step(self, actions: Any) -> Step:
        flat = self.env.flat_observations
        check_count(self, self.n_envs, actions)
        rows = self.env.flat_actions.rows(actions, self.n_envs)
        observations, rewards, terminated, truncated, finals, ended = self.env.core.step(rows)
        last = None if finals is None else flat.values(finals)
        elapsed = round(time.time() - self._started, 6)

        @functools.cache
        def infos() -> list[Info]:
            described: list[Info] = [{} for _ in range(self.n_envs)]
            if last is not None:
                each = list(unstack(self.observation_space, last, self.n_envs))
                for i, total, length in ended:
                    _with_end(described[i], each[i], bool(terminated[i]), bool(truncated[i]))
                    described[i]["episode"] = {"r": total, "l": length, "t": elapsed}
            return described

        return Step(flat.values(observations), rewards, terminated, truncated, last, infos)

    def masks(self) -> Flags:
        return self.env.action_masks()

    @property
    def env_id(self) -> str:
        return self.env.name


def adapt(env: Any) -> Envs:
    """The adapter of an id (Gymnasium's, or gbrl's own), a gymnasium.Env, a VectorEnv or an SB3 VecEnv.

    Raises:
        TypeError: for anything else.
        gymnasium.error.Error: for an id that is not registered.
    """
    if isinstance(env, Envs):
        return env
    if isinstance(env, str):
        env = _made(env)
    if isinstance(env, gymnasium.Env):
        return GymEnvs([env], env)
    if isinstance(env, VectorEnv):
        return _adapt_vector(env)
    if is_sb3_vec_env(env):
        adapted = getattr(env, "gbrl_envs", None)
        return adapted if isinstance(adapted, Envs) else Sb3Envs(env)
    if hasattr(env, "num_envs") and hasattr(env, "single_observation_space"):
        return VectorEnvs(env)
    raise TypeError(
        "env: expected an id, a gymnasium.Env, a gymnasium.vector.VectorEnv or a Stable-Baselines3 VecEnv, "
        f"got {type(env).__module__}.{type(env).__qualname__}"
    )


def _made(env_id: str) -> Any:
    """Gymnasium's environment, or the one written in Rust where Gymnasium has none of that name."""
    if env_id in gymnasium.registry or env_id not in _gbrl.environments():
        return gymnasium.make(env_id)
    from gbrl_rs.vec_env import make_vec

    return make_vec(env_id)


def _adapt_vector(env: Any) -> Envs:
    from gbrl_rs.vec_env import RustVectorEnv

    if isinstance(env, RustVectorEnv):
        return RustEnvs(env)
    # A subclass or a wrapper may do more in step() than to step its copies.
    if type(env) is SyncVectorEnv and all(copy.observation_space == env.single_observation_space for copy in env.envs):
        return GymEnvs(env.envs, env)
    return VectorEnvs(env)


def is_sb3_vec_env(env: Any) -> bool:
    """Whether `env` speaks Stable-Baselines3's VecEnv language: reset() gives observations, step() four things."""
    return all(
        hasattr(env, name) for name in ("num_envs", "step_async", "step_wait", "env_method", "observation_space")
    ) and (not isinstance(env, VectorEnv))


def mask_function(env: gymnasium.Env[Any, Any]) -> Callable[[], Any] | None:
    """The method ``action_masks()`` of an environment or of a wrapper around it (sb3-contrib's ActionMasker)."""
    if not env.has_wrapper_attr("action_masks"):
        return None
    function = env.get_wrapper_attr("action_masks")
    return function if callable(function) else None


def stack(space: spaces.Space[Any], values: Sequence[Any]) -> Any:
    """A new batch of values, as Gymnasium lays it out."""
    empty: Any = create_empty_array(space, len(values))
    return concatenate(space, values, empty)


def unstack(space: spaces.Space[Any], batch: Any, n: int) -> Any:
    """The n values of a batch, one after the other; the inverse of :func:`stack`."""
    if isinstance(batch, np.ndarray) and not isinstance(space, (spaces.Dict, spaces.Tuple)):
        return batch
    return iterate(batch_space(space, n), batch)


def copied(observations: Any) -> Any:
    """Observations, alone or as a batch, that nobody else writes to."""
    if isinstance(observations, Mapping):
        return {key: copied(part) for key, part in observations.items()}
    if isinstance(observations, tuple):
        return tuple(copied(part) for part in observations)
    return observations.copy() if isinstance(observations, np.ndarray) else observations


def split_infos(info: Mapping[str, Any], n: int) -> list[Info]:
    """Gymnasium's dictionary of arrays as one dictionary per copy; ``_key`` says which copies have the key."""
    each: list[Info] = [{} for _ in range(n)]
    for key, values in info.items():
        if key.startswith("_") and key[1:] in info:
            continue
        has = info.get(f"_{key}")
        if isinstance(values, Mapping):
            # Of a nested dictionary each copy has the keys that are its own.
            for i, part in enumerate(split_infos(values, n)):
                if part and (has is None or has[i]):
                    each[i][key] = part
            continue
        for i in range(n) if has is None else np.flatnonzero(has).tolist():
            each[i][key] = values[i] if isinstance(values, (np.ndarray, list, tuple)) and len(values) == n else values
    return each


def _with_end(info: Info, observation: Any, terminated: bool, truncated: bool) -> Info:
    info["terminal_observation"] = observation
    info["TimeLimit.truncated"] = truncated and not terminated
    return info


def _described_copies(env: Any) -> tuple[str, Callable[[], Any] | None, bool]:
    """Of a vector environment's copies: their id, what gives their masks, if anything does, and whether they report their
    episodes."""
    inner = env.unwrapped
    own: Callable[[], Any] | None = getattr(env, "action_masks", None)
    reports = _has_monitor(env)
    if isinstance(inner, SyncVectorEnv):
        functions = [function for copy in inner.envs if (function := mask_function(copy)) is not None]
        each = (lambda: [function() for function in functions]) if len(functions) == inner.num_envs else None
        return _env_id(inner.envs[0]), own or each, reports or all(_has_monitor(copy) for copy in inner.envs)
    if isinstance(inner, AsyncVectorEnv):
        # A worker that is asked for what it does not have ends; these two every environment has. Its text names what is
        # wrapped around what: <TimeLimit<Monitor<CartPole<CartPole-v1>>>>.
        has_masks = all(inner.call("has_wrapper_attr", "action_masks"))
        texts = [str(text) for text in inner.call("__str__")]
        reports = reports or all(re.search(r"\b(Monitor|RecordEpisodeStatistics)<", text) for text in texts)
        env_id = texts[0].rstrip(">").rpartition("<")[2].removesuffix(" instance")
        return env_id, own or ((lambda: inner.call("action_masks")) if has_masks else None), reports
    return _env_id(env), own, reports


def layers(env: Any, inner: str) -> Iterator[Any]:
    """An environment, and what it is wrapped around under the name "env" or "venv", from the outside in."""
    while env is not None:
        yield env
        # By its own attributes: wrappers hand on what they are asked for to what they are wrapped around.
        env = getattr(env, "__dict__", {}).get(inner)


def _has_monitor(env: Any) -> bool:
    """Whether an environment has a wrapper that reports episodes; Monitors, SB3's too, are found by their methods."""
    kinds = map(type, layers(env, "env"))
    return any(kind.__name__ == "RecordEpisodeStatistics" or hasattr(kind, "get_episode_rewards") for kind in kinds)


def _own_envs(wrapper: Any) -> Envs | None:
    """What one of our own SB3 environments steps."""
    envs = getattr(wrapper, "__dict__", {}).get("gbrl_envs")
    return envs if isinstance(envs, Envs) else None


def _waits(env: Any) -> bool:
    """Whether an SB3 VecEnv stands on a vector environment that resets itself in the next step."""
    own = next(filter(None, map(_own_envs, layers(env, "venv"))), None)
    return isinstance(own, VectorEnvs) and own.waits


def is_monitored(env: Any) -> bool:
    """Whether an SB3 VecEnv's episodes are known, whatever wrappers do: by a Monitor or VecMonitor, found by name, or by
    what is ours, which reports or is reported for."""
    if any(type(wrapper).__name__ == "VecMonitor" or _own_envs(wrapper) for wrapper in layers(env, "venv")):
        return True
    has_attr = getattr(env, "has_attr", None)
    # Only monitors have this method.
    return has_attr is not None and bool(has_attr("get_episode_rewards"))


class _Tally:
    """Returns and lengths of the episodes under way, for environments that do not keep them."""

    def __init__(self, n_envs: int) -> None:
        self._started = time.time()
        self._n_steps = 0
        self._returns = np.zeros(n_envs)
        # The step with which each episode began: a length is a difference.
        self._first = np.zeros(n_envs, dtype=np.int64)

    def restart(self) -> None:
        """All episodes begin."""
        self._returns[:], self._first[:] = 0.0, self._n_steps

    def step(self, rewards: NDArray[np.float32], ended: Flags | None) -> dict[int, Info]:
        """A step of all copies, and what the episodes that ended with it came to; the next ones begin. None says that no
        copy ended."""
        self._returns += rewards
        self._n_steps += 1
        if ended is None or not ended.any():
            return {}
        elapsed = round(time.time() - self._started, 6)
        lengths = (self._n_steps - self._first).tolist()
        episodes = {
            i: {"r": round(float(self._returns[i]), 6), "l": lengths[i], "t": elapsed}
            for i in np.flatnonzero(ended).tolist()
        }
        self._returns[ended], self._first[ended] = 0.0, self._n_steps
        return episodes


def broken(env: Any, problem: str, expected: Any, got: Any) -> _gbrl.EnvironmentContractError:
    """The error for an environment that does what no environment may do."""
    name = env if isinstance(env, str) else _env_id(env)
    return _gbrl.EnvironmentContractError(f"environment {name}: {problem}: expected {expected}, got {got}")


def check_count(named: Any, n: int, actions: Any) -> None:
    """Refuses a batch of another number of actions than there are copies; `named.env_id` is who says so.

    Raises:
        ValueError: for such a batch.
    """
    if not isinstance(actions, (dict, tuple)) and np.shape(actions)[:1] != (n,):
        got = f"an array of shape {np.shape(actions)}"
        raise ValueError(f"{named.env_id}: actions: expected {n} actions, one for each copy, got {got}")


def _begun(env: gymnasium.Env[Any, Any], **given: Any) -> tuple[Any, Info]:
    """What reset() gives, if it is what Gymnasium demands."""
    try:
        answer = env.reset(**given)
    except TypeError as error:
        if re.search(r"unexpected keyword argument '(seed|options)'", str(error)) is None:
            raise
        raise broken(env, "reset()", "the arguments seed and options, as Gymnasium has them", error) from error
    if isinstance(answer, tuple) and len(answer) == 2 and isinstance(answer[1], Mapping):
        return answer
    raise broken(env, "reset()", "(observation, info)", _described(answer))


def _broken_step(env: Any, answer: Any) -> Exception:
    """Why what step() gave is no step."""
    if not isinstance(answer, (tuple, list)) or len(answer) != 5:
        is_old = isinstance(answer, tuple) and len(answer) == 4
        hint = ", as the old Gym had it: `done` is two things now" if is_old else ""
        expected = "(observation, reward, terminated, truncated, info)"
        return broken(env, "step()", expected, f"{_described(answer)}{hint}")
    return broken(env, "reward", "a number", _described(answer[1]))


def _described(value: Any) -> str:
    """What something is, in few words."""
    if isinstance(value, tuple):
        return f"a tuple of {len(value)}"
    if isinstance(value, np.ndarray):
        return f"an array of shape {value.shape} and dtype {value.dtype}"
    return f"{type(value).__name__} {str(value)[:80]}"


def _sb3_has_masks(env: Any) -> bool:
    has_attr = getattr(env, "has_attr", None)
    return has_attr is not None and bool(has_attr("action_masks"))


def _env_id(env: Any) -> str:
    spec = getattr(env, "spec", None)
    if spec is not None and getattr(spec, "id", None):
        return str(spec.id)
    return type(getattr(env, "unwrapped", env)).__name__
