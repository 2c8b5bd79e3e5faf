"""Metrics (csrc/metric.h): sums over the rows, in double, of something that is looked at and not trained on."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from .common import Array


class Metric(NamedTuple):
    """A row: `sum(a, y)` of predictions (B,K) and targets."""

    sum: Callable[[Array, Any], Any]
    sparse: bool = False


def _mean_error(a: Array, y: Array, error: Callable[[Array], Array]) -> Any:
    return error(np.subtract(a, y, dtype=np.float64)).sum() / a.shape[1]


METRICS = {
    "sparse_categorical_accuracy": Metric(
        lambda a, labels: np.count_nonzero(a.argmax(axis=1) == labels), sparse=True
    ),
    "categorical_accuracy": Metric(lambda a, y: np.count_nonzero(a.argmax(axis=1) == y.argmax(axis=1))),
    "binary_accuracy": Metric(lambda a, y: np.count_nonzero((a > 0.5) == y) / a.shape[1]),
    "binary_accuracy_of_logits": Metric(lambda a, y: np.count_nonzero((a > 0.0) == y) / a.shape[1]),
    "mean_squared_error": Metric(lambda a, y: _mean_error(a, y, np.square)),
    "mean_absolute_error": Metric(lambda a, y: _mean_error(a, y, np.abs)),
}
