"""Environments written in Rust, as a Gymnasium vector environment."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space
from numpy.typing import NDArray

from gbrl_rs import _gbrl
from gbrl_rs._envs import check_count
from gbrl_rs._spaces import FlatSpace, space_from_json


class RustVectorEnv(VectorEnv[Any, Any, NDArray[Any]]):
    """n copies of a Rust environment. Ended copies are reset in the same step; ``infos["final_obs"]`` holds the last
    observations of those episodes and ``infos["_final_obs"]`` says which copies have one, as Gymnasium's SAME_STEP mode
    has it.

    Anything that takes a gymnasium.vector.VectorEnv can use it. gbrl_rs's own algorithms step it without Python.

    Args:
        name: one of :func:`gbrl_rs.environments`, such as "CartPole-v1".
        n_envs: how many copies.
        seed: root of all random numbers; `reset(seed=...)` starts from another one.
        n_threads: threads that step the copies; worth it only where a step takes many microseconds. Changes no result.

    Raises:
        ValueError: for an unknown name, with the nearest known one, or no copies.

    Example:
        >>> envs = gbrl_rs.make_vec("CartPole-v1", 8)
        >>> observations, _ = envs.reset(seed=0)
        >>> observations.shape
        (8, 4)
    """

    metadata: dict[str, Any] = {"autoreset_mode": AutoresetMode.SAME_STEP}

    def __init__(self, name: str, n_envs: int = 1, seed: int = 0, n_threads: int = 1) -> None:
        self._arguments = (name, n_envs, seed, n_threads)
        if name in gymnasium.registry and name not in _gbrl.environments():
            raise ValueError(
                f"{name}: expected an environment written in Rust ({', '.join(_gbrl.environments())}), got one of "
                f"Gymnasium's; make_vec_env('{name}', {n_envs}) makes copies of those"
            )
        self.core = _gbrl.VecEnv(name, n_envs, seed, n_threads)
        self.name = self.env_id = name
        self.num_envs = n_envs
        self.has_masks = self.core.has_masks
        self.single_observation_space: spaces.Space[Any] = space_from_json(self.core.observation_space)
        self.single_action_space: spaces.Space[Any] = space_from_json(self.core.action_space)
        self.observation_space = batch_space(self.single_observation_space, n_envs)
        self.action_space = batch_space(self.single_action_space, n_envs)
        self.flat_observations = FlatSpace(self.single_observation_space)
        self.flat_actions = FlatSpace(self.single_action_space)

    def reset(
        self, *, seed: int | list[int | None] | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        """Starts n new episodes; None goes on with fresh seeds.

        Raises:
            TypeError: for a list of seeds: one seed fixes all copies.
            ValueError: for options, of which there are none.
        """
        if isinstance(seed, list):
            raise TypeError("seed: expected one whole number for all copies, got a list")
        if options:
            raise ValueError(f"options: expected none, got {options}")
        return self.flat_observations.values(self.core.reset(seed)), {}

    def step(self, actions: Any) -> tuple[Any, NDArray[Any], NDArray[Any], NDArray[Any], dict[str, Any]]:
        """Advances all copies by a batch of actions: observations, rewards, terminated, truncated, infos."""
        check_count(self, self.num_envs, actions)
        rows = self.flat_actions.rows(actions, self.num_envs)
        observations, rewards, terminated, truncated, finals, _ = self.core.step(rows)
        infos: dict[str, Any] = {}
        if finals is not None:
            ended = terminated | truncated
            last = self.flat_observations.values(finals)
            each = np.full(self.num_envs, None, dtype=object)
            for i in np.flatnonzero(ended):
                each[i] = _at(last, int(i))
            infos = {"final_obs": each, "_final_obs": ended}
        return self.flat_observations.values(observations), rewards, terminated, truncated, infos

    def action_masks(self) -> NDArray[np.bool_]:
        """Which choices are allowed now, bool `[n_envs, choices]`, laid out as sb3-contrib does.

        Raises:
            RuntimeError: for an environment that allows everything always.
        """
        masks = self.core.masks()
        if masks is None:
            raise RuntimeError(f"{self.name}: expected an environment with action masks, got one without")
        return masks

    def __reduce__(self) -> tuple[Any, ...]:
        return _restored, (self._arguments, self.core.save())


def make_vec(name: str, n_envs: int = 1, seed: int = 0, n_threads: int = 1) -> RustVectorEnv:
    """n copies of a Rust environment, see :class:`RustVectorEnv`."""
    return RustVectorEnv(name, n_envs, seed, n_threads)


def _restored(arguments: tuple[str, int, int, int], state: bytes) -> RustVectorEnv:
    env = RustVectorEnv(*arguments)
    env.core.restore(state)
    return env


def _at(batch: Any, i: int) -> Any:
    if isinstance(batch, dict):
        return {key: _at(part, i) for key, part in batch.items()}
    return tuple(_at(part, i) for part in batch) if isinstance(batch, tuple) else batch[i]
