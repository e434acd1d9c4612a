"""Environments whose every number is known."""

from __future__ import annotations

import gymnasium
import numpy as np
from gymnasium import spaces


class Count(gymnasium.Env):
    """Observations count the steps of an episode: 0, 1, ...; the second number is the episode's.

    Ends after `length` steps: terminated in episodes of even number, truncated in the others. The reward is the
    action. A careless one gives the same array again and again, and writes to it.
    """

    def __init__(self, length: int = 3, offset: float = 0.0, careless: bool = False) -> None:
        self.observation_space = spaces.Box(-np.inf, np.inf, (2,), dtype=np.float32)
        self.action_space = spaces.Discrete(5)
        self.length, self.offset, self.careless = length, offset, careless
        self.episode = -1
        self.state = np.zeros(2, dtype=np.float32)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.episode += 1
        self.state[:] = self.offset, self.episode
        return self._observation(), {}

    def _observation(self):
        return self.state if self.careless else self.state.copy()

    def step(self, action):
        self.state[0] += 1
        ended = self.state[0] - self.offset >= self.length
        even = self.episode % 2 == 0
        info = {"is_success": bool(even)} if ended else {}
        return self._observation(), float(action), bool(ended and even), bool(ended and not even), info


class Words(gymnasium.Env):
    """Nested observations with a text; an episode is two steps."""

    def __init__(self) -> None:
        self.observation_space = spaces.Dict(
            {"word": spaces.Text(8), "pair": spaces.Tuple([spaces.Discrete(3, start=1), spaces.MultiBinary(2)])}
        )
        self.action_space = spaces.MultiDiscrete([2, 3])
        self.t = 0

    def _observation(self):
        return {"word": "ab"[self.t % 2], "pair": (np.int64(1 + self.t), np.array([1, 0], dtype=np.int8))}

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.t = 0
        return self._observation(), {}

    def step(self, action):
        self.t += 1
        return self._observation(), float(action.sum()), self.t == 2, False, {}


class Masked(gymnasium.Env):
    """Only one action is allowed, another in every step; a forbidden one is an error."""

    def __init__(self) -> None:
        self.observation_space = spaces.Box(0, 4, (1,), dtype=np.float32)
        self.action_space = spaces.Discrete(4)
        self.t = 0

    def action_masks(self):
        return np.arange(4) == self.t % 4

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.t = 0
        return np.zeros(1, dtype=np.float32), {}

    def step(self, action):
        if action != self.t % 4:
            raise ValueError(f"forbidden action {action}")
        self.t += 1
        return np.full(1, self.t % 4, dtype=np.float32), 1.0, False, self.t == 8, {}


class Identity(gymnasium.Env):
    """Repeating what is shown pays: the task of Stable-Baselines3's identity environments."""

    def __init__(self, space: spaces.Space, length: int = 20) -> None:
        self.observation_space = self.action_space = space
        self.length = length
        self.t = 0

    def _show(self):
        self.shown = self.action_space.sample()
        return self.shown

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        if seed is not None:
            self.action_space.seed(seed)
        self.t = 0
        return self._show(), {}

    def step(self, action):
        self.t += 1
        if isinstance(self.action_space, spaces.Box):
            reward = 1.0 - float(np.abs(np.asarray(action) - self.shown).mean())
        else:
            reward = float(np.mean(np.asarray(action) == self.shown))
        return self._show(), reward, False, self.t >= self.length, {}
