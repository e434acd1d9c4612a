"""Returns and lengths of episodes, kept the way Stable-Baselines3's Monitor reports them."""

from __future__ import annotations

import time
from collections import deque
from typing import Any

import numpy as np

from gbrl_rs._envs import Info, Step


class EpisodeStatistics:
    """Sums rewards and steps of n copies and remembers the last `window` episodes.

    Where an environment reports its episodes itself (Monitor, RecordEpisodeStatistics: ``info["episode"]``), its
    numbers are taken, since wrappers between may have changed the rewards that arrive here.

    Attributes:
        episodes: the last ones, each ``{"r": return, "l": length, "t": seconds since the start}``.
        successes: the last values of ``info["is_success"]`` at an end.
        n_episodes: episodes ended so far.
    """

    def __init__(self, n_envs: int, window: int) -> None:
        self.episodes: deque[dict[str, Any]] = deque(maxlen=window)
        self.successes: deque[float] = deque(maxlen=window)
        self.n_episodes = 0
        self._started = time.time()
        self._returns = np.zeros(n_envs)
        self._lengths = np.zeros(n_envs, dtype=np.int64)

    def for_copies(self, n_envs: int) -> EpisodeStatistics:
        """The same memory for another number of copies."""
        other = EpisodeStatistics(n_envs, self.episodes.maxlen or 0)
        other.episodes, other.successes, other.n_episodes = self.episodes, self.successes, self.n_episodes
        return other

    def restart(self) -> None:
        """Forgets the episodes under way: the environments were reset."""
        self._returns[:] = 0.0
        self._lengths[:] = 0

    def add(self, step: Step, reports: bool = False) -> None:
        """Takes in a step of all copies; `reports` says whether they tell by themselves when an episode ended."""
        self._returns += step.rewards
        self._lengths += 1 if step.ignored is None else ~step.ignored
        if step.finals is None:
            return
        infos = step.infos()
        for i in np.flatnonzero(step.terminated | step.truncated):
            self._end(int(i), infos[i], reports)

    def add_episode(self, total: float, length: int) -> None:
        """Takes in an episode that ended elsewhere."""
        self.n_episodes += 1
        self.episodes.append({"r": total, "l": length, "t": round(time.time() - self._started, 6)})

    def _end(self, i: int, info: Info, reports: bool) -> None:
        total, length = float(self._returns[i]), int(self._lengths[i])
        self._returns[i], self._lengths[i] = 0.0, 0
        reported: Any = info.get("episode")
        if reported is not None:
            # The whole of it: a Monitor's info_keywords are in there.
            episode = {key: value.item() if getattr(value, "size", 0) == 1 else value for key, value in reported.items()}
            episode["r"], episode["l"] = float(episode["r"]), int(episode["l"])
            episode.setdefault("t", round(time.time() - self._started, 6))
            self.n_episodes += 1
            self.episodes.append(episode)
        elif not reports:
            self.add_episode(total, length)
        if info.get("is_success") is not None:
            self.successes.append(float(info["is_success"]))
