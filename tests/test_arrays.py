"""What users pass becomes what the engine takes, whatever its container, dtype and layout.

A caller's array is never written.
"""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nnfast import Sequential, _core, arrays, layers

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
    ],
)
def test_a_wrong_label_is_named_with_its_row(labels, label: str, row: int) -> None:
    with pytest.raises(ValueError, match=rf"labels from 0 to 2, .* got {label} in row {row}\."):
        arrays.as_labels(labels, len(labels), 3)


def test_more_classes_than_a_small_dtype_can_hold() -> None:
    assert arrays.as_labels(np.array([255, 0], np.uint8), 2, 1000).tolist() == [255, 0]


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
