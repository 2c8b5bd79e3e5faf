"""Networks (csrc/net.h): what is done with ops over some data."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from .common import Array, Targets, check_shape
from .loss import check_targets
from .op import BLOCK_ROWS, Ops
from .run import Run, rows_of, ticker

if TYPE_CHECKING:
    from .._core import SparseRows


class Net(Ops):
    """A dense network in NumPy; the interface is that of the native `_core.Net`.

    Parameters
    ----------
    input_size : int
    ops : sequence of Op
        From inputs to outputs.
    dtype : float type, default float32
        Of parameters and arithmetic; data of other float types are converted batch by batch.

    Attributes
    ----------
    params : (P,) all parameters, flat and writable: per op w (I,O), then b (O,).
    tensors : views of them, kernel (I,O) and bias (O,) of each op with weights.
    slots : flat arrays (P,) of the compiled rule.
    step : number of updates made since `compile`.
    trainable : whether training changes weights and slots, for each op with weights.

    Examples
    --------
    >>> from nnfast.graph import Op
    >>> net = Net(1, [Op("dense", 1, use_bias=False)], dtype=np.float64)
    >>> net.compile("mean_squared_error", False, "sgd", ())
    >>> x, y, totals = np.ones((4, 1)), np.full((4, 1), 2.0), np.zeros(1)
    >>> net.train(x, y, None, None, 0, 4, 2, (0.25,), totals, None)
    >>> net.params, totals, net.step
    (array([1.5]), array([10.]), 2)
    """

    def prepare(
        self,
        x: Array | SparseRows,
        y: Targets,
        sample_weight: Array | None,
        batch_size: int,
        train: bool = True,
        keeps_outputs: bool = False,
    ) -> Run:
        """These data, checked once for any number of steps (without `train`: looks) at them.

        Parameters
        ----------
        x, y, sample_weight : (n,I) inputs, (n,K) targets or (n,) labels, (n,) weights or None.
        batch_size : rows of a step; more than n are n.
        keeps_outputs : whether `Run.step` fills an array with what the network gives.
        """
        if self._rule is None:
            raise RuntimeError("the network has no loss yet: call compile first")
        self._check_inputs(x)
        if not len(x):
            raise ValueError("x: expected at least one row, received none")
        check_targets("y", y, self._loss.sparse, (len(x), self._nodes[-1].op.units))
        if sample_weight is not None:
            check_shape("sample_weight", sample_weight, (len(x),))
        if batch_size < 1:
            raise ValueError(f"batch_size: expected at least 1, received {batch_size}")
        labels = y.copy() if self._loss.sparse else y
        return Run(self, (x, labels, sample_weight), min(batch_size, len(x)), train, keeps_outputs)

    def train(
        self,
        x: Array | SparseRows,
        y: Targets,
        sample_weight: Array | None,
        order: NDArray[np.unsignedinteger[Any]] | None,
        start: int,
        stop: int,
        batch_size: int,
        hyper: Sequence[float],
        totals: NDArray[np.float64],
        progress: Callable[[int], object] | None,
    ) -> None:
        """`prepare`, and `Run.step` over rows order[start:stop]."""
        self.prepare(x, y, sample_weight, batch_size).step(order, start, stop, hyper, totals, progress)

    def evaluate(
        self,
        x: Array | SparseRows,
        y: Targets,
        sample_weight: Array | None,
        totals: NDArray[np.float64],
        progress: Callable[[int], object] | None,
    ) -> None:
        """Adds to totals, for all rows, what `train` adds; the weights stay."""
        run = self.prepare(x, y, sample_weight, max(1, len(x)), train=False)
        run.step(None, 0, len(x), (), totals, progress)

    @np.errstate(all="ignore")
    def predict(self, x: Array | SparseRows, out: Array, progress: Callable[[int], object] | None) -> None:
        """Outputs (n,K) of the rows of x, into out; any number of threads may do so at once."""
        self._check_inputs(x)
        check_shape("out", out, (len(x), self._nodes[-1].op.units))
        tick = ticker(progress)
        room = self._room(min(len(x), BLOCK_ROWS))
        for first in range(0, len(x), BLOCK_ROWS):
            tick(first)
            place = slice(first, first + BLOCK_ROWS)
            inputs = rows_of(x, place).astype(self.dtype, copy=False)
            out[place] = self._forward(inputs, room, linked=False)[-1]

    def _check_inputs(self, x: Array | SparseRows) -> None:
        """ValueError or TypeError where x is not inputs of this network."""
        if hasattr(x, "toarray"):
            if x.shape[1] != self.input_size:
                raise ValueError(f"x: expected {self.input_size} columns, received {x.shape[1]}")
        else:
            check_shape("x", x, (len(x), self.input_size))
