"""What users pass becomes what the engine takes, whatever its container, dtype and layout.

A caller's array is never written.
"""
# ruff: noqa: E501 (a row stays on one line)

from __future__ import annotations

import array
import datetime
import decimal
import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nnfast import Sequential, _core, layers
from nnfast.data import arrays

pandas = pytest.importorskip("pandas")


def layouts(a: np.ndarray) -> dict[str, np.ndarray]:
    """The same values in every layout NumPy knows."""
    wide = np.zeros((len(a), 2 * a.shape[1]), a.dtype)
    wide[:, ::2] = a
    bytes_ = np.zeros(a.nbytes + 1, np.uint8)
    unaligned = bytes_[1:].view(a.dtype).reshape(a.shape)
    unaligned[:] = a
    frozen = a.copy()
    frozen.flags.writeable = False
    return {
        "C": a,
        "Fortran": np.asfortranarray(a),
        "strided": wide[:, ::2],
        "reversed": a[::-1].copy()[::-1],
        "byte-swapped": a.astype(a.dtype.newbyteorder()),
        "unaligned": unaligned,
        "read-only": frozen,
        "frame": pandas.DataFrame(a),
        "list": a.tolist(),
    }


@settings(max_examples=25, deadline=None)
@given(
    st.sampled_from([np.float32, np.float64, np.float16, np.int64, np.uint8, np.bool_]),
    st.integers(1, 9),
    st.integers(1, 9),
    st.integers(0, 2**32 - 1),
)
def test_every_layout_gives_the_same_bits(dtype: type, rows: int, columns: int, seed: int) -> None:
    a = np.random.default_rng(seed).integers(0, 100, (rows, columns)).astype(dtype)
    expected = a.astype(np.float32)
    for name, given_array in layouts(a).items():
        before = np.array(given_array)
        got = arrays.as_inputs(given_array, (columns,))
        assert got.dtype == np.float32, name
        assert got.flags.c_contiguous, name
        assert got.flags.aligned, name
        np.testing.assert_array_equal(got, expected, err_msg=name)
        np.testing.assert_array_equal(np.array(given_array), before, err_msg=name)


def test_memory_map(tmp_path) -> None:
    a = np.arange(12, dtype=np.float32).reshape(4, 3)
    np.save(tmp_path / "a.npy", a)
    mapped = np.load(tmp_path / "a.npy", mmap_mode="r")
    np.testing.assert_array_equal(arrays.as_inputs(mapped, (3,)), a)


def test_no_copy_of_what_is_right() -> None:
    x = np.zeros((4, 2, 3), np.float32)
    assert np.shares_memory(arrays.as_inputs(x, (2, 3)), x)
    labels = np.zeros(4, np.int32)
    assert np.shares_memory(arrays.as_labels(labels, 4, 2), labels)
    column = np.zeros((4, 1), np.int32)
    assert np.shares_memory(arrays.as_labels(column, 4, 2), column)
    targets = np.zeros(4, np.float32)
    assert np.shares_memory(arrays.as_targets(targets, 4, 1), targets)


def test_ready_is_only_what_needs_no_check_and_no_copy() -> None:
    a = np.ones((3, 37), np.float32)
    assert arrays.as_inputs(a, (37,)) is a
    ready = {name for name, layout in layouts(a).items() if _core.is_ready(layout, 37)}
    assert ready == {"C", "read-only"}
    others = [
        a.tolist(),
        a[0],
        a[:0],
        a.astype(np.float64),
        a.view(np.int32),
        a.view(np.matrix),
        np.ma.masked_array(a),
    ]
    assert not any(_core.is_ready(other, 37) for other in [*others, a.byteswap().view(">f4"), None])
    assert not _core.is_ready(a, 36)
    for place in range(a.size):
        for value in (np.nan, np.inf, -np.inf):
            wrong = a.copy()
            wrong.flat[place] = value
            assert not _core.is_ready(wrong, 37)
            assert _core.first_nonfinite(wrong) == place


def test_a_last_axis_of_one_may_be_missing_or_added() -> None:
    assert arrays.as_inputs([1, 2, 3], (1,)).shape == (3, 1)
    assert arrays.as_inputs(np.zeros((3, 28, 28, 1)), (28, 28)).shape == (3, 784)
    assert arrays.as_inputs(np.zeros((3, 28, 28)), (28, 28, 1)).shape == (3, 784)


@pytest.mark.parametrize(
    "dtype", [np.int8, np.uint8, np.int32, np.int64, np.uint64, ">i4", np.float32, np.float64, np.bool_]
)
def test_labels_of_any_dtype(dtype) -> None:
    labels = np.array([1, 0, 1]).astype(dtype)
    for given_labels in (labels, labels[:, None], labels[::-1][::-1], labels.tolist(), pandas.Series(labels)):
        got = arrays.as_labels(given_labels, 3, 2)
        assert got.dtype == np.int32
        assert got.tolist() == [1, 0, 1]


@pytest.mark.parametrize(
    ("labels", "label", "row"),
    [
        ([0, 1, 3], "3", 2),
        ([0, -1, 1], "-1", 1),
        (np.array([0, 2**32], np.uint64), "4294967296", 1),
        (np.array([2**31], np.int64), "2147483648", 0),
        ([0.5, 1.0], "0.5", 0),
        ([0.0, np.nan], "nan", 1),
        ([0.0, np.inf], "inf", 1),
        (np.array([0, 127], np.int8), "127", 1),
        (np.array([0, -1], ">i8"), "-1", 1),
        (pandas.Series([0, -1], dtype="Int8"), "-1", 1),
    ],
)
def test_a_wrong_label_is_named_with_its_row(labels, label: str, row: int) -> None:
    with pytest.raises(ValueError, match=rf"labels from 0 to 2, .* got {label} in row {row}\."):
        arrays.as_labels(labels, len(labels), 3)


@pytest.mark.parametrize("classes", [1, 2, 127, 128, 129, 255, 256, 257, 32768, 32769, 70_000, 2**31])
@pytest.mark.parametrize(
    "dtype", ["i1", "u1", "i2", ">i2", "u2", ">u2", "i4", "u4", "i8", "u8", "f2", "f4", "f8", "?"]
)
def test_labels_at_the_ends_of_every_dtype(dtype: str, classes: int) -> None:
    """A label is right exactly where it is whole and one of the classes."""
    kind = np.dtype(dtype).kind
    values = {0, 1}
    if kind in "iu":
        ends = np.iinfo(dtype)
        values |= {v for v in (-1, ends.min, ends.max, classes - 1, classes) if ends.min <= v <= ends.max}
    elif kind == "f":
        with np.errstate(over="ignore"):
            values |= {
                v
                for v in (-1, 0.5, classes - 1, classes, -(2.0**15), 2.0**15)
                if float(np.array(v).astype(dtype)) == v
            }
    for value in values:
        labels = np.array([0, value, 0], dtype)
        if value == int(value) and 0 <= value < classes:
            assert arrays.as_labels(labels, 3, classes).tolist() == [0, value, 0]
        else:
            with pytest.raises(ValueError, match=rf"labels from 0 to {classes - 1}, .* in row 1\."):
                arrays.as_labels(labels, 3, classes)


def test_a_negative_label_of_eight_bits_among_many_classes() -> None:
    with pytest.raises(
        ValueError, match=r"labels from 0 to 199, as the model has 200 outputs, got -1 in row 1\."
    ):
        arrays.as_labels(np.array([3, -1], np.int8), 2, 200)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_not_finite(value: float, dtype: type) -> None:
    x = np.zeros((50, 7), dtype)
    x[33, 5] = value
    with pytest.raises(ValueError, match=r"x must be finite, got .* in row 33, column 5"):
        arrays.as_inputs(x, (7,))
    images = x.reshape(50, 7, 1)
    with pytest.raises(ValueError, match=r"in row 33, column \(5, 0\)"):
        arrays.as_inputs(images, (7, 1))


def test_overflow_of_float32_is_found_after_the_cast() -> None:
    x = np.zeros((3, 2))
    x[1, 0] = -1e300
    with pytest.raises(ValueError, match=r"fit into float32 .* got -1e\+300 in row 1, column 0"):
        arrays.as_inputs(x, (2,))


def test_class_weights() -> None:
    labels = np.array([0, 2, 1], np.int32)
    assert arrays.class_weights({0: 2.0, 2: 3}, labels, 3).tolist() == [2, 3, 1]
    one_hot = np.eye(3, dtype=np.float32)[labels]
    assert arrays.class_weights({0: 2.0, 2: 3}, one_hot, 3).tolist() == [2, 3, 1]
    assert arrays.class_weights({1: 5.0}, np.array([[0.0], [1.0]], np.float32), 1).tolist() == [1, 5]
    assert arrays.class_weights({np.int64(0): np.float32(2), 1.0: 0}, labels, 3).tolist() == [2, 1, 0]
    assert arrays.class_weights({}, labels, 3).tolist() == [1, 1, 1]


@pytest.mark.parametrize(
    ("y", "place"),
    [
        ([[1, 1], [0, 0], [0, 1]], "2 classes in row 0"),
        ([[1, 0], [0, 0], [0, 1]], "0 classes in row 1"),
        ([[1, 0], [0.25, 0.75], [0, 1]], "0.25 in row 1, column 0"),
        ([[1, 0], [0, -1], [0, 1]], "-1 in row 1, column 1"),
        ([[1], [0], [0.5]], "0.5 in row 2, column 0"),
        ([[1], [2], [0]], "2 in row 1, column 0"),
    ],
)
def test_class_weight_needs_one_class_a_row(y: list[list[float]], place: str) -> None:
    outputs = len(y[0])
    with pytest.raises(ValueError, match=rf"class_weight needs targets y .* got {place}\. Use sample_weight"):
        arrays.class_weights({1: 4.0}, np.array(y, np.float32), outputs)
    model = Sequential([layers.Input((2,)), layers.Dense(outputs)], seed=0)
    model.compile("sgd", "mse")
    before = model.get_weights()
    for call in (model.fit, model.train_on_batch):
        with pytest.raises(ValueError, match="sample_weight"):
            call(np.ones((3, 2)), y, class_weight={1: 4.0})
    np.testing.assert_array_equal(before[0], model.get_weights()[0])


@pytest.mark.parametrize("value", [[1, 2], np.nan, np.inf, -1, 1e39, 10**400, "2", None, 1j, np.ones(1), {}])
def test_class_weight_must_be_one_number(value: object) -> None:
    with pytest.raises(ValueError, match=r"class_weight\[0\] must be one finite number >= 0, got "):
        arrays.class_weights({0: value}, np.zeros(2, np.int32), 2)


@pytest.mark.parametrize("key", [-1, 2, 0.5, "0", None, (0,), 2**63, np.nan])
def test_class_weight_must_name_classes(key: object) -> None:
    with pytest.raises(ValueError, match="class_weight must have keys from 0 to 1, got "):
        arrays.class_weights({key: 1.0}, np.zeros(2, np.int32), 2)


class Broken:
    def __array__(self, dtype=None, copy=None):
        raise RuntimeError("it is on another device")


class LooksSparse:
    shape = (6, 4)

    def toarray(self):
        return np.zeros(self.shape)

    def tocsr(self):
        return self


NOT_NUMBERS = [
    (["1.5", "2"], TypeError, "got dtype <U3, numbers written as text. Convert it: numpy.asarray(x).astype(float)."),
    (np.array([b"1"]), TypeError, "got dtype |S1, numbers written as text. Convert it: x.astype(float)."),
    (np.array(["1", "2"], object), TypeError, "got dtype object with numbers written as text in it ('1' in row 0). Convert"),
    (["1.5", "cat"], TypeError, "got dtype <U3. Encode it: numpy.unique(..., return_inverse=True)"),
    ([1, "cat"], TypeError, "Encode it"),
    (np.array([[1, "?"]], object), TypeError, "got dtype object with text in it ('?' in row 0, column 1). Encode it"),
    ([[1, None], [2, 3]], ValueError, "x must have a value everywhere, got None in row 0, column 1. Remove"),
    ([1, pandas.NA], ValueError, "x must have a value everywhere, got <NA> in row 1"),
    (np.array([1, float("nan")], object), ValueError, "x must have a value everywhere, got nan in row 1"),
    (np.array([1, 2.5], object), TypeError, "got dtype object with numbers in it. Convert it: x.astype(float)."),
    ([decimal.Decimal(1)], TypeError, "with Decimal objects in it (Decimal('1') in row 0). Convert it: numpy.asarray(x).astype(float)."),
    ([[1], [1, 2]], ValueError, "x must be an array, got rows of unequal length"),
    (np.array([[1], [1, 2]], object), TypeError, "with list objects in it ([1] in row 0). Rows of one length become an array with numpy.stack(x)"),
    (np.array(["2020-01-01"], "M8[D]"), TypeError, "got dtype datetime64[D], dates or times. Convert it to a number of days: (x - x.min()) / numpy.timedelta64(1, 'D')."),
    (np.array([1], "m8[s]"), TypeError, "dates or times. Convert it to a number of days: x / numpy.timedelta64(1, 'D')."),
    ([datetime.date(2020, 1, 1)], TypeError, "with dates or times in it (datetime.date(2020, 1, 1) in row 0)"),
    (np.zeros(2, [("a", float), ("b", int)]), TypeError, "got an array with the fields a, b. Convert it: numpy.lib.recfunctions.structured_to_unstructured(x)"),
    (np.ma.masked_equal(np.arange(6).reshape(3, 2), 3), ValueError, "got a masked array, masked in row 1, column 1. Fill it: x.filled(0)"),
    (np.ma.masked_array(np.zeros(2, [("a", float)]), mask=[(True,), (False,)]), TypeError, "got an array with the fields a."),
    ([1j], TypeError, "got dtype complex128. Use its real part"),
    ((i for i in [1]), TypeError, "got a generator. Pass an array, a list or a DataFrame: list(x)."),
    (iter([1]), TypeError, "got an iterator, list_iterator. Pass an array, a list or a DataFrame: list(x)."),
    (map(int, "1"), TypeError, "got an iterator, map. Pass an array, a list or a DataFrame: list(x)."),
    ({"a": [1]}, TypeError, "got a dict. Pass an array, a list or a DataFrame: numpy.column_stack(list(x.values()))."),
    ({1}, TypeError, "got a set. Pass an array, a list or a DataFrame: a set has no order."),
    ("abc", TypeError, "got a str. Pass an array, a list or a DataFrame."),
    (b"abc", TypeError, "got a bytes. Pass an array"),
    (None, TypeError, "got None. Pass an array"),
    (int, TypeError, "got the class int. Pass an array"),
    ({}.values(), TypeError, "got a dict_values. Pass an array, a list or a DataFrame: list(x)."),
    (pandas.MultiIndex.from_tuples([(1, 2)]), TypeError, "with tuple objects in it"),
    (Broken(), TypeError, "x must hold real numbers, got Broken, which does not become an array (it is on another device)"),
    (LooksSparse(), TypeError, "x must be a dense array, got LooksSparse. Convert it: x.toarray()."),
]  # fmt: skip


@pytest.mark.parametrize(
    ("values", "error", "message"), NOT_NUMBERS, ids=[row[-1][:50] for row in NOT_NUMBERS]
)
def test_what_is_no_array_of_numbers_is_named(values: object, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=re.escape(message)):
        arrays.to_rows(values)
    with pytest.raises(error):
        arrays.as_float32(values, "x")


@pytest.mark.parametrize(
    "values",
    [
        memoryview(array.array("d", [1, 2])),
        array.array("f", [1, 2]),
        np.ma.masked_array([1, 2]),
        range(1, 3),
        (1, 2.0),
        [np.float32(1), True + 1],
        bytearray([1, 2]),
        np.matrix([[1, 2]]),
    ],
    ids=lambda values: type(values).__name__,
)
def test_containers_of_numbers(values: object) -> None:
    got = arrays.as_float32(values, "x")
    assert type(got) is np.ndarray
    assert got.ravel().tolist() == [1, 2]


def test_what_underflows_is_zero_whatever_numpy_is_told() -> None:
    sparse = pytest.importorskip("scipy.sparse")
    x = np.array([[1e-50, 1.0]])
    labels = np.array([1.0])
    with np.errstate(all="raise"):
        assert arrays.as_inputs(x, (2,)).tolist() == [[0, 1]]
        assert arrays.as_inputs(pandas.DataFrame(x), (2,)).tolist() == [[0, 1]]
        assert arrays.as_inputs(pandas.DataFrame(x).assign(c=1), (3,)).tolist() == [[0, 1, 1]]
        assert arrays.to_rows(sparse.csr_matrix(x)).toarray().tolist() == [[0, 1]]
        assert arrays.as_targets(x, 1, 2).tolist() == [[0, 1]]
        assert arrays.class_weights({0: 1e-50}, np.zeros(1, np.int32), 2).tolist() == [0]
        model = Sequential([layers.Input((2,)), layers.Dense(2, "softmax")], seed=0)
        model.compile("sgd", "sparse_categorical_crossentropy", metrics=["accuracy"])
        model.fit(x, labels, verbose=0, sample_weight=[1e-50], validation_split=0)
        model.evaluate(x, labels, verbose=0)
        for wrong, message in (([np.nan], "got nan"), ([1e300], r"got 1e\+300"), ([-1e-300], "got -1e-300")):
            with pytest.raises(ValueError, match=rf"{message} in row 0"):
                model.fit(x, wrong, verbose=0)


def test_fit_takes_lists_frames_and_images_alike() -> None:
    images = np.random.default_rng(0).integers(0, 255, (20, 4, 4)).astype(np.uint8)
    labels = np.arange(20) % 3
    results = []
    for x, y in (
        (images, labels.astype(np.uint8)),
        (images.tolist(), labels.tolist()),
        (images.astype(np.float64), pandas.Series(labels)),
        (np.asfortranarray(images), labels[:, None]),
    ):
        model = Sequential([layers.Flatten(), layers.Dense(3, activation="softmax")], seed=0)
        model.compile("sgd", "sparse_categorical_crossentropy")
        model.fit(x, y, batch_size=8, epochs=2, verbose=0)
        results.append(model.get_weights())
    frame = Sequential([layers.Dense(3, activation="softmax")], seed=0)
    frame.compile("sgd", "sparse_categorical_crossentropy")
    frame.fit(
        pandas.DataFrame(images.reshape(20, 16)),
        pandas.DataFrame({"label": labels}),
        batch_size=8,
        epochs=2,
        verbose=0,
    )
    results.append(frame.get_weights())
    for weights in results[1:]:
        for a, b in zip(results[0], weights, strict=True):
            np.testing.assert_array_equal(a, b)
