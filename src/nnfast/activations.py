"""The public names of the activation functions. Their formulas and slopes are in the C table
(csrc/activation.h); nothing is computed here.

An activation is accepted as a name ("relu"), as the object of that name in this module (`activations.relu`)
or, where it takes a parameter, as one made with it (`activations.Sigmoid(slope=2.0)`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from . import _core, kernels
from .data import arrays
from .errors import cut
from .names import unknown_attribute, unknown_name


@dataclass(frozen=True)
class Activation:
    """One row of the engine's table of activations, with its parameter.

    Parameters
    ----------
    name : str
        Name of the row.
    parameter : float, optional
        Parameter of the function; None means the default of the row.

    Raises
    ------
    ValueError
        Unknown name, or a parameter that is not finite or that the function does not take.

    Examples
    --------
    >>> Activation("relu")([-1.0, 2.0])
    array([0., 2.], dtype=float32)
    """

    name: str
    parameter: float | None = None

    def __post_init__(self) -> None:
        if self.name not in _core.ACTIVATIONS:
            raise unknown_name("activation", self.name, _core.ACTIVATIONS)
        default = _core.ACTIVATIONS[self.name]
        if self.parameter is None:
            object.__setattr__(self, "parameter", default)
        elif default is None:
            raise ValueError(
                f"activation {self.name!r} takes no parameter, got {self.parameter!r}. Leave it out."
            )
        elif not math.isfinite(self.parameter) or self.parameter <= 0:
            raise ValueError(
                f"the parameter of activation {self.name!r} must be finite and > 0, got {self.parameter!r}."
            )
        else:
            object.__setattr__(self, "parameter", float(self.parameter))

    def __call__(self, z: ArrayLike) -> NDArray[np.float32]:
        """Value for an array of logits (..., K) of any shape; softmax runs over the last axis."""
        logits = arrays.as_float32(z, "z")
        rows = logits.reshape(-1, logits.shape[-1] if logits.ndim else 1)
        return kernels.activation_forward(rows, self).reshape(logits.shape)

    def get_config(self) -> str | dict[str, Any]:
        """A name where the parameter is the default, else a dict: what `get` accepts."""
        if self.parameter == _core.ACTIVATIONS[self.name]:
            return self.name
        return {"name": self.name, "parameter": self.parameter}


linear = Activation("linear")
"""a = z"""
relu = Activation("relu")
"""a = max(z, 0); slope 0 at z = 0"""
sigmoid = Activation("sigmoid")
"""a = 1 / (1 + exp(-z))"""
tanh = Activation("tanh")
"""a = tanh(z)"""
softmax = Activation("softmax")
"""a_k = exp(z_k) / sum_j exp(z_j), over each row"""
leaky_relu = Activation("leaky_relu")
"""a = z above 0, else 0.2 z; slope 0.2 at z = 0"""
elu = Activation("elu")
"""a = z above 0, else exp(z) - 1"""


def LeakyRelu(negative_slope: float = 0.2) -> Activation:
    """A ReLU that lets through some of what is below 0: a = z above 0, else negative_slope z.

    Parameters
    ----------
    negative_slope : float, default 0.2
        Finite, > 0.

    Examples
    --------
    >>> LeakyRelu(0.5)([-1.0, 2.0])
    array([-0.5,  2. ], dtype=float32)
    """
    return Activation("leaky_relu", negative_slope)


def Elu(alpha: float = 1.0) -> Activation:
    """The exponential linear unit (Clevert et al., 2016): a = z above 0, else alpha (exp(z) - 1).

    Parameters
    ----------
    alpha : float, default 1.0
        Finite, > 0.

    Examples
    --------
    >>> Elu(2.0)([-1000.0, 3.0])
    array([-2.,  3.], dtype=float32)
    """
    return Activation("elu", alpha)


def Sigmoid(slope: float = 1.0) -> Activation:
    """The logistic function of a chosen slope, a = 1 / (1 + exp(-slope z)).

    Parameters
    ----------
    slope : float, default 1.0
        Finite, > 0. `tanh(z)` is `2 Sigmoid(2.0)(z) - 1`.

    Examples
    --------
    >>> Sigmoid(slope=2.0)
    Activation(name='sigmoid', parameter=2.0)
    """
    return Activation("sigmoid", slope)


def get(identifier: object) -> Activation:
    """The activation for a name, an `Activation`, the result of `Activation.get_config`, or None (linear).

    Raises
    ------
    ValueError
        The name is not known.
    TypeError
        The identifier is none of the above; functions of one's own cannot run in the engine.
    """
    if identifier is None:
        return linear
    if isinstance(identifier, Activation):
        return identifier
    if isinstance(identifier, str):
        return Activation(identifier)
    if isinstance(identifier, Mapping) and "name" in identifier:
        return Activation(**identifier)
    raise TypeError(
        f"activation must be a name or an object of nnfast.activations, got {cut(identifier)}. "
        f"Known: {', '.join(_core.ACTIVATIONS)}."
    )


def __getattr__(name: str) -> Any:
    raise unknown_attribute(
        __name__, name, [*_core.ACTIVATIONS, "Elu", "LeakyRelu", "Sigmoid", "Activation", "get"]
    )
