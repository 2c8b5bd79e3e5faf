"""Callbacks: Keras' hooks, and the ones that come with nnfast.

Epoch hooks are called `(epoch, logs)`, batch hooks `(batch, logs)`, the others `(logs)`, all positionally. A
callback may set `self.model.stop_training` and `self.model.optimizer.learning_rate`. The loop that calls them
is in `trainer`; the bar is in `progress`.
"""

from __future__ import annotations

import math
import numbers
import time
import warnings
import weakref
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from .arrays import Floats
from .attributes import Guarded
from .names import unknown_attribute

if TYPE_CHECKING:
    from .models import Sequential

Logs = dict[str, float]
N = TypeVar("N", int, float)


class Callback(Guarded):
    """Base of all callbacks; every hook does nothing until it is overridden.

    The engine runs whole epochs in one call as long as no callback overrides a batch hook. A class of one's
    own may have any attributes; those of nnfast's callbacks may be set to what their constructors take.

    Attributes
    ----------
    model : Sequential or None
        The model that is trained; None before, and when that model is gone.
    params : dict
        "verbose", "epochs" and "steps" (batches per epoch).

    Examples
    --------
    >>> class Halve(Callback):
    ...     def on_epoch_end(self, epoch, logs=None):
    ...         self.model.optimizer.learning_rate /= 2
    """

    # Held weakly, as a model keeps its History: a circle of the two would be freed late.
    _model: weakref.ref[Sequential] | None = None
    params: dict[str, Any] | None = None
    _remedies: ClassVar = {"": "Derive a class that overrides it.", "model": "Call set_model(model)."}

    def _may_set(self, name: str) -> bool:
        return name in _HOOKS or super()._may_set(name)

    @property
    def moved(self) -> Callable[[int], None] | None:
        """What the engine calls every few milliseconds of an epoch, with the number of rows done; an exception
        ends the fit between two steps. Not of Keras."""
        return None

    @property
    def model(self) -> Any:
        return self._model and self._model()

    def set_model(self, model: Sequential) -> None:
        self._model = weakref.ref(model)

    def set_params(self, params: dict[str, Any]) -> None:
        self.params = params

    def __getstate__(self) -> dict[str, Any]:
        return {**vars(self), "_model": None}

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """Called before the first epoch of a fit."""

    def on_train_end(self, logs: Logs | None = None) -> None:
        """Called after the last epoch of a fit, with the logs of that epoch."""

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        """Called before an epoch, counted from 0."""

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Called after an epoch and its validation; what is added to `logs` is seen by the callbacks that
        follow."""

    def on_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        """Another name for `on_train_batch_begin`."""

    def on_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """Another name for `on_train_batch_end`."""

    def on_train_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        """Called before a batch of training, counted from 0 in each epoch."""
        self.on_batch_begin(batch, logs)

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """Called after a batch of training, with the means of this epoch so far."""
        self.on_batch_end(batch, logs)

    def on_test_begin(self, logs: Logs | None = None) -> None:
        """Called before an evaluation, also that of the validation data."""

    def on_test_end(self, logs: Logs | None = None) -> None:
        """Called after an evaluation, with its results."""

    def on_test_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        """Called before a batch of an evaluation."""

    def on_test_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """Called after a batch of an evaluation, with the means so far."""

    def on_predict_begin(self, logs: Logs | None = None) -> None:
        """Called before a prediction."""

    def on_predict_end(self, logs: Logs | None = None) -> None:
        """Called after a prediction."""

    def on_predict_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        """Called before a batch of a prediction."""

    def on_predict_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """Called after a batch of a prediction, with {"outputs": its rows}."""

    def abandon(self) -> None:
        """Called instead of `on_train_end` when an exception ends the fit; not a hook of Keras."""


_HOOKS = {name: method for name, method in vars(Callback).items() if name.startswith("on_")}


class CallbackList:
    """The callbacks of one fit, evaluate or predict; each hook goes only to those that override it.

    Parameters
    ----------
    callbacks : iterable of Callback
    model : Sequential
    **params
        Given to `set_params`.
    """

    def __init__(self, callbacks: Iterable[Callback], model: Sequential, **params: Any) -> None:
        self.callbacks = list(callbacks)
        for callback in self.callbacks:
            callback.set_params(params)
            callback.set_model(model)
        self.listeners: dict[str, list[Callable[..., object]]] = {hook: [] for hook in _HOOKS}
        for callback in self.callbacks:
            for hook in _overridden(callback):
                self.listeners[hook].append(getattr(callback, hook))

    def call(self, hook: str, *arguments: Any) -> None:
        """Call a hook of all who listen, in order."""
        for listener in self.listeners[hook]:
            listener(*arguments)

    def listen_to_batches(self, kind: str) -> bool:
        """Whether anyone wants to be called for each batch of "train", "test" or "predict"."""
        return bool(self.listeners[f"on_{kind}_batch_begin"] or self.listeners[f"on_{kind}_batch_end"])

    def moved(self) -> Callable[[int], None] | None:
        """One function for all who listen within an epoch, None if nobody does."""
        chosen = [callback.moved for callback in self.callbacks if callback.moved is not None]
        if len(chosen) < 2:
            return chosen[0] if chosen else None

        def tell(rows: int) -> None:
            for listener in chosen:
                listener(rows)

        return tell

    def abandon(self) -> None:
        """Let every callback clean up after an exception."""
        for callback in self.callbacks:
            callback.abandon()


def as_list(callbacks: Callback | Iterable[Callback] | None) -> list[Callback]:
    """What a user passes as `callbacks`, as a new list.

    Raises
    ------
    TypeError
        One of them is no Callback object.
    """
    if callbacks is None:
        return []
    chosen = list(callbacks) if isinstance(callbacks, Iterable) else [callbacks]
    for callback in chosen:
        if not isinstance(callback, Callback):
            remedy = (
                "Make an object of the class first."
                if isinstance(callback, type)
                else "Derive its class from it."
            )
            raise TypeError(
                f"callbacks must be nnfast.callbacks.Callback objects, got {callback!r}. {remedy}"
            )
    return chosen


def _overridden(callback: Callback) -> list[str]:
    """The hooks that do something: in its class, or put on the object as LambdaCallback does."""
    hooks = []
    for hook, default in _HOOKS.items():
        method = getattr(callback, hook)
        if getattr(method, "__func__", method) is not default:
            hooks.append(hook)
    for hook in ("on_train_batch_begin", "on_train_batch_end"):  # they call the other name
        if hook not in hooks and hook.replace("train_", "") in hooks:
            hooks.append(hook)
    return hooks


class History(Callback):
    """What `fit` returns: the logs of each epoch.

    Attributes
    ----------
    history : dict of str to list of float
        "loss", each metric, and "val_" followed by each of them, one value per epoch.
    epoch : list of int
        Index of each epoch, from `initial_epoch`.
    """

    history: dict[str, list[float]]
    epoch: list[int]

    def __init__(self) -> None:
        self.history = {}
        self.epoch = []

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        self.epoch.append(epoch)
        for key, value in (logs or {}).items():
            self.history.setdefault(key, []).append(value)


class TimeHistory(Callback):
    """The seconds that each epoch of a fit took, its validation included.

    First in the list of callbacks, it does not count the time of the others.

    Attributes
    ----------
    times : list of float
        Seconds per epoch; a new fit starts a new list.

    Examples
    --------
    >>> from nnfast import Sequential, layers
    >>> model = Sequential([layers.Input((1,)), layers.Dense(1)], seed=0)
    >>> model.compile("sgd", "mse")
    >>> clock = TimeHistory()
    >>> history = model.fit([[0.0], [1.0]], [1.0, 3.0], epochs=3, verbose=0, callbacks=[clock])
    >>> len(clock.times), min(clock.times) > 0
    (3, True)
    """

    times: list[float]

    def __init__(self) -> None:
        self.times = []

    def on_train_begin(self, logs: Logs | None = None) -> None:
        self.times = []

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        self._began = time.perf_counter()

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        self.times.append(time.perf_counter() - self._began)


class LambdaCallback(Callback):
    """A callback made of functions.

    Parameters
    ----------
    on_epoch_begin, on_epoch_end : callable (epoch, logs), optional
    on_train_begin, on_train_end : callable (logs), optional
    on_train_batch_begin, on_train_batch_end : callable (batch, logs), optional
    **hooks : callable, optional
        Any other hook of `Callback`.

    Examples
    --------
    >>> LambdaCallback(on_epoch_end=lambda epoch, logs: print(epoch)).on_epoch_end(3, {})
    3
    """

    def __init__(
        self,
        on_epoch_begin: Callable[[int, Logs], object] | None = None,
        on_epoch_end: Callable[[int, Logs], object] | None = None,
        on_train_begin: Callable[[Logs], object] | None = None,
        on_train_end: Callable[[Logs], object] | None = None,
        on_train_batch_begin: Callable[[int, Logs], object] | None = None,
        on_train_batch_end: Callable[[int, Logs], object] | None = None,
        **hooks: Callable[..., object] | None,
    ) -> None:
        hooks.update(
            on_epoch_begin=on_epoch_begin,
            on_epoch_end=on_epoch_end,
            on_train_begin=on_train_begin,
            on_train_end=on_train_end,
            on_train_batch_begin=on_train_batch_begin,
            on_train_batch_end=on_train_batch_end,
        )
        for name, function in hooks.items():
            if name not in _HOOKS:
                raise TypeError(f"LambdaCallback got an unknown hook {name!r}. Known: {', '.join(_HOOKS)}.")
            if function is None:
                continue
            if not callable(function):
                raise TypeError(f"{name} must be a function, got {function!r}.")
            setattr(self, name, function)


class TerminateOnNaN(Callback):
    """Makes a loss or a weight that is not finite end training quietly, as if `stop_training` had been set.

    The trainer, which finds such a loss by itself, asks whether this callback is there; without it training
    stops with `NonFiniteError`. The last entry of the history's "loss" is then NaN.

    Parameters
    ----------
    raise_error : bool, default False
        Raise `NonFiniteError` after all.
    """

    raise_error: bool

    def __init__(self, raise_error: bool = False) -> None:
        self.raise_error = raise_error


class _Monitor(Callback):
    """What EarlyStopping and ReduceLROnPlateau share: which value is watched, and what counts as better."""

    monitor: str
    mode: str
    min_delta: float
    best: float | None

    def __init__(self, monitor: str, mode: str, min_delta: float) -> None:
        if mode not in ("auto", "min", "max"):
            warnings.warn(
                f"{type(self).__name__}: mode {mode!r} is unknown, 'auto' is used. Known: auto, min, max.",
                stacklevel=3,
            )
            mode = "auto"
        if not isinstance(monitor, str) or not monitor:
            raise TypeError(
                f"monitor must be the name of a value in the logs, such as 'val_loss', got {monitor!r}."
            )
        self.monitor = monitor
        self.mode = mode
        self.min_delta = abs(_number("min_delta", min_delta, -math.inf))
        self.best = None

    def _value(self, logs: Logs | None) -> float | None:
        """The monitored value; a missing one warns."""
        logs = logs or {}
        if self.monitor not in logs:
            warnings.warn(
                f"{type(self).__name__} monitors {self.monitor!r}, which is not there. "
                f"Available: {', '.join(logs)}.",
                stacklevel=2,
            )
            return None
        return float(logs[self.monitor])

    def _improves(self, value: float, reference: float | None) -> bool:
        if not math.isfinite(value):
            return False
        if reference is None:
            return True
        if self._direction() == "min":
            return value + self.min_delta < reference
        return value - self.min_delta > reference

    def _direction(self) -> str:
        if self.mode != "auto":
            return self.mode
        name = self.monitor.removeprefix("val_")
        directions: dict[str, str] = {"loss": "min", **self.model.trainer.directions}
        if name not in directions:
            raise ValueError(
                f"{type(self).__name__} cannot tell whether {self.monitor!r} should go up or down; "
                f"it knows {', '.join(directions)}. "
                "Pass mode='max' or mode='min'."
            )
        return directions[name]


def _number(name: str, value: N, least: float = 0) -> N:
    """A finite number that is not below `least`; it would be asked for only after an epoch."""
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        raise TypeError(f"{name} must be a number, got {value!r}.")
    if not least <= value < math.inf:
        bound = "" if least == -math.inf else f" >= {least}"
        raise ValueError(f"{name} must be a finite number{bound}, got {value!r}.")
    return value


class EarlyStopping(_Monitor):
    """Stops training when a value no longer improves.

    1. A missing value warns and nothing is done; nor is before `start_from_epoch`.
    2. Each epoch counts one of waiting. Improvement is strict: downwards `value + min_delta < best`, upwards
       `value - min_delta > best`; the first value improves, and one that is not finite never does.
    3. An improvement is remembered, with the weights if they are to be restored; the waiting starts anew,
       with a `baseline` only if the value beats that too.
    4. Otherwise, when the waiting has reached `patience` and this is not epoch 0, training stops.
    5. At the end, however it came, the best weights are put back if asked for. A new fit starts afresh.

    Parameters
    ----------
    monitor : str, default "val_loss"
    min_delta : float, default 0
        Its absolute value counts.
    patience : int, default 0
        0 and 1 are the same.
    verbose : int, default 0
        1 says when it acts.
    mode : {"auto", "min", "max"}, default "auto"
        "auto": a loss goes down, a metric in its own direction; anything else is a ValueError at the end of
        the first epoch.
    baseline : float, optional
    restore_best_weights : bool, default False
    start_from_epoch : int, default 0

    Raises
    ------
    TypeError, ValueError
        `monitor` is no name; a number is none, below 0 or not finite.

    Attributes
    ----------
    best, best_epoch, best_weights
        The best value, its epoch, and the weights of that epoch if they are to be restored.
    wait : int
        Epochs since the last improvement.
    stopped_epoch : int
        Epoch in which it stopped training, 0 if it did not.

    Examples
    --------
    >>> stop = EarlyStopping("val_loss", patience=3, restore_best_weights=True)
    """

    patience: int
    verbose: int
    baseline: float | None
    restore_best_weights: bool
    start_from_epoch: int
    wait: int
    stopped_epoch: int
    best_epoch: int
    best_weights: list[Floats] | None

    def __init__(
        self,
        monitor: str = "val_loss",
        min_delta: float = 0,
        patience: int = 0,
        verbose: int = 0,
        mode: str = "auto",
        baseline: float | None = None,
        restore_best_weights: bool = False,
        start_from_epoch: int = 0,
    ) -> None:
        super().__init__(monitor, mode, min_delta)
        self.patience = _number("patience", patience)
        self.verbose = verbose
        self.baseline = None if baseline is None else _number("baseline", baseline, -math.inf)
        self.restore_best_weights = restore_best_weights
        self.start_from_epoch = _number("start_from_epoch", start_from_epoch)
        self._reset()

    def _reset(self) -> None:
        self.wait = 0
        self.stopped_epoch = 0
        self.best = None
        self.best_epoch = 0
        self.best_weights = None

    def on_train_begin(self, logs: Logs | None = None) -> None:
        self._reset()

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        self._direction()
        value = self._value(logs)
        if value is None or epoch < self.start_from_epoch:
            return
        self.wait += 1
        if self._improves(value, self.best):
            self.best = value
            self.best_epoch = epoch
            if self.restore_best_weights:
                self.best_weights = self.model.get_weights()
            if self.baseline is None or self._improves(value, self.baseline):
                self.wait = 0
        elif self.wait >= self.patience and epoch > 0:
            self.stopped_epoch = epoch
            self.model.stop_training = True

    def on_train_end(self, logs: Logs | None = None) -> None:
        if self.stopped_epoch and self.verbose:
            print(f"Epoch {self.stopped_epoch + 1}: early stopping")
        self.abandon()

    def abandon(self) -> None:
        if self.best_weights is not None:
            if self.verbose:
                print(f"Restoring model weights from the end of the best epoch: {self.best_epoch + 1}.")
            self.model.set_weights(self.best_weights)


class ReduceLROnPlateau(_Monitor):
    """Lowers the learning rate when a value no longer improves.

    Parameters
    ----------
    monitor : str, default "val_loss"
    factor : float, default 0.1
        Below 1: the new rate is `factor` times the old one.
    patience : int, default 10
        Epochs without improvement before the rate is lowered.
    verbose : int, default 0
        1 says when it acts.
    mode : {"auto", "min", "max"}, default "auto"
        As in `EarlyStopping`.
    min_delta : float, default 1e-4
    cooldown : int, default 0
        Epochs after a reduction in which none is counted.
    min_lr : float, default 0.0
        The rate goes no lower.

    Raises
    ------
    TypeError, ValueError
        `monitor` is no name; a number is none, below 0 or not finite.
    """

    factor: float
    patience: int
    verbose: int
    cooldown: int
    min_lr: float
    wait: int
    cooldown_counter: int

    def __init__(
        self,
        monitor: str = "val_loss",
        factor: float = 0.1,
        patience: int = 10,
        verbose: int = 0,
        mode: str = "auto",
        min_delta: float = 1e-4,
        cooldown: int = 0,
        min_lr: float = 0.0,
    ) -> None:
        super().__init__(monitor, mode, min_delta)
        if not 0 <= _number("factor", factor, -math.inf) < 1:
            raise ValueError(f"factor must be at least 0 and below 1, got {factor!r}.")
        self.factor = factor
        self.patience = _number("patience", patience)
        self.verbose = verbose
        self.cooldown = _number("cooldown", cooldown)
        self.min_lr = _number("min_lr", min_lr)
        self._reset()

    def _reset(self) -> None:
        self.best = None
        self.wait = 0
        self.cooldown_counter = 0

    def on_train_begin(self, logs: Logs | None = None) -> None:
        self._reset()

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        self._direction()
        logs = {} if logs is None else logs
        optimizer = self.model.optimizer
        logs["learning_rate"] = optimizer.learning_rate
        value = self._value(logs)
        if value is None:
            return
        if self.cooldown_counter > 0:
            self.cooldown_counter -= 1
            self.wait = 0
        if self._improves(value, self.best):
            self.best = value
            self.wait = 0
        elif self.cooldown_counter == 0:
            self.wait += 1
            if self.wait >= self.patience and optimizer.learning_rate > self.min_lr:
                optimizer.learning_rate = max(optimizer.learning_rate * self.factor, self.min_lr)
                if self.verbose:
                    print(
                        f"\nEpoch {epoch + 1}: ReduceLROnPlateau reducing learning rate to "
                        f"{optimizer.learning_rate}."
                    )
                self.cooldown_counter = self.cooldown
                self.wait = 0


class LearningRateScheduler(Callback):
    """Sets the learning rate at the start of each epoch.

    Parameters
    ----------
    schedule : callable (epoch, learning_rate) -> float
        From the index of the epoch, from 0, and the current rate to the new one; a function of the epoch
        alone will do.
    verbose : int, default 0
        1 says what it sets.

    Examples
    --------
    >>> decay = LearningRateScheduler(lambda epoch, rate: rate * 0.9)
    """

    schedule: Callable[..., float]
    verbose: int

    def __init__(self, schedule: Callable[..., float], verbose: int = 0) -> None:
        if not callable(schedule):
            raise TypeError(f"schedule must be a function of epoch and learning rate, got {schedule!r}.")
        self.schedule = schedule
        self.verbose = verbose

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        optimizer = self.model.optimizer
        optimizer.learning_rate = self._call(epoch, optimizer.learning_rate)
        if self.verbose:
            print(
                f"\nEpoch {epoch + 1}: LearningRateScheduler setting learning rate to "
                f"{optimizer.learning_rate}."
            )

    def _call(self, epoch: int, rate: float) -> float:
        import inspect

        try:
            inspect.signature(self.schedule).bind(epoch, rate)
        except TypeError:
            return self.schedule(epoch)
        return self.schedule(epoch, rate)

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        if logs is not None:
            logs["learning_rate"] = self.model.optimizer.learning_rate


def __getattr__(name: str) -> Any:
    raise unknown_attribute(
        __name__,
        name,
        [
            key
            for key, value in globals().items()
            if getattr(value, "__module__", "") == __name__ and isinstance(value, type)
        ],
    )
