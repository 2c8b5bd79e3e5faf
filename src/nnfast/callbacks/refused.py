"""Callbacks of Keras that scripts import and that are out here: each says why, and what to do, when it is made."""

from __future__ import annotations

from typing import Any, NoReturn


def RemoteMonitor(*arguments: Any, **keywords: Any) -> NoReturn:
    """Keras' callback that sends the logs to a server.

    Raises
    ------
    ValueError
        Always: nnfast opens no connection while it trains.
    """
    raise ValueError(
        "RemoteMonitor is out: nnfast sends nothing over a network. "
        "Send the logs yourself: callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: ...)."
    )


def TensorBoard(*arguments: Any, **keywords: Any) -> NoReturn:
    """Keras' callback that writes TensorBoard's event files.

    Raises
    ------
    ValueError
        Always: nnfast does not write that format.
    """
    raise ValueError(
        "TensorBoard is out: nnfast does not write its event files. Leave it out, and use callbacks.CSVLogger(filename) "
        "for the logs and nnfast.plot.history(history) for the curves."
    )
