"""What came in the place of an array of numbers, in words, and what to do about it.

Only errors come through here, and columns of Python objects, so that elements may be looked at one by one.
Rows and columns in messages count from 0.
"""

from __future__ import annotations

import datetime
import decimal
import math
import numbers
from collections.abc import Iterable, Iterator, Mapping, Set
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..errors import cut

TEXT = "text"
NUMBERS_AS_TEXT = "numbers written as text"
DATES = "dates or times"

_DATES = (datetime.date, datetime.time, datetime.timedelta, np.datetime64, np.timedelta64)


def is_missing(element: object) -> bool:
    """None, NaN, and the pd.NA and NaT of pandas, which need not be there."""
    if element is None or type(element).__name__ in ("NAType", "NaTType"):
        return True
    if isinstance(element, np.datetime64 | np.timedelta64):
        return bool(np.isnat(element))
    if isinstance(element, decimal.Decimal):
        return element.is_nan()
    return isinstance(element, float | np.floating) and math.isnan(element)


def _kind(element: object) -> str:
    """What an element is in an array of numbers; "" for a real number."""
    if isinstance(element, _DATES) or type(element).__name__ == "Period":
        return DATES
    if isinstance(element, numbers.Real | np.bool_):
        return ""
    if isinstance(element, str | bytes):
        return NUMBERS_AS_TEXT if _spells_number(element) else TEXT
    return f"{type(element).__name__} objects"


def _spells_number(text: str | bytes) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


class Wrong(NamedTuple):
    """The elements that are no real numbers: their kind, and where the first such is."""

    kind: str
    at: int
    among_others: bool


def not_numbers(elements: Iterable[object]) -> Wrong | None:
    """What keeps elements from being real numbers, None if nothing does; missing ones are passed over.

    Examples
    --------
    >>> not_numbers([1, "?", None])
    Wrong(kind='text', at=1, among_others=True)
    >>> not_numbers(["1.5", "2"]).kind, not_numbers([1, None, True])
    ('numbers written as text', None)
    """
    first: dict[str, int] = {}
    for index, element in enumerate(elements):
        if not is_missing(element):
            first.setdefault(_kind(element), index)
    kinds = sorted(first.keys() - {""}, key=lambda kind: (kind != TEXT, kind == NUMBERS_AS_TEXT, first[kind]))
    return Wrong(kinds[0], first[kinds[0]], len(first) > 1) if kinds else None


def place(index: int, shape: tuple[int, ...]) -> str:
    """Where an element is that has this index among all of them.

    Examples
    --------
    >>> place(5, (3, 2))
    ' in row 2, column 1'
    """
    if not shape:
        return ""
    row, *rest = map(int, np.unravel_index(index, shape))
    if not rest:
        return f" in row {row}"
    return f" in row {row}, column {rest[0] if len(rest) == 1 else tuple(rest)}"


def missing(name: str, value: object, where: str) -> ValueError:
    """The error for a value that is not there."""
    return ValueError(
        f"{name} must have a value everywhere, got {value}{where}. Remove such rows, or fill them in."
    )


def not_finite(name: str, value: Any, where: str) -> ValueError:
    """The error for a value that is NaN or infinite, at the latest as float32."""
    if np.isfinite(value):
        return ValueError(
            f"{name} must fit into float32 (up to 3.4e38), got {value:g}{where}. Scale it first."
        )
    return ValueError(
        f"{name} must be finite, got {value}{where}. Remove such rows, or fill them in (numpy.nan_to_num)."
    )


def masked(array: np.ma.MaskedArray[Any, Any], name: str) -> ValueError:
    """The error for a masked array with masked elements."""
    mask = np.ma.getmaskarray(array)
    where = place(int(mask.argmax()), mask.shape)
    return ValueError(
        f"{name} must have a value everywhere, got a masked array, masked{where}. Fill it: {name}.filled(0)."
    )


def no_array(values: object, name: str) -> TypeError:
    """The error for an object that is not even an array."""
    kind = type(values).__name__
    what = f"{'an' if kind[0].lower() in 'aeiou' else 'a'} {kind}"
    remedy = "Pass an array, a list or a DataFrame"
    if values is None:
        what = "None"
    elif isinstance(values, type):
        what = f"the class {values.__name__}"
    elif isinstance(values, Mapping):
        remedy += f": numpy.column_stack(list({name}.values()))"
    elif isinstance(values, Set):
        remedy += ": a set has no order"
    elif isinstance(values, Iterable) and not isinstance(values, str | bytes):
        what = f"an iterator, {kind}" if isinstance(values, Iterator) and kind != "generator" else what
        remedy += f": list({name})"
    return TypeError(f"{name} must hold real numbers, got {what}. {remedy}.")


def no_numbers(values: object, array: NDArray[Any], name: str) -> Exception:
    """The error for an array, or what became one, of anything but real numbers."""
    if array.ndim == 0 and array.dtype.kind in "OUST" and not isinstance(values, np.ndarray):
        return no_array(values, name)
    expression = name if isinstance(values, np.ndarray) else f"numpy.asarray({name})"
    if array.dtype.kind == "O":
        return _objects(array, name, expression)
    what = f"dtype {array.dtype}"
    if array.dtype.kind in "UST":
        remedy = "Encode it: numpy.unique(..., return_inverse=True) numbers classes"
        wrong = not_numbers(array.ravel().tolist())
        if wrong and wrong.kind == NUMBERS_AS_TEXT:
            what = f"{what}, {NUMBERS_AS_TEXT}"
            remedy = f"Convert it: {expression}.astype(float)"
    elif array.dtype.kind in "Mm":
        what = f"{what}, {DATES}"
        unit = "numpy.timedelta64(1, 'D')"
        remedy = "Convert it to a number of days: "
        remedy += (
            f"({expression} - {expression}.min()) / {unit}"
            if array.dtype.kind == "M"
            else f"{expression} / {unit}"
        )
    elif array.dtype.names:
        what = f"an array with the fields {', '.join(array.dtype.names)}"
        remedy = f"Convert it: numpy.lib.recfunctions.structured_to_unstructured({expression})"
    elif array.dtype.kind == "c":
        remedy = "Use its real part or its absolute value"
    else:
        remedy = "Pass an array of bools, integers or floats"
    return TypeError(f"{name} must hold real numbers, got {what}. {remedy}.")


def _objects(array: NDArray[Any], name: str, expression: str) -> Exception:
    elements = array.ravel().tolist()
    wrong = not_numbers(elements)
    remedy = f"Convert it: {expression}.astype(float)"
    if wrong is None:
        index = next((index for index, element in enumerate(elements) if is_missing(element)), None)
        if index is not None:
            return missing(name, elements[index], place(index, array.shape))
        return TypeError(f"{name} must hold real numbers, got dtype object with numbers in it. {remedy}.")
    element = elements[wrong.at]
    if wrong.kind == TEXT:
        remedy = "Encode it: numpy.unique(..., return_inverse=True) numbers classes"
    elif wrong.kind == DATES:
        remedy = "Convert it to a number of days, or leave it out"
    elif isinstance(element, list | tuple | np.ndarray):
        remedy = f"Rows of one length become an array with numpy.stack({name}); pad or trim others"
    return TypeError(
        f"{name} must hold real numbers, got dtype object with {wrong.kind} in it "
        f"({cut(element)}{place(wrong.at, array.shape)}). {remedy}."
    )
