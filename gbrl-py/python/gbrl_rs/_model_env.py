"""Environments in the language of Stable-Baselines3's VecEnv, without SB3: what `model.get_env()` gives for an id."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

import numpy as np

from gbrl_rs._envs import Envs, GymEnvs, Info


class ModelVecEnv:
    """``reset()`` gives observations, ``step(actions)`` gives observations, rewards, dones and infos, and ended
    episodes start again by themselves.

    Example:
        >>> env = model.get_env()
        >>> observations = env.reset()
        >>> actions, _ = model.predict(observations, deterministic=True)
        >>> observations, rewards, dones, infos = env.step(actions)
    """

    def __init__(self, envs: Envs) -> None:
        self.gbrl_envs = envs
        self.num_envs = envs.n_envs
        self.observation_space = envs.observation_space
        self.action_space = envs.action_space
        self.render_mode = getattr(envs.envs[0] if isinstance(envs, GymEnvs) else envs.given, "render_mode", None)
        self._seed: int | None = None
        self._actions: Any = None

    @property
    def envs(self) -> list[Any]:
        """The copies; none where they live in other processes."""
        return self._copies()

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
        """Renders, in the mode that the environments were made with."""
        return self.gbrl_envs.render(mode or "human")

    def close(self) -> None:
        """Closes all copies."""
        for env in self._copies() or [self.gbrl_envs.given]:
            env.close()

    def has_attr(self, name: str) -> bool:
        """Whether every copy, or a wrapper around it, has an attribute; of copies in other processes only masks are
        known."""
        if name == "action_masks":
            return self.gbrl_envs.has_masks
        return bool(self._copies()) and all(env.has_wrapper_attr(name) for env in self._copies())

    def get_attr(self, name: str, indices: int | Sequence[int] | None = None) -> list[Any]:
        """An attribute of each copy."""
        if self._copies():
            return [env.get_wrapper_attr(name) for env in self._chosen(self._copies(), indices)]
        return self._chosen(list(self.gbrl_envs.given.get_attr(name)), indices)

    def set_attr(self, name: str, value: Any, indices: int | Sequence[int] | None = None) -> None:
        """Sets an attribute of each copy."""
        if self._copies():
            for env in self._chosen(self._copies(), indices):
                env.set_wrapper_attr(name, value)
        elif indices is None:
            self.gbrl_envs.given.set_attr(name, value)
        else:
            raise NotImplementedError("indices: expected None, since the copies live in other processes")

    def env_method(self, name: str, *args: Any, indices: int | Sequence[int] | None = None, **kwargs: Any) -> list[Any]:
        """Calls a method of each copy."""
        if self._copies():
            return [env.get_wrapper_attr(name)(*args, **kwargs) for env in self._chosen(self._copies(), indices)]
        if name == "action_masks":
            return list(self.gbrl_envs.masks())
        return self._chosen(list(self.gbrl_envs.given.call(name, *args, **kwargs)), indices)

    def env_is_wrapped(self, wrapper_class: type, indices: int | Sequence[int] | None = None) -> list[bool]:
        """Whether each copy has a wrapper of a class around it; False of copies in other processes."""
        if not self._copies():
            return self._chosen([False] * self.num_envs, indices)
        return [_has_wrapper(env, wrapper_class) for env in self._chosen(self._copies(), indices)]

    def _copies(self) -> list[Any]:
        """The copies, where they are in this process."""
        return self.gbrl_envs.envs if isinstance(self.gbrl_envs, GymEnvs) else []

    def _chosen(self, all_of_them: list[Any], indices: int | Sequence[int] | None) -> list[Any]:
        if indices is None:
            return all_of_them
        return [all_of_them[i] for i in ([indices] if isinstance(indices, int) else indices)]


def introduce_to_sb3() -> None:
    """Makes SB3, where a script has loaded it, take a ModelVecEnv for a VecEnv; SB3 is never loaded for it."""
    module = sys.modules.get("stable_baselines3.common.vec_env.base_vec_env")
    if module is not None:
        module.VecEnv.register(ModelVecEnv)


def _has_wrapper(env: Any, wrapper_class: type) -> bool:
    while env is not None:
        if isinstance(env, wrapper_class):
            return True
        env = getattr(env, "env", None)
    return False
