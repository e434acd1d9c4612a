"""Spaces become columns and come back."""

import json

import numpy as np
import pytest
from gymnasium import spaces
from gymnasium.vector.utils import batch_space, concatenate, create_empty_array, iterate

from gbrl_rs._spaces import FlatSpace, space_from_json

SPACES = {
    "box": spaces.Box(-1, 1, (2, 3)),
    "box scalar": spaces.Box(0, 1, ()),
    "box uint8": spaces.Box(0, 255, (2, 2, 3), dtype=np.uint8),
    "box float64": spaces.Box(-np.inf, np.inf, (3,), dtype=np.float64),
    "box int64": spaces.Box(-5, 5, (2,), dtype=np.int64),
    "box float16": spaces.Box(-1, 1, (2,), dtype=np.float16),
    "discrete": spaces.Discrete(4),
    "discrete start": spaces.Discrete(4, start=-2),
    "multi discrete": spaces.MultiDiscrete([3, 4]),
    "multi discrete table": spaces.MultiDiscrete([[3, 4], [2, 5]], start=[[1, 0], [-7, 0]]),
    "multi binary": spaces.MultiBinary(3),
    "multi binary table": spaces.MultiBinary((2, 2)),
    "dict": spaces.Dict({"z": spaces.Discrete(3), "a": spaces.Box(0, 1, (2,)), "m": spaces.MultiBinary(2)}),
    "tuple": spaces.Tuple([spaces.Discrete(3, start=5), spaces.Dict({"x": spaces.Box(0, 1, (1,))})]),
}


def stacked(space, values):
    return concatenate(space, values, create_empty_array(space, len(values)))


def equal(a, b):
    if isinstance(a, dict):
        return list(a) == list(b) and all(equal(a[key], b[key]) for key in a)
    if isinstance(a, tuple):
        return len(a) == len(b) and all(map(equal, a, b))
    return np.asarray(a).dtype == np.asarray(b).dtype and np.array_equal(a, b)


@pytest.mark.parametrize("name", SPACES)
def test_values_survive_the_way_to_rows_and_back(name):
    space = SPACES[name]
    space.seed(1)
    flat = FlatSpace(space)
    values = [space.sample() for _ in range(5)]
    batch = stacked(space, values)
    rows = flat.rows(batch, 5)
    assert rows.shape == (5, flat.width) and rows.dtype == np.float32 and rows.flags.c_contiguous
    if "float64" not in name:
        assert equal(flat.values(rows), batch)
    for i, value in enumerate(values):
        one, many = flat.one_or_many(value)
        assert not many and np.array_equal(one[0], rows[i])
        assert space.contains(flat.first(flat.values(one))) or "float64" in name or space.shape == ()
    again, many = flat.one_or_many(batch)
    assert many and np.array_equal(again, rows)


@pytest.mark.parametrize("name", SPACES)
def test_descriptions_give_the_space_again(name):
    flat = FlatSpace(SPACES[name])
    copy = space_from_json(flat.json)
    assert FlatSpace(copy).width == flat.width
    described = json.loads(flat.json)
    if "table" not in name:  # shapes of discrete arrays are flattened, starts taken off
        assert json.loads(FlatSpace(copy).json) == described


def test_discrete_parts_are_codes():
    assert FlatSpace(SPACES["discrete start"]).rows(np.array([-2, 1]), 2).tolist() == [[0], [3]]
    table = FlatSpace(SPACES["multi discrete table"]).rows(np.array([[[3, 0], [-6, 4]]]), 1)
    assert table.tolist() == [[2, 0, 1, 4]]


def test_large_starts_lose_nothing():
    flat = FlatSpace(spaces.Discrete(3, start=2**40))
    assert flat.rows(np.array([2**40 + 2]), 1).tolist() == [[2]]
    assert flat.values(np.array([[2]], dtype=np.float32)).tolist() == [2**40 + 2]


def test_dictionaries_keep_gymnasiums_order():
    flat = FlatSpace(SPACES["dict"])
    assert [key for key, _ in json.loads(flat.json)["parts"]] == list(SPACES["dict"].spaces)
    a = {"z": 2, "m": np.array([1, 0], dtype=np.int8), "a": np.array([0.25, 0.5], dtype=np.float32)}
    in_order = [np.ravel(a[key]) for key in SPACES["dict"].spaces]
    assert flat.one_or_many(a)[0].tolist() == [np.concatenate(in_order).tolist()]


def test_text_is_one_column_of_codes():
    space = spaces.Dict({"speed": spaces.Box(0, 1, (2,)), "word": spaces.Text(5)})
    flat = FlatSpace(space)
    asked = []

    def encode(feature_idx, text, learn):
        asked.append((feature_idx, text, learn))
        return len(asked) - 1.0

    flat.encode = encode
    batch = {"speed": np.zeros((3, 2), dtype=np.float32), "word": ("b", "a", "b")}
    assert flat.has_text
    assert flat.rows(batch, 3, learn=True)[:, 2].tolist() == [0, 1, 0]
    assert asked == [(2, "b", True), (2, "a", True)]
    rows, many = flat.one_or_many({"speed": np.zeros(2, dtype=np.float32), "word": "c"})
    assert not many and rows.tolist() == [[0, 0, 2]] and asked[-1] == (2, "c", False)


def test_missing_values_stay_missing():
    rows = FlatSpace(SPACES["box float64"]).rows(np.array([[np.nan, 1, np.inf]]), 1)
    assert np.isnan(rows[0, 0]) and np.isinf(rows[0, 2])


def test_plain_boxes_are_not_copied():
    batch = np.zeros((4, 2, 3), dtype=np.float32)
    assert np.shares_memory(FlatSpace(SPACES["box"]).rows(batch, 4), batch)


@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        ("box", np.zeros((3, 2))),
        ("box", np.zeros((1, 1, 2, 3))),
        ("multi binary", [1, 0]),
        ("discrete", np.zeros((2, 2), dtype=int)),
        ("dict", {"z": 1}),
        ("dict", np.zeros(4)),
        ("dict", {"z": np.zeros(2, int), "a": np.zeros((3, 2)), "m": np.zeros((2, 2))}),
        ("tuple", (1,)),
        ("box", {"a": 1}),
    ],
)
def test_wrong_shapes_are_refused(name, wrong):
    with pytest.raises(ValueError, match="bservation"):
        FlatSpace(SPACES[name]).one_or_many(wrong)


@pytest.mark.parametrize("space", [spaces.Sequence(spaces.Discrete(2)), spaces.Graph(spaces.Discrete(2), None)])
def test_spaces_without_columns_are_refused(space):
    with pytest.raises(NotImplementedError, match=f"got {type(space).__name__}"):
        FlatSpace(space)


def test_a_batch_is_what_gymnasium_batches():
    space = SPACES["tuple"]
    batch = batch_space(space, 4).sample()
    flat = FlatSpace(space)
    rows = flat.rows(batch, 4)
    for i, value in enumerate(iterate(batch_space(space, 4), batch)):
        assert np.array_equal(flat.one_or_many(value)[0][0], rows[i])
