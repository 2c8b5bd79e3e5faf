"""The fit loop: order of the rows, one native call per epoch, validation, callbacks, history.

The arithmetic is in the engine (`_core.Net.train`), the checks of data are in `arrays`, what an epoch shows
is in `progress`. What a second `fit` goes on with (optimizer state, place in the random stream, count of
epochs) is kept here and in the network.
"""

from __future__ import annotations

import math
import warnings
import weakref
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Final, NamedTuple, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from . import _core, arrays, losses, optimizers, progress, utils
from . import metrics as metrics_module
from .attributes import Guarded
from .callbacks import Callback, CallbackList, History, Logs, TerminateOnNaN, as_list
from .errors import DeadUnits, NonFiniteError
from .names import serialize, unknown_name

if TYPE_CHECKING:
    from .models import Draft, Net, Run, Sequential

BACKENDS = ("native", "reference")
BATCH_SIZE = 32
LARGEST_TOTAL = 2**53
"""Of updates and epochs: no training gets there, and no arithmetic overflows."""
DEAD_SAMPLE = 256
"""Rows that are looked at when a layer seems dead."""


class Data(NamedTuple):
    """Rows as the engine takes them."""

    x: arrays.Inputs
    y: arrays.Labels | arrays.Floats
    weight: arrays.Floats | None

    def part(self, rows: slice) -> Data:
        return Data(self.x[rows], self.y[rows], None if self.weight is None else self.weight[rows])


class Trainer(Guarded):
    """Trains a model: what `compile` makes and `fit` uses, with the same arguments.

    Making one ties it to the model, in place of the one before; where that is refused, the one before stays.

    Parameters
    ----------
    model : Sequential
    optimizer : str, Optimizer
        A name such as "adam", or an object of `nnfast.optimizers`.
    loss : str, Loss
        A name such as "mse", or an object of `nnfast.losses`.
    metrics : iterable of str or Metric, default ()
        Counted in training and evaluation; "accuracy" is binary, categorical or sparse by loss and shape. As
        in Keras, a name that is given twice is numbered: "mae", "mae_1".
    backend : {"native", "reference"}, default "native"
        "reference" trains with pure NumPy on identical batches.

    Attributes
    ----------
    epoch : int
        Epochs finished, over all fits.
    epochs_shuffled : int
        Place in the random stream: the number of shuffles made.
    warns_of_dead_units : bool
        Whether `fit` is to look for dead layers when weights do not move; True until it has looked once.

    Raises
    ------
    ValueError
        An unknown name, a metric that does not fit the loss, an optimizer of another model.
    TypeError
        Neither a name nor an object, or an object of a user's own class that the engine cannot run.

    Examples
    --------
    >>> from nnfast import Sequential, layers
    >>> trainer = Trainer(Sequential([layers.Input((1,)), layers.Dense(1)], seed=0), "sgd", "mse")
    >>> history = trainer.fit([[0.0], [1.0]], [1.0, 3.0], epochs=3, verbose=0)
    >>> history.epoch
    [0, 1, 2]
    """

    optimizer: Final[optimizers.Optimizer]
    loss: Final[losses.Loss]
    metrics: Final[tuple[metrics_module.Metric, ...]]
    backend: Final[str]
    _remedies: ClassVar = {"": "Make a new Trainer, or call compile again.", "slots": "Use set_slots."}

    def __init__(
        self,
        model: Sequential,
        optimizer: object,
        loss: object,
        metrics: Iterable[object] | str | None = (),
        backend: str = BACKENDS[0],
    ) -> None:
        if backend not in BACKENDS:
            raise unknown_name("backend", str(backend), BACKENDS)
        self.optimizer = optimizers.get(optimizer)
        self.loss = losses.get(loss)
        self.metrics = tuple(metrics_module.get_all(metrics))
        self.backend = backend
        self._epoch = 0
        self._epochs_shuffled = 0
        self._warns_of_dead_units = True
        self._model = weakref.ref(model)
        self._held: Sequential | None = model
        self._net: Net | None = None
        self._finite: arrays.Floats | None = None
        self._kernels: list[tuple[memoryview, memoryview]] | None = None  # of the network and of `_finite`
        self._head: tuple[int, str] | None = None
        model.use.require_free("compile")
        with model.use:
            self.optimizer.check(model)
            draft = model.draft(None, backend) if model.built else None
            if draft is not None:
                self._compile(draft)
            elif model.layers:
                self._bind(model.head)
            model.take(self, draft)  # nothing is refused from here on
            self.optimizer.attach(self)

    def release_model(self) -> None:
        """Leave it to the model, which holds this trainer, to keep both alive: a circle of the two would be
        freed late."""
        self._held = None

    @property
    def model(self) -> Sequential:
        model = self._model()
        if model is None:
            raise RuntimeError("the model of this trainer is gone. Keep a reference to the model.")
        return model

    # The network, compiled

    def _current(self) -> Sequential:
        """The model, if this is its trainer."""
        model = self.model
        if model.trainer is not self:
            raise RuntimeError(
                "the model was compiled again, or its layers were changed. "
                "Use model.trainer, or make a new Trainer."
            )
        return model

    def _network(self, sample_shape: tuple[int, ...] | None = None) -> Net:
        """The model's network with this trainer's loss, rule and metrics; built now if need be, for what has been
        checked: from then on the model takes samples of this shape only."""
        model = self._current()
        if self._net is None:
            with model.use:
                draft = model.draft(sample_shape, self.backend)
                self._compile(draft)
                model.adopt(draft, self.backend)
        elif self.optimizer.rule != self._rule:
            raise RuntimeError(
                f"the optimizer has changed from rule {self._rule!r} to {self.optimizer.rule!r}. "
                "Call compile again."
            )
        assert self._net is not None
        return self._net

    def _compile(self, draft: Draft) -> None:
        self._bind(draft.head)
        rule = self.optimizer.rule
        draft.net.compile(self.loss.name, self.loss.from_logits, rule, self._rows)
        self._net, self._rule, self._params = draft.net, rule, draft.net.params
        self._kernels = None

    def _bind(self, head: tuple[int, str]) -> None:
        """Decide what is counted for a model of these outputs: each row of the engine's table once, under as many
        names as are asked for."""
        if head == self._head:
            return
        bound = metrics_module.bind(self.metrics, self.loss, *head)
        losses.warn_of_head(self.loss, *head)
        self._rows = list(dict.fromkeys(bound))
        self._columns: list[tuple[str, Callable[[float], float], int]] = [("loss", float, 0)]
        for metric, row in zip(self.metrics, bound, strict=True):
            self._columns.append((metric.name, metric.finish, 1 + self._rows.index(row)))
        self._head = head

    def move(self, draft: Draft) -> None:
        """Go on with another network of the same weights; the state of the optimizer comes along."""
        if self._net is None:
            return
        slots, step = self._net.slots, self._net.step
        self._compile(draft)
        for slot, values in zip(draft.net.slots, slots, strict=True):
            np.copyto(slot, values)
        draft.net.step = step

    @property
    def directions(self) -> dict[str, str]:
        """What counts as better for each metric: "min" or "max"."""
        return {metric.name: metric.direction for metric in self.metrics}

    def _totals(self) -> NDArray[np.float64]:
        return np.zeros(1 + len(self._rows))

    def _means(self, totals: NDArray[np.float64], rows: int) -> Logs:
        sums = totals.tolist()
        return {name: finish(sums[place] / rows) for name, finish, place in self._columns}

    # Data

    def _data(
        self,
        x: object,
        y: object,
        sample_weight: object,
        prefix: str = "",
        shape: tuple[int, ...] | None = None,
    ) -> tuple[Data, tuple[int, ...]]:
        """Checked rows, and the shape of a sample: `shape`, else that of the model, else of these. Builds nothing."""
        model = self._current()
        if y is None:
            raise ValueError(f"{prefix}y must be given, one target for each row of {prefix}x.")
        array = arrays.to_rows(x, f"{prefix}x")
        shape = shape or model.shape_for(array)
        inputs = arrays.as_inputs(array, shape, f"{prefix}x")
        rows = len(inputs)
        targets = losses.as_targets(self.loss, y, rows, model.head[0], f"{prefix}y")
        weight = (
            None
            if sample_weight is None
            else arrays.as_weights(sample_weight, rows, f"{prefix}sample_weight")
        )
        return Data(inputs, targets, weight), shape

    def _weighted(self, data: Data, class_weight: object) -> Data:
        """`class_weight` becomes a sample weight; together they multiply."""
        if class_weight is None:
            return data
        weight = arrays.class_weights(class_weight, data.y, self.model.head[0])
        return data._replace(weight=weight if data.weight is None else data.weight * weight)

    # Training

    def fit(
        self,
        x: ArrayLike | None = None,
        y: ArrayLike | None = None,
        batch_size: int | None = None,
        epochs: int = 1,
        verbose: str | int = "auto",
        callbacks: Callback | Iterable[Callback] | None = None,
        validation_split: float = 0.0,
        validation_data: tuple[Any, ...] | None = None,
        shuffle: bool = True,
        class_weight: Mapping[int, float] | None = None,
        sample_weight: ArrayLike | None = None,
        initial_epoch: int = 0,
        steps_per_epoch: None = None,
        validation_steps: None = None,
        validation_batch_size: int | None = None,
        validation_freq: int | Collection[int] = 1,
    ) -> History:
        """Train for a number of epochs.

        A second call goes on where the first one stopped: with the state of the optimizer and the next
        shuffles.

        Parameters
        ----------
        x : array_like, shape (N, ...), or sparse, shape (N, I)
            Arrays, lists or DataFrames of numbers; used as float32. SciPy's sparse matrices and arrays are
            trained on as they are, without ever making them dense.
        y : array_like, shape (N,), (N, 1) or (N, K)
            Labels from 0 for the sparse loss, else targets as wide as the model's output.
        batch_size : int, default 32
            Rows per step; a last, smaller batch is a full step over its own rows.
        epochs : int, default 1
            Index of the epoch at which to stop, counted from 0: `epochs - initial_epoch` are run.
        verbose : {"auto", 0, 1, 2}, default "auto"
            0 silent, 1 a bar for each epoch, 2 one line for each; "auto" is 1 on a terminal or in a notebook,
            else 2.
        callbacks : iterable of Callback, optional
        validation_split : float, default 0.0
            Share of the rows, from the end, that is set aside before any shuffling.
        validation_data : tuple (x, y) or (x, y, sample_weight), optional
            Evaluated after each epoch, in place of `validation_split`.
        shuffle : bool, default True
            A fresh uniform permutation of all rows for each epoch.
        class_weight : dict of int to float, optional
            Weight of each class in the loss, for labels, one-hot rows, or one column of 0 and 1.
        sample_weight : array_like, shape (N,), optional
            Weight of each row in the loss; the divisor stays the number of rows.
        initial_epoch : int, default 0
            Index of the first epoch, as callbacks and history see it.
        steps_per_epoch, validation_steps : None
            Keras' arguments for endless generators; an epoch is once over all rows here.
        validation_batch_size : int, optional
            What callbacks see as batches of the validation.
        validation_freq : int or collection of int, default 1
            Validate after every so many epochs, or after the given ones, counted from 1.

        Returns
        -------
        History
            Also kept as `model.history`, from the start: what an interrupted fit reached is there.

        Raises
        ------
        ValueError, TypeError
            Arguments or data that are not right; before the first step.
        NonFiniteError
            The loss, or at the end of an epoch a weight, is NaN or infinite; see `recover`.
        RuntimeError
            The model is being trained already.

        Warns
        -----
        DeadUnits
            All units of a layer give 0 for every row and no weight above it moves; said once.
        """
        if steps_per_epoch is not None or validation_steps is not None:
            raise ValueError(
                "steps_per_epoch and validation_steps must be None: an epoch is once over all rows. "
                "Pass fewer rows instead."
            )
        batch_size = checked_batch_size(batch_size)
        _check_count("epochs", epochs, 0)
        _check_count("initial_epoch", initial_epoch, 0)
        shown = progress.mode(verbose)
        due = _validation_epochs(validation_freq)
        chosen = as_list(callbacks)
        if validation_batch_size is not None:
            checked_batch_size(validation_batch_size)
        with self.model.use.fit():
            data, shape = self._data(x, y, sample_weight)
            validation = None
            if validation_data is not None:
                validation, _ = self._data(*_unpack(validation_data), prefix="validation ", shape=shape)
            elif validation_split:
                data, validation = _split(data, validation_split)
            if validation is not None and validation.y.dtype == np.int32:  # a callback may write into what was checked
                validation = validation._replace(y=validation.y.copy())
            data = self._weighted(data, class_weight)
            self._network(shape)
            return self._fit(
                data,
                validation,
                range(initial_epoch, epochs),
                min(batch_size, len(data.x)),
                validation_batch_size or batch_size,
                shuffle,
                chosen,
                shown,
                due,
            )

    def _fit(
        self,
        data: Data,
        validation: Data | None,
        epochs: range,
        batch_size: int,
        validation_batch_size: int,
        shuffle: bool,
        callbacks: list[Callback],
        verbose: int,
        due: Callable[[int], bool],
    ) -> History:
        model = self.model
        run, rows = self._network().prepare(*data, batch_size), len(data.x)
        totals = self._totals()
        history = History()
        callbacks.append(history)
        if verbose:
            callbacks.append(
                progress.ProgressBar(
                    verbose, rows, batch_size, lambda done: self._means(totals, done) if done else {}
                )
            )
        listeners = CallbackList(
            callbacks, model, verbose=verbose, epochs=epochs.stop, steps=-(-rows // batch_size)
        )
        quiet = any(
            isinstance(callback, TerminateOnNaN) and not callback.raise_error for callback in callbacks
        )
        moved = listeners.moved()
        order = np.empty(rows, np.uint32) if shuffle else None
        model.history = history
        model.stop_training = False
        self._kernels = None  # layers may have been frozen since
        if _core.first_nonfinite(self._params) < 0:
            self._remember()
        logs: Logs = {}
        try:
            listeners.call("on_train_begin", {})
            for epoch in epochs:
                listeners.call("on_epoch_begin", epoch, {})
                if order is not None:
                    _core.shuffle(order, model.seed, self.epochs_shuffled)
                try:
                    totals.fill(0.0)
                    done = self._run(run, rows, order, batch_size, totals, listeners, moved)
                    logs = self._means(totals, done)
                    self._check_weights()
                    if self.warns_of_dead_units and self._stuck():
                        self._warn_of_dead_units(data)
                    self._remember()
                except NonFiniteError as error:
                    error.epoch = epoch
                    if not quiet:
                        raise
                    if error.batch is not None:
                        logs = self._means(totals, max(1, error.batch * batch_size))
                    logs["loss"] = math.nan
                    model.stop_training = True
                if validation is not None and due(epoch + 1):
                    results = self._evaluate(validation, validation_batch_size, listeners, None)
                    logs |= {f"val_{name}": value for name, value in results.items()}
                self.epoch += 1
                listeners.call("on_epoch_end", epoch, logs)
                if model.stop_training:
                    break
            listeners.call("on_train_end", logs)
        except BaseException:
            listeners.abandon()
            raise
        return history

    def _run(
        self,
        run: Run,
        rows: int,
        order: NDArray[np.uint32] | None,
        batch_size: int,
        totals: NDArray[np.float64],
        listeners: CallbackList,
        moved: Callable[[int], None] | None,
    ) -> int:
        """One epoch over prepared data, and the rows it used. Where it ends before its first step, its shuffle counts
        as not drawn."""
        steps = self.iterations
        if order is not None:
            self.epochs_shuffled += 1
        try:
            return self._run_batches(run, rows, order, batch_size, totals, listeners, moved)
        except BaseException:
            if order is not None and self.iterations == steps:
                self.epochs_shuffled -= 1
            raise

    def _run_batches(
        self,
        run: Run,
        rows: int,
        order: NDArray[np.uint32] | None,
        batch_size: int,
        totals: NDArray[np.float64],
        listeners: CallbackList,
        moved: Callable[[int], None] | None,
    ) -> int:
        """All batches in one native call, or in one each where a callback listens."""
        self._network()
        if not listeners.listen_to_batches("train"):
            run.step(order, 0, rows, self.optimizer.hyper(), totals, moved)
            return rows
        for batch, start in enumerate(range(0, rows, batch_size)):
            stop = min(start + batch_size, rows)
            listeners.call("on_train_batch_begin", batch, {})
            try:
                run.step(order, start, stop, self.optimizer.hyper(), totals, None)
            except NonFiniteError:
                listeners.call("on_train_batch_end", batch, self._means(totals, stop) | {"loss": math.nan})
                raise
            listeners.call("on_train_batch_end", batch, self._means(totals, stop))
            if moved is not None:
                moved(stop)
            if self.model.stop_training:
                return stop
        return rows

    def _check_weights(self) -> None:
        if _core.first_nonfinite(self._params) >= 0:
            model = self.model
            names = [
                name
                for name, weight in zip(model.weight_names, model.weights, strict=True)
                if not np.isfinite(weight).all()
            ]
            raise NonFiniteError(None, subject=f"weight {names[0]}")

    def _stuck(self) -> bool:
        """Whether a kernel (of the first one only in a model of one layer) is, to the bit, what it was before the
        epoch: its gradient was zero for every batch.

        The kernel above a dead layer is, and of a dead last layer its own. One that trains differs in its first
        weights, so that this takes a fraction of a microsecond; the first kernel is left out because it stands
        still wherever an input is always 0.
        """
        if self._finite is None:
            return False
        if self._kernels is None:
            net = self._network()
            pairs = zip(net.tensors, net.split(self._finite), strict=True)
            kernels = [
                (now.data.cast("B").cast("I"), before.data.cast("B").cast("I"))
                for now, before in pairs
                if now.ndim == 2
            ]
            trained = [pair for pair, moves in zip(kernels, net.trainable, strict=True) if moves]
            self._kernels = trained[1:] if len(kernels) > 1 and net.trainable[0] else trained
        return any(now == before for now, before in self._kernels)

    def _warn_of_dead_units(self, data: Data) -> None:
        """Look for a dead layer, on some rows; only once, as there are other reasons for weights not to move."""
        self.warns_of_dead_units = False
        model = self.model
        every = -(-len(data.x) // DEAD_SAMPLE)
        rows = (
            data.x[::every]
            if isinstance(data.x, np.ndarray)
            else data.x.toarray(range(0, len(data.x), every))
        )
        dead = [
            name
            for name, part in utils.dead_units(model, rows.reshape(-1, *model.sample_shape)).items()
            if part == 1
        ]
        if dead:
            names = ", ".join(map(repr, dead))
            units = sum(op.units for op in model.ops() if op.name in dead and op.kind != "dropout")
            warnings.warn(DeadUnits(names, f"{units} of {units} units", model.seed), stacklevel=5)

    def _remember(self) -> None:
        if self._finite is None:
            self._finite = self._params.copy()
        else:
            np.copyto(self._finite, self._params)

    def recover(self) -> None:
        """Put back the weights that the last finite epoch of the last fit ended with, and start the optimizer
        afresh.

        For use after `NonFiniteError`, usually followed by a lower learning rate. In the first epoch of a fit
        they are the weights that it began with.

        Raises
        ------
        RuntimeError
            There was no fit since `compile`.
        """
        if self._finite is None:
            raise RuntimeError("there are no weights to recover: no fit has begun since compile.")
        self._current()
        with self.model.use:
            net = self._network()
            np.copyto(self._params, self._finite)
            for slot in net.slots:
                slot.fill(0.0)
            net.step = 0

    def train_on_batch(
        self,
        x: ArrayLike,
        y: ArrayLike | None = None,
        sample_weight: ArrayLike | None = None,
        class_weight: Mapping[int, float] | None = None,
        return_dict: bool = False,
    ) -> float | list[float] | Logs:
        """One step over all given rows as one batch.

        Returns
        -------
        float, list of float or dict
            The loss before the step; with metrics `[loss, *metrics]`, and with `return_dict=True` a dict.

        Raises
        ------
        NonFiniteError
            The loss is NaN or infinite; no step was made.
        """
        with self.model.use:
            data, shape = self._data(x, y, sample_weight)
            data = self._weighted(data, class_weight)
            net = self._network(shape)
            rows, totals = len(data.x), self._totals()
            net.prepare(*data, rows).step(None, 0, rows, self.optimizer.hyper(), totals, None)
            return _result(self._means(totals, rows), return_dict)

    # Evaluation

    def evaluate(
        self,
        x: ArrayLike | None = None,
        y: ArrayLike | None = None,
        batch_size: int | None = None,
        verbose: str | int = "auto",
        sample_weight: ArrayLike | None = None,
        steps: None = None,
        callbacks: Callback | Iterable[Callback] | None = None,
        return_dict: bool = False,
    ) -> float | list[float] | Logs:
        """Loss and metrics over all rows, with fixed weights.

        Parameters
        ----------
        x, y, sample_weight : array_like
            As for `fit`.
        batch_size : int, default 32
            What callbacks see as a batch; the result does not depend on it.
        verbose : {"auto", 0, 1, 2}, default "auto"
        steps : None
            Keras' argument for endless generators.
        callbacks : iterable of Callback, optional
        return_dict : bool, default False

        Returns
        -------
        float, list of float or dict
            The loss; with metrics `[loss, *metrics]`, and with `return_dict=True` a dict.
        """
        if steps is not None:
            raise ValueError("steps must be None: all rows are evaluated. Pass fewer rows instead.")
        batch_size = checked_batch_size(batch_size)
        shown = progress.mode(verbose)
        chosen = as_list(callbacks)
        with self.model.use:
            data, shape = self._data(x, y, sample_weight)
            self._network(shape)
            batch_size = min(batch_size, len(data.x))
            moved = None
            if shown:
                bar = progress.ProgressBar(shown, len(data.x), batch_size, lambda done: {})
                chosen.append(bar)
                moved = bar.moved
            listeners = CallbackList(
                chosen, self.model, verbose=shown, epochs=1, steps=-(-len(data.x) // batch_size)
            )
            try:
                return _result(self._evaluate(data, batch_size, listeners, moved), return_dict)
            except BaseException:
                listeners.abandon()
                raise

    def _evaluate(
        self, data: Data, batch_size: int, listeners: CallbackList, moved: Callable[[int], None] | None
    ) -> Logs:
        rows, totals = len(data.x), self._totals()
        run = self._network().prepare(*data, batch_size=rows, train=False)
        listeners.call("on_test_begin", {})
        if not listeners.listen_to_batches("test"):
            run.step(None, 0, rows, (), totals, moved)
        else:
            for batch, start in enumerate(range(0, rows, batch_size)):
                stop = min(start + batch_size, rows)
                listeners.call("on_test_batch_begin", batch, {})
                run.step(None, start, stop, (), totals, None)
                listeners.call("on_test_batch_end", batch, self._means(totals, stop))
        logs = self._means(totals, rows)
        listeners.call("on_test_end", logs)
        return logs

    def test_on_batch(
        self,
        x: ArrayLike,
        y: ArrayLike | None = None,
        sample_weight: ArrayLike | None = None,
        return_dict: bool = False,
    ) -> float | list[float] | Logs:
        """Loss and metrics of the given rows, as `evaluate` with no display."""
        return self.evaluate(x, y, verbose=0, sample_weight=sample_weight, return_dict=return_dict)

    # State, for model files and copies

    def get_config(self) -> dict[str, Any]:
        """The arguments of `compile`, JSON-able; it takes them back: `model.compile(**config)`."""
        return {
            "optimizer": serialize(self.optimizer),
            "loss": serialize(self.loss),
            "metrics": [metrics_module.describe(metric) for metric in self.metrics],
            "backend": self.backend,
        }

    @property
    def epoch(self) -> int:
        """Epochs finished, over all fits."""
        return self._epoch

    @epoch.setter
    def epoch(self, value: int) -> None:
        self._epoch = _checked_total("epoch", value)

    @property
    def epochs_shuffled(self) -> int:
        """Place in the random stream: the number of shuffles made."""
        return self._epochs_shuffled

    @epochs_shuffled.setter
    def epochs_shuffled(self, value: int) -> None:
        self._epochs_shuffled = _checked_total("epochs_shuffled", value)

    @property
    def warns_of_dead_units(self) -> bool:
        """Whether `fit` is to look for dead layers when weights do not move."""
        return self._warns_of_dead_units

    @warns_of_dead_units.setter
    def warns_of_dead_units(self, value: bool) -> None:
        self._warns_of_dead_units = bool(value)

    @property
    def iterations(self) -> int:
        """Number of updates made."""
        return 0 if self._net is None else self._net.step

    @iterations.setter
    def iterations(self, value: int) -> None:
        checked = _checked_total("iterations", value)
        with self.model.use:
            self._network().step = checked

    @property
    def slots(self) -> dict[str, list[arrays.Floats]]:
        """Name of each slot of the optimizer to its arrays, views in the order of `get_weights`."""
        net = self._network()
        names = _core.RULES[self._rule][1]
        return {name: net.split(slot) for name, slot in zip(names, net.slots, strict=True)}

    def set_slots(self, slots: Mapping[str, Iterable[ArrayLike]]) -> None:
        """Overwrite the slots of the optimizer, all or none.

        Raises
        ------
        ValueError
            Other names, numbers or shapes than those of `slots`.
        RuntimeError
            The model is being trained by another thread.
        """
        with self.model.use:
            own = self.slots
            if set(slots) != set(own):
                raise ValueError(
                    f"slots must be {sorted(own)}, those of rule {self._rule!r}, got {sorted(slots)}."
                )
            arrays.assign(
                [tensor for name in own for tensor in own[name]],
                [value for name in own for value in slots[name]],
                f"optimizer rule {self._rule!r}",
            )

    def state(self) -> dict[str, int]:
        """Epochs finished and place in the random stream."""
        return {"epoch": self.epoch, "epochs_shuffled": self.epochs_shuffled}

    def set_state(self, state: Mapping[str, int]) -> None:
        """Put back what `state` gave."""
        epoch, shuffled = (_checked_total(name, state[name]) for name in ("epoch", "epochs_shuffled"))
        with self.model.use:
            self._epoch, self._epochs_shuffled = epoch, shuffled

    def snapshot(self) -> dict[str, Any]:
        """Everything that pickle and deepcopy need to make an equal trainer for an equal model."""
        built = self._net is not None
        return {
            "arguments": (self.optimizer, self.loss, self.metrics, self.backend),
            "state": self.state(),
            "iterations": self.iterations,
            "slots": {name: [tensor.copy() for tensor in tensors] for name, tensors in self.slots.items()}
            if built
            else None,
        }

    @classmethod
    def from_snapshot(cls, model: Sequential, snapshot: dict[str, Any]) -> Trainer:
        """The trainer for a copy of the model."""
        trainer = cls(model, *snapshot["arguments"])
        trainer.set_state(snapshot["state"])
        if snapshot["slots"] is not None:
            trainer.set_slots(snapshot["slots"])
            trainer.iterations = snapshot["iterations"]
        return trainer

    def __copy__(self) -> Self:
        raise TypeError(
            "copy.copy of a trainer would have to share the model with it. Use copy.deepcopy(model.trainer)."
        )

    def __reduce__(self) -> tuple[Callable[[Sequential], Trainer], tuple[Sequential]]:
        return _trainer_of, (self.model,)


def _trainer_of(model: Sequential) -> Trainer:
    assert model.trainer is not None
    model.trainer._held = model
    return model.trainer


def _result(logs: Logs, return_dict: bool) -> float | list[float] | Logs:
    if return_dict:
        return logs
    values = list(logs.values())
    return values if len(values) > 1 else values[0]


def checked_batch_size(batch_size: int | None) -> int:
    """The batch size, 32 where it is None."""
    if batch_size is None:
        return BATCH_SIZE
    return _check_count("batch_size", batch_size, 1)


def _check_count(name: str, value: int, least: int) -> int:
    if not isinstance(value, int | np.integer) or isinstance(value, bool) or value < least:
        raise ValueError(f"{name} must be a whole number >= {least}, got {value!r}.")
    return int(value)


def _checked_total(name: str, value: int) -> int:
    """A number of epochs or updates, as a model file can hold it."""
    total = _check_count(name, value, 0)
    if total > LARGEST_TOTAL:
        raise ValueError(f"{name} must be at most 2**53, got {value!r}.")
    return total


def _validation_epochs(frequency: int | Collection[int]) -> Callable[[int], bool]:
    """Whether to validate after an epoch, counted from 1."""
    if isinstance(frequency, Collection):
        return frequency.__contains__
    every = _check_count("validation_freq", frequency, 1)
    return lambda epoch: epoch % every == 0


def _unpack(validation_data: object) -> tuple[Any, Any, Any]:
    if not isinstance(validation_data, tuple | list) or len(validation_data) not in (2, 3):
        raise ValueError(
            f"validation_data must be (x, y) or (x, y, sample_weight), got {type(validation_data).__name__}."
        )
    x, y, *weight = validation_data
    return x, y, weight[0] if weight else None


def _split(data: Data, share: float) -> tuple[Data, Data]:
    """All but the tail, and the tail."""
    rows = len(data.x)
    if not 0 < share < 1:
        raise ValueError(f"validation_split must be between 0 and 1, got {share!r}.")
    at = math.floor(rows * (1.0 - share))
    if at == 0:
        raise ValueError(
            f"validation_split={share} leaves no row of {rows} to train on. "
            "Pass a smaller share, or validation_data."
        )
    if at == rows:
        raise ValueError(
            f"validation_split={share} leaves no row of {rows} to validate on. Pass a larger share."
        )
    return data.part(slice(0, at)), data.part(slice(at, rows))
