"""The callbacks of one fit, evaluate or predict: who listens to what."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from .base import HOOKS, Callback, TrainedModel


class CallbackList:
    """The callbacks of one fit, evaluate or predict; each hook goes only to those that override it.

    Parameters
    ----------
    callbacks : iterable of Callback
    model : Sequential
    **params
        Given to `set_params`.
    """

    def __init__(self, callbacks: Iterable[Callback], model: TrainedModel, **params: Any) -> None:
        self.callbacks = list(callbacks)
        self.model = model
        for callback in self.callbacks:
            callback.set_params(params)
            callback.set_model(model)
        self.listeners: dict[str, list[Callable[..., object]]] = {hook: [] for hook in HOOKS}
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

    def on_progress(self) -> Callable[[int], None] | None:
        """One function for all who listen within an epoch, None if nobody does."""
        chosen = [callback.on_progress for callback in self.callbacks if callback.on_progress is not None]
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
    cls, own = type(callback), vars(callback)
    hooks = [hook for hook, default in HOOKS.items() if hook in own or getattr(cls, hook) is not default]
    for hook in ("on_train_batch_begin", "on_train_batch_end"):  # they call the other name
        if hook not in hooks and hook.replace("train_", "") in hooks:
            hooks.append(hook)
    return hooks
