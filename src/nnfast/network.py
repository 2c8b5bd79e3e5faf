"""The network below a model: layers, weights, and the one network of the engine that they lie in.

It is built when the shape of a sample is known: at once where the model begins with `layers.Input`, else when
the first data come. Every weight that a layer shows is a view of it. What decides how it is made cannot be
changed behind its back: layers and weights are handed out as tuples, and an attribute is set with effect or
refused. Nothing is trained here, nor predicted.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol, Self, TypeAlias

import numpy as np
from numpy.typing import ArrayLike

from . import _core
from .attributes import Guarded, refuse_ignored_methods
from .data import arrays
from .errors import cut
from .graph import Op
from .layers import Dense, InputLayer, Layer
from .layers import get as layer_of
from .layers.base import Shape, checked_shape
from .names import checked_name, serialize, unknown_name
from .seeds import next_seed

if TYPE_CHECKING:
    from .callbacks import History
    from .reference import Net as ReferenceNet
    from .reference import Run as ReferenceRun

    Net: TypeAlias = _core.Net | ReferenceNet
    Run: TypeAlias = _core.Run | ReferenceRun

BACKENDS = ("native", "reference")


class Draft(NamedTuple):
    """A network that is made but that the model does not yet use, and what the model then takes over."""

    net: Net
    tensors: list[list[arrays.Floats]]
    sample_shape: Shape
    head: tuple[int, str]


class Follower(Protocol):
    """What a network needs of the trainer that works on it."""

    @property
    def backend(self) -> str: ...
    def _move(self, draft: Draft) -> None: ...


class Network(Guarded):
    """A stack of layers with their weights; base of the models.

    Parameters
    ----------
    layers : iterable of Layer, optional
        From inputs to outputs; more can follow with `add`.
    name : str, default "sequential"
    seed : int, optional
        From 0 to 2**64 - 1; None draws one.
    """

    history: History | None
    stop_training: bool
    _lock: Final[_core.Exclusive]
    _trainer: Follower | None

    def __init__(
        self, layers: Iterable[Layer] | None = None, *, name: str | None = None, seed: int | None = None
    ) -> None:
        refuse_ignored_methods(
            self,
            ("call", "build_from_config", "train_step", "test_step", "predict_step", "compute_loss"),
            "The engine runs nnfast's layers and losses only. Use train_on_batch in a loop of your own.",
        )
        self._name = "sequential" if name is None else checked_name(name, "a model")
        self._seed = next_seed() if seed is None else _checked_seed(seed)
        self._layers: list[Layer] = []
        self._trainer = None
        self.history = None
        self.stop_training = False
        self._lock = _core.Exclusive()
        self._sample_shape: Shape | None = None
        self._backend = BACKENDS[0]
        self._net: Net | None = None
        taken: dict[str, int] = {}
        if layers is not None and not isinstance(layers, Layer | Iterable):
            raise TypeError(f"layers must be a list of layers, got {cut(layers)}.")
        for layer in [layers] if isinstance(layers, Layer) else layers or ():
            self._add(layer, taken)

    # Structure

    @property
    def name(self) -> str:
        return self._name

    @name.setter
    def name(self, name: str) -> None:
        self._name = checked_name(name, "a model")

    @property
    def seed(self) -> int:
        return self._seed

    @seed.setter
    def seed(self, seed: int) -> None:
        checked = _checked_seed(seed)
        self._lock.require_free("change of the seed")
        with self._lock:
            self._seed = checked

    @property
    def layers(self) -> tuple[Layer, ...]:
        """From inputs to outputs, without the Input."""
        return tuple(self._layers)

    @property
    def trainable(self) -> bool:
        """Whether any layer is trained."""
        return not self._layers or any(layer.trainable for layer in self._layers)

    @trainable.setter
    def trainable(self, trainable: bool) -> None:
        if not self._layers and not trainable:
            raise ValueError(
                "trainable cannot become False before the model has layers, as it is that of each layer. Add them first."
            )
        with self._lock:
            for layer in self._layers:
                layer.trainable = trainable

    def add(self, layer: Layer) -> None:
        """Put a layer on top. Weights below stay as they are; the model must be compiled again.

        Raises
        ------
        TypeError
            Not a layer object.
        ValueError
            An Input that is not the first; a name that is taken; a layer of another model.
        """
        self._add(layer, {other.name: 0 for other in self._layers})

    def _add(self, layer: Layer, taken: dict[str, int]) -> None:
        """The same. `taken` has each name of a layer, with the last number that was put behind it."""
        layer = layer_of(layer)
        if not self._layers and self._sample_shape is None and isinstance(layer, InputLayer):
            self._sample_shape = layer.input_shape
            return
        if isinstance(layer, InputLayer):
            raise ValueError(
                f"Input must be the first of a model, and once, got {layer.name!r} after other layers."
            )
        if not self._layers and layer.input_shape not in (None, self._sample_shape or layer.input_shape):
            raise ValueError(
                f"the model {self.name!r} takes samples of shape {self._sample_shape}, and layer {layer.name!r} "
                f"those of shape {layer.input_shape}. Leave its input_shape out, or make a new model."
            )
        twice = layer._model is not None and layer._model() is self
        if twice or (layer._named_by_user and layer.name in taken):
            raise ValueError(
                f"layers of a model must have different names, got {layer.name!r} twice. "
                "Pass name= to one of them."
            )
        self._lock.require_free("change of layers")
        with self._lock:
            layer._attach(self)
            self._restructure()
            base = layer.name
            while layer.name in taken:
                taken[base] += 1
                layer._name = f"{base}_{taken[base]}"
            taken[layer.name] = 0
            if not self._layers and self._sample_shape is None:
                self._sample_shape = layer.input_shape
            self._layers.append(layer)

    def pop(self) -> Layer:
        """Take the top layer off and return it with its weights; the model must be compiled again."""
        if not self._layers:
            raise ValueError("the model has no layers to pop.")
        self._lock.require_free("change of layers")
        with self._lock:
            layer = self._layers[-1]
            layer._detach()
            self._restructure()
            self._layers.pop()
        return layer

    def _restructure(self) -> None:
        self._trainer = None
        self._net = None  # the layers' arrays keep its memory until `_draft` has copied it

    def _use_backend(self, backend: str) -> None:
        """Have the network made by "native" or "reference", with the weights it has; the model must be compiled
        again.

        Raises
        ------
        ValueError
            Another name.
        RuntimeError
            The model is being trained.
        """
        if backend not in BACKENDS:
            raise unknown_name("backend", str(backend), BACKENDS)
        self._lock.require_free("change of the backend")
        with self._lock:
            if backend != self._backend:
                self._restructure()
                self._backend = backend

    def _freeze(self) -> None:
        """Have the engine leave alone what is not `trainable`; for layers, when that changes."""
        if self._net is not None:
            self._net.trainable = [layer.trainable for layer in self._layers if layer.has_weights]

    def _rebuild(self, what: str) -> None:
        """Make a new network for the layers as they are now; weights and the optimizer's state stay. For layers,
        when they change.

        Raises
        ------
        RuntimeError
            The model is being trained.
        """
        self._lock.require_free(f"change of {what}")
        with self._lock:
            if self._net is not None:
                draft = self._draft(self._sample_shape, self._backend, anew=True)
                if self._trainer is not None:
                    self._trainer._move(draft)
                self._adopt(draft, self._backend)

    def build(self, input_shape: Sequence[int | None] | None = None) -> None:
        """Make the network and draw its weights.

        Parameters
        ----------
        input_shape : sequence of int, optional
            With the batch first, as in Keras: (None, 784). Not needed where the model begins with an Input.

        Raises
        ------
        ValueError
            No shape; no layer with weights; a layer that cannot take what comes from below.
        """
        if input_shape is not None and not isinstance(input_shape, tuple | list):
            raise ValueError(
                f"input_shape must be a tuple with the batch first, such as (None, 784), got {input_shape!r}."
            )
        self._network(None if input_shape is None else checked_shape(input_shape[1:]))

    def _network(self, sample_shape: Shape | None = None) -> Net:
        """The network of the engine; made now, if need be, for samples of this shape (later data are compared
        with it elsewhere)."""
        if self._net is None:
            with self._lock:
                if self._net is None:
                    self._adopt(self._draft(sample_shape, self._backend), self._backend)
        assert self._net is not None
        return self._net

    def _draft(self, sample_shape: Shape | None, backend: str, anew: bool = False) -> Draft:
        """The network for samples of this shape: the one in use where it is of this backend, else, or `anew`, a new
        one with the weights that there are. The model stays as it is until `_adopt`."""
        sample_shape = self._sample_shape or sample_shape
        if self._net is not None and backend == self._backend and not anew:
            return Draft(
                self._net, [layer._tensors for layer in self._layers], self.sample_shape, self._outputs
            )
        if sample_shape is None:
            raise ValueError(
                f"the model {self.name!r} has no weights yet. "
                "Begin it with layers.Input(shape), or call fit or build first."
            )
        shape = checked_shape(sample_shape)
        weights: list[list[arrays.Floats]] = []
        stream = 0
        for layer in self._layers:
            after = layer.output_shape(shape)
            weights.append(layer._tensors or layer.initial_weights(shape, self.seed, stream))
            stream += len(weights[-1])
            shape = after
        if not any(weights):
            raise ValueError(f"the model {self.name!r} has no layer with weights. Add layers.Dense(units).")
        ops = self._ops(sample_shape)
        net = _net_class(backend)(math.prod(sample_shape), ops)
        net.trainable = [layer.trainable for layer, own in zip(self._layers, weights, strict=True) if own]
        flat = iter(net.tensors)
        tensors = [[next(flat) for _ in own] for own in weights]
        for layer, views, values in zip(self._layers, tensors, weights, strict=True):
            arrays.assign(views, values, f"layer {layer.name!r}")
        return Draft(net, tensors, sample_shape, _head_of(ops))

    def _adopt(self, draft: Draft, backend: str) -> None:
        """Use a network from now on."""
        for layer, tensors in zip(self._layers, draft.tensors, strict=True):
            layer._place(tensors)
        self._net, _, self._sample_shape, self._outputs = draft
        self._backend = backend

    def _take(self, trainer: Follower, draft: Draft | None) -> None:
        """Be trained by this trainer from now on, and use the network that it is compiled for, if there is one."""
        if draft is None:
            self._use_backend(trainer.backend)
        else:
            self._adopt(draft, trainer.backend)
        self._trainer = trainer

    def _last_layers(self) -> Sequence[Layer]:
        """The last Dense, and what follows it.

        Raises
        ------
        ValueError
            There is no layer with weights.
        """
        dense = [place for place, layer in enumerate(self._layers) if isinstance(layer, Dense)]
        if not dense:
            raise ValueError(f"the model {self.name!r} has no layer with weights. Add layers.Dense(units).")
        return self._layers[dense[-1] :]

    @property
    def _head(self) -> tuple[int, str]:
        """Number of outputs, and the name of their activation; known before the model is built.

        Raises
        ------
        ValueError
            There is no layer with weights.
        """
        if self._net is not None:
            return self._outputs
        ops: list[Op] = []
        shape: Shape = (1,)  # whatever a Dense gets, its outputs are its units
        for layer in self._last_layers():
            layer.add_ops(ops, shape)
            shape = layer.output_shape(shape)
        return _head_of(ops)

    def _check_kind(self, x: arrays.Array | _core.SparseRows, name: str = "x") -> None:
        """Refuse sparse rows where the first layer that computes something is no Dense, which alone takes them.

        Raises
        ------
        TypeError
            They are.
        """
        if not isinstance(x, _core.SparseRows):
            return
        ops: list[Op] = []
        for layer in self._layers:
            layer.add_ops(ops, x.shape[1:])
            if ops:
                break
        if ops and ops[0].kind != "dense":
            raise TypeError(
                f"{name} must be a dense array, as layer {ops[0].name!r} comes before the first Dense, "
                f"got a sparse one. Convert it: {name.rsplit(maxsplit=1)[-1]}.toarray()."
            )

    def _shape_for(self, x: arrays.Array | _core.SparseRows) -> Shape:
        """Shape of one sample: that of the model, or of these data where it is still open."""
        return self._sample_shape or arrays.sample_shape(x)

    @property
    def built(self) -> bool:
        """Whether there are weights; they are drawn now where the shape of a sample is known."""
        self._build_early()
        return self._net is not None

    def _build_early(self) -> None:
        """Build if the model says itself for which data: if it begins with an Input."""
        if self._sample_shape is not None and any(isinstance(layer, Dense) for layer in self._layers):
            self._network()

    @property
    def sample_shape(self) -> Shape:
        """Shape of one sample, of a model that is built."""
        self._network()
        assert self._sample_shape is not None
        return self._sample_shape

    @property
    def input_shape(self) -> tuple[int | None, ...]:
        """(None, ...): the batch, and the shape of a sample."""
        return (None, *self.sample_shape)

    @property
    def output_shape(self) -> tuple[int | None, ...]:
        """(None, K)"""
        self._network()
        return (None, self._head[0])

    def _ops(self, sample_shape: Shape | None = None) -> list[Op]:
        """What a sample passes through, from inputs to outputs: the layers as the engine has them."""
        shape = sample_shape or self.sample_shape
        ops: list[Op] = []
        for layer in self._layers:
            layer.add_ops(ops, shape)
            shape = layer.output_shape(shape)
        return [op._replace(seed=self.seed if op.seed is None else op.seed) for op in ops]

    # Weights

    @property
    def weights(self) -> tuple[arrays.Floats, ...]:
        """Kernel and bias of each layer, as views: what is written to them is trained on."""
        self._network()
        return tuple(weight for layer in self._layers for weight in layer.weights)

    @property
    def weight_names(self) -> list[str]:
        """Names in the order of `weights`: "dense/kernel", "dense/bias"."""
        self._network()
        return [
            f"{layer.name}/{name}"
            for layer in self._layers
            for name, _ in zip(("kernel", "bias"), layer.weights, strict=False)
        ]

    def get_weights(self) -> list[arrays.Floats]:
        """Copies of `weights`."""
        return [weight.copy() for weight in self.weights]

    def set_weights(self, weights: Sequence[ArrayLike]) -> None:
        """Overwrite all weights, in the order of `get_weights`.

        Raises
        ------
        ValueError
            Another number of arrays, or another shape; then nothing is written.
        RuntimeError
            The model is being trained by another thread.
        """
        with self._lock:
            arrays.assign(self.weights, weights, f"model {self.name!r}")

    def count_params(self) -> int:
        """Number of weights."""
        return sum(weight.size for weight in self.weights)

    def get_config(self) -> dict[str, Any]:
        """Name, seed, shape of a sample and layers, JSON-able."""
        return {
            "name": self.name,
            "seed": self.seed,
            "sample_shape": None if self._sample_shape is None else list(self._sample_shape),
            "layers": [serialize(layer) for layer in self._layers],
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        """A new model of this structure, with the initial weights of its seed."""
        missing = {"name", "seed", "sample_shape", "layers"}.difference(
            config if isinstance(config, Mapping) else ()
        )
        if missing:
            raise ValueError(
                f"config must be what get_config() gives, with {', '.join(sorted(missing))}, got {cut(config)}."
            )
        model = cls(map(layer_of, config["layers"]), name=config["name"], seed=config["seed"])
        if config["sample_shape"] is not None:
            model._sample_shape = checked_shape(config["sample_shape"])
        return model


def _net_class(backend: str) -> type[_core.Net] | type[ReferenceNet]:
    if backend == BACKENDS[0]:
        return _core.Net
    from .reference import Net as ReferenceNet

    return ReferenceNet


def _checked_seed(seed: int) -> int:
    if not isinstance(seed, int | np.integer) or isinstance(seed, bool) or not 0 <= seed < 2**64:
        raise ValueError(f"seed must be a whole number from 0 to 2**64 - 1, got {cut(seed)}.")
    return int(seed)


def _head_of(ops: Sequence[Op]) -> tuple[int, str]:
    """Number of outputs, and the name of what was applied last that is no Dropout."""
    return ops[-1].units, next(op.activation for op in reversed(ops) if op.kind != "dropout")
