"""Methods that models had in older Keras, by those of today."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .arguments import model_method
from .callbacks import Callback, History, as_list
from .callbacks.base import HOOKS
from .data.arrays import Floats
from .errors import warn

Batch = tuple[Any, ...]


class _Model(Protocol):
    stop_training: bool
    history: History | None
    fit: Callable[..., History]
    evaluate: Callable[..., Any]
    predict: Callable[..., Floats]


class OlderMethods:
    """`predict_classes`, `predict_proba` and the methods for generators; each one warns of its age."""

    history: History | None

    @model_method
    def predict_classes(
        self: _Model, x: ArrayLike, batch_size: int | None = None, verbose: int = 0
    ) -> NDArray[np.integer[Any]]:
        """The class of each row: the place of the largest output, or for one output whether it is above 0.5.

        Returns
        -------
        ndarray of int, shape (N,), for one output int32 of shape (N, 1)
        """
        _announce("predict_classes", "predict(x).argmax(axis=-1), or predict(x) > 0.5 for one output")
        outputs = self.predict(x, batch_size, verbose)
        return outputs.argmax(axis=-1) if outputs.shape[-1] > 1 else (outputs > 0.5).astype(np.int32)

    @model_method
    def predict_proba(self: _Model, x: ArrayLike, batch_size: int | None = None, verbose: int = 0) -> Floats:
        """The outputs for each row, as `predict`."""
        _announce("predict_proba", "predict(x)")
        return self.predict(x, batch_size, verbose)

    @model_method
    def fit_generator(
        self: _Model,
        generator: Any,
        steps_per_epoch: int | None = None,
        epochs: int = 1,
        verbose: str | int = 1,
        callbacks: Callback | Iterable[Callback] | None = None,
        validation_data: Any = None,
        validation_steps: int | None = None,
        class_weight: Any = None,
        shuffle: bool = False,
        initial_epoch: int = 0,
    ) -> History:
        """Train on the batches that a generator gives, in their order.

        Parameters
        ----------
        generator : iterator of (x, y) or (x, y, sample_weight), or an object with `__len__` and `__getitem__`
        steps_per_epoch : int, optional
            Batches of an epoch, all of one size but the last; by default the length of the generator.
        epochs, verbose, callbacks, class_weight, initial_epoch
            As for `fit`.
        validation_data : tuple or generator, optional
            A generator is drawn from once, before the first epoch.
        validation_steps : int, optional
            Batches of the validation.
        shuffle : bool, default False
            Draw the rows of an epoch in another order.

        Raises
        ------
        TypeError
            No generator, or one without a length and no `steps_per_epoch`.
        ValueError
            The generator ends early, or its batches have several sizes.
        """
        _announce("fit_generator", "fit(x, y)")
        batches, steps = _batches(generator, steps_per_epoch, "generator", "steps_per_epoch")
        if validation_data is not None and not isinstance(validation_data, tuple | list):
            found, count = _batches(validation_data, validation_steps, "validation_data", "validation_steps")
            validation_data = _gathered(found, count, "validation_data")[0]
        chosen = as_list(callbacks)
        whole, logs = History(), {}
        for epoch in range(initial_epoch, epochs):
            rows, size = _gathered(batches, steps, "generator")
            last = self.fit(
                *rows[:2],
                sample_weight=rows[2] if len(rows) > 2 else None,
                batch_size=size,
                epochs=epoch + 1,
                initial_epoch=epoch,
                verbose=verbose,
                callbacks=[_Held(callback, epoch == initial_epoch, epochs) for callback in chosen],
                validation_data=validation_data,
                class_weight=class_weight,
                shuffle=shuffle,
            )
            logs = {key: values[-1] for key, values in last.history.items()}
            whole.epoch += last.epoch
            for key, values in last.history.items():
                whole.history.setdefault(key, []).extend(values)
            if self.stop_training:
                break
        for callback in chosen:
            callback.on_train_end(logs)
        self.history = whole
        return whole

    @model_method
    def evaluate_generator(
        self: _Model, generator: Any, steps: int | None = None, verbose: str | int = 0
    ) -> Any:
        """Loss and metrics over the batches that a generator gives; see `fit_generator`."""
        _announce("evaluate_generator", "evaluate(x, y)")
        rows, _ = _gathered(*_batches(generator, steps, "generator", "steps"), "generator")
        return self.evaluate(*rows[:2], sample_weight=rows[2] if len(rows) > 2 else None, verbose=verbose)

    @model_method
    def predict_generator(
        self: _Model, generator: Any, steps: int | None = None, verbose: str | int = 0
    ) -> Floats:
        """Outputs for the rows that a generator gives, x or (x, ...); see `fit_generator`."""
        _announce("predict_generator", "predict(x)")
        rows, _ = _gathered(*_batches(generator, steps, "generator", "steps"), "generator")
        return self.predict(rows[0], verbose=verbose)


class _Held(Callback):
    """A callback within one of several fits that are one to it: it is told of the first beginning and of no end."""

    def __init__(self, callback: Callback, first: bool, epochs: int) -> None:
        self._callback, self._epochs = callback, epochs
        for hook, default in HOOKS.items():
            method = getattr(callback, hook)
            listens = getattr(method, "__func__", method) is not default
            if listens and hook not in ("on_train_end", "" if first else "on_train_begin"):
                setattr(self, hook, method)

    def set_model(self, model: Any) -> None:
        super().set_model(model)
        self._callback.set_model(model)

    def set_params(self, params: dict[str, Any]) -> None:
        self._callback.set_params({**params, "epochs": self._epochs})

    @property
    def on_progress(self) -> Callable[[int], None] | None:
        return self._callback.on_progress

    def abandon(self) -> None:
        self._callback.abandon()


def _announce(old: str, new: str) -> None:
    warn(FutureWarning(f"{old} is older Keras: call {new} instead."))


def _batches(source: Any, steps: int | None, name: str, steps_name: str) -> tuple[Iterator[Any], int]:
    """Its batches, without end where they are counted, and how many make an epoch."""
    counted = hasattr(source, "__len__") and hasattr(source, "__getitem__")
    if not counted and not hasattr(source, "__next__"):
        raise TypeError(
            f"{name} must be a generator of batches, or an object with __len__ and __getitem__, got {type(source).__name__}. "
            "Give arrays to fit, evaluate or predict."
        )
    if steps is None and not counted:
        raise TypeError(
            f"{steps_name} must say how many batches to draw, as a {type(source).__name__} has no length."
        )
    if not counted:
        return source, int(steps or 0)
    numbers = itertools.cycle(range(len(source)))
    return (source[number] for number in numbers), int(len(source) if steps is None else steps)


def _gathered(batches: Iterator[Any], steps: int, name: str) -> tuple[tuple[Any, ...], int]:
    """So many batches as arrays, and the rows of one.

    Raises
    ------
    ValueError
        There are fewer, or they are of several sizes.
    """
    drawn = [
        batch if isinstance(batch, tuple | list) else (batch,) for batch in itertools.islice(batches, steps)
    ]
    if len(drawn) < steps or not drawn:
        raise ValueError(
            f"{name} must give {steps} batches, got {len(drawn)}. Ask for fewer steps or epochs."
        )
    sizes = [len(batch[0]) for batch in drawn]
    if len(set(sizes[:-1])) > 1 or sizes[-1] > sizes[0]:
        raise ValueError(f"{name} must give batches of one size, the last one may be smaller, got {sizes}.")
    columns = zip(*drawn, strict=True)
    return tuple(np.concatenate([np.asarray(part) for part in column]) for column in columns), sizes[0]
