"""Whatever layout and dtype numbers come in, the extension sees what contiguous float32 gives, or there is an error."""

import numpy as np
import pytest

from gbrl_rs._arrays import as_flags, as_float32, as_mixed_rows, as_rows, to_numpy

PLAIN = np.array([[1, 0, 3], [0, 5, 6]], dtype=np.float32)


def test_fitting_arrays_are_not_copied():
    assert as_rows(PLAIN, 3, "x") is PLAIN


@pytest.mark.parametrize("dtype", ["f2", "f4", "f8", ">f4", ">f8", "g", "i1", "i2", "i4", "i8", "u1", "u8", ">i4", "O"])
def test_every_dtype_gives_what_float32_gives(dtype):
    rows = as_rows(PLAIN.astype(dtype), 3, "x")
    assert rows.dtype == np.dtype("f4") and rows.flags.c_contiguous
    np.testing.assert_array_equal(rows, PLAIN)


def test_booleans_are_numbers():
    np.testing.assert_array_equal(as_rows(PLAIN > 0, 3, "x"), (PLAIN > 0).astype("f4"))


@pytest.mark.parametrize(
    "layout",
    [
        np.asfortranarray,
        lambda x: np.repeat(x, 2, axis=0)[::2],
        lambda x: np.repeat(x, 2, axis=1)[:, ::2],
        lambda x: x[::-1].copy()[::-1],
        lambda x: np.ascontiguousarray(x.T).T,
        lambda x: x.tolist(),
        lambda x: [tuple(row) for row in x],
        lambda x: memoryview(x),
    ],
)
def test_every_layout_gives_what_contiguous_gives(layout):
    given = layout(PLAIN.copy())
    rows = as_rows(given, 3, "x")
    assert rows.flags.c_contiguous
    np.testing.assert_array_equal(rows, PLAIN)


def test_inputs_are_never_written_to():
    given = PLAIN.astype("f8")
    given.flags.writeable = False
    as_rows(given, 3, "x")
    masked = np.ma.masked_equal(PLAIN, 3)
    as_rows(masked, 3, "x")
    assert masked.data[0, 2] == 3


def test_dlpack_alone_is_enough():
    class OnlyDlpack:
        def __dlpack__(self, **kwargs):
            return PLAIN.__dlpack__(**kwargs)

        def __dlpack_device__(self):
            return PLAIN.__dlpack_device__()

    np.testing.assert_array_equal(as_rows(OnlyDlpack(), 3, "x"), PLAIN)


@pytest.mark.sb3
def test_torch_tensors_with_gradients_and_small_floats():
    torch = pytest.importorskip("torch")
    tensor = torch.tensor(PLAIN, requires_grad=True)
    np.testing.assert_array_equal(as_rows(tensor, 3, "x"), PLAIN)
    np.testing.assert_array_equal(as_rows(tensor.T.contiguous().T, 3, "x"), PLAIN)
    np.testing.assert_array_equal(as_rows(tensor.bfloat16(), 3, "x"), PLAIN)
    assert as_rows(tensor.detach(), 3, "x").ctypes.data == tensor.data_ptr()


@pytest.mark.parametrize("name", ["bfloat16", "float8_e4m3fn"])
def test_small_floats_of_other_libraries(name):
    ml_dtypes = pytest.importorskip("ml_dtypes")
    np.testing.assert_array_equal(as_rows(PLAIN.astype(getattr(ml_dtypes, name)), 3, "x"), PLAIN)


def test_beyond_float32_is_infinite():
    rows = as_rows(np.array([[1e39, -1e300, 1e-60]]), 3, "x")
    np.testing.assert_array_equal(rows, [[np.inf, -np.inf, 0]])


def test_masked_elements_are_missing():
    rows = as_rows(np.ma.masked_equal(PLAIN, 5), 3, "x")
    np.testing.assert_array_equal(rows, [[1, 0, 3], [0, np.nan, 6]])
    assert np.isnan(as_float32(np.ma.array([1, 2], mask=[False, True]), "x")[1])


@pytest.mark.parametrize(
    "given",
    [
        PLAIN.astype("c8"),
        np.array([["2020-01-01"]], dtype="M8[D]"),
        [[1, 2], [3]],
        [["a", "b"]],
        np.array([["1.5", "x"]]),
        np.array([[object()]]),
        np.zeros(2, dtype=[("a", "f4")]),
        {"a": 1},
    ],
)
def test_what_holds_no_numbers_is_a_type_error(given):
    with pytest.raises(TypeError, match="^x: expected"):
        as_rows(np.atleast_2d(given) if isinstance(given, np.ndarray) else as_float32(given, "x"), None, "x")


def test_shapes_are_named():
    with pytest.raises(ValueError, match=r"x: expected shape \[n, 4\], got \[2, 3\]"):
        as_rows(PLAIN, 4, "x")
    with pytest.raises(ValueError, match=r"x: expected shape \[n, columns\], got \[3\]"):
        as_rows(PLAIN[0], None, "x")


def test_no_rows_and_no_columns():
    assert as_rows(np.empty((0, 3)), 3, "x").shape == (0, 3)
    assert as_float32(np.float64(2.5), "x").shape == ()


def test_flags():
    np.testing.assert_array_equal(as_flags([[1, 0]], (1, 2), "masks"), [[True, False]])
    for wrong, error in [([[2, 0]], ValueError), ([[1, 0, 1]], ValueError), ([["a", "b"]], TypeError)]:
        with pytest.raises(error, match="^masks: expected"):
            as_flags(wrong, (1, 2), "masks")


class Vocabulary:
    def __init__(self):
        self.known, self.asked = {}, 0

    def __call__(self, feature_idx, text, learn):
        self.asked += 1
        if learn:
            self.known.setdefault((feature_idx, text), len(self.known))
        return self.known.get((feature_idx, text), -1)


def test_strings_and_objects_are_categories():
    vocabulary = Vocabulary()
    given = np.array([["b", 1], ["a", None], ["b", "2.5"], [None, 4], [("x", 1), True]], dtype=object)
    rows = as_mixed_rows(given, [True, False], vocabulary, True, "x")
    np.testing.assert_array_equal(rows, [[0, 1], [1, np.nan], [0, 2.5], [np.nan, 4], [2, 1]])
    assert vocabulary.asked == 3
    again = as_mixed_rows(np.array([["a", "1"], ["z", "2"]]), [True, False], vocabulary, False, "x")
    np.testing.assert_array_equal(again, [[1, 1], [-1, 2]])
    with pytest.raises(TypeError, match="column 1: expected numbers, got 'no'"):
        as_mixed_rows(np.array([["a", "no"]]), [True, False], vocabulary, False, "x")


def test_bytes_are_text_and_unhashable_objects_count_as_their_text():
    vocabulary = Vocabulary()
    as_mixed_rows(np.array([[b"ab"]]), [True], vocabulary, True, "x")
    column = np.empty((1, 1), dtype=object)
    column[0, 0] = [1, 2]
    as_mixed_rows(column, [True], vocabulary, True, "x")
    assert [text for _, text in vocabulary.known] == ["ab", "[1, 2]"]


def test_strings_that_are_numbers_are_not_numbers_by_chance():
    with pytest.raises(TypeError, match="expected numbers, got strings"):
        as_float32(np.array(["1", "2"]), "x")
    assert to_numpy(["1"], "x").dtype.kind == "U"
