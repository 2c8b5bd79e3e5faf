"""Activations as layers under Keras' names, each with its own arguments; `Activation(name)` is in `core`."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Final

from .. import activations
from ..graph import Op
from .base import Layer, Shape
from .core import add_activation


class _Elementwise(Layer):
    """A layer that applies one activation, which follows from the arguments."""

    def _function(self) -> activations.Activation:
        return activations.linear

    def add_ops(self, ops: list[Op], shape: Shape) -> None:
        add_activation(ops, self._function(), self.name, shape)


class Softmax(_Elementwise):
    """The softmax of each row.

    Parameters
    ----------
    axis : int, default -1
        The last one, which is the only one that rows have.
    name, input_shape, trainable
        As for every layer.

    Examples
    --------
    >>> from nnfast import Sequential, layers
    >>> model = Sequential([layers.Input((2,)), layers.Dense(3), Softmax()], seed=0)
    >>> round(float(model.predict([[1.0, 2.0]]).sum()), 5)
    1.0
    """

    axis: Final[int]

    def __init__(
        self,
        axis: int = -1,
        name: str | None = None,
        input_shape: Sequence[int] | None = None,
        trainable: bool = True,
    ) -> None:
        if axis not in (-1, 1):
            raise ValueError(f"axis must be -1, the outputs of a row, got {axis!r}.")
        super().__init__(name, input_shape, trainable)
        self.axis = axis

    def _function(self) -> activations.Activation:
        return activations.softmax

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "axis": self.axis}


class ReLU(_Elementwise):
    """max(z, 0), or below 0 `negative_slope` z.

    Parameters
    ----------
    max_value : None
        Keras' upper bound, which there is not here.
    negative_slope : float, default 0.0
    threshold : float, default 0.0
        0; Keras' others are out.
    name, input_shape, trainable
        As for every layer.
    """

    negative_slope: Final[float]

    def __init__(
        self,
        max_value: None = None,
        negative_slope: float = 0.0,
        threshold: float = 0.0,
        name: str | None = None,
        input_shape: Sequence[int] | None = None,
        trainable: bool = True,
    ) -> None:
        if max_value is not None or threshold != 0:
            raise ValueError(
                f"ReLU has no max_value and no threshold here, got {max_value!r} and {threshold!r}. Leave them out."
            )
        super().__init__(name, input_shape, trainable)
        self.negative_slope = _checked("negative_slope", negative_slope)

    def _function(self) -> activations.Activation:
        return _leaky(self.negative_slope)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "negative_slope": self.negative_slope}


class LeakyReLU(_Elementwise):
    """z above 0, else `negative_slope` z.

    Parameters
    ----------
    negative_slope : float, default 0.3
        At least 0.
    name, input_shape, trainable
        As for every layer.
    """

    negative_slope: Final[float]

    def __init__(
        self,
        negative_slope: float = 0.3,
        name: str | None = None,
        input_shape: Sequence[int] | None = None,
        trainable: bool = True,
    ) -> None:
        super().__init__(name, input_shape, trainable)
        self.negative_slope = _checked("negative_slope", negative_slope)

    def _function(self) -> activations.Activation:
        return _leaky(self.negative_slope)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "negative_slope": self.negative_slope}


class ELU(_Elementwise):
    """z above 0, else alpha (exp(z) - 1).

    Parameters
    ----------
    alpha : float, default 1.0
        At least 0.
    name, input_shape, trainable
        As for every layer.
    """

    alpha: Final[float]

    def __init__(
        self,
        alpha: float = 1.0,
        name: str | None = None,
        input_shape: Sequence[int] | None = None,
        trainable: bool = True,
    ) -> None:
        super().__init__(name, input_shape, trainable)
        self.alpha = _checked("alpha", alpha)

    def _function(self) -> activations.Activation:
        return activations.Elu(self.alpha) if self.alpha else activations.relu

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "alpha": self.alpha}


def _leaky(slope: float) -> activations.Activation:
    return activations.LeakyRelu(slope) if slope else activations.relu


def _checked(name: str, value: float) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < math.inf:
        raise ValueError(f"{name} must be a finite number of at least 0, got {value!r}.")
    return float(value)
