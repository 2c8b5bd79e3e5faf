"""Sequential: what a user builds, compiles, trains and asks for predictions.

Structure and weights are in `network`, training is in `training`, files are in `files`.
"""

from __future__ import annotations

import copy
import functools
import json
from collections.abc import Callable, Iterable
from os import PathLike
from typing import Any, ClassVar, Concatenate, ParamSpec, Self, TypeVar

import numpy as np
from numpy.typing import ArrayLike

from .arguments import model_method
from .callbacks import Callback, CallbackList, as_list, progress
from .data import arrays
from .data.sources import rows_of
from .data.tensors import Tensor
from .files import paths
from .layers import Layer
from .names import unknown_attribute, unknown_name
from .network import BACKENDS, Network
from .older import OlderMethods
from .optimizers import Optimizer
from .seeds import next_seed
from .training import Trainer, batches
from .training.counts import checked_batch_size

P = ParamSpec("P")
R = TypeVar("R")


def _delegated(method: Callable[Concatenate[Trainer, P], R]) -> Callable[Concatenate[Sequential, P], R]:
    """The same method, with the same arguments, of the trainer that `compile` made."""
    accepting = model_method(method)

    @functools.wraps(method)
    def call(self: Sequential, /, *args: P.args, **kwargs: P.kwargs) -> R:
        if self._trainer is None:
            raise RuntimeError(
                f"{method.__name__} needs a compiled model. Call model.compile(optimizer, loss) first."
            )
        return accepting(self._trainer, *args, **kwargs)

    return call


class Sequential(OlderMethods, Network):
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

    _trainer: Trainer | None

    _remedies: ClassVar = {
        "": "Make a new model.",
        "layers": "Use add and pop.",
        "weights": "Use set_weights.",
        **dict.fromkeys(("trainer", "optimizer", "loss", "metrics_names"), "Call compile again."),
        **dict.fromkeys(("fit", "evaluate", "predict", "call"), "Derive a class, or pass callbacks."),
    }

    # Training

    @property
    def trainer(self) -> Trainer | None:
        """What `compile` made."""
        return self._trainer

    @model_method
    def compile(
        self,
        optimizer: object = "rmsprop",
        loss: object = None,
        loss_weights: None = None,
        metrics: Iterable[object] | str | None = None,
        weighted_metrics: Iterable[object] | str | None = None,
        *,
        backend: str = BACKENDS[0],
    ) -> None:
        """Choose how the model is trained; the state of an optimizer begins afresh.

        Parameters
        ----------
        optimizer : str or Optimizer, default "rmsprop"
        loss : str, Loss or class of losses
            Also in a list of one, or a dict of one under the name of the last layer, as for a model of one output.
        loss_weights : None
            Keras' argument for several outputs, in its place.
        metrics : iterable of str, Metric or function, optional
        weighted_metrics : iterable of str, Metric or function, optional
            The same, weighted by `sample_weight` and `class_weight`.
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
        Trainer(self, optimizer, loss, metrics, backend, weighted_metrics)._release_model()

    fit = _delegated(Trainer.fit)
    evaluate = _delegated(Trainer.evaluate)
    train_on_batch = _delegated(Trainer.train_on_batch)
    test_on_batch = _delegated(Trainer.test_on_batch)
    recover = _delegated(Trainer.recover)
    explain = _delegated(Trainer.explain)

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
        return self.trainer.metrics_names if self.trainer else ["loss"]

    # Prediction

    @model_method
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
        x, _, _, batch_size, _ = rows_of(x, batch_size=batch_size)
        array = arrays.to_rows(x)
        self._check_kind(array)
        shape = self._shape_for(array)
        inputs = arrays.as_inputs(array, shape)
        batch_size = min(checked_batch_size(batch_size), len(inputs))
        chosen = as_list(callbacks)
        shown = 0 if verbose == "auto" else progress.mode(verbose)
        net = self._network(shape)
        outputs = np.empty((len(inputs), self._head[0]), np.float32)
        on_progress = None
        if shown:
            bar = progress.ProgressBar(shown, len(inputs), batch_size, lambda done: {})
            chosen.append(bar)
            on_progress = bar.on_progress
        if not chosen:
            net.predict(inputs, outputs, None)
            return outputs
        listeners = CallbackList(chosen, self, verbose=verbose, epochs=1, steps=-(-len(inputs) // batch_size))

        def step(start: int, stop: int, on_progress: batches.Progress) -> None:
            net.predict(inputs[start:stop], outputs[start:stop], on_progress)

        def logs(start: int, stop: int) -> dict[str, Any]:
            return {"outputs": outputs[start:stop]}

        try:
            listeners.call("on_predict_begin", {})
            batches.run("predict", len(inputs), batch_size, listeners, step, logs, on_progress)
            listeners.call("on_predict_end", {})
        except BaseException:
            listeners.abandon()
            raise
        return outputs

    def predict_on_batch(self, x: ArrayLike) -> arrays.Floats:
        """Outputs for each row, as `predict` with no display."""
        return self.predict(x)

    def __call__(self, inputs: ArrayLike, training: bool | None = None) -> Tensor:
        """Outputs for each row, as an array with `numpy()`.

        Raises
        ------
        ValueError
            `training=True`: what is random in training is so in `fit` only.
        """
        if training:
            raise ValueError(
                "training must be False or None: the model is trained by fit and train_on_batch."
            )
        return self.predict(inputs).view(Tensor)

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

    def save(self, filepath: str | PathLike[str], overwrite: bool = True) -> None:
        """Write model and training state to a safetensors file; see `saving.save_model`."""
        from .files.saving import save_model

        save_model(self, filepath, overwrite)

    def save_weights(self, filepath: str | PathLike[str], overwrite: bool = True) -> None:
        """Write the weights, and the state of the optimizer, to a safetensors file for `load_weights`.

        The file is that of `save`, which has the structure too, so that `load_model` takes it as well.
        """
        self.save(filepath, overwrite)

    def load_weights(self, filepath: str | PathLike[str], skip_mismatch: bool = False) -> None:
        """Take the weights out of a file that `save_weights` or `save` wrote, in the order of the layers.

        The state of the optimizer comes along where the model is compiled with the same update rule.

        Parameters
        ----------
        filepath : str or path
        skip_mismatch : False
            Keras' argument; weights of another shape are an error here.

        Raises
        ------
        ValueError
            Another number of weights, or another shape; then nothing is written. A path of another format.
        ModelFileError, OSError
            As for `load_model`.
        """
        from .files.saving import read_model

        if skip_mismatch:
            raise ValueError(
                "skip_mismatch must be False: a file is loaded whole. Load it with load_model, and give "
                "layer.set_weights what fits."
            )
        paths.check_suffix(filepath)
        other = read_model(filepath, Sequential.from_config)
        self._network(other.sample_shape)
        self.set_weights(other.weights)
        if self._trainer and other._trainer and self._trainer.optimizer.rule == other._trainer.optimizer.rule:
            self._trainer.set_slots(other._trainer.slots)
            self._trainer.iterations = other._trainer.iterations

    def to_json(self, **options: Any) -> str:
        """The structure, without weights, as JSON for `model_from_json`; options are those of `json.dumps`.

        Raises
        ------
        TypeError
            An initializer is a function.
        """
        return json.dumps({"class_name": "Sequential", "config": self.get_config()}, **options)

    def __getstate__(self) -> dict[str, Any]:
        with self._lock:  # weights, slots and counters are of one moment
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
            Trainer.from_snapshot(self, state["trainer"])._release_model()

    def __repr__(self) -> str:
        return f"<Sequential name={self.name}, {len(self._layers)} layers>"


def load_model(filepath: str | PathLike[str]) -> Sequential:
    """The model in a file that `save` wrote; its training goes on exactly where it stopped.

    Raises
    ------
    ModelFileError
        Not such a file, a damaged one, or one of a later version.
    OSError
        The file cannot be read.

    Examples
    --------
    >>> import tempfile
    >>> import nnfast as nn
    >>> model = nn.Sequential([nn.layers.Input((2,)), nn.layers.Dense(1)], seed=0)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     model.save(f"{folder}/model.safetensors")
    ...     copy = nn.load_model(f"{folder}/model.safetensors")
    >>> bool((copy.get_weights()[0] == model.get_weights()[0]).all())
    True
    """
    from .files.saving import read_model

    return read_model(filepath, Sequential.from_config)


def model_from_json(json_string: str, custom_objects: None = None) -> Sequential:
    """The model whose structure `to_json` gave, with the initial weights of its seed; it is to be compiled.

    Raises
    ------
    ValueError
        Not such a text.
    """
    if custom_objects is not None:
        raise ValueError(
            f"custom_objects must be None, as the engine runs its own only, got {custom_objects!r}."
        )
    description = json.loads(json_string)
    if not isinstance(description, dict) or set(description) != {"class_name", "config"}:
        raise ValueError(
            "json_string must be what model.to_json() of nnfast gave; that of Keras has another form. Build the model anew."
        )
    if description["class_name"] != "Sequential":
        raise unknown_name("model", str(description["class_name"]), ["Sequential"])
    return Sequential.from_config(description["config"])


def clone_model(
    model: Sequential,
    input_tensors: None = None,
    clone_function: Callable[[Layer], Layer] | None = None,
) -> Sequential:
    """A model of the same structure with new layers and new initial weights, of a seed of its own; not compiled.

    Parameters
    ----------
    model : Sequential
    input_tensors : None
        Keras' argument for graphs.
    clone_function : callable (Layer) -> Layer, optional
        Makes each new layer; by default `from_config` of the old one's configuration.

    Raises
    ------
    TypeError
        `model` is none.

    Examples
    --------
    >>> from nnfast import layers
    >>> twin = clone_model(Sequential([layers.Input((2,)), layers.Dense(3)], seed=0))
    >>> [layer.name for layer in twin.layers], twin.count_params()
    (['dense'], 9)
    """
    if not isinstance(model, Sequential):
        raise TypeError(f"model must be a Sequential, got {model!r}.")
    if input_tensors is not None:
        raise ValueError(
            f"input_tensors must be None, got {input_tensors!r}. Begin a new model with layers.Input."
        )
    config = {**model.get_config(), "seed": next_seed()}
    if clone_function is not None:
        config["layers"] = [clone_function(layer) for layer in model.layers]
    return Sequential.from_config(config)


def __getattr__(name: str) -> Any:
    raise unknown_attribute(__name__, name, ["Sequential", "clone_model", "load_model", "model_from_json"])
