"""DataFrames and Series become numbers column by column; what cannot is named by column and row."""
# ruff: noqa: E501 (a row stays on one line)

from __future__ import annotations

import datetime
import decimal
import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nnfast import Sequential, layers
from nnfast.data import arrays

pandas = pytest.importorskip("pandas")

MIXED = pandas.DataFrame({"a": [1.0, 2.0], "b": [True, False]})


def with_pyarrow(frame):
    pytest.importorskip("pyarrow")
    return frame.convert_dtypes(dtype_backend="pyarrow")


FRAMES = {
    "bool and float": lambda: MIXED,
    "convert_dtypes": lambda: MIXED.convert_dtypes(),
    "pyarrow": lambda: with_pyarrow(MIXED),
    "Float64 and boolean": lambda: MIXED.astype({"a": "Float64", "b": "boolean"}),
    "Int64 and UInt8": lambda: MIXED.astype({"a": "Int64", "b": "UInt8"}),
    "sparse": lambda: MIXED.astype({"a": pandas.SparseDtype(float), "b": pandas.SparseDtype(bool)}),
    "objects": lambda: MIXED.astype(object),
    "categories": lambda: MIXED.astype("category"),
    "nullable categories": lambda: MIXED.convert_dtypes().astype("category"),
    "float16 and int8": lambda: MIXED.astype({"a": "float16", "b": "int8"}),
    "one name for two": lambda: MIXED.set_axis(["a", "a"], axis=1),
    "MultiIndex": lambda: MIXED.set_axis(pandas.MultiIndex.from_tuples([("u", 1), ("u", 2)]), axis=1),
    "big whole numbers": lambda: MIXED.assign(a=pandas.array([1, 2], "UInt64")),
}


@pytest.mark.parametrize("name", FRAMES)
def test_every_kind_of_frame_predicts_alike(name: str) -> None:
    frame = FRAMES[name]()
    before = frame.copy(deep=True)
    model = Sequential([layers.Input((2,)), layers.Dense(1, use_bias=False)])
    model.set_weights([[[1.0], [10.0]]])
    assert model.predict(frame).tolist() == [[11.0], [2.0]]
    pandas.testing.assert_frame_equal(frame, before)


@pytest.mark.parametrize("sparse", [True, False])
def test_dummies(sparse: bool) -> None:
    frame = pandas.get_dummies(pandas.DataFrame({"kind": list("xyx"), "v": [1.5, 2, 3]}), sparse=sparse)
    got = arrays.as_inputs(frame, (3,))
    assert got.tolist() == [[1.5, 1, 0], [2, 0, 1], [3, 1, 0]]


DTYPES = ["bool", "boolean", "int8", "Int16", "uint8", "UInt8", "Int64", "int64", "float32", "Float32", "float64",
          "Float64", "object", "category", "Sparse[float64]", "Sparse[int64]"]  # fmt: skip


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.sampled_from(DTYPES), min_size=1, max_size=6), st.integers(0, 7), st.integers(0, 2**32 - 1)
)
def test_any_mixture_of_dtypes(dtypes: list[str], rows: int, seed: int) -> None:
    values = np.random.default_rng(seed).integers(0, 2, (rows, len(dtypes)))
    frame = pandas.concat(
        [pandas.Series(values[:, i]).astype(dtype) for i, dtype in enumerate(dtypes)], axis=1
    )
    got = arrays.to_rows(frame)
    assert got.shape == values.shape
    np.testing.assert_array_equal(arrays.as_float32(frame, "x"), values.astype(np.float32))


@pytest.mark.parametrize(
    "y",
    [
        pandas.Series([1, 0, 2], dtype="Int64", index=list("abc")),
        pandas.Series([1.0, 0.0, 2.0], dtype="Float64"),
        pandas.Series([1, 0, 2], dtype="UInt8"),
        pandas.Series([1, 0, 2], dtype="category"),
        pandas.Series([1, False, 2], dtype=object),
        pandas.DataFrame({"label": pandas.array([1, 0, 2], "Int64")}),
        pandas.DataFrame({"label": [1, 0, 2]}),
        pandas.Index([1, 0, 2]),
        pandas.array([1, 0, 2]),
        pandas.Categorical([1, 0, 2]),
        pandas.arrays.SparseArray([1, 0, 2]),
    ],
    ids=lambda y: f"{type(y).__name__}-{getattr(y, 'dtype', '')}",
)
def test_labels_in_a_table(y) -> None:
    assert arrays.as_labels(y, 3, 3).tolist() == [1, 0, 2]
    assert arrays.as_weights(y, 3).tolist() == [1, 0, 2]
    assert arrays.as_targets(y, 3, 1).tolist() == [[1], [0], [2]]


def test_labels_keep_what_float32_would_round() -> None:
    label = 2**24 + 1
    assert arrays.as_labels(pandas.Series([label], dtype="Int64"), 1, 2**25).tolist() == [label]


def frame(**columns) -> object:
    return pandas.DataFrame(columns, index=["p", "q", "r"])


MISSING = {
    "Int64": (lambda: frame(b=[1.0] * 3, a=pandas.array([1, None, 3], "Int64")), "<NA>"),
    "boolean": (lambda: frame(b=[1] * 3, a=pandas.array([True, None, False], "boolean")), "<NA>"),
    "Float64": (lambda: frame(b=[1] * 3, a=pandas.array([1.5, None, 2], "Float64")), "<NA>"),
    "convert_dtypes": (lambda: frame(b=[1] * 3, a=[1.5, None, 2]).convert_dtypes(), "<NA>"),
    "float": (lambda: frame(b=[1.0] * 3, a=[1.5, np.nan, 2]), "nan"),
    "float among others": (lambda: frame(b=[True] * 3, a=[1.5, np.nan, 2]), "nan"),
    "objects": (lambda: frame(b=[1] * 3, a=[True, None, False]), "None"),
    "sparse": (lambda: frame(b=[1] * 3, a=pandas.arrays.SparseArray([0, np.nan, 1])), "nan"),
    "categories": (lambda: frame(b=[1] * 3, a=pandas.Categorical([3, None, 4])), "nan"),
    "pyarrow": (lambda: with_pyarrow(frame(b=[1] * 3, a=[1, None, 2])), "<NA>"),
}


@pytest.mark.parametrize("name", MISSING)
def test_a_missing_value_is_named(name: str) -> None:
    make, value = MISSING[name]
    model = Sequential([layers.Dense(1)])
    message = (
        f"x must have a value everywhere, got {value} in column 'a', row 1 (index 'q'). Remove such rows"
    )
    with pytest.raises(ValueError, match=re.escape(message)):
        model.predict(make())
    message = f"y must have a value everywhere, got {value} in row 1 (index 'q')"
    with pytest.raises(ValueError, match=re.escape(message)):
        arrays.as_labels(make()["a"], 3, 5)


def test_missing_values_are_counted_and_plain_positions_are_not_repeated() -> None:
    with pytest.raises(ValueError, match=r"got None in column 'a', row 0, and 2 more there\."):
        arrays.to_rows(pandas.DataFrame({"a": [None] * 3}))


WRONG = {
    "text": (lambda: frame(a=[1] * 3, t=list("xyz")), "text in column 't'. Encode text: pandas.get_dummies(x, columns=['t'])"),
    "string": (lambda: frame(t=pandas.array(["x", None, "y"], "string")), "text in column 't'. Encode text"),
    "categories": (lambda: frame(t=pandas.Categorical(list("xyx"))), "text in column 't'. Encode text"),
    "pyarrow text": (lambda: with_pyarrow(frame(t=list("xyx"))), "text in column 't'. Encode text"),
    "two": (lambda: frame(t=list("xyz"), u=list("xyz")), "text in 2 columns: 't', 'u'. Encode text: pandas.get_dummies(x, columns=['t', 'u'])"),
    "numbers as text": (lambda: frame(a=["1.5", "2", " 3"]), "numbers written as text in column 'a'. Convert them: x[['a']].astype(float)"),
    "one text among numbers": (lambda: frame(a=[1, "?", 2]), "text in column 'a' (first: '?' in row 1 (index 'q'))"),
    "dates": (lambda: frame(d=pandas.date_range("2020", periods=3)), "dates or times in column 'd'. Turn dates into numbers"),
    "zoned": (lambda: frame(d=pandas.date_range("2020", periods=3, tz="UTC")), "dates or times in column 'd'"),
    "periods": (lambda: frame(d=pandas.period_range("2020", periods=3, freq="D")), "dates or times in column 'd'"),
    "datetime.date": (lambda: frame(d=[datetime.date(2020, 1, 1)] * 3), "dates or times in column 'd'"),
    "NaT": (lambda: frame(d=[pandas.NaT] * 3), "dates or times in column 'd'"),
    "durations": (lambda: frame(d=pandas.to_timedelta([1, 2, 3], unit="D")), "dates or times in column 'd'"),
    "Decimal": (lambda: frame(a=[decimal.Decimal(1)] * 3), "Decimal objects in column 'a'. Convert them: x[['a']].astype(float)"),
    "complex": (lambda: frame(a=[1j, 2, 3]), "complex objects in column 'a'. Turn them into numbers"),
    "lists": (lambda: frame(a=[[1], [2], [3]]), "list objects in column 'a'"),
    "intervals": (lambda: frame(a=pandas.interval_range(0, 3)), "Interval objects in column 'a'"),
    "MultiIndex": (lambda: pandas.DataFrame([["x"]], columns=pandas.MultiIndex.from_tuples([("u", 1)])), "text in column ('u', 1)"),
    "one name for two": (lambda: pandas.DataFrame([[1, "x"]], columns=["a", "a"]), "text in column 'a' (number 1)"),
    "many": (lambda: pandas.DataFrame({f"c{i}": ["x"] for i in range(30)}), "text in 30 columns: 'c0', 'c1', 'c2', 'c3', 'c4', 'c5', 'c6', 'c7', 'c8', 'c9', ..."),
    "kinds": (lambda: frame(t=list("xyz"), d=pandas.date_range("2020", periods=3)), "text in column 't'; dates or times in column 'd'."),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
def test_columns_that_are_no_numbers_are_listed(name: str) -> None:
    make, message = WRONG[name]
    with pytest.raises(TypeError, match=re.escape(f"x must hold real numbers, got {message}")):
        arrays.to_rows(make())


def test_a_series_of_text_is_a_matter_of_classes() -> None:
    with pytest.raises(
        TypeError, match=r"y must hold real numbers, got text\. Number the classes: numpy\.unique"
    ):
        arrays.as_labels(pandas.Series(["cat", "dog"]), 2, 2)


@pytest.mark.parametrize("others", [1, 1.0])
@pytest.mark.parametrize(
    ("value", "message"), [(np.inf, "be finite, got inf"), (1e300, r"fit into float32 .* got 1e\+300")]
)
def test_what_float32_cannot_hold_is_named(others: float, value: float, message: str) -> None:
    with pytest.raises(ValueError, match=rf"x must {message} in column 'b', row 1 \(index 'q'\)"):
        arrays.as_inputs(frame(a=[others] * 3, b=[0.5, value, 1]), (2,))
    with pytest.raises(ValueError, match=r"x must fit into float32 .* larger whole numbers in column 'a'"):
        arrays.as_inputs(frame(a=[1, 10**400, 1]), (1,))


def test_empty_frames() -> None:
    model = Sequential([layers.Input((2,)), layers.Dense(1)])
    with pytest.raises(ValueError, match=r"x must have at least one row, got shape \(0, 2\)"):
        model.predict(MIXED[:0])
    with pytest.raises(ValueError, match=r"x must have at least one column, got shape \(2, 0\)"):
        model.predict(MIXED[[]])
    with pytest.raises(ValueError, match=r"x must have at least one column, got shape \(2, 0\)"):
        Sequential([layers.Dense(1)]).predict(MIXED[[]])


def test_no_copy_of_a_frame_that_is_right() -> None:
    x = np.zeros((4, 3), np.float32)
    assert np.shares_memory(arrays.as_inputs(pandas.DataFrame(x, copy=False), (3,)), x)


def test_polars() -> None:
    polars = pytest.importorskip("polars")
    mixed = polars.DataFrame({"a": [1.0, 2.0], "b": [True, False]})
    assert arrays.as_inputs(mixed, (2,)).tolist() == [[1, 1], [2, 0]]
    assert arrays.as_labels(polars.Series([1, 0]), 2, 2).tolist() == [1, 0]
    with pytest.raises(ValueError, match=r"x must have a value everywhere, got None in column 'a', row 1\."):
        arrays.to_rows(polars.DataFrame({"a": [1, None]}))
    with pytest.raises(
        TypeError, match=re.escape("got text in column 't'. Encode text: x.to_dummies(['t'])")
    ):
        arrays.to_rows(polars.DataFrame({"t": ["x"]}))
    with pytest.raises(TypeError, match=re.escape("Convert them: x[['t']].cast(polars.Float64)")):
        arrays.to_rows(polars.DataFrame({"t": ["1.5"]}))
    with pytest.raises(TypeError, match="dates or times in column 'd'"):
        arrays.to_rows(polars.DataFrame({"d": [datetime.date(2020, 1, 1)]}))
    assert arrays.to_rows(polars.DataFrame({"a": []})).shape == (0, 1)
