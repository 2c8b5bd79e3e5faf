"""The layers of a dense network: Input, Flatten, Dense, Activation.

Weights live in the model's network; `kernel` and `bias` are fresh views of them at each access. A linear Dense
followed by Activation is one op, so that its loss can be fused.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from .. import activations, initializers
from ..data.arrays import Floats
from ..data.tensors import Tensor
from ..errors import cut
from ..graph import Op
from ..names import serialize
from .base import Layer, Setting, Shape


class InputLayer(Layer):
    """The shape of one sample, as first of a model; it is not counted among `model.layers`.

    Parameters
    ----------
    shape : sequence of int
        Without the batch: (784,) or (28, 28).
    name : str, optional
    input_shape : sequence of int, optional
        Another name for `shape`, of older Keras.
    trainable : bool, default True
        It has no weights.
    """

    def __init__(
        self,
        shape: Sequence[int] | None = None,
        name: str | None = None,
        input_shape: Sequence[int] | None = None,
        trainable: bool = True,
    ) -> None:
        shape = input_shape if shape is None else shape
        if shape is None:
            raise ValueError(
                "InputLayer needs a shape, that of one sample without the batch: InputLayer((784,))."
            )
        super().__init__(name, shape, trainable)


def Input(shape: Sequence[int], name: str | None = None) -> InputLayer:
    """The shape of one sample, as first of a `Sequential`.

    Examples
    --------
    >>> Input(shape=(784,)).input_shape
    (784,)
    """
    return InputLayer(shape, name=name)


class Flatten(Layer):
    """Turns samples of any shape into rows, in C order: (N, 28, 28) into (N, 784)."""

    def output_shape(self, shape: Shape) -> Shape:
        return (math.prod(shape),)


def _checked_units(units: object) -> int:
    if not isinstance(units, int | np.integer) or isinstance(units, bool) or units < 1:
        raise ValueError(f"units must be a whole number > 0, got {cut(units)}.")
    return int(units)


class _Activated(Layer):
    """A layer with an activation.

    Setting it takes effect at once, also in a model that is built and compiled: the network is made anew with
    the same weights and the same state of the optimizer, and it is decided again whether loss and activation
    are computed together.
    """

    _activation = activations.linear

    @property
    def activation(self) -> activations.Activation:
        return self._activation

    @activation.setter
    def activation(self, activation: object) -> None:
        chosen = activations.get(activation)
        with self._use():
            before, self._activation = self._activation, chosen
            try:
                if (model := self._owner()) is not None and chosen != before:
                    model._rebuild("activation")
            except BaseException:
                self._activation = before
                raise


class Dense(_Activated):
    """`activation(x W + b)` with W of shape (inputs, units) and b of shape (units,).

    Parameters
    ----------
    units : int
        Number of outputs.
    activation : str or Activation, optional
        None is linear.
    use_bias : bool, default True
    kernel_initializer : default "glorot_uniform"
    bias_initializer : default "zeros"
    name : str, optional
    input_shape : sequence of int, optional
        Shape of one sample, on the first layer of a model.
    input_dim : int, optional
        The same for rows: `input_dim=784` is `input_shape=(784,)`.
    trainable : bool, default True
        False: training leaves kernel and bias as they are.

    Attributes
    ----------
    units, use_bias, kernel_initializer, bias_initializer
        May be set until the layer has weights.
    activation : Activation
        May be set at any time but during a fit; a model that is built computes with it from then on, its
        weights and the state of its optimizer stay.
    kernel, bias : ndarray
        A fresh view at each access: what is written into it is trained on.

    Raises
    ------
    ValueError
        `units` is not a whole number > 0; an unknown name.

    Examples
    --------
    >>> from nnfast import Sequential
    >>> model = Sequential([Input((4,)), Dense(3, activation="relu")], seed=0)
    >>> model.layers[0].kernel.shape, model.layers[0].bias.shape
    ((4, 3), (3,))
    """

    def __init__(
        self,
        units: int,
        activation: object = None,
        use_bias: bool = True,
        kernel_initializer: object = "glorot_uniform",
        bias_initializer: object = "zeros",
        *,
        name: str | None = None,
        input_shape: Sequence[int] | None = None,
        input_dim: int | None = None,
        trainable: bool = True,
    ) -> None:
        if input_dim is not None and input_shape is not None:
            raise ValueError(
                f"input_dim={input_dim!r} and input_shape={input_shape!r} say the same. Leave one of them out."
            )
        super().__init__(name, (input_dim,) if input_dim is not None else input_shape, trainable)
        self.units = _checked_units(units)
        self.activation = activations.get(activation)
        self.use_bias = bool(use_bias)
        self.kernel_initializer = initializers.get(kernel_initializer)
        self.bias_initializer = initializers.get(bias_initializer)

    units = Setting(_checked_units)
    use_bias = Setting(bool)
    kernel_initializer = Setting(initializers.get)
    bias_initializer = Setting(initializers.get)

    @property
    def kernel(self) -> Floats:
        """View of W, (inputs, units)."""
        return self._built()[0].view(Tensor)

    @property
    def bias(self) -> Floats | None:
        """View of b, (units,); None without bias."""
        return self._built()[1].view(Tensor) if self.use_bias else None

    def _built(self) -> list[Floats]:
        if not self._drawn():
            raise ValueError(
                f"layer {self.name!r} has no weights before its model is built. "
                "Begin the model with layers.Input(shape)."
            )
        return self._tensors

    def output_shape(self, shape: Shape) -> Shape:
        super().output_shape(shape)
        return (self.units,)

    def add_ops(self, ops: list[Op], shape: Shape) -> None:
        name, parameter = self.activation.name, self.activation.parameter or 0.0
        ops.append(Op("dense", self.units, self.name, name, parameter, self.use_bias))

    def initial_weights(self, shape: Shape, seed: int, stream: int) -> list[Floats]:
        weights = [self.kernel_initializer.initial((*shape, self.units), seed, stream)]
        if self.use_bias:
            weights.append(self.bias_initializer.initial((self.units,), seed, stream + 1))
        return weights

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "units": self.units,
            "activation": self.activation.get_config(),
            "use_bias": self.use_bias,
            "kernel_initializer": serialize(self.kernel_initializer),
            "bias_initializer": serialize(self.bias_initializer),
        }


class Activation(_Activated):
    """An activation as a layer of its own.

    Parameters
    ----------
    activation : str or Activation
        May be set later, as that of a Dense.
    name : str, optional
    input_shape : sequence of int, optional
        Shape of one sample, on the first layer of a model.
    trainable : bool, default True
        It has no weights.
    """

    def __init__(
        self,
        activation: object,
        name: str | None = None,
        input_shape: Sequence[int] | None = None,
        trainable: bool = True,
    ) -> None:
        super().__init__(name, input_shape, trainable)
        self.activation = activations.get(activation)

    def add_ops(self, ops: list[Op], shape: Shape) -> None:
        add_activation(ops, self.activation, self.name, shape)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "activation": self.activation.get_config()}


def add_activation(ops: list[Op], activation: activations.Activation, layer: str, shape: Shape) -> None:
    """Add to ops what a layer does that applies an activation and nothing else."""
    if activation == activations.linear:
        return
    name, parameter = activation.name, activation.parameter or 0.0
    if ops and ops[-1].kind == "dense" and ops[-1].activation == activations.linear.name:
        ops[-1] = ops[-1]._replace(
            activation=name, parameter=parameter
        )  # one op, so that its loss can be fused
    else:
        ops.append(Op("activation", shape[0], layer, name, parameter))
