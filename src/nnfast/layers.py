"""What a model is made of: the structure of dense layers, with no arithmetic.

A layer says how shapes pass through it and which rows of the engine it becomes. Its weights live in the
model's network; `kernel` and `bias` are views of them. A linear Dense followed by Activation is one layer of
the engine, so that its loss can be fused.
"""

from __future__ import annotations

import math
import weakref
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import ArrayLike

from . import activations, arrays, initializers
from .arrays import Floats
from .names import resolve, serialize, snake_case, unknown_attribute

if TYPE_CHECKING:
    from .models import Sequential

Shape = tuple[int, ...]
Spec = tuple[int, str, float, bool, bool]
"""One layer of the engine: units, activation, its parameter, whether it has a kernel, whether it has a
bias."""


class Layer:
    """Base of the layers.

    Parameters
    ----------
    name : str, optional
        Unique within a model; by default the class name in lower case, numbered by the model ("dense",
        "dense_1").
    input_shape : sequence of int, optional
        Shape of one sample, on the first layer of a model, in place of an `Input`.
    """

    def __init__(self, name: str | None = None, input_shape: Sequence[int] | None = None) -> None:
        self.name = name or snake_case(type(self).__name__)
        self.named_by_user = name is not None
        self.input_shape = None if input_shape is None else checked_shape(input_shape)
        self.tensors: list[Floats] = []  # the weights, where there are any yet
        self._model: weakref.ref[Sequential] | None = None

    def attach(self, model: Sequential) -> None:
        """Make this layer part of a model.

        Raises
        ------
        ValueError
            It is part of another one: its weights would have to be in two places.
        """
        owner = None if self._model is None else self._model()
        if owner is not None and owner is not model:
            raise ValueError(
                f"layer {self.name!r} already belongs to the model {owner.name!r}. Make a new one, "
                f"{type(self).__name__}.from_config(layer.get_config()), and copy the weights."
            )
        self._model = weakref.ref(model)

    def detach(self) -> None:
        """Undo `attach`: the layer keeps a copy of its weights."""
        self.tensors = self.get_weights()
        self._model = None

    @property
    def weights(self) -> list[Floats]:
        """Kernel and bias as views of the model's parameters; none before the model is built."""
        model = None if self._model is None else self._model()
        if model is not None and not self.tensors:
            model.build_early()
        return self.tensors

    def output_shape(self, shape: Shape) -> Shape:
        """Shape of one sample after this layer.

        Raises
        ------
        ValueError
            The layer cannot take samples of this shape.
        """
        if len(shape) != 1:
            raise ValueError(
                f"layer {self.name!r} takes rows of shape (features,), got samples of shape {shape}. "
                "Add layers.Flatten() before it."
            )
        return shape

    def extend(self, specs: list[Spec], shape: Shape) -> None:
        """Add this layer, for samples of `shape`, to those of the engine."""

    def initial_weights(self, shape: Shape, seed: int, stream: int) -> list[Floats]:
        """New weights for samples of `shape`; `stream` is the index of the first of them in the model."""
        return []

    def get_weights(self) -> list[Floats]:
        """Copies of kernel and bias."""
        return [weight.copy() for weight in self.weights]

    def set_weights(self, weights: Sequence[ArrayLike]) -> None:
        """Overwrite kernel and bias.

        Raises
        ------
        ValueError
            Another number of arrays, or another shape; then nothing is written.
        """
        arrays.assign(self.weights, weights, f"layer {self.name!r}")

    def count_params(self) -> int:
        """Number of weights, 0 before the model is built."""
        return sum(weight.size for weight in self.weights)

    def get_config(self) -> dict[str, Any]:
        """Arguments of the constructor, JSON-able."""
        config: dict[str, Any] = {"name": self.name}
        if self.input_shape is not None:
            config["input_shape"] = list(self.input_shape)
        return config

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        """A new layer from `get_config()`, with no weights."""
        return cls(**config)

    def __getstate__(self) -> dict[str, Any]:
        return {**vars(self), "tensors": self.get_weights(), "_model": None}

    def __repr__(self) -> str:
        return f"<{type(self).__name__} name={self.name}>"


def checked_shape(shape: object) -> Shape:
    """The shape of one sample as a tuple of int."""
    sizes = list(shape) if isinstance(shape, Iterable) else []
    if not sizes or not all(isinstance(size, int | np.integer) and size > 0 for size in sizes):
        raise ValueError(
            f"input shape must be a tuple of sizes > 0, that of one sample without the batch, got {shape!r}."
        )
    return tuple(int(size) for size in sizes)


class InputLayer(Layer):
    """The shape of one sample, as first of a model; it is not counted among `model.layers`.

    Parameters
    ----------
    shape : sequence of int
        Without the batch: (784,) or (28, 28).
    name : str, optional
    input_shape : sequence of int, optional
        Another name for `shape`, of older Keras.
    """

    def __init__(
        self,
        shape: Sequence[int] | None = None,
        name: str | None = None,
        input_shape: Sequence[int] | None = None,
    ) -> None:
        shape = input_shape if shape is None else shape
        if shape is None:
            raise ValueError(
                "InputLayer needs a shape, that of one sample without the batch: InputLayer((784,))."
            )
        super().__init__(name, shape)


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


class Dense(Layer):
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
    ) -> None:
        super().__init__(name, (input_dim,) if input_dim is not None else input_shape)
        if not isinstance(units, int | np.integer) or isinstance(units, bool) or units < 1:
            raise ValueError(f"units must be a whole number > 0, got {units!r}.")
        self.units = int(units)
        self.activation = activations.get(activation)
        self.use_bias = bool(use_bias)
        self.kernel_initializer = initializers.get(kernel_initializer)
        self.bias_initializer = initializers.get(bias_initializer)

    @property
    def kernel(self) -> Floats:
        """View of W, (inputs, units)."""
        return self._built()[0]

    @property
    def bias(self) -> Floats | None:
        """View of b, (units,); None without bias."""
        return self._built()[1] if self.use_bias else None

    def _built(self) -> list[Floats]:
        if not self.weights:
            raise ValueError(
                f"layer {self.name!r} has no weights before its model is built. "
                "Begin the model with layers.Input(shape)."
            )
        return self.weights

    def output_shape(self, shape: Shape) -> Shape:
        super().output_shape(shape)
        return (self.units,)

    def extend(self, specs: list[Spec], shape: Shape) -> None:
        specs.append(
            (self.units, self.activation.name, self.activation.parameter or 0.0, True, self.use_bias)
        )

    def initial_weights(self, shape: Shape, seed: int, stream: int) -> list[Floats]:
        weights = [self.kernel_initializer((*shape, self.units), seed, stream)]
        if self.use_bias:
            weights.append(self.bias_initializer((self.units,), seed, stream + 1))
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


class Activation(Layer):
    """An activation as a layer of its own.

    Parameters
    ----------
    activation : str or Activation
    name : str, optional
    input_shape : sequence of int, optional
        Shape of one sample, on the first layer of a model.
    """

    def __init__(
        self, activation: object, name: str | None = None, input_shape: Sequence[int] | None = None
    ) -> None:
        super().__init__(name, input_shape)
        self.activation = activations.get(activation)

    def extend(self, specs: list[Spec], shape: Shape) -> None:
        if self.activation == activations.linear:
            return
        units, has_kernel, use_bias = shape[0], False, False
        if specs and specs[-1][1] == activations.linear.name:
            units, _, _, has_kernel, use_bias = specs.pop()
        specs.append((units, self.activation.name, self.activation.parameter or 0.0, has_kernel, use_bias))

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "activation": self.activation.get_config()}


_KNOWN: dict[str, type[Layer]] = {
    snake_case(cls.__name__): cls for cls in (InputLayer, Flatten, Dense, Activation)
}


def get(identifier: object) -> Layer:
    """The layer for an object or a saved configuration.

    Raises
    ------
    TypeError
        It is neither: a class without its arguments, or a layer of Keras itself.
    """
    if isinstance(identifier, str | type):
        raise TypeError(f"a layer must be an object such as layers.Dense(10), got {identifier!r}.")
    return resolve("layer", identifier, Layer, _KNOWN)


def __getattr__(name: str) -> Any:
    raise unknown_attribute(__name__, name, ["Input", *(cls.__name__ for cls in _KNOWN.values())])
