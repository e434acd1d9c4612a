"""What `model.get_env()` gives for an id or a gymnasium.Env: Stable-Baselines3's VecEnv methods, without SB3."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from gbrl_rs._envs import GymEnvs, Info


class ModelVecEnv:
    """Environments of this process in the language of SB3's VecEnv: ``reset()`` gives observations, ``step(actions)``
    gives observations, rewards, dones and infos, and ended episodes start again by themselves.

    Example:
        >>> env = model.get_env()
        >>> observations = env.reset()
        >>> actions, _ = model.predict(observations, deterministic=True)
        >>> observations, rewards, dones, infos = env.step(actions)
    """

    def __init__(self, envs: GymEnvs) -> None:
        self.gbrl_envs = envs
        self.envs = envs.envs
        self.num_envs = envs.n_envs
        self.observation_space = envs.observation_space
        self.action_space = envs.action_space
        self.render_mode = getattr(self.envs[0], "render_mode", None)
        self._seed: int | None = None
        self._actions: Any = None

    @property
    def unwrapped(self) -> ModelVecEnv:
        """This: nothing is wrapped around it."""
        return self

    def reset(self) -> Any:
        """Starts new episodes; the seed given to :meth:`seed` is used once."""
        seed, self._seed = self._seed, None
        return self.gbrl_envs.reset(seed)

    def seed(self, seed: int | None = None) -> list[int | None]:
        """Seeds the next reset: copy i gets seed + i."""
        self._seed = seed
        return [None if seed is None else seed + i for i in range(self.num_envs)]

    def step_async(self, actions: Any) -> None:
        """Takes the actions of the next :meth:`step_wait`."""
        self._actions = actions

    def step_wait(self) -> tuple[Any, np.ndarray[Any, Any], np.ndarray[Any, Any], list[Info]]:
        """Observations, rewards `[n]`, dones `[n]` and one info per copy."""
        step = self.gbrl_envs.step(np.asarray(self._actions))
        return step.observations, step.rewards, step.terminated | step.truncated, step.infos()

    def step(self, actions: Any) -> tuple[Any, np.ndarray[Any, Any], np.ndarray[Any, Any], list[Info]]:
        """:meth:`step_async` and :meth:`step_wait` in one."""
        self.step_async(actions)
        return self.step_wait()

    def render(self, mode: str | None = None) -> Any:
        """Renders the first copy, in the mode that it was made with."""
        return self.envs[0].render()

    def close(self) -> None:
        """Closes all copies."""
        for env in self.envs:
            env.close()

    def has_attr(self, name: str) -> bool:
        """Whether every copy, or a wrapper around it, has an attribute."""
        return all(env.has_wrapper_attr(name) for env in self.envs)

    def get_attr(self, name: str, indices: int | Sequence[int] | None = None) -> list[Any]:
        """An attribute of each copy."""
        return [env.get_wrapper_attr(name) for env in self._chosen(indices)]

    def set_attr(self, name: str, value: Any, indices: int | Sequence[int] | None = None) -> None:
        """Sets an attribute of each copy."""
        for env in self._chosen(indices):
            env.set_wrapper_attr(name, value)

    def env_method(self, name: str, *args: Any, indices: int | Sequence[int] | None = None, **kwargs: Any) -> list[Any]:
        """Calls a method of each copy."""
        return [env.get_wrapper_attr(name)(*args, **kwargs) for env in self._chosen(indices)]

    def env_is_wrapped(self, wrapper_class: type, indices: int | Sequence[int] | None = None) -> list[bool]:
        """Whether each copy has a wrapper of a class around it."""
        return [_has_wrapper(env, wrapper_class) for env in self._chosen(indices)]

    def _chosen(self, indices: int | Sequence[int] | None) -> list[Any]:
        if indices is None:
            return list(self.envs)
        return [self.envs[i] for i in ([indices] if isinstance(indices, int) else indices)]


def _has_wrapper(env: Any, wrapper_class: type) -> bool:
    while env is not None:
        if isinstance(env, wrapper_class):
            return True
        env = getattr(env, "env", None)
    return False
