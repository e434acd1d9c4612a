"""Returns and lengths of episodes, kept the way Stable-Baselines3's Monitor reports them."""

from __future__ import annotations

import time
from collections import deque
from typing import Any

import numpy as np

from gbrl_rs._envs import Step


class EpisodeStatistics:
    """Remembers the last `window` episodes, as ``info["episode"]`` tells them: an end without it is none.

    Attributes:
        episodes: the last ones, each ``{"r": return, "l": length, "t": seconds since the start}``.
        successes: the last values of ``info["is_success"]`` at an end.
        returns: those of the last hundred, whatever the window.
        n_episodes: episodes ended so far.
    """

    def __init__(self, window: int) -> None:
        self.episodes: deque[dict[str, Any]] = deque(maxlen=window)
        self.successes: deque[float] = deque(maxlen=window)
        self.returns: deque[float] = deque(maxlen=100)
        self.n_episodes = 0
        self._started = time.time()

    def add(self, step: Step) -> None:
        """Takes in a step of all copies."""
        if step.finals is None:
            return
        infos = step.infos()
        for i in np.flatnonzero(step.terminated | step.truncated).tolist():
            reported: Any = infos[i].get("episode")
            if reported is not None:
                # The whole of it: a Monitor's info_keywords are in there.
                self._add({key: value.item() if getattr(value, "size", 0) == 1 else value for key, value in reported.items()})
            if infos[i].get("is_success") is not None:
                self.successes.append(float(infos[i]["is_success"]))

    def add_episode(self, total: float, length: int) -> None:
        """Takes in an episode that ended elsewhere."""
        self._add({"r": total, "l": length})

    def _add(self, episode: dict[str, Any]) -> None:
        episode["r"], episode["l"] = float(episode["r"]), int(episode["l"])
        episode.setdefault("t", round(time.time() - self._started, 6))
        self.n_episodes += 1
        self.episodes.append(episode)
        self.returns.append(episode["r"])
