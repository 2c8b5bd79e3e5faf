"""The metrics that the engine does not count: they are given targets and kept outputs of the rows that were passed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..data import arrays
from ..metrics import Metric
from .rows import Data


class Watched(NamedTuple):
    """A metric, under the name in the logs."""

    name: str
    metric: Metric
    weighted: bool


class Watch:
    """Metrics over the rows of one epoch, evaluation or batch.

    Parameters
    ----------
    watched : sequence of Watched
    data : Data
    batch_size : int
        How rows come to the metrics that see them batch by batch.
    outputs : int
        Number of outputs of the model.
    """

    def __init__(self, watched: Sequence[Watched], data: Data, batch_size: int, outputs: int) -> None:
        self._watched = watched
        self._data = data
        self._batch_size = batch_size
        self._outputs: arrays.Floats = np.empty((len(data.x), outputs), np.float32)
        self.begin(None)

    def begin(self, order: NDArray[np.uint32] | None) -> None:
        """Start anew, with rows in this order."""
        self._order = order
        self._seen = 0
        for one in self._watched:
            one.metric.reset_state()

    def room(self, start: int, stop: int) -> arrays.Floats:
        """Where the run puts the outputs of these rows."""
        return self._outputs[start:stop]

    def results(self, stop: int) -> dict[str, dict[str, Any]]:
        """What each metric logs of the rows up to this one, by its name."""
        if stop > self._seen:
            self._update(self._seen, stop)
            self._seen = stop
        return {one.name: _logged(one.name, one.metric.result()) for one in self._watched}

    def _update(self, start: int, stop: int) -> None:
        for one in self._watched:
            size = self._batch_size if one.metric.by_batch else stop - start
            for first in range(start, stop, size):
                last = min(first + size, stop)
                place = slice(first, last) if self._order is None else self._order[first:last]
                weight = self._data.weight if one.weighted else None
                one.metric.update_state(
                    self._data.y[place],
                    self._outputs[first:last],
                    **({} if weight is None else {"sample_weight": weight[place]}),
                )


def _logged(name: str, result: Any) -> dict[str, Any]:
    """One number, or an array of several; a metric that gives a dict logs each of its values."""
    if isinstance(result, dict):
        return {key: value for name, one in result.items() for key, value in _logged(name, one).items()}
    array = np.asarray(result, np.float64)
    return {name: float(array.reshape(())) if array.size == 1 else array}
