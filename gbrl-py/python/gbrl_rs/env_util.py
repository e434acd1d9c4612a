"""Several copies of an environment, with Stable-Baselines3's arguments, and in its language."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import gymnasium
from gymnasium.vector import AutoresetMode

from gbrl_rs import _gbrl
from gbrl_rs._envs import GymEnvs
from gbrl_rs._model_env import ModelVecEnv
from gbrl_rs._options import suggests
from gbrl_rs.monitor import Monitor
from gbrl_rs.vec_env import make_vec


@suggests
def make_vec_env(
    env_id: str | Callable[..., gymnasium.Env[Any, Any]],
    n_envs: int = 1,
    seed: int | None = None,
    start_index: int = 0,
    monitor_dir: str | None = None,
    wrapper_class: Callable[..., gymnasium.Env[Any, Any]] | None = None,
    env_kwargs: dict[str, Any] | None = None,
    vec_env_cls: Callable[..., Any] | None = None,
    vec_env_kwargs: dict[str, Any] | None = None,
    monitor_kwargs: dict[str, Any] | None = None,
    wrapper_kwargs: dict[str, Any] | None = None,
) -> Any:
    """n copies of an environment, each in a :class:`~gbrl_rs.monitor.Monitor`, side by side.

    Args:
        env_id: a registered id, or a function or class that makes an environment.
        n_envs: how many copies.
        seed: copy i's first reset and its action space get seed + start_index + i.
        start_index: number of the first copy, in seeds and file names.
        monitor_dir: folder of the monitors' files ``<number>.monitor.csv``; None writes none.
        wrapper_class: put around each monitored copy.
        env_kwargs: arguments of each environment.
        vec_env_cls: None for copies that are stepped one after the other in this process, which is quickest where a step
            takes microseconds; gymnasium.vector.SyncVectorEnv or AsyncVectorEnv, SB3's DummyVecEnv or SubprocVecEnv, or
            anything else that takes a list of functions.
        vec_env_kwargs: its further arguments.
        monitor_kwargs: further arguments of the monitors.
        wrapper_kwargs: arguments of `wrapper_class`.

    Returns:
        Environments that speak SB3's language: ``reset()`` gives observations, ``step(actions)`` gives observations,
        rewards, dones and infos. Or what `vec_env_cls` makes; Gymnasium's classes are made to reset in the same step.

    Example:
        >>> envs = make_vec_env("CartPole-v1", n_envs=8, seed=0)
        >>> PPO("MlpPolicy", envs).learn(100_000)
    """
    env_kwargs, monitor_kwargs, wrapper_kwargs = env_kwargs or {}, monitor_kwargs or {}, wrapper_kwargs or {}

    def maker(rank: int) -> Callable[[], gymnasium.Env[Any, Any]]:
        def make() -> gymnasium.Env[Any, Any]:
            env = _made(env_id, env_kwargs)
            if seed is not None:
                env.action_space.seed(seed + rank)
            path = None
            if monitor_dir is not None:
                Path(monitor_dir).mkdir(parents=True, exist_ok=True)
                path = str(Path(monitor_dir) / str(rank))
            env = Monitor(env, filename=path, **monitor_kwargs)
            if seed is not None:
                env = _SeededOnce(env, seed + rank)
            return env if wrapper_class is None else wrapper_class(env, **wrapper_kwargs)

        return make

    functions = [maker(start_index + i) for i in range(n_envs)]
    kwargs = dict(vec_env_kwargs or {})
    if vec_env_cls is None:
        return ModelVecEnv(GymEnvs([function() for function in functions], None))
    if isinstance(vec_env_cls, type) and issubclass(vec_env_cls, gymnasium.vector.VectorEnv):
        kwargs.setdefault("autoreset_mode", AutoresetMode.SAME_STEP)
    return vec_env_cls(functions, **kwargs)


def make_copies(env_id: str, n_envs: int, seed: int | None = None) -> Any:
    """n copies of Gymnasium's environment, or of the one written in Rust where Gymnasium has none of that name."""
    if env_id not in gymnasium.registry and env_id in _gbrl.environments():
        return make_vec(env_id, n_envs, 0 if seed is None else seed)
    return make_vec_env(env_id, n_envs, seed)


def _made(env_id: str | Callable[..., gymnasium.Env[Any, Any]], kwargs: dict[str, Any]) -> gymnasium.Env[Any, Any]:
    """An environment that can be drawn, if it knows how and nothing else is asked for."""
    if not isinstance(env_id, str):
        return env_id(**kwargs)
    try:
        return gymnasium.make(env_id, **{"render_mode": "rgb_array", **kwargs})
    except TypeError:
        return gymnasium.make(env_id, **kwargs)


class _SeededOnce(gymnasium.Wrapper[Any, Any, Any, Any]):
    """Seeds the first reset, unless that is given a seed."""

    def __init__(self, env: gymnasium.Env[Any, Any], seed: int) -> None:
        super().__init__(env)
        self._first_seed: int | None = seed

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        seed = self._first_seed if seed is None else seed
        self._first_seed = None
        return self.env.reset(seed=seed, options=options)
