"""Notes the return, the length and the time of each episode, as Stable-Baselines3's Monitor does."""

from __future__ import annotations

import csv
import json
import os
import time
from typing import Any, SupportsFloat

import gymnasium

from gbrl_rs._options import suggests


class Monitor(gymnasium.Wrapper[Any, Any, Any, Any]):
    """Puts ``info["episode"] = {"r": return, "l": length, "t": seconds}`` into the last info of an episode.

    Args:
        env: the environment.
        filename: also write the episodes to ``filename.monitor.csv``, or to ``monitor.csv`` in a folder, which is made if need
            be; None writes none.
        allow_early_resets: whether reset() may be called before an episode ended.
        reset_keywords: names of reset options that are written with each episode.
        info_keywords: names of entries of the last info that are written with each episode.
        override_existing: begin the file anew instead of adding to it.

    Raises:
        RuntimeError: from step() after an episode ended, and from an early reset that is not allowed.
    """

    @suggests
    def __init__(
        self,
        env: gymnasium.Env[Any, Any],
        filename: str | None = None,
        allow_early_resets: bool = True,
        reset_keywords: tuple[str, ...] = (),
        info_keywords: tuple[str, ...] = (),
        override_existing: bool = True,
    ) -> None:
        super().__init__(env)
        self.t_start = time.time()
        self.allow_early_resets = allow_early_resets
        self.reset_keywords = reset_keywords
        self.info_keywords = info_keywords
        self.rewards: list[float] = []
        self.needs_reset = True
        self.total_steps = 0
        self._returns: list[float] = []
        self._lengths: list[int] = []
        self._times: list[float] = []
        self._reset_info: dict[str, Any] = {}
        self._file: _File | None = None
        if filename is not None:
            header = {"t_start": self.t_start, "env_id": None if env.spec is None else str(env.spec.id)}
            keys = ["r", "l", "t", *reset_keywords, *info_keywords]
            self._file = _File(filename, header, keys, override_existing)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None, **kwargs: Any
    ) -> tuple[Any, dict[str, Any]]:
        """Starts an episode; further arguments go on to the environment.

        Raises:
            ValueError: when one of `reset_keywords` is neither an argument nor an option.
        """
        if not self.allow_early_resets and not self.needs_reset:
            raise RuntimeError("expected the episode to end before reset(), since allow_early_resets is False")
        self.rewards = []
        self.needs_reset = False
        for key in self.reset_keywords:
            given = {**(options or {}), **kwargs}
            if key not in given:
                raise ValueError(f"reset: expected {key}, one of reset_keywords, got {sorted(given)}")
            self._reset_info[key] = given[key]
        return self.env.reset(seed=seed, options=options, **kwargs)

    def step(self, action: Any) -> tuple[Any, SupportsFloat, bool, bool, dict[str, Any]]:
        """Advances a step and notes its reward."""
        if self.needs_reset:
            raise RuntimeError("expected reset() before step(), since the episode has ended")
        observation, reward, terminated, truncated, info = self.env.step(action)
        self.rewards.append(float(reward))
        self.total_steps += 1
        if terminated or truncated:
            self.needs_reset = True
            info["episode"] = self._ended(info)
        return observation, reward, terminated, truncated, info

    def close(self) -> None:
        """Closes the environment and the file."""
        super().close()
        if self._file is not None:
            self._file.close()

    @property
    def episode_returns(self) -> list[float]:
        """Returns of all episodes."""
        return self._returns

    @property
    def episode_lengths(self) -> list[int]:
        """Lengths of all episodes, in steps."""
        return self._lengths

    @property
    def episode_times(self) -> list[float]:
        """When the episodes ended, in seconds since the monitor was made."""
        return self._times

    def get_total_steps(self) -> int:
        """Steps so far."""
        return self.total_steps

    def get_episode_rewards(self) -> list[float]:
        """Returns of all episodes."""
        return self._returns

    def get_episode_lengths(self) -> list[int]:
        """Lengths of all episodes, in steps."""
        return self._lengths

    def get_episode_times(self) -> list[float]:
        """When the episodes ended, in seconds since the monitor was made."""
        return self._times

    def _ended(self, info: dict[str, Any]) -> dict[str, Any]:
        self._returns.append(sum(self.rewards))
        self._lengths.append(len(self.rewards))
        self._times.append(time.time() - self.t_start)
        episode: dict[str, Any] = {
            "r": round(self._returns[-1], 6),
            "l": self._lengths[-1],
            "t": round(self._times[-1], 6),
        }
        episode.update((key, info[key]) for key in self.info_keywords)
        if self._file is not None:
            self._file.write({**episode, **self._reset_info})
        return episode


class _File:
    """A line of JSON after a hash, then CSV, as SB3's load_results reads it."""

    ENDING = "monitor.csv"

    def __init__(self, path: str, header: dict[str, Any], keys: list[str], anew: bool) -> None:
        if not path.endswith(self.ENDING):
            is_folder = path.endswith(("/", os.sep)) or os.path.isdir(path)
            path = os.path.join(path, self.ENDING) if is_folder else f"{path}.{self.ENDING}"
        if folder := os.path.dirname(path):
            os.makedirs(folder, exist_ok=True)
        self.file = open(path, "w" if anew else "a", newline="\n")
        self.writer = csv.DictWriter(self.file, fieldnames=keys, lineterminator="\n")
        if anew or self.file.tell() == 0:
            self.file.write(f"#{json.dumps(header)}\n")
            self.writer.writeheader()
        self.file.flush()

    def write(self, episode: dict[str, Any]) -> None:
        self.writer.writerow(episode)
        self.file.flush()

    def close(self) -> None:
        self.file.close()
