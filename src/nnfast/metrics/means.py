"""Sums and means of values, and the metrics that are the mean over rows of a function of targets and outputs."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, ClassVar, Final

import numpy as np

from ..errors import cut
from . import functions
from .base import Metric, keras_name
from .functions import Array, same_rank
from .state import Variable


def _of_rows(values: Any, sample_weight: Any, reduce: Callable[..., Any]) -> tuple[Array, Array | None]:
    """One weighted value a row, and the weights of the rows."""
    values = np.asarray(values, np.float64)
    weight = None
    if sample_weight is not None:
        values, weight = same_rank(values, np.asarray(sample_weight, np.float64))
        if values.ndim > weight.ndim:
            values = np.asarray(reduce(values, axis=tuple(range(weight.ndim, values.ndim))))
        axes = tuple(range(1, weight.ndim))
        weight = np.broadcast_to(weight, values.shape)
        values = values * weight
        if axes:
            weight = np.asarray(reduce(weight, axis=axes))
    if values.ndim > 1:
        values = np.asarray(reduce(values, axis=tuple(range(1, values.ndim))))
    return values, weight


class Sum(Metric):
    """Sum of the values it is given.

    Examples
    --------
    >>> metric = Sum()
    >>> metric.update_state([1, 3])
    >>> metric.result()
    4.0
    """

    total: Final[Variable]

    def __init__(self, name: str | None = "sum", dtype: object = None) -> None:
        super().__init__(dtype, name)
        self.total = self.add_variable((), "zeros", name="total")

    def update_state(self, values: Any, sample_weight: Any = None) -> None:
        self.total.assign_add(_of_rows(values, sample_weight, np.sum)[0].sum())

    def result(self) -> float:
        return float(self.total)


class _Averaging(Metric):
    """Base of the means: a weighted sum and the sum of the weights."""

    total: Final[Variable]
    count: Final[Variable]

    def __init__(self, name: str | None, dtype: object = None) -> None:
        super().__init__(dtype, name)
        self.total = self.add_variable((), "zeros", name="total")
        self.count = self.add_variable((), "zeros", name="count")

    def _add(self, values: Any, sample_weight: Any) -> None:
        values, weight = _of_rows(values, sample_weight, np.mean)
        self.total.assign_add(values.sum())
        self.count.assign_add(values.size if weight is None else weight.sum())

    def result(self) -> float:
        return self.finish(float(self.total) / float(self.count)) if self.count else 0.0


class Mean(_Averaging):
    """Mean of the values it is given, weighted where weights are given; 0 before the first.

    Examples
    --------
    >>> metric = Mean()
    >>> metric.update_state([1, 3], sample_weight=[1, 0])
    >>> metric.result()
    1.0
    """

    def __init__(self, name: str | None = "mean", dtype: object = None) -> None:
        super().__init__(name, dtype)

    def update_state(self, values: Any, sample_weight: Any = None) -> None:
        self._add(values, sample_weight)


class MeanMetricWrapper(_Averaging):
    """Mean over rows of a function of targets and outputs.

    Parameters
    ----------
    fn : callable (y_true, y_pred, **kwargs)
        Gives one value a row, or one number for a batch, which then counts as one value.
    name : str, optional
        By default that of the function.
    **kwargs
        Given to the function.
    """

    def __init__(
        self, fn: Callable[..., Any], name: str | None = None, dtype: object = None, **kwargs: Any
    ) -> None:
        super().__init__(name or keras_name(getattr(fn, "__name__", type(fn).__name__)), dtype)
        self._fn = fn
        self._arguments = kwargs

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        self._add(self._fn(y_true, y_pred, **self._arguments), sample_weight)

    def get_config(self) -> dict[str, Any]:
        return {"fn": self._fn, **super().get_config(), **self._arguments}


class MeanOfRows(_Averaging):
    """Base of the metrics that average a function of `functions`, which `takes` these arguments of theirs."""

    function: ClassVar[Callable[..., Array]]
    by_batch: ClassVar = False
    takes_labels: ClassVar[bool | None] = False
    _arguments: dict[str, Any]

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        function = getattr(functions, keras_name(cls.__name__), None)
        if function is not None:
            cls.function = staticmethod(function)

    def __init__(self, name: str | None = None, dtype: object = None) -> None:
        super().__init__(keras_name(type(self).__name__) if name is None else name, dtype)
        self._arguments = {}

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        self._add(type(self).function(y_true, y_pred, **self._arguments), sample_weight)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), **self._arguments}


class Accuracy(MeanOfRows):
    """Fraction of outputs that are the same number as their target. In `compile` the name "accuracy" stands for
    the accuracy that fits the loss instead."""

    direction = "max"
    takes_labels = None


class SparseCategoricalAccuracy(MeanOfRows):
    """Fraction of rows whose largest output is the label's; ties go to the lowest index."""

    direction = "max"
    takes_labels = True


class CategoricalAccuracy(MeanOfRows):
    """Fraction of rows whose largest output is where the target is largest; ties go to the lowest index.

    Of soft targets only the place of the largest counts: [0.6, 0.4] is the class 0, as [1, 0] is.
    """

    direction = "max"


class BinaryAccuracy(MeanOfRows):
    """Fraction of outputs p with (p > threshold) == y, mean over the outputs of a row.

    Targets are meant to be 0 and 1. Others agree with no output, as in Keras: a target of 0.9 counts as wrong,
    whether p is 0.95 or 0.1.

    Parameters
    ----------
    name : str, optional
        Key in the logs.
    dtype : None
        Keras' argument.
    threshold : float, default 0.5
        0.5 for probabilities, 0 for logits (a loss with `from_logits=True`): these two the engine counts, others
        are counted from outputs that are kept.

    Raises
    ------
    ValueError
        No finite number.
    """

    direction = "max"
    threshold: Final[float]

    def __init__(self, name: str | None = None, dtype: object = None, threshold: float = 0.5) -> None:
        super().__init__(name, dtype)
        try:
            finite = not isinstance(threshold, bool) and math.isfinite(threshold)
        except (TypeError, OverflowError):
            finite = False
        if not finite:
            raise ValueError(f"threshold must be a finite number, got {cut(threshold)}.")
        self.threshold = threshold
        self._arguments = {"threshold": threshold}
        if threshold != 0.5:  # of this object; the class has that of probabilities
            vars(self)["row"] = None if threshold else "binary_accuracy_of_logits"


class TopKCategoricalAccuracy(MeanOfRows):
    """Fraction of rows with fewer than k outputs larger than that of the target's class.

    Parameters
    ----------
    k : int, default 5
    name : str, optional
    """

    direction = "max"
    k: Final[int]

    def __init__(self, k: int = 5, name: str | None = None, dtype: object = None) -> None:
        super().__init__(name, dtype)
        self.k = k
        self._arguments = {"k": k}


class SparseTopKCategoricalAccuracy(MeanOfRows):
    """Fraction of rows with fewer than k outputs larger than that of the label.

    Parameters
    ----------
    k : int, default 5
    name : str, optional
    from_sorted_ids : bool, default False
        Outputs are classes, likely ones first.
    """

    direction = "max"
    takes_labels = True
    k: Final[int]

    def __init__(
        self, k: int = 5, name: str | None = None, dtype: object = None, from_sorted_ids: bool = False
    ) -> None:
        super().__init__(name, dtype)
        self.k = k
        self._arguments = {"k": k, "from_sorted_ids": from_sorted_ids}


class MeanSquaredError(MeanOfRows):
    """Mean squared difference, also over the outputs of a row."""

    direction = "min"


class MeanAbsoluteError(MeanOfRows):
    """Mean absolute difference, also over the outputs of a row."""

    direction = "min"


class RootMeanSquaredError(MeanOfRows):
    """Square root of the mean squared error over all rows seen."""

    row = MeanSquaredError.row
    direction = "min"
    function = staticmethod(functions.mean_squared_error)

    @staticmethod
    def finish(mean: float) -> float:
        return math.sqrt(mean)


class MeanAbsolutePercentageError(MeanOfRows):
    """100 times the mean of |p - y| / max(|y|, 1e-7)."""

    direction = "min"


class MeanSquaredLogarithmicError(MeanOfRows):
    """Mean squared difference of log(1 + p) and log(1 + y), below 1e-7 of that."""

    direction = "min"


class LogCoshError(MeanOfRows):
    """Mean of log(cosh(p - y)), logged as "logcosh"."""

    direction = "min"
    function = staticmethod(functions.log_cosh)

    def __init__(self, name: str | None = "logcosh", dtype: object = None) -> None:
        super().__init__(name, dtype)


class CosineSimilarity(MeanOfRows):
    """Mean over rows of the cosine between targets and outputs.

    Parameters
    ----------
    name : str, optional
    axis : int, default -1
    """

    direction = "max"

    def __init__(self, name: str | None = None, dtype: object = None, axis: int = -1) -> None:
        super().__init__(name, dtype)
        self._arguments = {"axis": axis}


class Hinge(MeanOfRows):
    """Mean of max(1 - y p, 0), for targets -1 and 1, or 0 and 1."""

    direction = "min"


class SquaredHinge(MeanOfRows):
    """Mean of max(1 - y p, 0)^2, for targets -1 and 1, or 0 and 1."""

    direction = "min"


class CategoricalHinge(MeanOfRows):
    """Mean over rows of max(neg - pos + 1, 0): pos the output of the class, neg the largest of the others."""

    direction = "min"


class KLDivergence(MeanOfRows):
    """Mean over rows of sum_k y_k log(y_k / p_k), both clipped to [1e-7, 1]."""

    direction = "min"
    function = staticmethod(functions.kl_divergence)

    def __init__(self, name: str | None = "kl_divergence", dtype: object = None) -> None:
        super().__init__(name, dtype)


class Poisson(MeanOfRows):
    """Mean of p - y log(p + 1e-7)."""

    direction = "min"


class _Crossentropy(MeanOfRows):
    direction = "min"


class BinaryCrossentropy(_Crossentropy):
    """Mean cross-entropy of outputs and targets from 0 to 1; probabilities are clipped to [1e-7, 1 - 1e-7].

    Parameters
    ----------
    name : str, optional
    from_logits : bool, default False
    label_smoothing : float, default 0
    """

    def __init__(
        self,
        name: str | None = None,
        dtype: object = None,
        from_logits: bool = False,
        label_smoothing: float = 0,
    ) -> None:
        super().__init__(name, dtype)
        self._arguments = {"from_logits": from_logits, "label_smoothing": label_smoothing}


class CategoricalCrossentropy(_Crossentropy):
    """Mean cross-entropy of outputs (N, K) and targets of the same shape; probabilities are made to sum to 1 and
    clipped to [1e-7, 1 - 1e-7].

    Parameters
    ----------
    name : str, optional
    from_logits : bool, default False
    label_smoothing : float, default 0
    axis : {-1}
    """

    def __init__(
        self,
        name: str | None = None,
        dtype: object = None,
        from_logits: bool = False,
        label_smoothing: float = 0,
        axis: int = -1,
    ) -> None:
        super().__init__(name, dtype)
        functions._check_last(axis)
        self._arguments = {"from_logits": from_logits, "label_smoothing": label_smoothing}


class SparseCategoricalCrossentropy(_Crossentropy):
    """Mean cross-entropy of outputs (N, K) and labels (N,); otherwise as `CategoricalCrossentropy`.

    Parameters
    ----------
    name : str, optional
    from_logits : bool, default False
    ignore_class : None
    axis : {-1}
    """

    takes_labels = True

    def __init__(
        self,
        name: str | None = None,
        dtype: object = None,
        from_logits: bool = False,
        ignore_class: None = None,
        axis: int = -1,
    ) -> None:
        super().__init__(name, dtype)
        functions._check_last(axis)
        if ignore_class is not None:
            raise ValueError(f"ignore_class must be None, got {ignore_class!r}. Weigh such rows 0.")
        self._arguments = {"from_logits": from_logits}


CLASSES: list[type[Metric]] = [
    Sum, Mean, Accuracy, SparseCategoricalAccuracy, CategoricalAccuracy, BinaryAccuracy,
    TopKCategoricalAccuracy, SparseTopKCategoricalAccuracy, MeanSquaredError, MeanAbsoluteError,
    RootMeanSquaredError, MeanAbsolutePercentageError, MeanSquaredLogarithmicError, LogCoshError,
    CosineSimilarity, Hinge, SquaredHinge, CategoricalHinge, KLDivergence, Poisson,
    BinaryCrossentropy, CategoricalCrossentropy, SparseCategoricalCrossentropy,
]  # fmt: skip
