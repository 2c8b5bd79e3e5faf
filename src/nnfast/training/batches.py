"""The one loop over batches: of an epoch, of an evaluation, of a prediction."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..callbacks import CallbackList
from ..errors import NonFiniteError
from ..optimizers import Optimizer

if TYPE_CHECKING:
    from ..network import Run

Progress = Callable[[int], None] | None


def run(
    kind: str,
    rows: int,
    batch_size: int,
    listeners: CallbackList,
    step: Callable[[int, int, Progress], object],
    logs: Callable[[int, int], dict[str, Any]],
    on_progress: Progress,
) -> int:
    """All rows in one native call, or batch by batch where a callback listens; returns the rows used.

    Parameters
    ----------
    kind : {"train", "test", "predict"}
        Whose hooks are called.
    rows, batch_size : int
    listeners : CallbackList
    step : callable (start, stop, on_progress)
        Works on rows start to stop, of any number; what it costs depends on these alone.
    logs : callable (start, stop) -> dict
        What callbacks hear after the batch of these rows.
    on_progress : callable (int), optional
        Called now and then with the number of rows done.
    """
    if not listeners.listen_to_batches(kind):
        step(0, rows, on_progress)
        return rows
    begin, end = f"on_{kind}_batch_begin", f"on_{kind}_batch_end"
    for batch, start in enumerate(range(0, rows, batch_size)):
        stop = min(start + batch_size, rows)
        listeners.call(begin, batch, {})
        try:
            step(start, stop, None)
        except NonFiniteError:
            listeners.call(end, batch, logs(start, start) | {"loss": math.nan})
            raise
        listeners.call(end, batch, logs(start, stop))
        if on_progress is not None:
            on_progress(stop)
        if kind == "train" and listeners.model.stop_training:
            return stop
    return rows


def step_by_step(
    run: Run,
    order: NDArray[np.uint32] | None,
    starts: range,
    stop: int,
    optimizer: Optimizer,
    totals: NDArray[np.float64],
    on_progress: Progress,
    room: NDArray[np.float32] | None = None,
) -> None:
    """Steps, each a native call of its own, for a learning rate that is only known right before its step.

    Parameters
    ----------
    run, order, totals
        Of `Run.step`.
    starts : range
        Where each batch begins; its step is the batch size.
    stop : int
        Where the last batch ends.
    optimizer : Optimizer
    on_progress : callable (int), optional
        Called after each step with the number of rows done.
    room : ndarray, shape (stop - start, K), optional
        Filled with the outputs, of a run that keeps them.
    """
    for start in starts:
        end = min(start + starts.step, stop)
        outputs = None if room is None else room[start - starts.start : end - starts.start]
        run.step(order, start, end, optimizer.hyper(), totals, None, outputs=outputs)
        if on_progress is not None:
            on_progress(end - starts.start)
