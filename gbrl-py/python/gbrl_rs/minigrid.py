"""MiniGrid's observations as categories, exactly as the environments written in Rust have them.

The package `minigrid` (``pip install minigrid``) shows three numbers per cell and the mission as a sentence. Here a cell
is the one category that the three name together, and a sentence is its number:

    0 unseen, 1 empty, then six colours each of wall, floor, open door, closed door, locked door, key, ball, box, goal, lava

in the order red, green, blue, purple, yellow, grey.

Example:
    >>> import gymnasium, minigrid
    >>> from gbrl_rs import PPO, make_vec_env
    >>> from gbrl_rs.minigrid import CategoricalObs
    >>> PPO("MultiInputPolicy", make_vec_env("MiniGrid-DoorKey-5x5-v0", 8, wrapper_class=CategoricalObs)).learn(100_000)
"""

from __future__ import annotations

import itertools
from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

COLORS = ("red", "green", "blue", "purple", "yellow", "grey")

# MiniGrid's numbers of objects, and of how a door stands, in the order of the codes.
_KINDS = ((2, 0), (3, 0), (4, 0), (4, 1), (4, 2), (5, 0), (6, 0), (7, 0), (8, 0), (9, 0))
N_CODES = 2 + len(_KINDS) * len(COLORS)
"""Codes of cells."""

_DIRECTIONS = 4


class CategoricalObs(gymnasium.ObservationWrapper[Any, Any, Any]):
    """Observations of a MiniGrid environment as a Dict of categories: ``image``, a code for each cell of the view in the
    order `image[rows · column + row]`; ``direction``; and ``mission``, the number of the sentence.

    The numbers of sentences count through what the mission's placeholders may be, the last one quickest, and colours in the
    order above.

    Args:
        env: an environment of the package `minigrid`, without wrappers that change its observations.

    Raises:
        TypeError: for an environment that shows something else.

    Attributes:
        missions: all sentences, by their number.
    """

    def __init__(self, env: gymnasium.Env[Any, Any]) -> None:
        super().__init__(env)
        space = env.observation_space
        parts = space.spaces if isinstance(space, spaces.Dict) else {}
        image, mission = parts.get("image"), parts.get("mission")
        if not isinstance(image, spaces.Box) or image.shape[2:] != (3,) or not hasattr(mission, "mission_func"):
            raise TypeError(f"CategoricalObs: expected MiniGrid's image, direction and mission, got {space}")
        self.missions = missions(mission)
        self._mission_codes = {sentence: code for code, sentence in reversed(list(enumerate(self.missions)))}
        n_cells = image.shape[0] * image.shape[1]
        self.observation_space = spaces.Dict(
            [
                ("image", spaces.MultiDiscrete([N_CODES] * n_cells)),
                ("direction", spaces.Discrete(_DIRECTIONS)),
                ("mission", spaces.Discrete(len(self.missions))),
            ]
        )

    def observation(self, observation: Any) -> dict[str, Any]:
        """The categories of an observation of the package.

        Raises:
            ValueError: for a sentence that the mission space does not have, and as :func:`cells`.
        """
        mission = self._mission_codes.get(observation["mission"])
        if mission is None:
            raise ValueError(f"mission: expected one of {self.missions[:3]} ..., got {observation['mission']!r}")
        return {
            "image": cells(observation["image"]),
            "direction": np.int64(observation["direction"]),
            "mission": np.int64(mission),
        }


def cells(image: Any) -> NDArray[np.int64]:
    """The code of every cell, int64 `[columns · rows]`, of an image `[columns, rows, 3]` of objects, colours and states.

    Raises:
        ValueError: for what no cell of an agent's view shows.
    """
    numbers = np.asarray(image, dtype=np.int64).reshape(-1, 3)
    within = np.logical_and(numbers >= 0, numbers < _TABLE.shape)
    inside: NDArray[np.bool_] = np.all(within, axis=1, keepdims=True)
    codes = np.where(inside[:, 0], _TABLE[tuple(np.where(inside, numbers, 0).T)], -1)
    if (codes < 0).any():
        strange = numbers[codes < 0][0].tolist()
        raise ValueError(f"image: expected objects, colours and states of an agent's view, got {strange}")
    return codes


def missions(space: Any) -> list[str]:
    """All sentences of a MissionSpace, by their number."""
    order = {color: i for i, color in enumerate(COLORS)}
    placeholders = []
    for words in space.ordered_placeholders or []:
        are_colors = all(word in order for word in words)
        placeholders.append(sorted(words, key=order.__getitem__) if are_colors else list(words))
    return [space.mission_func(*words) for words in itertools.product(*placeholders)]


def _table() -> NDArray[np.int64]:
    """Codes by object, colour and state; −1 for what does not occur."""
    table = np.full((11, len(COLORS), 3), -1, dtype=np.int64)
    table[0, 0, 0], table[1, 0, 0] = 0, 1
    for kind, (thing, state) in enumerate(_KINDS):
        table[thing, :, state] = 2 + kind * len(COLORS) + np.arange(len(COLORS))
    return table


_TABLE = _table()
