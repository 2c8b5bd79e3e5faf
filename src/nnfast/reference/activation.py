"""Activations (csrc/activation.h): one row each. Both functions work in place: z becomes a, and da becomes dz with
the slope as a function of a. To add one, write its line at the end."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from .common import Array, check_shape
from .common import row as row_of

if TYPE_CHECKING:
    from ..kernels import ActivationLike


class Activation(NamedTuple):
    """A row: `forward(z, parameter)`, `backward(da, a, parameter)`; what the tests want to know of it; and the
    parameter's default, if any."""

    forward: Callable[[Array, float], object]
    backward: Callable[[Array, Array, float], object]
    saturation: tuple[float, float, float]
    """What a row of -1e4, 0 and 1e4 becomes."""
    parameter: float | None = None
    sample: tuple[float, float] = (-3.0, 3.0)
    """Where z lies for the activation to show."""
    kinks: tuple[float, ...] = ()
    """Where it has no derivative."""


def _keep(*_: object) -> None:
    """The linear activation, both ways."""


def _relu_forward(z: Array, parameter: float) -> None:
    np.maximum(z, 0.0, out=z)  # keeps NaN


def _relu_backward(da: Array, a: Array, parameter: float) -> None:
    np.multiply(da, a > 0.0, out=da)


def sigmoid_forward(z: Array, slope: float) -> None:
    """1 / (1 + exp(-slope z)); where exp overflows to infinity the result is the 0 that it should be."""
    z *= -slope
    np.exp(z, out=z)
    z += 1.0
    np.reciprocal(z, out=z)


def _sigmoid_backward(da: Array, a: Array, slope: float) -> None:
    da *= slope * a * (1.0 - a)


def _tanh_forward(z: Array, parameter: float) -> None:
    np.tanh(z, out=z)


def _tanh_backward(da: Array, a: Array, parameter: float) -> None:
    da *= 1.0 - a * a


def _softmax_forward(z: Array, parameter: float) -> None:
    z -= z.max(axis=1, keepdims=True)
    np.exp(z, out=z)
    z /= z.sum(axis=1, keepdims=True)


def _softmax_backward(da: Array, a: Array, parameter: float) -> None:
    """dz = a (da - sum_k da_k a_k)"""
    da -= (da * a).sum(axis=1, keepdims=True)
    da *= a


def _leaky_relu_forward(z: Array, slope: float) -> None:
    np.multiply(z, slope, out=z, where=~(z > 0.0))


def _leaky_relu_backward(da: Array, a: Array, slope: float) -> None:
    np.multiply(da, slope, out=da, where=~(a > 0.0))


def _elu_forward(z: Array, alpha: float) -> None:
    below = ~(z > 0.0)
    z[below] = alpha * np.expm1(z[below])


def _elu_backward(da: Array, a: Array, alpha: float) -> None:
    """Below 0 the slope is alpha exp(z) = a + alpha."""
    np.multiply(da, a + alpha, out=da, where=~(a > 0.0))


ACTIVATIONS = {
    "linear": Activation(_keep, _keep, saturation=(-1e4, 0.0, 1e4)),
    "relu": Activation(_relu_forward, _relu_backward, saturation=(0.0, 0.0, 1e4), kinks=(0.0,)),
    "sigmoid": Activation(sigmoid_forward, _sigmoid_backward, saturation=(0.0, 0.5, 1.0), parameter=1.0),
    "tanh": Activation(_tanh_forward, _tanh_backward, saturation=(-1.0, 0.0, 1.0)),
    "softmax": Activation(_softmax_forward, _softmax_backward, saturation=(0.0, 0.0, 1.0)),
    "leaky_relu": Activation(
        _leaky_relu_forward,
        _leaky_relu_backward,
        saturation=(-2e3, 0.0, 1e4),
        parameter=0.2,
        kinks=(0.0,),
    ),
    "elu": Activation(_elu_forward, _elu_backward, saturation=(-1.0, 0.0, 1e4), parameter=1.0, kinks=(0.0,)),
}


def activation_row(activation: str | ActivationLike) -> tuple[Activation, float]:
    """Row and parameter; the parameter of a name is its default."""
    if isinstance(activation, str):
        row = row_of("activation", activation, ACTIVATIONS)
        return row, row.parameter or 0.0
    return row_of("activation", activation.name, ACTIVATIONS), activation.parameter or 0.0


@np.errstate(over="ignore", invalid="ignore")
def activation_forward(z: Array, activation: str | ActivationLike = "linear") -> Array:
    """a = activation(z), z of shape (B,O); z is kept.

    Examples
    --------
    >>> activation_forward(np.array([[-1.0, 0.0, 3.0]]), "relu")
    array([[0., 0., 3.]])
    """
    row, parameter = activation_row(activation)
    a = z.copy()
    row.forward(a, parameter)
    return a


@np.errstate(invalid="ignore")
def activation_backward(da: Array, a: Array, activation: str | ActivationLike = "linear") -> Array:
    """dz from da, for a = activation(z): da times the slope, a function of the output a; da is kept.

    The slope of ReLU at 0 is 0 (thesis, Fig. 4).

    Examples
    --------
    >>> a = np.array([[0.0, 0.5]])
    >>> activation_backward(np.ones_like(a), a, "sigmoid")
    array([[0.  , 0.25]])
    """
    row, parameter = activation_row(activation)
    check_shape("da", da, a.shape)
    dz = da.copy()
    row.backward(dz, a, parameter)
    return dz
