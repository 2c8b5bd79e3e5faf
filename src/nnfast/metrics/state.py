"""What a metric keeps between two updates: arrays that are changed in place, as Keras' variables are."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.lib.mixins import NDArrayOperatorsMixin
from numpy.typing import ArrayLike, NDArray


class Variable(NDArrayOperatorsMixin):
    """An array that NumPy takes as one, with the methods that metrics of Keras call on their state.

    Parameters
    ----------
    value : array_like
        Kept in float64 where it is a float: sums over many rows lose nothing.
    name : str, optional

    Examples
    --------
    >>> total = Variable(0.0, "total")
    >>> total.assign_add(2.5)
    Variable(2.5, name='total')
    >>> float(total / 2)
    1.25
    """

    __slots__ = ("_value", "name")

    def __init__(self, value: ArrayLike, name: str | None = None) -> None:
        array = np.array(value)
        self._value = array.astype(np.float64) if array.dtype.kind == "f" else array
        self.name = name

    @property
    def shape(self) -> tuple[int, ...]:
        return self._value.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        return self._value.dtype

    @property
    def value(self) -> NDArray[Any]:
        """A copy."""
        return self._value.copy()

    def numpy(self) -> NDArray[Any]:
        """A copy."""
        return self._value.copy()

    def assign(self, value: ArrayLike) -> Variable:
        """Overwrite the values; one number fills an array."""
        self._value[...] = value
        return self

    def assign_add(self, value: ArrayLike) -> Variable:
        return self.assign(self._value + np.asarray(value))

    def assign_sub(self, value: ArrayLike) -> Variable:
        return self.assign(self._value - np.asarray(value))

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        return np.array(self._value, dtype)

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **kwargs: Any) -> Any:
        return getattr(ufunc, method)(
            *(part._value if isinstance(part, Variable) else part for part in inputs), **kwargs
        )

    def __getitem__(self, key: Any) -> Any:
        return self._value[key]

    def __len__(self) -> int:
        return len(self._value)

    def __float__(self) -> float:
        return float(self._value)

    def __int__(self) -> int:
        return int(self._value)

    def __bool__(self) -> bool:
        return bool(self._value)

    def __repr__(self) -> str:
        return f"Variable({self._value.tolist()!r}, name={self.name!r})"
