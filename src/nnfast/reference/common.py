"""What the tables and functions of the reference share: names of rows, shapes, types."""

from __future__ import annotations

from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from ..names import unknown_name

Array = NDArray[np.floating[Any]]
Targets = NDArray[np.generic]
Row = TypeVar("Row")


def row(kind: str, name: str, table: dict[str, Row]) -> Row:
    """The row of that name; ValueError, with the nearest one, if there is none."""
    if name not in table:
        raise unknown_name(kind, name, table)
    return table[name]


def check_shape(name: str, array: Array, shape: tuple[int, ...]) -> None:
    """What NumPy would broadcast is an error here, as it is in the engine."""
    if not isinstance(array, np.ndarray) or array.dtype.kind != "f":
        received = getattr(array, "dtype", type(array).__name__)
        raise TypeError(f"{name}: expected an array of floats of shape {shape}, received {received}")
    if array.shape != shape:
        raise ValueError(f"{name}: expected shape {shape}, received {array.shape}")
