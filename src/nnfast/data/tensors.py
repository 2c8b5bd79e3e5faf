"""Arrays and numbers with the few methods that a script calls on a tensor or a variable: `numpy()`, `assign`.

They are NumPy arrays and Python floats in every other respect.
"""

from __future__ import annotations

from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray


class Tensor(np.ndarray[Any, np.dtype[Any]]):
    """An array that a script may take for a tensor.

    Examples
    --------
    >>> tensor([1.0, 3.0]).mean().numpy()
    array(2., dtype=float32)
    """

    def numpy(self) -> NDArray[Any]:
        """The same values as a plain array, not copied."""
        return np.asarray(self)

    def assign(self, value: ArrayLike) -> Self:
        """Overwrite the values, in place.

        Raises
        ------
        ValueError
            Another shape.
        """
        given = np.asarray(value)
        if given.shape != self.shape:
            raise ValueError(f"value must have shape {self.shape}, got {given.shape}.")
        self[...] = given
        return self

    def __array_wrap__(self, array: NDArray[Any], context: Any = None, return_scalar: bool = False) -> Any:
        return array.view(type(self))  # also where NumPy would give a bare number


class Scalar(float):
    """A number that a script may take for a tensor of no axes."""

    def numpy(self) -> np.float32:
        """The number in single precision."""
        return np.float32(self)

    def __reduce__(self) -> tuple[type[float], tuple[float]]:
        return float, (float(self),)


class Variable(Scalar):
    """A number that belongs to an object, which `assign` sets there."""

    _owner: object
    _name: str

    def __new__(cls, value: float, owner: object, name: str) -> Self:
        variable = super().__new__(cls, value)
        variable._owner, variable._name = owner, name
        return variable

    def assign(self, value: Any) -> None:
        """Set the attribute that this number was read from."""
        setattr(self._owner, self._name, float(value))


def tensor(value: Any, dtype: Any = None) -> Tensor:
    """An array of what Keras would make of it: Python's floats in single precision, its integers in 32 bits,
    arrays in their own dtype."""
    if dtype is None and not hasattr(value, "dtype"):
        array = np.asarray(value)
        dtype = {"f": np.float32, "i": np.int32}.get(array.dtype.kind)
        return array.astype(dtype, copy=False).view(Tensor) if dtype else array.view(Tensor)
    return np.asarray(value, dtype).view(Tensor)
