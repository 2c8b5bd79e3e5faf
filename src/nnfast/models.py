"""Sequential: the structure of a model, its weights, and predictions. Training is in `trainer`, files are in
`saving`.

A model owns one network of the engine, built when the shape of a sample is known: at once where the model
begins with `layers.Input`, else when the first data come. Every weight that a layer shows is a view of that
network. What decides how the network is made cannot be changed behind its back: layers and weights are handed
out as tuples, and an attribute is set with effect or refused.
"""

from __future__ import annotations

import copy
import functools
import math
from collections.abc import Callable, Iterable, Sequence
from os import PathLike
from typing import (
    TYPE_CHECKING,
    Any,
    ClassVar,
    Concatenate,
    Final,
    NamedTuple,
    ParamSpec,
    Self,
    TypeAlias,
    TypeVar,
)

import numpy as np
from numpy.typing import ArrayLike

from . import _core, arrays, progress, utils
from . import layers as layers_module
from .attributes import Guarded, refuse_ignored_methods
from .callbacks import Callback, CallbackList, History, as_list
from .graph import Op
from .layers import InputLayer, Layer, Shape
from .names import serialize, unknown_attribute, unknown_name
from .trainer import BACKENDS, Trainer, checked_batch_size

if TYPE_CHECKING:
    from .optimizers import Optimizer
    from .reference import Net as ReferenceNet
    from .reference import Run as ReferenceRun

    Net: TypeAlias = _core.Net | ReferenceNet
    Run: TypeAlias = _core.Run | ReferenceRun

P = ParamSpec("P")
R = TypeVar("R")


class Draft(NamedTuple):
    """A network that is made but that the model does not yet use, and what the model then takes over."""

    net: Net
    tensors: list[list[arrays.Floats]]
    sample_shape: Shape
    head: tuple[int, str]


def _delegated(method: Callable[Concatenate[Trainer, P], R]) -> Callable[Concatenate[Sequential, P], R]:
    """The same method, with the same arguments, of the trainer that `compile` made."""

    @functools.wraps(method)
    def call(self: Sequential, /, *args: P.args, **kwargs: P.kwargs) -> R:
        if self.trainer is None:
            raise RuntimeError(
                f"{method.__name__} needs a compiled model. Call model.compile(optimizer, loss) first."
            )
        return method(self.trainer, *args, **kwargs)

    return call


class Sequential(Guarded):
    """A stack of dense layers.

    Parameters
    ----------
    layers : iterable of Layer, optional
        From inputs to outputs; more can follow with `add`.
    name : str, default "sequential"
    seed : int, optional
        From 0 to 2**64 - 1; decides the initial weights and every shuffle. None draws one (see
        `utils.set_random_seed`). It is kept in `seed` and printed by `summary`, so that any run can be
        repeated.

    Attributes
    ----------
    name : str
        May be set.
    seed : int
        May be set: it decides the shuffles from then on, and the weights that are not drawn yet.
    layers : tuple of Layer
        Without the `Input`; `add` and `pop` change it.
    trainable : bool
        Whether any layer is trained; setting it sets that of each layer.
    trainer : Trainer or None
        What `compile` made.
    history : History or None
        Of the last fit.
    stop_training : bool
        Set by a callback, it ends the fit after the current epoch (after the current batch, where a callback
        listens to batches).

    Raises
    ------
    AttributeError
        Any other attribute is set.

    Examples
    --------
    >>> from nnfast import layers
    >>> model = Sequential([layers.Input((4,)), layers.Dense(8, activation="relu")], seed=0)
    >>> model.add(layers.Dense(3, activation="softmax"))
    >>> model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    >>> history = model.fit([[0, 0, 0, 1], [1, 0, 0, 0]], [0, 2], epochs=2, verbose=0)
    >>> list(history.history)
    ['loss', 'accuracy']
    >>> model.predict([[0, 0, 0, 1]]).shape
    (1, 3)
    """

    history: History | None
    stop_training: bool
    use: Final[_core.Exclusive]

    _remedies: ClassVar = {
        "": "Make a new model.",
        "layers": "Use add and pop.",
        "weights": "Use set_weights.",
        **dict.fromkeys(("trainer", "optimizer", "loss", "metrics_names"), "Call compile again."),
        **dict.fromkeys(("fit", "evaluate", "predict", "call"), "Derive a class, or pass callbacks."),
    }

    def __init__(
        self, layers: Iterable[Layer] | None = None, *, name: str | None = None, seed: int | None = None
    ) -> None:
        refuse_ignored_methods(
            self,
            ("call", "build_from_config", "train_step", "test_step", "predict_step", "compute_loss"),
            "The engine runs nnfast's layers and losses only. Use train_on_batch in a loop of your own.",
        )
        self._name = name or "sequential"
        self._seed = utils.next_seed() if seed is None else _checked_seed(seed)
        self._layers: list[Layer] = []
        self._trainer: Trainer | None = None
        self.history = None
        self.stop_training = False
        self.use = _core.Exclusive()
        self._sample_shape: Shape | None = None
        self._backend = BACKENDS[0]
        self._net: Net | None = None
        taken: dict[str, int] = {}
        for layer in [layers] if isinstance(layers, Layer) else layers or ():
            self._add(layer, taken)

    # Structure

    @property
    def name(self) -> str:
        return self._name

    @name.setter
    def name(self, name: str) -> None:
        if not isinstance(name, str) or not name:
            raise ValueError(f"the name of a model must be a string of at least one character, got {name!r}.")
        self._name = name

    @property
    def seed(self) -> int:
        return self._seed

    @seed.setter
    def seed(self, seed: int) -> None:
        checked = _checked_seed(seed)
        self.use.require_free("change of the seed")
        with self.use:
            self._seed = checked

    @property
    def layers(self) -> tuple[Layer, ...]:
        """From inputs to outputs, without the Input."""
        return tuple(self._layers)

    @property
    def trainer(self) -> Trainer | None:
        """What `compile` made."""
        return self._trainer

    @property
    def trainable(self) -> bool:
        """Whether any layer is trained."""
        return any(layer.trainable for layer in self._layers)

    @trainable.setter
    def trainable(self, trainable: bool) -> None:
        with self.use:
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
        layer = layers_module.get(layer)
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
        self.use.require_free("change of layers")
        with self.use:
            layer.attach(self)
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
        self.use.require_free("change of layers")
        with self.use:
            layer = self._layers[-1]
            layer.detach()
            self._restructure()
            self._layers.pop()
        return layer

    def _restructure(self) -> None:
        self._trainer = None
        self._net = None  # the layers' arrays keep its memory until `draft` has copied it

    def use_backend(self, backend: str) -> None:
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
        self.use.require_free("change of the backend")
        with self.use:
            if backend != self._backend:
                self._restructure()
                self._backend = backend

    def freeze(self) -> None:
        """Have the engine leave alone what is not `trainable`; for layers, when that changes."""
        if self._net is not None:
            self._net.trainable = [layer.trainable for layer in self._layers if layer.has_weights]

    def rebuild(self, what: str) -> None:
        """Make a new network for the layers as they are now; weights and the optimizer's state stay. For layers,
        when they change.

        Raises
        ------
        RuntimeError
            The model is being trained.
        """
        self.use.require_free(f"change of {what}")
        with self.use:
            if self._net is not None:
                draft = self.draft(self._sample_shape, self._backend, anew=True)
                if self._trainer is not None:
                    self._trainer.move(draft)
                self.adopt(draft, self._backend)

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
        self.network(None if input_shape is None else layers_module.checked_shape(input_shape[1:]))

    def network(self, sample_shape: Shape | None = None) -> Net:
        """The network of the engine; made now, if need be, for samples of this shape (later data are compared
        with it elsewhere)."""
        if self._net is None:
            with self.use:
                if self._net is None:
                    self.adopt(self.draft(sample_shape, self._backend), self._backend)
        assert self._net is not None
        return self._net

    def draft(self, sample_shape: Shape | None, backend: str, anew: bool = False) -> Draft:
        """The network for samples of this shape: the one in use where it is of this backend, else, or `anew`, a new
        one with the weights that there are. The model stays as it is until `adopt`."""
        sample_shape = self._sample_shape or sample_shape
        if self._net is not None and backend == self._backend and not anew:
            return Draft(self._net, [layer._tensors for layer in self._layers], self.sample_shape, self._head)
        if sample_shape is None:
            raise ValueError(
                f"the model {self.name!r} has no weights yet. "
                "Begin it with layers.Input(shape), or call fit or build first."
            )
        shape = layers_module.checked_shape(sample_shape)
        weights: list[list[arrays.Floats]] = []
        stream = 0
        for layer in self._layers:
            after = layer.output_shape(shape)
            weights.append(layer._tensors or layer.initial_weights(shape, self.seed, stream))
            stream += len(weights[-1])
            shape = after
        if not any(weights):
            raise ValueError(f"the model {self.name!r} has no layer with weights. Add layers.Dense(units).")
        ops = self.ops(sample_shape)
        net = _net_class(backend)(math.prod(sample_shape), ops)
        net.trainable = [layer.trainable for layer, own in zip(self._layers, weights, strict=True) if own]
        flat = iter(net.tensors)
        tensors = [[next(flat) for _ in own] for own in weights]
        for layer, views, values in zip(self._layers, tensors, weights, strict=True):
            arrays.assign(views, values, f"layer {layer.name!r}")
        return Draft(net, tensors, sample_shape, _head_of(ops))

    def adopt(self, draft: Draft, backend: str) -> None:
        """Use a network from now on."""
        for layer, tensors in zip(self._layers, draft.tensors, strict=True):
            layer.place(tensors)
        self._net, _, self._sample_shape, self._head = draft
        self._backend = backend

    def take(self, trainer: Trainer, draft: Draft | None) -> None:
        """Be trained by this trainer from now on, and use the network that it is compiled for, if there is one."""
        if draft is None:
            self.use_backend(trainer.backend)
        else:
            self.adopt(draft, trainer.backend)
        self._trainer = trainer

    @property
    def head(self) -> tuple[int, str]:
        """Number of outputs, and the name of their activation; known before the model is built.

        Raises
        ------
        ValueError
            There is no layer with weights.
        """
        if self._net is not None:
            return self._head
        dense = [place for place, layer in enumerate(self._layers) if isinstance(layer, layers_module.Dense)]
        if not dense:
            raise ValueError(f"the model {self.name!r} has no layer with weights. Add layers.Dense(units).")
        ops: list[Op] = []
        shape: Shape = (1,)  # whatever a Dense gets, its outputs are its units
        for layer in self._layers[dense[-1] :]:
            layer.add_ops(ops, shape)
            shape = layer.output_shape(shape)
        return _head_of(ops)

    def shape_for(self, x: arrays.Array | _core.SparseRows) -> Shape:
        """Shape of one sample: that of the model, or of these data where it is still open."""
        return self._sample_shape or arrays.sample_shape(x)

    @property
    def built(self) -> bool:
        """Whether there are weights; they are drawn now where the shape of a sample is known."""
        self.build_early()
        return self._net is not None

    def build_early(self) -> None:
        """Build if the model says itself for which data: if it begins with an Input."""
        if self._sample_shape is not None and any(
            isinstance(layer, layers_module.Dense) for layer in self._layers
        ):
            self.network()

    @property
    def sample_shape(self) -> Shape:
        """Shape of one sample, of a model that is built."""
        self.network()
        assert self._sample_shape is not None
        return self._sample_shape

    @property
    def input_shape(self) -> tuple[int | None, ...]:
        """(None, ...): the batch, and the shape of a sample."""
        return (None, *self.sample_shape)

    @property
    def output_shape(self) -> tuple[int | None, ...]:
        """(None, K)"""
        self.network()
        return (None, self.head[0])

    def ops(self, sample_shape: Shape | None = None) -> list[Op]:
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
        self.network()
        return tuple(weight for layer in self._layers for weight in layer.weights)

    @property
    def weight_names(self) -> list[str]:
        """Names in the order of `weights`: "dense/kernel", "dense/bias"."""
        self.network()
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
        with self.use:
            arrays.assign(self.weights, weights, f"model {self.name!r}")

    def count_params(self) -> int:
        """Number of weights."""
        return sum(weight.size for weight in self.weights)

    # Training

    def compile(
        self,
        optimizer: object,
        loss: object,
        loss_weights: None = None,
        metrics: Iterable[object] | str | None = None,
        *,
        backend: str = BACKENDS[0],
    ) -> None:
        """Choose how the model is trained; the state of an optimizer begins afresh.

        Parameters
        ----------
        optimizer : str or Optimizer
        loss : str or Loss
        loss_weights : None
            Keras' argument for several outputs, in its place.
        metrics : iterable of str or Metric, optional
        backend : {"native", "reference"}, default "native"
            "reference" trains with pure NumPy on identical batches.

        Raises
        ------
        ValueError
            An unknown name, a metric that does not fit the loss, an optimizer of another model; the model stays
            compiled as it was.
        TypeError
            Neither a name nor an object, or an object of a user's own class that the engine cannot run.
        """
        if loss_weights is not None:
            raise ValueError(
                f"loss_weights must be None, as there is one output, got {loss_weights!r}. "
                "Pass metrics by name: metrics=[...]."
            )
        Trainer(self, optimizer, loss, metrics, backend).release_model()

    fit = _delegated(Trainer.fit)
    evaluate = _delegated(Trainer.evaluate)
    train_on_batch = _delegated(Trainer.train_on_batch)
    test_on_batch = _delegated(Trainer.test_on_batch)
    recover = _delegated(Trainer.recover)

    @property
    def optimizer(self) -> Optimizer | None:
        """That of `compile`; callbacks set its `learning_rate`."""
        return None if self._trainer is None else self._trainer.optimizer

    @property
    def loss(self) -> object:
        """That of `compile`."""
        return None if self._trainer is None else self._trainer.loss

    @property
    def metrics_names(self) -> list[str]:
        """Keys of the logs: "loss" and the metrics."""
        return ["loss", *(metric.name for metric in (self.trainer.metrics if self.trainer else ()))]

    # Prediction

    def predict(
        self,
        x: ArrayLike,
        batch_size: int | None = None,
        verbose: str | int = "auto",
        steps: None = None,
        callbacks: Callback | Iterable[Callback] | None = None,
    ) -> arrays.Floats:
        """Outputs for each row; any number of threads may call it at once.

        While another thread trains the same model each weight is read as it is at that moment: rows may see
        some weights before a step and others after it, and those of the first layer as they were up to a
        stretch of training, some 4 ms or one batch, earlier. Between two fits, and from callbacks, which run
        between two stretches, all weights are those of one step.

        Parameters
        ----------
        x : array_like, shape (N, ...), or sparse, shape (N, I)
        batch_size : int, default 32
            What callbacks see as a batch; a row's prediction does not depend on its place.
        verbose : {"auto", 0, 1, 2}, default "auto"
            "auto" is silent here.
        steps : None
            Keras' argument for endless generators.
        callbacks : iterable of Callback, optional

        Returns
        -------
        ndarray of float32, shape (N, K)
        """
        if steps is not None:
            raise ValueError("steps must be None: all rows are predicted. Pass fewer rows instead.")
        array = arrays.to_rows(x)
        shape = self.shape_for(array)
        inputs = arrays.as_inputs(array, shape)
        batch_size = min(checked_batch_size(batch_size), len(inputs))
        chosen = as_list(callbacks)
        shown = 0 if verbose == "auto" else progress.mode(verbose)
        net = self.network(shape)
        outputs = np.empty((len(inputs), self.head[0]), np.float32)
        moved = None
        if shown:
            bar = progress.ProgressBar(shown, len(inputs), batch_size, lambda done: {})
            chosen.append(bar)
            moved = bar.moved
        if not chosen:
            net.predict(inputs, outputs, None)
            return outputs
        listeners = CallbackList(chosen, self, verbose=verbose, epochs=1, steps=-(-len(inputs) // batch_size))
        try:
            listeners.call("on_predict_begin", {})
            if not listeners.listen_to_batches("predict"):
                net.predict(inputs, outputs, moved)
            else:
                for batch, start in enumerate(range(0, len(inputs), batch_size)):
                    rows = slice(start, start + batch_size)
                    listeners.call("on_predict_batch_begin", batch, {})
                    net.predict(inputs[rows], outputs[rows], None)
                    listeners.call("on_predict_batch_end", batch, {"outputs": outputs[rows]})
            listeners.call("on_predict_end", {})
        except BaseException:
            listeners.abandon()
            raise
        return outputs

    def predict_on_batch(self, x: ArrayLike) -> arrays.Floats:
        """Outputs for each row, as `predict` with no display."""
        return self.predict(x)

    __call__ = predict_on_batch

    # Description, files, copies

    def summary(self, print_fn: Callable[[str], object] | None = None) -> None:
        """Print the layers, their shapes and their numbers of weights, and the seed.

        Parameters
        ----------
        print_fn : callable (str), default print
            Called with each line.
        """
        built = self.built
        shape = self._sample_shape
        rows = [("Layer (type)", "Output shape", "Weights")]
        for layer in self._layers:
            shape = layer.output_shape(shape) if built and shape else None
            sizes = ", ".join(["None", *map(str, shape)]) if shape else "?"
            rows.append((f"{layer.name} ({type(layer).__name__})", f"({sizes})", f"{layer.count_params():,}"))
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        lines = [
            f"{first:<{widths[0]}}   {second:<{widths[1]}}   {third:>{widths[2]}}"
            for first, second, third in rows
        ]
        total = f"{self.count_params():,}" if built else "unknown until the model is built"
        lines = [
            f'Model "{self.name}", seed {self.seed}',
            lines[0],
            "-" * len(lines[0]),
            *lines[1:],
            f"Total weights: {total}",
        ]
        if built and not all(layer.trainable for layer in self._layers):
            trained = sum(layer.count_params() for layer in self._layers if layer.trainable)
            lines.append(f"Trainable weights: {trained:,}")
        for line in lines:
            (print_fn or print)(line)

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
        model = cls(map(layers_module.get, config["layers"]), name=config["name"], seed=config["seed"])
        if config["sample_shape"] is not None:
            model._sample_shape = layers_module.checked_shape(config["sample_shape"])
        return model

    def save(self, filepath: str | PathLike[str], overwrite: bool = True) -> None:
        """Write model and training state to a safetensors file; see `saving.save_model`."""
        from .saving import save_model

        save_model(self, filepath, overwrite)

    def __getstate__(self) -> dict[str, Any]:
        with self.use:  # weights, slots and counters are of one moment
            return {
                "config": (self.name, self.seed, self._sample_shape),
                "backend": self._backend,
                "layers": [copy.copy(layer) for layer in self._layers],
                "history": self.history,
                "stop_training": self.stop_training,
                "trainer": None if self._trainer is None else self._trainer.snapshot(),
            }

    def __copy__(self) -> Self:
        raise TypeError(
            "copy.copy of a model would have to share its layers and weights with it. "
            "Use copy.deepcopy(model), or Sequential.from_config(model.get_config()) for new weights."
        )

    def __setstate__(self, state: dict[str, Any]) -> None:
        name, seed, sample_shape = state["config"]
        Sequential.__init__(self, state["layers"], name=name, seed=seed)
        self._sample_shape = sample_shape
        self._backend = state["backend"]
        self.history = state["history"]
        self.stop_training = state["stop_training"]
        if state["trainer"]:
            Trainer.from_snapshot(self, state["trainer"]).release_model()

    def __repr__(self) -> str:
        return f"<Sequential name={self.name}, {len(self._layers)} layers>"


def load_model(filepath: str | PathLike[str]) -> Sequential:
    """The model in a file that `save` wrote; training goes on exactly where it stopped. See
    `saving.load_model`."""
    from .saving import load_model

    return load_model(filepath)


def _net_class(backend: str) -> type[_core.Net] | type[ReferenceNet]:
    if backend == BACKENDS[0]:
        return _core.Net
    from .reference import Net as ReferenceNet

    return ReferenceNet


def _checked_seed(seed: int) -> int:
    if not isinstance(seed, int | np.integer) or isinstance(seed, bool) or not 0 <= seed < 2**64:
        raise ValueError(f"seed must be a whole number from 0 to 2**64 - 1, got {seed!r}.")
    return int(seed)


def __getattr__(name: str) -> Any:
    raise unknown_attribute(__name__, name, ["Sequential", "load_model"])


def _head_of(ops: Sequence[Op]) -> tuple[int, str]:
    """Number of outputs, and the name of what was applied last that is no Dropout."""
    return ops[-1].units, next(op.activation for op in reversed(ops) if op.kind != "dropout")
