"""The fit loop: order of the rows, one native call per epoch, validation, callbacks, history.

The arithmetic is in the engine (`_core.Run`), the checks of data are in `data`. What a second `fit` goes on
with (optimizer state, place in the random stream, count of epochs) is in `compiled` and in the network.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .. import _core
from ..callbacks import (
    BackupAndRestore,
    Callback,
    CallbackList,
    History,
    Logs,
    TerminateOnNaN,
    as_list,
    progress,
)
from ..data.sources import rows_of
from ..errors import NonFiniteError, cut
from . import batches
from .compiled import Compiled
from .counts import check_count, checked_batch_size
from .health import check_weights, warn_of_dead_units
from .rows import Data, check_share, split, stand_ins, unpack, validation_epochs

if TYPE_CHECKING:
    from ..network import Run
    from .watch import Watch


class Trainer(Compiled):
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
    weighted_metrics : iterable of str or Metric, default ()
        The same, weighted by `sample_weight` and `class_weight`.

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
        x, y, sample_weight, batch_size, shuffle = rows_of(x, y, sample_weight, batch_size, shuffle)
        if steps_per_epoch is not None or validation_steps is not None:
            raise ValueError(
                "steps_per_epoch and validation_steps must be None: an epoch is once over all rows. "
                "Pass fewer rows instead."
            )
        batch_size = checked_batch_size(batch_size)
        check_count("epochs", epochs, 0)
        check_count("initial_epoch", initial_epoch, 0)
        shown = progress.mode(verbose)
        validates = validation_epochs(validation_freq)
        chosen = as_list(callbacks)
        if validation_batch_size is not None:
            check_count("validation_batch_size", validation_batch_size, 1)
        check_share(validation_split)
        if shuffle is not None and not isinstance(shuffle, bool | int | np.bool_):
            raise ValueError(
                f"shuffle must be True or False, got {cut(shuffle)}. For an order of your own: x[order]."
            )
        with self.model._lock.fit():
            data, shape = self._data(x, y, sample_weight)
            validation = None
            if validation_data is not None:
                validation, _ = self._data(*unpack(validation_data), prefix="validation ", shape=shape)
            elif validation_split:
                data, validation = split(data, validation_split)
            if validation is not None and validation.y.dtype == np.int32:
                # It is prepared anew after each epoch, when a callback may have written into what was checked.
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
                validates,
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
        validates: Callable[[int], bool],
    ) -> History:
        model, rows = self.model, len(data.x)
        watch, totals = self._watch(data, batch_size), self._totals()
        run = self._network().prepare(*data, batch_size, keeps_outputs=watch is not None)
        history = History()
        callbacks.append(history)
        if verbose:
            callbacks.append(
                progress.ProgressBar(
                    verbose, rows, batch_size, lambda done: self._means(totals, done, watch) if done else {}
                )
            )
        listeners = CallbackList(
            callbacks, model, verbose=verbose, epochs=epochs.stop, steps=-(-rows // batch_size)
        )
        stop_on_nan = any(
            isinstance(callback, TerminateOnNaN) and not callback.raise_error for callback in callbacks
        )
        train = self._epoch_of(run, rows, batch_size, totals, watch, listeners, shuffle)
        model.history = history
        model.stop_training = False
        self._last_finite.begin(self._params)
        logs: Logs = {}
        try:
            listeners.call("on_train_begin", {})
            backups = [
                callback.resumes_at for callback in callbacks if isinstance(callback, BackupAndRestore)
            ]
            for epoch in range(max([epochs.start, *backups]), epochs.stop):
                listeners.call("on_epoch_begin", epoch, {})
                try:
                    logs = self._means(totals, train(), watch)
                    self._check_epoch(data)
                except NonFiniteError as error:
                    error.epoch = epoch
                    if not stop_on_nan:
                        raise
                    if error.batch is not None:
                        logs = self._means(totals, error.batch * batch_size, watch)
                    logs["loss"] = math.nan
                    model.stop_training = True
                if validation is not None and validates(epoch + 1):
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

    def _epoch_of(
        self,
        run: Run,
        rows: int,
        batch_size: int,
        totals: NDArray[np.float64],
        watch: Watch | None,
        listeners: CallbackList,
        shuffle: bool,
    ) -> Callable[[], int]:
        """A function that trains for one epoch over prepared data, with its totals in `totals`, and returns the rows
        used. Where an epoch ends before its first step, its shuffle counts as not drawn."""
        order = np.empty(rows, np.uint32) if shuffle else None
        on_progress = listeners.on_progress()

        def step(start: int, stop: int, on_progress: batches.Progress) -> None:
            optimizer = self.optimizer
            room = watch.room(start, stop) if watch else None
            if optimizer.asks_each_step:
                starts = range(start, stop, batch_size)
                batches.step_by_step(run, order, starts, stop, optimizer, totals, on_progress, room)
                return
            rates = optimizer.rates(-(-(stop - start) // batch_size))
            run.step(order, start, stop, optimizer.hyper(), totals, on_progress, rates, room)

        def logs(_: int, stop: int) -> Logs:
            return self._means(totals, stop, watch)

        def epoch() -> int:
            if order is not None:
                _core.shuffle(order, self.model.seed, self.epochs_shuffled)
                self.epochs_shuffled += 1
            totals.fill(0.0)
            if watch:
                watch.begin(order)
            steps = self.iterations
            try:
                self._network()
                return batches.run("train", rows, batch_size, listeners, step, logs, on_progress)
            except BaseException:
                if order is not None and self.iterations == steps:
                    self.epochs_shuffled -= 1
                raise

        return epoch

    def _check_epoch(self, data: Data) -> None:
        """Whether the weights are finite after an epoch, and whether they moved; that is asked only once, as there
        are other reasons for weights not to move."""
        check_weights(self.model, self._params)
        if self.warns_of_dead_units and self._last_finite.kernel_unchanged(self._network()):
            self.warns_of_dead_units = False
            warn_of_dead_units(self.model, data.x)
        self._last_finite.keep_finite(self._params)

    def explain(
        self,
        batch_size: int | None = None,
        x: ArrayLike | None = None,
        y: ArrayLike | None = None,
        sample_weight: ArrayLike | None = None,
        print_fn: Callable[[str], object] | None = None,
    ) -> None:
        """Print how a fit would be run: the ops, what workers share in each pass, which fast paths are taken and, for
        each other one, why not, and the memory by region. Nothing is trained.

        Parameters
        ----------
        batch_size : int, default 32
        x, y, sample_weight : array_like, optional
            As for `fit`: paths such as the skipping of zeros depend on the data. Without them one batch of rows
            of ones stands in, which have no zeros.
        print_fn : callable (str), default print
            Called with each line.

        Raises
        ------
        ValueError, TypeError
            The model is not built and no data are given; arguments or data that are not right.
        RuntimeError
            The model is being trained by another thread.

        Examples
        --------
        >>> from nnfast import Sequential, layers
        >>> model = Sequential([layers.Input((4,)), layers.Dense(1)], seed=0)
        >>> model.compile("sgd", "mse")
        >>> lines = []
        >>> model.explain(batch_size=8, print_fn=lines.append)
        >>> lines[1:4]
        ['rule sgd, loss mean_squared_error', 'ops', '  0  dense 4 -> 1, linear']
        """
        batch_size = checked_batch_size(batch_size)
        with self.model._lock:
            if x is None:
                if y is not None or sample_weight is not None:
                    raise ValueError("x must be given with y and sample_weight, got None.")
                self._network()
                x, y = stand_ins(self.loss, self.model.sample_shape, self.model._head[0], batch_size)
            data, shape = self._data(x, y, sample_weight)
            net = self._network(shape)
            text = net.prepare(*data, batch_size).explain()
        for line in text.rstrip().split("\n"):
            (print_fn or print)(line)

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
        with self.model._lock:
            data, shape = self._data(x, y, sample_weight)
            data = self._weighted(data, class_weight)
            net = self._network(shape)
            rows, totals = len(data.x), self._totals()
            watch = self._watch(data, rows)
            run = net.prepare(*data, rows, keeps_outputs=watch is not None)
            room = watch.room(0, rows) if watch else None
            run.step(None, 0, rows, self.optimizer.hyper(), totals, None, outputs=room)
            return _result(self._means(totals, rows, watch), return_dict)

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
        x, y, sample_weight, batch_size, _ = rows_of(x, y, sample_weight, batch_size)
        batch_size = checked_batch_size(batch_size)
        shown = progress.mode(verbose)
        chosen = as_list(callbacks)
        with self.model._lock:
            data, shape = self._data(x, y, sample_weight)
            self._network(shape)
            batch_size = min(batch_size, len(data.x))
            on_progress = None
            if shown:
                bar = progress.ProgressBar(shown, len(data.x), batch_size, lambda done: {})
                chosen.append(bar)
                on_progress = bar.on_progress
            listeners = CallbackList(
                chosen, self.model, verbose=shown, epochs=1, steps=-(-len(data.x) // batch_size)
            )
            try:
                return _result(self._evaluate(data, batch_size, listeners, on_progress), return_dict)
            except BaseException:
                listeners.abandon()
                raise

    def _evaluate(
        self, data: Data, batch_size: int, listeners: CallbackList, on_progress: batches.Progress
    ) -> Logs:
        rows, totals = len(data.x), self._totals()
        watch = self._watch(data, batch_size)
        run = self._network().prepare(*data, batch_size=rows, train=False, keeps_outputs=watch is not None)

        def step(start: int, stop: int, on_progress: batches.Progress) -> None:
            room = watch.room(start, stop) if watch else None
            run.step(None, start, stop, (), totals, on_progress, outputs=room)

        def so_far(_: int, stop: int) -> Logs:
            return self._means(totals, stop, watch)

        listeners.call("on_test_begin", {})
        batches.run("test", rows, batch_size, listeners, step, so_far, on_progress)
        logs = self._means(totals, rows, watch)
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


def _result(logs: Logs, return_dict: bool) -> float | list[float] | Logs:
    if return_dict:
        return logs
    values = list(logs.values())
    return values if len(values) > 1 else values[0]
