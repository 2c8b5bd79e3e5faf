"""Prepare once, step many (csrc/run.h): the batches of a network over some data."""

from __future__ import annotations

import math
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..errors import NonFiniteError
from .common import Array, check_shape
from .op import BLOCK_ROWS, Ops
from .optimizer import check_hyper

if TYPE_CHECKING:
    from types import FrameType

    from .._core import SparseRows

PROGRESS_SECONDS = 0.01  # between two calls of progress
Data = tuple["Array | SparseRows", Any, "Array | None"]


class Run:
    """A network over some data, checked once for any number of steps; what `Net.prepare` gives."""

    def __init__(self, net: Ops, data: Data, batch_size: int, train: bool, keeps_outputs: bool) -> None:
        self._net = net
        self._x, self._y, self._weight = data
        self._batch_size = batch_size
        self._rows = (
            batch_size if train else min(batch_size, BLOCK_ROWS)
        )  # that pass through the ops together
        self._outputs = net._room(self._rows)
        self._deltas = net._room(self._rows) if train else []
        self._train = train
        self._keeps_outputs = keeps_outputs
        self._compiled = net._compiled

    def explain(self) -> str:
        """What is done, in words."""
        net = self._net
        ops = "\n".join(
            f"  {node.place}  {node.op.kind} {node.op.units}, {node.op.activation}" for node in net._nodes
        )
        what = "training" if self._train else "evaluation"
        return f"{what} by NumPy, batches of {self._batch_size} of {len(self._x)} rows\nops\n{ops}\n"

    @np.errstate(all="ignore")
    def step(
        self,
        order: NDArray[np.unsignedinteger[Any]] | None,
        start: int,
        stop: int,
        hyper: Sequence[float],
        totals: NDArray[np.float64],
        progress: Callable[[int], object] | None,
        rates: NDArray[np.float64] | None = None,
        outputs: Array | None = None,
    ) -> None:
        """Steps over rows order[start:stop] in batches, of which the last may be smaller; or looks at them.

        Parameters
        ----------
        order : (n,) rows in the order in which they are used, or None for that in which they lie.
        start, stop : part of the order.
        hyper : hyperparameters of the rule, in its order; not looked at without training.
        totals : (1 + metrics,), to which the steps made add their row losses, weighted, and their metrics.
        progress : called with the rows done, between steps, at most every 10 ms.
        rates : the learning rate of each step, in place of the first of hyper.
        outputs : (stop - start, K), filled with what the network gives for each row, if the run keeps outputs.

        Raises
        ------
        NonFiniteError
            The loss of a batch, counted from the start of the epoch, is not finite; its update is not made.
        ValueError, TypeError
            An argument does not fit; nothing has changed.
        """
        net = self._net
        if self._compiled != net._compiled:
            raise RuntimeError(
                "the network was compiled again after this run was prepared; prepare another one"
            )
        rows = self._check_order(order, start, stop)
        assert net._rule is not None
        constants = check_hyper(net._rule, hyper) if self._train else []
        check_shape("totals", totals, (1 + len(net._metrics),))
        if rates is not None:
            check_shape("rates", rates, (-(-(stop - start) // self._batch_size),))
        if self._keeps_outputs != (outputs is not None):
            raise ValueError("outputs: expected an array for a run that keeps outputs, and None for others")
        size = self._rows
        tick = ticker(progress)
        with _interrupts_between_steps() as deliver:
            for number, first in enumerate(range(start, stop, size)):
                tick(first - start)
                deliver()
                chosen = slice(first, min(first + size, stop))
                place: Any = chosen if rows is None else rows[chosen.start - start : chosen.stop - start]
                if rates is not None:
                    constants = [float(rates[number]), *constants[1:]]
                a, sums = self._batch(place, constants, start // size + number)
                totals += sums
                if outputs is not None:
                    outputs[first - start : chosen.stop - start] = a

    def _batch(
        self, place: slice | NDArray[np.intp], constants: list[float], batch: int
    ) -> tuple[Array, list[Any]]:
        """One step over some rows, or one look: what the network gives, and what is added to the totals."""
        net = self._net
        x, y, weight = self._gather(place)
        step = net.step + 1
        outputs = net._forward(x, self._outputs, net._linked, step if self._train else None)
        row_loss, dz = net._row_loss(outputs[-1], y, weight)
        loss = float(row_loss.sum(dtype=np.float64))
        sums = [loss, *(metric.sum(outputs[-1], y) for metric in net._metrics)]
        if self._train:
            if not math.isfinite(loss):
                raise NonFiniteError(batch=batch)
            net._backward(x, outputs, dz, self._deltas, step)
            assert net._rule is not None
            for part in net._trained():
                slots = [slot[part] for slot in net.slots]
                net._rule.step(
                    net.params[part], net._gradient[part], slots, constants, step, net._scratch[part]
                )
            net.step = step
        return outputs[-1], sums

    def _gather(self, place: slice | NDArray[np.intp]) -> tuple[Array, Any, Array | None]:
        def rows(array: NDArray[Any] | SparseRows, dtype: np.dtype[Any]) -> NDArray[Any]:
            return rows_of(array, place).astype(dtype, copy=False)

        net = self._net
        return (
            rows(self._x, net.dtype),
            rows(self._y, self._y.dtype if net._loss.sparse else net.dtype),
            None if self._weight is None else rows(self._weight, net.dtype),
        )

    def _check_order(
        self, order: NDArray[np.unsignedinteger[Any]] | None, start: int, stop: int
    ) -> NDArray[np.intp] | None:
        """The rows of order[start:stop], as indices."""
        n = len(self._x)
        if not 0 <= start < stop <= n:
            raise ValueError(f"start, stop: expected 0 <= start < stop <= {n}, received {start}, {stop}")
        if order is None:
            return None
        if order.shape != (n,) or order.dtype.kind != "u":
            raise ValueError(
                f"order: expected unsigned integers of shape ({n},), received {order.dtype} of {order.shape}"
            )
        rows = order[start:stop].astype(np.intp)
        if rows.max() >= n:
            place = int((rows >= n).argmax())
            raise ValueError(
                f"order: expected rows from 0 to {n - 1}, received {rows[place]} at place {start + place}"
            )
        return rows


def rows_of(array: NDArray[Any] | SparseRows, place: slice | NDArray[np.intp]) -> NDArray[Any]:
    """Rows of a dense array or, as a dense array, of a sparse one."""
    if not isinstance(array, np.ndarray):
        return array.toarray(np.arange(len(array))[place])
    return array[place] if isinstance(place, slice) else array.take(place, axis=0)


def ticker(progress: Callable[[int], object] | None) -> Callable[[int], None]:
    """Calls progress, when the last call is long enough ago."""
    last = time.monotonic()

    def tick(rows: int) -> None:
        nonlocal last
        if progress is not None and time.monotonic() - last >= PROGRESS_SECONDS:
            progress(rows)
            last = time.monotonic()

    return tick


@contextmanager
def _interrupts_between_steps() -> Iterator[Callable[[], None]]:
    """Holds Ctrl-C back until the function it gives is called, so that no update is left half made."""
    handler = signal.getsignal(signal.SIGINT)
    if threading.current_thread() is not threading.main_thread() or not callable(handler):
        yield lambda: None  # Python delivers none here
        return
    pending: list[FrameType | None] = []
    signal.signal(signal.SIGINT, lambda _, frame: pending.append(frame))

    def deliver() -> None:
        if pending:
            frame = pending[-1]
            pending.clear()
            handler(signal.SIGINT, frame)

    try:
        yield deliver
    finally:
        signal.signal(signal.SIGINT, handler)
        deliver()
