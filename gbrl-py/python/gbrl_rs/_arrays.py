"""Arrays of every kind, as the extension takes them: C-contiguous and of one stated dtype.

The extension copies nothing on the way in and refuses what does not fit, so all conversions stand here. An array that
fits already is handed on as it is; nothing that a caller gave is ever written to.
"""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

Rows = NDArray[np.float32]
"""Observations, actions or gradients: float32 `[n, columns]`, C-contiguous."""


class Encode(Protocol):
    """Gives the code of a string in a column of strings: −1 where it was never seen and is not to be learnt."""

    def __call__(self, feature_idx: int, text: str, learn: bool) -> float: ...


def to_numpy(values: Any, what: str) -> NDArray[Any]:
    """Any array or nested list as a numpy array, without a copy where possible.

    Tensors of other libraries come through ``__array__`` or DLPack; one that carries a gradient or lies on a device
    is detached and fetched first. Masked elements become NaN, which means "missing".

    Raises:
        TypeError: for what is no array of numbers, booleans or strings (ragged lists, complex numbers, dates, ...).
    """
    if type(values) is np.ndarray:
        array = values
    elif isinstance(values, np.ma.MaskedArray):
        array = _filled(values, what)
    else:
        array = _converted(values, what)
    if array.dtype.kind not in "biufOUST":
        array = _small_float(array, what)
    return array


def as_rows(values: Any, n_columns: int | None, what: str) -> Rows:
    """Numbers as rows, float32 `[n, n_columns]`.

    float64 values beyond float32's range become ±inf, as numpy casts them (trees only compare; gradients that are not
    finite are refused by the learner). Integers beyond 2²⁴ are rounded to the nearest float32.

    Args:
        values: `[n, n_columns]` of any real dtype and layout.
        n_columns: how many columns there must be; any number if None.
        what: the name in messages.

    Raises:
        TypeError: for what holds no real numbers.
        ValueError: for another shape.
    """
    array = values if type(values) is np.ndarray else to_numpy(values, what)
    if array.ndim != 2 or (n_columns is not None and array.shape[1] != n_columns):
        expected = "[n, columns]" if n_columns is None else f"[n, {n_columns}]"
        raise ValueError(f"{what}: expected shape {expected}, got {list(array.shape)}")
    return as_float32(array, what)


def as_float32(values: Any, what: str) -> NDArray[np.float32]:
    """Numbers of any shape as C-contiguous float32; the array itself where it is that already.

    Raises:
        TypeError: for what holds no real numbers.
    """
    array = to_numpy(values, what)
    if array.dtype == np.float32 and array.dtype.isnative and array.flags.c_contiguous:
        return array
    if array.dtype.kind in "UST":
        raise TypeError(f"{what}: expected numbers, got strings ({array.dtype})")
    if array.dtype.kind == "O":
        there = [None if is_missing(item) else item for item in array.flat]
        array = np.fromiter(there, dtype=object, count=array.size).reshape(array.shape)
    try:
        with np.errstate(over="ignore", invalid="ignore"):
            return np.ascontiguousarray(array, dtype=np.float32).reshape(array.shape)
    except (TypeError, ValueError) as error:
        raise TypeError(f"{what}: expected numbers, got {_first_not_a_number(array)}") from error


def as_flags(values: Any, shape: tuple[int, ...], what: str) -> NDArray[np.bool_]:
    """Flags as C-contiguous bool of a given shape; numbers must be 0 or 1.

    Raises:
        TypeError: for what holds no booleans or numbers.
        ValueError: for another shape or other numbers.
    """
    array = to_numpy(values, what)
    if array.shape != shape:
        raise ValueError(f"{what}: expected shape {list(shape)}, got {list(array.shape)}")
    if array.dtype.kind not in "biuf":
        raise TypeError(f"{what}: expected booleans, got {array.dtype}")
    if array.dtype.kind != "b" and not np.isin(array, (0, 1)).all():
        raise ValueError(f"{what}: expected 0 and 1 only, got {array[~np.isin(array, (0, 1))].flat[0]}")
    return np.ascontiguousarray(array, dtype=np.bool_)


def as_mixed_rows(values: Any, is_string: list[bool], encode: Encode, learn: bool, what: str) -> Rows:
    """Rows of which some columns hold strings (or any objects): those become their codes.

    An object counts as its text, so 1 and "1" are one category, and 1 and 1.0 are two; see :func:`is_missing` for what is
    none. Codes are asked for in the order in which the strings first appear, column by column.

    Args:
        values: `[n, columns]`, usually of dtype object or str.
        is_string: which columns are categories.
        encode: gives the code of a string, see :class:`Encode`.
        learn: whether strings never seen before get a code.
        what: the name in messages.

    Raises:
        TypeError: for a text in a column of numbers.
        ValueError: for another shape.
    """
    array = to_numpy(values, what)
    if array.ndim != 2 or array.shape[1] != len(is_string):
        raise ValueError(f"{what}: expected shape [n, {len(is_string)}], got {list(array.shape)}")
    if not any(is_string):
        return as_float32(array, what)
    rows = np.empty(array.shape, dtype=np.float32)
    for column, strings in enumerate(is_string):
        if strings:
            rows[:, column] = codes(array[:, column], column, encode, learn)
        else:
            numbers = array[:, column]
            if numbers.dtype.kind in "US":
                numbers = numbers.astype(object)
            rows[:, column] = as_float32(numbers, f"{what}, column {column}")
    return rows


def codes(texts: NDArray[Any], feature_idx: int, encode: Encode, learn: bool) -> NDArray[np.float32]:
    """Codes of a column of strings, float32 `[n]`; each different string is asked for once, in order of appearance."""
    known: dict[str, float] = {}
    out = np.empty(len(texts), dtype=np.float32)
    for i, item in enumerate(texts.tolist()):
        if is_missing(item):
            out[i] = np.nan
            continue
        # By its text: 1, 1.0 and True are equal in Python.
        text = item if type(item) is str else _text(item)
        code = known.get(text)
        if code is None:
            code = known[text] = encode(feature_idx, text, learn)
        out[i] = code
    return out


def _text(item: Any) -> str:
    return item.decode("utf-8", "replace") if isinstance(item, bytes) else str(item)


def is_missing(item: Any) -> bool:
    """Whether an object stands for a value that is not there: None, NaN of any width, pandas' NA and NaT."""
    if isinstance(item, (float, np.floating)):
        return bool(item != item)
    # By name: pandas need not be installed.
    return item is None or type(item).__name__ in ("NAType", "NaTType")


def _converted(values: Any, what: str) -> NDArray[Any]:
    if hasattr(values, "detach"):  # a torch tensor: numpy must see no gradient and no device
        values = values.detach().cpu()
        if str(values.dtype) == "torch.bfloat16":  # numpy has no such type
            values = values.float()
    try:
        if not hasattr(values, "__array__") and hasattr(values, "__dlpack__"):
            return np.from_dlpack(values)
        array = np.asarray(values)
    except (TypeError, ValueError, RuntimeError, BufferError) as error:
        raise TypeError(f"{what}: expected an array or a nested list of equal lengths, got {_kind(values)}") from error
    return _filled(array, what) if isinstance(array, np.ma.MaskedArray) else np.asarray(array)


def _filled(values: np.ma.MaskedArray[Any, Any], what: str) -> NDArray[Any]:
    if values.dtype.kind == "O":
        return np.asarray(values.filled(None))
    if values.dtype.kind not in "biuf":
        raise TypeError(f"{what}: expected numbers in a masked array, got {values.dtype}")
    wide = np.array(values.data, dtype=np.float64 if values.dtype.itemsize > 4 else np.float32)
    wide[np.ma.getmaskarray(values)] = np.nan
    return wide


def _small_float(array: NDArray[Any], what: str) -> NDArray[Any]:
    """float32 for the small float types that other libraries register with numpy (bfloat16, float8, ...)."""
    if array.dtype.kind == "V" and array.dtype.names is None and "float" in array.dtype.name:
        return array.astype(np.float32)
    raise TypeError(f"{what}: expected real numbers, booleans or strings, got {array.dtype}")


def _first_not_a_number(array: NDArray[Any]) -> str:
    for item in array.flat:
        try:
            np.float32(item)
        except (TypeError, ValueError):
            return f"{item!r}"
    return str(array.dtype)


def _kind(values: Any) -> str:
    kind = type(values)
    return kind.__name__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__name__}"
