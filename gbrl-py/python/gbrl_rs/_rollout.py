"""The last rollout as users and callbacks look at it: Stable-Baselines3's rollout_buffer, read only."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from gbrl_rs import _gbrl
from gbrl_rs._spaces import FlatSpace


class RolloutView:
    """Arrays `[n_steps, n_envs, ...]` of the last complete rollout, fetched when first looked at.

    Attributes:
        buffer_size: steps per environment.
        n_envs: copies of the environment.
        full: whether a rollout is there.
    """

    def __init__(
        self, agent: _gbrl.Agent, flat: FlatSpace, buffer_size: int, n_envs: int, action_dtype: Any = np.float32
    ) -> None:
        self._agent, self._flat = agent, flat
        self._action_dtype = action_dtype
        self.buffer_size = buffer_size
        self.n_envs = n_envs
        self.full = False
        self._first_starts = np.zeros(n_envs, dtype=np.bool_)
        self._arrays: dict[str, NDArray[Any]] | None = None

    @property
    def observations(self) -> Any:
        """As the policy saw them (standardised with `norm_obs`), in the space's shape; flat rows where it has texts."""
        rows = self._get("observations")
        if self._flat.has_text:
            return rows
        values = self._flat.values(rows.reshape(-1, self._flat.width))
        return _by_step(values, self.buffer_size, self.n_envs)

    @property
    def actions(self) -> NDArray[Any]:
        """As drawn: raw numbers of a Box, indices of discrete parts; `[n_steps, n_envs, n]` of the space's dtype."""
        return self._get("actions").astype(self._action_dtype, copy=False)

    @property
    def action_masks(self) -> NDArray[Any]:
        """bool `[n_steps, n_envs, choices]`."""
        return self._get("action_masks")

    @property
    def rewards(self) -> NDArray[Any]:
        """As they were learnt from: scaled with `norm_reward`."""
        return self._get("rewards")

    @property
    def values(self) -> NDArray[Any]:
        """What the value function said of the observations."""
        return self._get("values")

    @property
    def log_probs(self) -> NDArray[Any]:
        """ln π(action)."""
        return self._get("log_probs")

    @property
    def advantages(self) -> NDArray[Any]:
        """By generalised advantage estimation, not standardised."""
        return self._get("advantages")

    @property
    def returns(self) -> NDArray[Any]:
        """Targets of the value function: advantages + values."""
        return self._get("returns")

    @property
    def episode_starts(self) -> NDArray[Any]:
        """Where an observation is the first of its episode, bool.

        Of rollouts that were collected in Rust the first row is known only after a reset; it is False otherwise.
        """
        ends = self._get("episode_ends")
        return np.concatenate([self._first_starts[None], ends[:-1]])

    def size(self) -> int:
        """Steps per environment that are there."""
        return self.buffer_size if self.full else 0

    def begin(self, first_starts: NDArray[np.bool_]) -> None:
        """A new rollout begins; `first_starts` are the copies whose episodes begin with it."""
        self._first_starts = first_starts
        self.full = False
        self._arrays = None

    def end(self) -> None:
        """The rollout is complete."""
        self.full = True
        self._arrays = None

    def _get(self, name: str) -> NDArray[Any]:
        if not self.full:
            # What hasattr() understands: SB3's buffer has these arrays, and here they are not there yet.
            raise AttributeError(f"rollout_buffer.{name}: expected a complete rollout, got one that is being filled")
        if self._arrays is None:
            self._arrays = self._agent.rollout()
        if name not in self._arrays:
            raise AttributeError(f"rollout_buffer.{name}: expected environments with action masks, got some without")
        return self._arrays[name]


def _by_step(values: Any, n_steps: int, n_envs: int) -> Any:
    if isinstance(values, dict):
        return {key: _by_step(part, n_steps, n_envs) for key, part in values.items()}
    if isinstance(values, tuple):
        return tuple(_by_step(part, n_steps, n_envs) for part in values)
    return values.reshape(n_steps, n_envs, *values.shape[1:])
