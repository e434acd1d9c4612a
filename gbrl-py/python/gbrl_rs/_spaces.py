"""Gymnasium's spaces: described to the extension, and their values as flat rows of float32 and back.

Every space becomes columns: a Box one numeric column per element, a discrete quantity one column with its code
(value − start), a Text one column with the string's code; Dict and Tuple put their parts side by side, in Gymnasium's
order. All conversions work on a whole batch of environments at once.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from gbrl_rs._arrays import Encode, Rows, as_float32, codes, to_numpy

Json = dict[str, Any]


class Codec:
    """How values of one space lie in the columns of a row."""

    width: int
    """Columns."""

    def describe(self) -> Json:
        """The space as the extension reads it."""
        raise NotImplementedError

    def write(self, batch: Any, out: Rows, learn: bool) -> None:
        """Writes a batch of n values to `out`, `[n, width]`; `learn` gives strings never seen before a code."""
        raise NotImplementedError

    def read(self, rows: Rows) -> Any:
        """The batch of values that rows `[n, width]` hold: the inverse of `write`."""
        raise NotImplementedError

    def batch_size(self, value: Any) -> int | None:
        """How many values `value` holds; None if it is a single one and no batch.

        Raises:
            ValueError: for what is neither.
        """
        raise NotImplementedError

    def alone(self, value: Any) -> Any:
        """A single value as a batch of one."""
        raise NotImplementedError

    def first(self, batch: Any) -> Any:
        """The single value of a batch of one."""
        raise NotImplementedError


class _ArrayCodec(Codec):
    """Spaces whose values are arrays of a fixed shape."""

    def __init__(self, name: str, shape: tuple[int, ...] | None, dtype: np.dtype[Any]) -> None:
        self.name, self.shape, self.dtype = name, shape or (), dtype
        self.width = math.prod(self.shape)

    def batch_size(self, value: Any) -> int | None:
        shape: tuple[int, ...] = np.shape(value)
        if shape == self.shape:
            return None
        if shape[1:] == self.shape and len(shape) == len(self.shape) + 1:
            return shape[0]
        batched = ", ".join(["n_env", *map(str, self.shape)])
        raise ValueError(
            f"Error: Unexpected observation shape {shape} for {self.name} environment, "
            f"please use {self.shape} or ({batched}) for the observation shape."
        )

    def alone(self, value: Any) -> Any:
        return to_numpy(value, "observation").reshape(1, *self.shape)

    def first(self, batch: Any) -> Any:
        return batch.squeeze(axis=0)


class BoxCodec(_ArrayCodec):
    """One numeric column per element, row-major."""

    def __init__(self, space: spaces.Box) -> None:
        if space.dtype is None or space.dtype.kind not in "biuf":
            raise NotImplementedError(f"Box space: expected a dtype of real numbers, got {space.dtype}")
        super().__init__("Box", space.shape, np.dtype(space.dtype))
        self.low, self.high = space.low, space.high

    def describe(self) -> Json:
        return {"kind": "box", "shape": list(self.shape), "low": _bounds(self.low), "high": _bounds(self.high)}

    def write(self, batch: Any, out: Rows, learn: bool) -> None:
        with np.errstate(over="ignore"):
            np.copyto(out, to_numpy(batch, "observations").reshape(out.shape), casting="unsafe")

    def read(self, rows: Rows) -> Any:
        values = rows if self.dtype.kind == "f" else np.rint(rows)
        return values.astype(self.dtype, copy=False).reshape(len(rows), *self.shape)


class CodesCodec(_ArrayCodec):
    """One column per discrete element, holding value − start."""

    def __init__(self, space: spaces.Discrete | spaces.MultiDiscrete | spaces.MultiBinary) -> None:
        super().__init__(type(space).__name__, space.shape, np.dtype(space.dtype))
        self.start: Any = np.asarray(getattr(space, "start", 0), dtype=np.int64).reshape(-1)
        self.shifted = bool(self.start.any())
        if isinstance(space, spaces.Discrete):
            self.described: Json = {"kind": "discrete", "n": int(space.n), "start": int(space.start)}
        elif isinstance(space, spaces.MultiDiscrete):
            self.described = {"kind": "multi_discrete", "nvec": [int(n) for n in space.nvec.flat]}
        else:
            self.described = {"kind": "multi_binary", "n": self.width}

    def describe(self) -> Json:
        return self.described

    def write(self, batch: Any, out: Rows, learn: bool) -> None:
        values = to_numpy(batch, "observations").reshape(out.shape)
        # The difference is taken before rounding to float32: starts may be large.
        np.copyto(out, values - self.start if self.shifted else values, casting="unsafe")

    def read(self, rows: Rows) -> Any:
        values = rows.astype(np.int64)
        if self.shifted:
            values += self.start
        return values.astype(self.dtype, copy=False).reshape(len(rows), *self.shape)


class TextCodec(Codec):
    """One column of codes, given to strings in order of first appearance."""

    width = 1

    def __init__(self, owner: FlatSpace, column: int) -> None:
        self.owner, self.column = owner, column

    def describe(self) -> Json:
        return {"kind": "text"}

    def write(self, batch: Any, out: Rows, learn: bool) -> None:
        texts = np.asarray(batch, dtype=object).reshape(-1)
        out[:, 0] = codes(texts, self.column, self.owner.encode, learn)

    def read(self, rows: Rows) -> Any:
        raise NotImplementedError("Text space: strings cannot be read back from their codes")

    def batch_size(self, value: Any) -> int | None:
        return None if isinstance(value, str) else len(value)

    def alone(self, value: Any) -> Any:
        return (value,)

    def first(self, batch: Any) -> Any:
        return batch[0]


class PartsCodec(Codec):
    """Dict and Tuple: parts side by side."""

    def __init__(self, keys: list[str] | None, parts: list[Codec]) -> None:
        self.keys, self.parts = keys, parts
        self.width = sum(part.width for part in parts)

    def describe(self) -> Json:
        described = [part.describe() for part in self.parts]
        if self.keys is None:
            return {"kind": "tuple", "parts": described}
        return {"kind": "dict", "parts": [list(pair) for pair in zip(self.keys, described, strict=True)]}

    def write(self, batch: Any, out: Rows, learn: bool) -> None:
        at = 0
        for part, values in zip(self.parts, self._values(batch), strict=True):
            part.write(values, out[:, at : at + part.width], learn)
            at += part.width

    def read(self, rows: Rows) -> Any:
        batches, at = [], 0
        for part in self.parts:
            batches.append(part.read(rows[:, at : at + part.width]))
            at += part.width
        return self._joined(batches)

    def batch_size(self, value: Any) -> int | None:
        sizes = [part.batch_size(item) for part, item in zip(self.parts, self._values(value), strict=True)]
        if any(size != sizes[0] for size in sizes):
            raise ValueError(f"observation: expected as many values in every part, got {sizes}")
        return sizes[0] if sizes else None

    def alone(self, value: Any) -> Any:
        return self._joined([part.alone(item) for part, item in zip(self.parts, self._values(value), strict=True)])

    def first(self, batch: Any) -> Any:
        return self._joined([part.first(item) for part, item in zip(self.parts, self._values(batch), strict=True)])

    def _values(self, value: Any) -> list[Any]:
        if self.keys is None:
            if len(value) != len(self.parts):
                raise ValueError(f"observation: expected a tuple of {len(self.parts)} parts, got {len(value)}")
            return list(value)
        if not isinstance(value, Mapping) or any(key not in value for key in self.keys):
            got = list(value) if isinstance(value, Mapping) else type(value).__name__
            raise ValueError(f"observation: expected a dictionary with the keys {self.keys}, got {got}")
        return [value[key] for key in self.keys]

    def _joined(self, values: list[Any]) -> Any:
        return tuple(values) if self.keys is None else dict(zip(self.keys, values, strict=True))


class FlatSpace:
    """A Gymnasium space and its flat rows.

    Args:
        space: Box, Discrete, MultiDiscrete, MultiBinary, Text, or a Dict or Tuple of them, nested as you like.

    Raises:
        NotImplementedError: for other spaces (Graph, Sequence, OneOf, ...).

    Example:
        >>> flat = FlatSpace(spaces.Dict({"gear": spaces.Discrete(5, start=1), "speed": spaces.Box(0, 9, (2,))}))
        >>> flat.rows({"gear": np.array([1, 5]), "speed": np.ones((2, 2))}, 2)
        array([[0., 1., 1.],
               [4., 1., 1.]], dtype=float32)
    """

    def __init__(self, space: spaces.Space[Any]) -> None:
        self.space = space
        self.has_text = False
        self.encode: Encode = _no_codes
        self.codec = self._codec(space, 0)
        self.width = self.codec.width
        # One array of float32 is the daily case; it needs no walk through the parts.
        self._is_plain_box = isinstance(self.codec, BoxCodec)

    @property
    def json(self) -> str:
        """The space as the extension reads it."""
        return json.dumps(self.codec.describe())

    def rows(self, batch: Any, n: int, learn: bool = False) -> Rows:
        """A batch of n values as rows, float32 `[n, width]`; shares memory with `batch` where that is such an array.

        Args:
            batch: n values as vector environments give them.
            n: how many.
            learn: whether strings never seen before get a code.

        Raises:
            TypeError, ValueError: for values that are not of the space's kind and shape.
        """
        if self._is_plain_box:
            rows = as_float32(batch, "observations")
            if rows.size != n * self.width or len(rows) != n:
                raise ValueError(f"observations: expected shape {[n, *(self.space.shape or ())]}, got {list(rows.shape)}")
            return rows.reshape(n, self.width)
        out = np.empty((n, self.width), dtype=np.float32)
        self.codec.write(batch, out, learn)
        return out

    def one_or_many(self, value: Any) -> tuple[Rows, bool]:
        """Rows of a single value or of a batch, and whether it was a batch.

        Raises:
            ValueError: for what is neither, in the words of Stable-Baselines3.
        """
        if isinstance(value, Mapping) and not isinstance(self.space, spaces.Dict):
            raise ValueError(f"The observation provided is a dict but the obs space is {self.space}; expected an array")
        n = self.codec.batch_size(value)
        if n is None:
            return self.rows(self.codec.alone(value), 1), False
        return self.rows(value, n), True

    def values(self, rows: Rows) -> Any:
        """The batch of values that rows `[n, width]` hold."""
        return self.codec.read(rows)

    def first(self, batch: Any) -> Any:
        """The single value of a batch of one."""
        return self.codec.first(batch)

    def _codec(self, space: spaces.Space[Any], column: int) -> Codec:
        if isinstance(space, spaces.Box):
            return BoxCodec(space)
        if isinstance(space, (spaces.Discrete, spaces.MultiDiscrete, spaces.MultiBinary)):
            return CodesCodec(space)
        if isinstance(space, spaces.Text):
            self.has_text = True
            return TextCodec(self, column)
        if isinstance(space, spaces.Dict):
            return PartsCodec(list(space.spaces), self._parts(list(space.spaces.values()), column))
        if isinstance(space, spaces.Tuple):
            return PartsCodec(None, self._parts(list(space.spaces), column))
        raise NotImplementedError(
            "expected a Box, Discrete, MultiDiscrete, MultiBinary, Text, Dict or Tuple space, "
            f"got {type(space).__name__}: {space}"
        )

    def _parts(self, parts: list[spaces.Space[Any]], column: int) -> list[Codec]:
        codecs = []
        for part in parts:
            codecs.append(self._codec(part, column))
            column += codecs[-1].width
        return codecs


def space_from_json(text: str) -> spaces.Space[Any]:
    """The Gymnasium space that the extension describes; the inverse of :attr:`FlatSpace.json` up to dtypes."""
    return _space(json.loads(text))


def as_columns(space: spaces.Space[Any]) -> Json:
    """What the extension knows of a space: equal for spaces that differ in dtypes alone."""
    return FlatSpace(space).codec.describe()


def _space(described: Json) -> spaces.Space[Any]:
    kind = described["kind"]
    build: dict[str, Callable[[], spaces.Space[Any]]] = {
        "box": lambda: spaces.Box(
            np.array(described["low"], dtype=np.float32).reshape(described["shape"]),
            np.array(described["high"], dtype=np.float32).reshape(described["shape"]),
            dtype=np.float32,
        ),
        "discrete": lambda: spaces.Discrete(described["n"], start=described["start"]),
        "multi_discrete": lambda: spaces.MultiDiscrete(described["nvec"]),
        "multi_binary": lambda: spaces.MultiBinary(described["n"]),
        "text": lambda: spaces.Text(2**31 - 1),
        "dict": lambda: spaces.Dict([(key, _space(part)) for key, part in described["parts"]]),
        "tuple": lambda: spaces.Tuple([_space(part) for part in described["parts"]]),
    }
    if kind not in build:
        raise ValueError(f"space: expected one of {', '.join(build)}, got {kind}")
    return build[kind]()


def _bounds(bounds: NDArray[Any]) -> list[float | str]:
    with np.errstate(over="ignore"):
        numbers: list[float] = np.asarray(bounds, dtype=np.float32).reshape(-1).tolist()
    return [x if math.isfinite(x) else str(x) for x in numbers]


def _no_codes(feature_idx: int, text: str, learn: bool) -> float:
    raise ValueError(f"column {feature_idx}: expected a policy that gives codes to strings, got {text!r} without one")
