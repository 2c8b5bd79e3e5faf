"""What a model is made of: the structure of dense layers, with no arithmetic.

A layer says how shapes pass through it and which rows of the engine it becomes. Its weights live in the
model's network; `kernel` and `bias` are fresh views of them at each access. A linear Dense followed by Activation is one layer of
the engine, so that its loss can be fused.
"""

from __future__ import annotations

import math
import weakref
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any, ClassVar, Final, Generic, Self, TypeVar, overload

import numpy as np
from numpy.typing import ArrayLike

from . import activations, arrays, initializers
from .arrays import Floats
from .attributes import Guarded, refuse_ignored_methods
from .graph import Op
from .names import resolve, serialize, snake_case, unknown_attribute

if TYPE_CHECKING:
    from .models import Sequential

T = TypeVar("T")
Shape = tuple[int, ...]
"""One layer of the engine: units, activation, its parameter, whether it has a kernel, whether it has a
bias."""


class Setting(Generic[T]):
    """An argument of a layer's constructor that decides what its weights are: it may be set, checked, as long
    as there are none."""

    def __init__(self, check: Callable[[Any], T]) -> None:
        self.check = check

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    @overload
    def __get__(self, layer: None, cls: type) -> Self: ...
    @overload
    def __get__(self, layer: Layer, cls: type) -> T: ...
    def __get__(self, layer: Layer | None, cls: type) -> T | Self:
        if layer is None:
            return self
        value: T = vars(layer)[f"_{self.name}"]
        return value

    def __set__(self, layer: Layer, value: object) -> None:
        checked = self.check(value)
        if layer.has_weights:
            raise AttributeError(
                f"{type(layer).__name__}.{self.name} cannot be set: layer {layer.name!r} has weights already. "
                "Make a new layer and put it in its place.",
                name=self.name,
                obj=layer,
            )
        setattr(layer, f"_{self.name}", checked)


class Layer(Guarded):
    """Base of the layers.

    Parameters
    ----------
    name : str, optional
        Unique within a model; by default the class name in lower case, numbered by the model ("dense",
        "dense_1").
    input_shape : sequence of int, optional
        Shape of one sample, on the first layer of a model, in place of an `Input`.
    trainable : bool, default True
        False: training leaves the weights as they are.

    Attributes
    ----------
    name : str
        Setting it renames the layer; in a model two layers cannot have one name.
    trainable : bool
        Setting it takes effect from the next batch or fit on; the model need not be compiled again.

    Raises
    ------
    AttributeError
        Any other attribute is set.
    """

    input_shape: Final[Shape | None]
    _remedies: ClassVar = {
        "": "Make a new layer.",
        "input_shape": "Make a new layer with it, or begin the model with layers.Input(shape).",
        "weights": "Call layer.set_weights(values).",
        "kernel": "Write into it, layer.kernel[...] = values, or call layer.set_weights(values).",
        "bias": "Write into it, layer.bias[...] = values, or call layer.set_weights(values).",
    }

    def __init__(
        self, name: str | None = None, input_shape: Sequence[int] | None = None, trainable: bool = True
    ) -> None:
        self._name = name or snake_case(type(self).__name__)
        self._named_by_user = name is not None
        self._trainable = bool(trainable)
        self._tensors: list[Floats] = []  # the weights, where there are any yet
        self._model: weakref.ref[Sequential] | None = None
        self.input_shape = None if input_shape is None else checked_shape(input_shape)

    @property
    def name(self) -> str:
        return self._name

    @name.setter
    def name(self, name: str) -> None:
        if not isinstance(name, str) or not name:
            raise ValueError(f"the name of a layer must be a string of at least one character, got {name!r}.")
        with self._use():
            model = self._owner()
            if model is not None and any(layer.name == name for layer in model.layers if layer is not self):
                raise ValueError(
                    f"layers of a model must have different names, got {name!r} twice. Choose another one."
                )
            self._name, self._named_by_user = name, True

    @property
    def trainable(self) -> bool:
        return self._trainable

    @trainable.setter
    def trainable(self, trainable: bool) -> None:
        with self._use():
            before, self._trainable = self._trainable, bool(trainable)
            try:
                if (model := self._owner()) is not None:
                    model.freeze()
            except BaseException:
                self._trainable = before
                raise

    def _owner(self) -> Sequential | None:
        return None if self._model is None else self._model()

    def _use(self) -> AbstractContextManager[object]:
        """What holds the weights for this thread."""
        model = self._owner()
        return nullcontext() if model is None else model.use

    @property
    def has_weights(self) -> bool:
        """Whether its weights have been drawn."""
        return bool(self._tensors)

    def attach(self, model: Sequential) -> None:
        """Make this layer part of a model.

        Raises
        ------
        ValueError
            It is part of another one: its weights would have to be in two places.
        """
        refuse_ignored_methods(
            self,
            ("call", "__call__", "build", "compute_output_shape", "train_step"),
            "The engine runs nnfast's own layers only: compose layers.Dense, Activation, Dropout and Flatten.",
        )
        owner = self._owner()
        if owner is not None and owner is not model:
            raise ValueError(
                f"layer {self.name!r} already belongs to the model {owner.name!r}. Make a new one, "
                f"{type(self).__name__}.from_config(layer.get_config()), and copy the weights."
            )
        self._model = weakref.ref(model)

    def detach(self) -> None:
        """Undo `attach`: the layer keeps a copy of its weights."""
        self._tensors = self.get_weights()
        self._model = None

    def place(self, tensors: list[Floats]) -> None:
        """Have the weights lie in these arrays."""
        self._tensors = tensors

    @property
    def weights(self) -> tuple[Floats, ...]:
        """Kernel and bias as views of the model's parameters; none before the model is built."""
        return tuple(tensor.view() for tensor in self._drawn())

    def _drawn(self) -> list[Floats]:
        """The arrays themselves, drawn now where the model can be built."""
        model = self._owner()
        if model is not None and not self._tensors:
            model.build_early()
        return self._tensors

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

    def add_ops(self, ops: list[Op], shape: Shape) -> None:
        """Add to ops what this layer does to samples of `shape`."""

    def initial_weights(self, shape: Shape, seed: int, stream: int) -> list[Floats]:
        """New weights for samples of `shape`; `stream` is the index of the first of them in the model."""
        return []

    def get_weights(self) -> list[Floats]:
        """Copies of kernel and bias."""
        return [weight.copy() for weight in self._drawn()]

    def set_weights(self, weights: Sequence[ArrayLike]) -> None:
        """Overwrite kernel and bias.

        Raises
        ------
        ValueError
            Another number of arrays, or another shape; then nothing is written.
        RuntimeError
            The model is being trained by another thread.
        """
        with self._use():
            arrays.assign(self._drawn(), weights, f"layer {self.name!r}")

    def count_params(self) -> int:
        """Number of weights, 0 before the model is built."""
        return sum(weight.size for weight in self._drawn())

    def get_config(self) -> dict[str, Any]:
        """Arguments of the constructor, JSON-able."""
        config: dict[str, Any] = {"name": self.name}
        if not self.trainable:
            config["trainable"] = False
        if self.input_shape is not None:
            config["input_shape"] = list(self.input_shape)
        return config

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        """A new layer from `get_config()`, with no weights."""
        return cls(**config)

    def __getstate__(self) -> dict[str, Any]:
        with self._use():
            return {**vars(self), "_tensors": self.get_weights(), "_model": None}

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
        raise ValueError(f"units must be a whole number > 0, got {units!r}.")
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
                    model.rebuild("activation")
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
        return self._built()[0].view()

    @property
    def bias(self) -> Floats | None:
        """View of b, (units,); None without bias."""
        return self._built()[1].view() if self.use_bias else None

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
        if self.activation == activations.linear:
            return
        name, parameter = self.activation.name, self.activation.parameter or 0.0
        if ops and ops[-1].kind == "dense" and ops[-1].activation == activations.linear.name:
            ops[-1] = ops[-1]._replace(activation=name, parameter=parameter)  # one op, so that its loss can be fused
        else:
            ops.append(Op("activation", shape[0], self.name, name, parameter))

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "activation": self.activation.get_config()}


class Dropout(Layer):
    """Drops units at random while a model is trained, so that no unit relies on a few others (Srivastava et al.
    2014).

    In training a unit is set to 0 with probability `rate` and else divided by 1 - rate, so that its expectation
    stays; in `evaluate` and `predict` nothing is done. What is dropped is a function of the seed, the layer's
    place, the step, the row's place in its batch and the unit: the same for any number of threads, and when a
    run is repeated.

    Parameters
    ----------
    rate : float
        The part of the units that is dropped, from 0 to 1.
    noise_shape : None
        Keras' argument for masks that are shared along axes, which rows do not have.
    seed : int, optional
        From 0 to 2**64 - 1. None is the seed of the model.
    name : str, optional
    input_shape : sequence of int, optional
        Shape of one sample, on the first layer of a model.
    trainable : bool, default True
        It has no weights.

    Raises
    ------
    ValueError
        A rate below 0 or above 1; a noise_shape; a seed out of range.

    Examples
    --------
    >>> from nnfast import Sequential
    >>> model = Sequential([Dropout(0.5, input_shape=(4,)), Dense(1)], seed=0)
    >>> bool((model.predict([[1, 1, 1, 1]]) == model.predict([[1, 1, 1, 1]])).all())
    True
    """

    rate: Final[float]
    seed: Final[int | None]

    def __init__(
        self,
        rate: float,
        noise_shape: None = None,
        seed: int | None = None,
        name: str | None = None,
        input_shape: Sequence[int] | None = None,
        trainable: bool = True,
    ) -> None:
        if isinstance(rate, bool) or not isinstance(rate, int | float | np.number) or not 0 <= rate <= 1:
            raise ValueError(f"rate must be a number from 0 to 1, got {rate!r}.")
        if noise_shape is not None:
            raise ValueError(
                f"noise_shape must be None, as each unit of a row is dropped by itself, got {noise_shape!r}."
            )
        if seed is not None and (not isinstance(seed, int | np.integer) or not 0 <= seed < 2**64):
            raise ValueError(f"seed must be a whole number from 0 to 2**64 - 1, got {seed!r}.")
        super().__init__(name, input_shape, trainable)
        self.rate = float(rate)
        self.seed = None if seed is None else int(seed)

    def output_shape(self, shape: Shape) -> Shape:
        return shape

    def add_ops(self, ops: list[Op], shape: Shape) -> None:
        if self.rate:
            ops.append(Op("dropout", math.prod(shape), self.name, rate=self.rate, seed=self.seed))

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "rate": self.rate, "seed": self.seed}


_KNOWN: dict[str, type[Layer]] = {
    snake_case(cls.__name__): cls for cls in (InputLayer, Flatten, Dense, Activation, Dropout)
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
