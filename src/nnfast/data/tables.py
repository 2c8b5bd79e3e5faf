"""DataFrames and Series, of pandas and of polars, as NumPy arrays: column by column, as each has a dtype of
its own.

Neither library is imported: what is not loaded cannot have made an argument. Errors name columns, and rows by
position (from 0) and by label. Arrays without names are in `arrays`.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import cut
from .diagnosis import DATES, NUMBERS_AS_TEXT, TEXT, Wrong, missing, not_finite, not_numbers

Array = NDArray[Any]

LISTED = 10
"""Columns that one message lists at most."""


def is_table(values: object) -> bool:
    """Whether this is a DataFrame, a Series or another column of pandas or polars."""
    return _is_pandas(values) or _is_polars(values)


def to_numpy(table: Any, name: str, dtype: type[np.float32] | None = None) -> Array:
    """The numbers of a DataFrame, shape (N, columns), or of a Series, shape (N,).

    Parameters
    ----------
    table : DataFrame, Series, Index or array of pandas; DataFrame or Series of polars
        Columns of bools, integers and floats, be they nullable, Arrow's or sparse; categories that are numbers;
        Python's numbers in a column of objects.
    name : str
        The argument, for messages.
    dtype : dtype, optional
        What floats must fit into, and the dtype of the result where those of the columns differ; by default the
        smallest dtype that holds them all.

    Raises
    ------
    TypeError
        Columns that are not numbers; they are listed.
    ValueError
        A value that is missing, not finite, or beyond the range of `dtype`.
    """
    columns = _columns(table)
    wrong = [(column, found) for column in columns if (found := column.wrong())]
    if wrong:
        raise _not_numbers(table, wrong, name)
    array = _of_one_dtype(table)
    if array is not None:
        if array.dtype.kind != "f":
            return array
        with np.errstate(all="ignore"):  # an overflow is found next
            array = np.require(array, dtype)
        if np.isfinite(array).all():
            return array
    parts = [_checked(column, name, dtype) for column in columns]
    if columns and not columns[0].label:
        return parts[0]
    dtypes = {part.dtype for part in parts}
    shared = (
        dtypes.pop() if len(dtypes) == 1 else np.dtype(dtype) if dtype else np.result_type(float, *dtypes)
    )
    result = np.empty((len(table), len(parts)), shared)
    with np.errstate(all="ignore"):  # what overflows has been found; what underflows becomes 0
        for number, part in enumerate(parts):
            result[:, number] = part
    return result


class Column:
    """A column of pandas.

    Parameters
    ----------
    series : Series
    label : str
        As Python writes it; "" for a Series that came without a frame.
    number : int, optional
        Place in the frame, where the label is not the only one of its name.
    """

    def __init__(self, series: Any, label: str, number: int | None = None) -> None:
        self.series = series
        self.label = label
        self.number = number

    def wrong(self) -> Wrong | None:
        """What it holds that is no real number."""
        dtype = self.series.dtype
        kind = getattr(dtype, "kind", "O")
        if kind in "biuf":
            return None
        if kind in "mM":
            return Wrong(DATES, 0, False)
        return not_numbers(getattr(dtype, "categories", self.series))

    def absent(self) -> Array:
        """Which values are missing, bool, shape (N,)."""
        return np.asarray(self.series.isna(), bool)

    def values(self) -> Array:
        """Its bools, integers or floats, shape (N,), where nothing is missing."""
        series = self.series
        if hasattr(series.dtype, "categories"):
            series = series.astype(series.dtype.categories.dtype)
        if hasattr(series.dtype, "subtype"):  # sparse
            return np.asarray(series)
        if getattr(series.dtype, "kind", "O") not in "biuf":
            return _of_objects(series.tolist())
        return np.asarray(series.to_numpy(getattr(series.dtype, "numpy_dtype", series.dtype)))

    def row(self, row: int) -> str:
        """How to find a row: its position, and its label where that is another."""
        label = _plain(self.series.index[row])
        return f"row {row}" if label == row else f"row {row} (index {cut(label)})"

    def where(self, row: int | None = None) -> str:
        """Where a value is, or all of them."""
        places = [] if row is None else [self.row(row)]
        if self.label:
            places.insert(0, f"column {self}")
        return f" in {', '.join(places)}" if places else ""

    def __str__(self) -> str:
        return self.label if self.number is None else f"{self.label} (number {self.number})"

    def __getitem__(self, row: int) -> Any:
        return self.series.iloc[row]


class PolarsColumn(Column):
    """A column of polars, which has no labels of rows."""

    def wrong(self) -> Wrong | None:
        dtype = self.series.dtype
        if dtype.is_temporal():
            return Wrong(DATES, 0, False)
        plain = dtype.is_integer() or dtype.is_float() or not self.series.len()
        return None if plain else not_numbers(self.series.to_list())

    def absent(self) -> Array:
        return np.asarray(self.series.is_null().to_numpy(), bool)

    def values(self) -> Array:
        array = self.series.to_numpy()
        return array if array.dtype.kind in "biuf" else _of_objects(self.series.to_list())

    def row(self, row: int) -> str:
        return f"row {row}"

    def __getitem__(self, row: int) -> Any:
        return self.series[row]


def _of_objects(elements: list[Any]) -> Array:
    """Python's numbers in the smallest dtype; fractions, and whole numbers beyond 64 bits, as floats."""
    array = np.array(elements, dtype=None if elements else float)
    return array if array.dtype.kind in "biuf" else array.astype(np.float64)


def _columns(table: Any) -> list[Column]:
    if _is_polars(table):
        if not hasattr(table, "get_columns"):
            return [PolarsColumn(table, "")]
        return [PolarsColumn(series, repr(series.name)) for series in table.get_columns()]
    if not hasattr(table, "columns"):
        return [Column(table if hasattr(table, "iloc") else sys.modules["pandas"].Series(table), "")]
    repeated = table.columns.duplicated(keep=False)
    return [
        Column(table.iloc[:, number], repr(_plain(label)), number if again else None)
        for number, (label, again) in enumerate(zip(table.columns, repeated, strict=True))
    ]


def _of_one_dtype(table: Any) -> Array | None:
    """The array of a pandas frame whose columns share one dtype of NumPy; often its own memory."""
    if not _is_pandas(table) or not hasattr(table, "columns"):
        return None
    dtypes = set(table.dtypes)
    dtype = dtypes.pop() if len(dtypes) == 1 else None
    return table.to_numpy() if isinstance(dtype, np.dtype) and dtype.kind in "biuf" else None


def _checked(column: Column, name: str, dtype: type[np.float32] | None) -> Array:
    absent = column.absent()
    if absent.any():
        row, others = int(absent.argmax()), int(absent.sum()) - 1
        more = f", and {others} more there" if others else ""
        raise missing(name, column[row], column.where(row) + more)
    try:
        values = column.values()
    except OverflowError:
        raise ValueError(
            f"{name} must fit into float32 (up to 3.4e38), got larger whole numbers{column.where()}. Scale it first."
        ) from None
    if values.dtype.kind == "f":
        with np.errstate(all="ignore"):
            finite = np.isfinite(np.require(values, dtype))
        if not finite.all():
            row = int(finite.argmin())
            raise not_finite(name, values[row], column.where(row))
    return values


def _not_numbers(table: Any, wrong: Sequence[tuple[Column, Wrong]], name: str) -> TypeError:
    """The error for columns that are not numbers: each kind, where it is, and what to do."""
    kinds: dict[str, list[tuple[Column, Wrong]]] = {}
    for column, found in wrong:
        kinds.setdefault(found.kind, []).append((column, found))
    parts, remedies = [], []
    for kind, members in kinds.items():
        column, found = members[0]
        where = column.where()
        if len(members) > 1:
            where = f" in {len(members)} columns: {_listed([str(column) for column, _ in members])}"
        if found.among_others:
            where += f" (first: {cut(column[found.at])} in {column.row(found.at)})"
        parts.append(kind + where)
        remedies.append(_remedy(table, kind, _listed([column.label for column, _ in members]), name))
    return TypeError(f"{name} must hold real numbers, got {'; '.join(parts)}. {'. '.join(remedies)}.")


def _listed(labels: Sequence[str]) -> str:
    return ", ".join(labels[:LISTED]) + (", ..." if len(labels) > LISTED else "")


def _remedy(table: Any, kind: str, labels: str, name: str) -> str:
    polars = _is_polars(table)
    if kind == DATES:
        return "Turn dates into numbers, such as days since the first, or leave them out"
    if kind == TEXT and not labels:
        return f"Number the classes: numpy.unique({name}, return_inverse=True)[1]"
    if kind == TEXT:
        dummies = (
            f"{name}.to_dummies([{labels}])" if polars else f"pandas.get_dummies({name}, columns=[{labels}])"
        )
        return f"Encode text: {dummies}, or leave it out"
    if kind in (NUMBERS_AS_TEXT, "Decimal objects"):
        chosen = f"[[{labels}]]" if labels else ""
        return f"Convert them: {name}{chosen}.{'cast(polars.Float64)' if polars else 'astype(float)'}"
    return "Turn them into numbers, or leave them out"


def _plain(label: Any) -> Any:
    """A label without NumPy's type in its representation."""
    return label.item() if isinstance(label, np.generic) else label


def _is_pandas(values: object) -> bool:
    pandas: Any = sys.modules.get("pandas")
    if not hasattr(pandas, "MultiIndex") or isinstance(values, pandas.MultiIndex):
        return False
    return isinstance(
        values, pandas.DataFrame | pandas.Series | pandas.Index | pandas.api.extensions.ExtensionArray
    )


def _is_polars(values: object) -> bool:
    polars: Any = sys.modules.get("polars")
    return hasattr(polars, "Series") and isinstance(values, polars.DataFrame | polars.Series)
