"""Gymnasium's spaces in a model's file: as JSON, complete with dtypes and shapes."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

MAX_ELEMENTS = 1 << 20
"""As many columns as an ensemble may have."""


def pack(space: spaces.Space[Any]) -> dict[str, Any]:
    """A space as JSON objects; the inverse of :func:`unpack`."""
    if isinstance(space, spaces.Box):
        low, high = _pack_bounds(space.low), _pack_bounds(space.high)
        return {"kind": "box", "shape": list(space.shape), "dtype": str(space.dtype), "low": low, "high": high}
    if isinstance(space, spaces.Discrete):
        return {"kind": "discrete", "n": int(space.n), "start": int(space.start)}
    if isinstance(space, spaces.MultiDiscrete):
        nvec, start = space.nvec.tolist(), space.start.tolist()
        return {"kind": "multi_discrete", "nvec": nvec, "start": start, "dtype": str(space.dtype)}
    if isinstance(space, spaces.MultiBinary):
        return {"kind": "multi_binary", "shape": list(space.shape)}
    if isinstance(space, spaces.Text):
        limits = {"min_length": space.min_length, "max_length": space.max_length}
        return {"kind": "text", **limits, "charset": "".join(sorted(space.character_set))}
    if isinstance(space, spaces.Dict):
        return {"kind": "dict", "parts": [[key, pack(part)] for key, part in space.spaces.items()]}
    if isinstance(space, spaces.Tuple):
        return {"kind": "tuple", "parts": [pack(part) for part in space.spaces]}
    raise NotImplementedError(f"expected a space of numbers, texts or parts, got {space}")


def unpack(packed: dict[str, Any]) -> spaces.Space[Any]:
    """The space that :func:`pack` described.

    Raises:
        ValueError: for an unknown kind.
    """
    kind = packed["kind"]
    for sizes in (packed.get("shape", []), np.shape(packed.get("nvec", []))):
        # Before anything of that size is made.
        if any(size < 0 for size in sizes) or math.prod(sizes) > MAX_ELEMENTS:
            raise ValueError(f"space: expected at most {MAX_ELEMENTS} elements, got the shape {list(sizes)}")
    if kind == "box":
        shape, dtype = tuple(packed["shape"]), np.dtype(packed["dtype"])
        low, high = (_unpack_bounds(packed[side], shape, dtype) for side in ("low", "high"))
        return spaces.Box(low, high, shape, dtype=dtype.type)
    if kind == "discrete":
        return spaces.Discrete(packed["n"], start=packed["start"])
    if kind == "multi_discrete":
        return spaces.MultiDiscrete(packed["nvec"], dtype=np.dtype(packed["dtype"]).type, start=packed["start"])
    if kind == "multi_binary":
        shape = packed["shape"]
        return spaces.MultiBinary(shape[0] if len(shape) == 1 else shape)
    if kind == "text":
        return spaces.Text(packed["max_length"], min_length=packed["min_length"], charset=packed["charset"])
    if kind == "dict":
        return spaces.Dict([(key, unpack(part)) for key, part in packed["parts"]])
    if kind == "tuple":
        return spaces.Tuple([unpack(part) for part in packed["parts"]])
    raise ValueError(f"space: expected a known kind, got {kind}")


def _pack_bounds(bounds: NDArray[Any]) -> list[str]:
    """Texts, since JSON has no infinities; a single one where all are equal, as in images."""
    flat = bounds.reshape(-1)
    if flat.size and (flat == flat[0]).all():
        flat = flat[:1]
    return [repr(x) for x in flat.tolist()]


def _unpack_bounds(texts: list[str], shape: tuple[int, ...], dtype: np.dtype[Any]) -> NDArray[Any]:
    read = float if dtype.kind == "f" else (lambda text: text == "True") if dtype.kind == "b" else int
    values = np.array([read(text) for text in texts], dtype=dtype)
    return np.broadcast_to(values, shape).copy() if values.size == 1 else values.reshape(shape)
