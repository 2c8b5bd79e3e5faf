"""Sequential: the structure of a model, its weights, and predictions. Training is in `trainer`, files are in
`saving`.

A model owns one network of the engine, built when the shape of a sample is known: at once where the model
begins with `layers.Input`, else when the first data come. Every weight that a layer shows is a view of that
network.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterable, Sequence
from os import PathLike
from typing import TYPE_CHECKING, Any, Concatenate, NamedTuple, ParamSpec, Self, TypeAlias, TypeVar

import numpy as np
from numpy.typing import ArrayLike

from . import _core, arrays, progress, utils
from . import layers as layers_module
from .activations import Activation
from .callbacks import Callback, CallbackList, History, as_list
from .layers import InputLayer, Layer, Shape, Spec
from .names import serialize, unknown_attribute
from .trainer import BACKENDS, Trainer, checked_batch_size

if TYPE_CHECKING:
    from .optimizers import Optimizer
    from .reference import Net as ReferenceNet

    Net: TypeAlias = _core.Net | ReferenceNet

P = ParamSpec("P")
R = TypeVar("R")


class Stage(NamedTuple):
    """One layer as the engine has it. Kernel and bias are views; no kernel means that only the activation is
    left."""

    name: str
    units: int
    activation: Activation
    kernel: arrays.Floats | None
    bias: arrays.Floats | None


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


class Sequential:
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
    layers : list of Layer
        Without the `Input`.
    trainer : Trainer or None
        What `compile` made.
    history : History or None
        Of the last fit.
    stop_training : bool
        Set by a callback, it ends the fit after the current epoch (after the current batch, where a callback
        listens to batches).

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

    def __init__(
        self, layers: Iterable[Layer] | None = None, *, name: str | None = None, seed: int | None = None
    ) -> None:
        self.name = name or "sequential"
        self.seed = utils.next_seed() if seed is None else _checked_seed(seed)
        self.layers: list[Layer] = []
        self.trainer: Trainer | None = None
        self.history: History | None = None
        self.stop_training = False
        self.use = _core.Exclusive()
        self._sample_shape: Shape | None = None
        self._backend = BACKENDS[0]
        self._net: Net | None = None
        taken: dict[str, int] = {}
        for layer in [layers] if isinstance(layers, Layer) else layers or ():
            self._add(layer, taken)

    # Structure

    def add(self, layer: Layer) -> None:
        """Put a layer on top. Weights below stay as they are; the model must be compiled again.

        Raises
        ------
        TypeError
            Not a layer object.
        ValueError
            An Input that is not the first; a name that is taken; a layer of another model.
        """
        self._add(layer, {other.name: 0 for other in self.layers})

    def _add(self, layer: Layer, taken: dict[str, int]) -> None:
        """The same. `taken` has each name of a layer, with the last number that was put behind it."""
        layer = layers_module.get(layer)
        if not self.layers and self._sample_shape is None:
            self._sample_shape = layer.input_shape
            if isinstance(layer, InputLayer):
                return
        if isinstance(layer, InputLayer):
            raise ValueError(
                f"Input must be the first of a model, and once, got {layer.name!r} after other layers."
            )
        twice = layer._model is not None and layer._model() is self
        if twice or (layer.named_by_user and layer.name in taken):
            raise ValueError(
                f"layers of a model must have different names, got {layer.name!r} twice. "
                "Pass name= to one of them."
            )
        self._restructure()
        layer.attach(self)
        base = layer.name
        while layer.name in taken:
            taken[base] += 1
            layer.name = f"{base}_{taken[base]}"
        taken[layer.name] = 0
        self.layers.append(layer)

    def pop(self) -> Layer:
        """Take the top layer off and return it with its weights; the model must be compiled again."""
        if not self.layers:
            raise ValueError("the model has no layers to pop.")
        self._restructure()
        layer = self.layers.pop()
        layer.detach()
        return layer

    def _restructure(self) -> None:
        self.use.require_free("change of layers")
        self.trainer = None
        self._net = None  # the views of the layers keep its memory until `_build` has copied it

    def use_backend(self, backend: str) -> None:
        """Have the network made by "native" or "reference", with the weights it has."""
        if backend != self._backend:
            self._backend = backend
            self._net = None

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
                    self._net = self._build(self._sample_shape or sample_shape)
        return self._net

    def _build(self, sample_shape: Shape | None) -> Net:
        if sample_shape is None:
            raise ValueError(
                f"the model {self.name!r} has no weights yet. "
                "Begin it with layers.Input(shape), or call fit or build first."
            )
        shape = layers_module.checked_shape(sample_shape)
        specs: list[Spec] = []
        weights: list[list[arrays.Floats]] = []
        stream = 0
        for layer in self.layers:
            after = layer.output_shape(shape)
            weights.append(layer.tensors or layer.initial_weights(shape, self.seed, stream))
            stream += len(weights[-1])
            layer.extend(specs, shape)
            shape = after
        if not any(weights):
            raise ValueError(f"the model {self.name!r} has no layer with weights. Add layers.Dense(units).")
        net = self._net_class()(math.prod(sample_shape), specs)
        tensors = iter(net.tensors)
        for layer, values in zip(self.layers, weights, strict=True):
            views = [next(tensors) for _ in values]
            arrays.assign(views, values, f"layer {layer.name!r}")
            layer.tensors = views
        self._sample_shape = sample_shape
        self.head = (shape[0], specs[-1][1])  # outputs and their activation
        return net

    def _net_class(self) -> type[_core.Net] | type[ReferenceNet]:
        if self._backend == BACKENDS[0]:
            return _core.Net
        from .reference import Net as ReferenceNet

        return ReferenceNet

    @property
    def built(self) -> bool:
        """Whether there are weights; they are drawn now where the shape of a sample is known."""
        self.build_early()
        return self._net is not None

    def build_early(self) -> None:
        """Build if the model says itself for which data: if it begins with an Input."""
        if self._sample_shape is not None and any(
            isinstance(layer, layers_module.Dense) for layer in self.layers
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

    def stages(self) -> list[Stage]:
        """What a sample passes through, from inputs to outputs: the layers as the engine has them."""
        shape = self.sample_shape
        specs: list[Spec] = []
        stages: list[Stage] = []
        for layer in self.layers:
            layer.extend(specs, shape)
            shape = layer.output_shape(shape)
            if not specs:
                continue
            units, name, parameter, *_ = specs[-1]
            activation = Activation(name, parameter or None)
            if len(specs) > len(stages):
                stages.append(Stage(layer.name, units, activation, *(*layer.weights, None, None)[:2]))
            else:  # an Activation has become part of the Dense below
                stages[-1] = stages[-1]._replace(activation=activation)
        return stages

    # Weights

    @property
    def weights(self) -> list[arrays.Floats]:
        """Kernel and bias of each layer, as views: what is written to them is trained on."""
        self.network()
        return [weight for layer in self.layers for weight in layer.weights]

    @property
    def weight_names(self) -> list[str]:
        """Names in the order of `weights`: "dense/kernel", "dense/bias"."""
        self.network()
        return [
            f"{layer.name}/{name}"
            for layer in self.layers
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
            An unknown name, a metric that does not fit the loss, an optimizer of another model.
        TypeError
            Neither a name nor an object.
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
        return None if self.trainer is None else self.trainer.optimizer

    @property
    def loss(self) -> object:
        """That of `compile`."""
        return None if self.trainer is None else self.trainer.loss

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
        net = self.network(arrays.sample_shape(array))
        inputs = arrays.as_inputs(array, self.sample_shape)
        outputs = np.empty((len(inputs), self.head[0]), np.float32)
        batch_size = min(checked_batch_size(batch_size), len(inputs))
        chosen = as_list(callbacks)
        moved = None
        if verbose != "auto" and (shown := progress.mode(verbose)):
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
        for layer in self.layers:
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
        for line in lines:
            (print_fn or print)(line)

    def get_config(self) -> dict[str, Any]:
        """Name, seed, shape of a sample and layers, JSON-able."""
        return {
            "name": self.name,
            "seed": self.seed,
            "sample_shape": None if self._sample_shape is None else list(self._sample_shape),
            "layers": [serialize(layer) for layer in self.layers],
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
        return {
            "config": (self.name, self.seed, self._sample_shape),
            "layers": self.layers,
            "history": self.history,
            "stop_training": self.stop_training,
            "trainer": None if self.trainer is None else self.trainer.snapshot(),
        }

    def __setstate__(self, state: dict[str, Any]) -> None:
        name, seed, sample_shape = state["config"]
        Sequential.__init__(self, state["layers"], name=name, seed=seed)
        self._sample_shape = sample_shape
        self.history = state["history"]
        self.stop_training = state["stop_training"]
        if state["trainer"]:
            Trainer.from_snapshot(self, state["trainer"]).release_model()

    def __repr__(self) -> str:
        return f"<Sequential name={self.name}, {len(self.layers)} layers>"


def load_model(filepath: str | PathLike[str]) -> Sequential:
    """The model in a file that `save` wrote; training goes on exactly where it stopped. See
    `saving.load_model`."""
    from .saving import load_model

    return load_model(filepath)


def _checked_seed(seed: int) -> int:
    if not isinstance(seed, int | np.integer) or isinstance(seed, bool) or not 0 <= seed < 2**64:
        raise ValueError(f"seed must be a whole number from 0 to 2**64 - 1, got {seed!r}.")
    return int(seed)


def __getattr__(name: str) -> Any:
    raise unknown_attribute(__name__, name, ["Sequential", "load_model"])
