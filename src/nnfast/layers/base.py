"""What all layers share: name, weights, the model they are part of, and which settings may still change."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any, ClassVar, Final, Generic, Protocol, Self, TypeVar, overload

import numpy as np
from numpy.typing import ArrayLike

from ..attributes import Guarded, refuse_ignored_methods
from ..data import arrays
from ..data.arrays import Floats
from ..data.tensors import Tensor
from ..errors import cut
from ..graph import Op
from ..names import checked_name, snake_case

if TYPE_CHECKING:
    from .._core import Exclusive

T = TypeVar("T")
Shape = tuple[int, ...]


class Owner(Protocol):
    """What a layer needs of the model that it is part of."""

    @property
    def _lock(self) -> Exclusive: ...
    @property
    def name(self) -> str: ...
    @property
    def layers(self) -> tuple[Layer, ...]: ...
    def _build_early(self) -> None: ...
    def _freeze(self) -> None: ...
    def _rebuild(self, what: str) -> None: ...


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
        self._name = snake_case(type(self).__name__) if name is None else checked_name(name, "a layer")
        self._named_by_user = name is not None
        self._trainable = bool(trainable)
        self._tensors: list[Floats] = []  # the weights, where there are any yet
        self._model: weakref.ref[Owner] | None = None
        self.input_shape = None if input_shape is None else checked_shape(input_shape)

    @property
    def name(self) -> str:
        return self._name

    @name.setter
    def name(self, name: str) -> None:
        checked_name(name, "a layer")
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
                    model._freeze()
            except BaseException:
                self._trainable = before
                raise

    def _owner(self) -> Owner | None:
        return None if self._model is None else self._model()

    def _use(self) -> AbstractContextManager[object]:
        """What holds the weights for this thread."""
        model = self._owner()
        return nullcontext() if model is None else model._lock

    @property
    def has_weights(self) -> bool:
        """Whether its weights have been drawn."""
        return bool(self._tensors)

    def _attach(self, model: Owner) -> None:
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

    def _detach(self) -> None:
        """Undo `_attach`: the layer keeps a copy of its weights."""
        self._tensors = self.get_weights()
        self._model = None

    def _place(self, tensors: list[Floats]) -> None:
        """Have the weights lie in these arrays."""
        self._tensors = tensors

    @property
    def weights(self) -> tuple[Floats, ...]:
        """Kernel and bias as views of the model's parameters; none before the model is built."""
        return tuple(tensor.view(Tensor) for tensor in self._drawn())

    def _drawn(self) -> list[Floats]:
        """The arrays themselves, drawn now where the model can be built."""
        model = self._owner()
        if model is not None and not self._tensors:
            model._build_early()
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
            f"input shape must be a tuple of sizes > 0, that of one sample without the batch, got {cut(shape)}."
        )
    return tuple(int(size) for size in sizes)
