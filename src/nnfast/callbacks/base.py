"""The hooks, and the base of all callbacks.

Epoch hooks are called `(epoch, logs)`, batch hooks `(batch, logs)`, the others `(logs)`, all positionally. A
callback may set `self.model.stop_training` and `self.model.optimizer.learning_rate`.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from ..attributes import Guarded

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from ..data.arrays import Floats

Logs = dict[str, float]


class TrainedModel(Protocol):
    """What callbacks need of the model that is trained."""

    stop_training: bool

    def get_weights(self) -> list[Floats]: ...
    def set_weights(self, weights: Sequence[ArrayLike]) -> None: ...


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
    _model: weakref.ref[TrainedModel] | None = None
    params: dict[str, Any] | None = None
    _remedies: ClassVar = {"": "Derive a class that overrides it.", "model": "Call set_model(model)."}

    def _may_set(self, name: str) -> bool:
        return name in HOOKS or super()._may_set(name)

    @property
    def on_progress(self) -> Callable[[int], None] | None:
        """What the engine calls every few milliseconds of an epoch, with the number of rows done; an exception
        ends the fit between two steps. Not of Keras."""
        return None

    @property
    def model(self) -> Any:
        return self._model and self._model()

    def set_model(self, model: TrainedModel) -> None:
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


HOOKS = {
    name: method for name, method in vars(Callback).items() if name.startswith("on_") and callable(method)
}
