"""Environments in the language of Stable-Baselines3's VecEnv, without SB3: `model.get_env()` and `make_vec_env` give them."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
from gymnasium.vector import AsyncVectorEnv, SyncVectorEnv

from gbrl_rs._envs import Envs, GymEnvs, Info, layers


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
        if envs.given is None:
            envs.given = self
        self._seed: int | None = None
        self._actions: Any = None

    def __repr__(self) -> str:
        return f"ModelVecEnv({self.num_envs} x {self.gbrl_envs.env_id})"

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

    @property
    def reset_infos(self) -> list[Info]:
        """What the last reset of each copy said."""
        return self.gbrl_envs.reset_infos

    def set_options(self, options: dict[str, Any] | list[dict[str, Any]] | None = None) -> None:
        """Options of the next reset: one for all copies, or a list with those of each.

        Raises:
            NotImplementedError: where the copies live in other processes.
            ValueError: for a list of another length.
        """
        if not isinstance(self.gbrl_envs, GymEnvs):
            raise NotImplementedError("set_options: expected copies in this process, got others")
        each = list(options) if isinstance(options, list) else [options] * self.num_envs
        if len(each) != self.num_envs:
            raise ValueError(f"options: expected one for each of {self.num_envs} copies, got {len(each)}")
        self.gbrl_envs.options = [of_copy or None for of_copy in each]

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

    def get_images(self) -> list[Any]:
        """A picture of each copy, uint8 `[height, width, 3]`; None of those that were not made to give one."""
        if self._copies():
            return [env.render() if env.render_mode == "rgb_array" else None for env in self._copies()]
        frames = self.gbrl_envs.given.render() if self.render_mode == "rgb_array" else None
        return [None] * self.num_envs if frames is None else list(frames)

    def render(self, mode: str | None = None) -> Any:
        """Renders in the mode that the environments were made with.

        Args:
            mode: of environments made with ``render_mode="rgb_array"``: "human" shows a window, for which the package cv2
                is needed; anything else gives a picture of all copies side by side.
        """
        if self.render_mode != "rgb_array":
            return self.gbrl_envs.render(self.render_mode or mode or "human")
        picture = _tiled([frame for frame in self.get_images() if frame is not None])
        if mode != "human" or picture is None:
            return picture
        try:
            import cv2  # type: ignore[import-not-found,unused-ignore]
        except ImportError:
            warnings.warn(
                "render('human') shows environments made with render_mode='rgb_array' by the package cv2, which is not "
                "installed; make them with render_mode='human' to see a window",
                UserWarning,
                stacklevel=2,
            )
            return None
        cv2.imshow("gbrl_rs", picture[..., ::-1])
        cv2.waitKey(1)
        return None

    def close(self) -> None:
        """Closes all copies."""
        for env in self._copies() or [self.gbrl_envs.given]:
            env.close()

    def has_attr(self, name: str) -> bool:
        """Whether every copy, or a wrapper around it, has an attribute."""
        if name == "action_masks":
            return self.gbrl_envs.has_masks
        if self._copies():
            return all(env.has_wrapper_attr(name) for env in self._copies())
        given = self.gbrl_envs.given
        inner = getattr(given, "unwrapped", given)
        if isinstance(inner, AsyncVectorEnv):
            return all(inner.call("has_wrapper_attr", name))
        if isinstance(inner, SyncVectorEnv):
            return all(env.has_wrapper_attr(name) for env in inner.envs)
        return hasattr(given, name)

    def get_attr(self, name: str, indices: int | Sequence[int] | None = None) -> list[Any]:
        """An attribute of each copy.

        Raises:
            AttributeError: where a copy has none of that name.
        """
        if self._copies():
            return [env.get_wrapper_attr(name) for env in self._chosen(self._copies(), indices)]
        given = self.gbrl_envs.given
        if not self.has_attr(name):
            # A worker that is asked for what it does not have ends.
            raise AttributeError(f"{given}: expected copies with the attribute '{name}', got some without")
        values = given.get_attr(name) if hasattr(given, "get_attr") else [getattr(given, name)] * self.num_envs
        return self._chosen(list(values), indices)

    def set_attr(self, name: str, value: Any, indices: int | Sequence[int] | None = None) -> None:
        """Sets an attribute of each copy.

        Raises:
            NotImplementedError: for environments that have no copies to set something of.
        """
        if self._copies():
            for env in self._chosen(self._copies(), indices):
                env.set_wrapper_attr(name, value)
            return
        given = self.gbrl_envs.given
        if not hasattr(given, "set_attr"):
            raise NotImplementedError(f"set_attr: expected copies that are objects, got {given}")
        if indices is None:
            given.set_attr(name, value)
        else:
            values = self.get_attr(name)
            for i in self._chosen(list(range(self.num_envs)), indices):
                values[i] = value
            given.set_attr(name, values)

    def env_method(self, name: str, *args: Any, indices: int | Sequence[int] | None = None, **kwargs: Any) -> list[Any]:
        """Calls a method of each copy.

        Raises:
            AttributeError: where a copy has none of that name.
            NotImplementedError: for some of several copies in other processes, which can only be called together.
        """
        if self._copies():
            return [env.get_wrapper_attr(name)(*args, **kwargs) for env in self._chosen(self._copies(), indices)]
        if name == "action_masks":
            return self._chosen(list(self.gbrl_envs.masks()), indices)
        given = self.gbrl_envs.given
        if not self.has_attr(name) or not hasattr(given, "call"):
            raise AttributeError(f"{given}: expected copies with the method '{name}', got some without")
        if len(self._chosen(list(range(self.num_envs)), indices)) < self.num_envs:
            raise NotImplementedError("indices: expected all copies, since they can only be called together")
        return list(given.call(name, *args, **kwargs))

    def env_is_wrapped(self, wrapper_class: type, indices: int | Sequence[int] | None = None) -> list[bool]:
        """Whether each copy has a wrapper of a class around it; False of copies in other processes."""
        if not self._copies():
            return self._chosen([False] * self.num_envs, indices)
        chosen = self._chosen(self._copies(), indices)
        return [any(isinstance(layer, wrapper_class) for layer in layers(env, "env")) for env in chosen]

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


def _tiled(frames: list[Any]) -> Any:
    """Pictures side by side, in about as many rows as columns; None where there are none."""
    if not frames:
        return None
    n_columns = int(np.ceil(np.sqrt(len(frames))))
    n_rows = -(-len(frames) // n_columns)
    height, width = frames[0].shape[:2]
    picture = np.zeros((n_rows * height, n_columns * width, *frames[0].shape[2:]), dtype=frames[0].dtype)
    for i, frame in enumerate(frames):
        top, left = i // n_columns * height, i % n_columns * width
        picture[top : top + height, left : left + width] = frame
    return picture
