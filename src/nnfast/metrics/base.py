"""The base of the metrics. One that is a mean over rows of a row of the engine's table (csrc/metric.h) is
counted by the engine in training; every other one is given targets and outputs and counts here.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from typing import Any, ClassVar, Final, Self

import numpy as np

from .. import _core, initializers
from ..attributes import Guarded
from ..names import checked_name, represent, snake_case
from .state import Variable

_DTYPES = ("float32", "float64", "float16", "int", "int32", "int64")
_counts: Counter[str] = Counter()


def auto_name(class_name: str) -> str:
    """The name of a class in lower case, numbered from its second use on: "auc", "auc_1", as Keras numbers them in a
    session."""
    name = keras_name(class_name)
    number = _counts[name]
    _counts[name] += 1
    return f"{name}_{number}" if number else name


def keras_name(name: str) -> str:
    """What Keras makes of the name of a class or function: "AUC" is "auc", "MCCMetric" is "mcc_metric"."""
    name = re.sub(r"(.)([A-Z][a-z]+)", r"\1_\2", re.sub(r"\W+", "", name))
    return re.sub(r"([a-z])([A-Z])", r"\1_\2", name).lower()


def forget_names() -> None:
    """Number from the start again, as in a new session."""
    _counts.clear()


class Metric(Guarded):
    """Base of the metrics, and of a user's own: derive it and define `update_state` and `result`.

    What a metric keeps belongs into variables, made by `add_variable`: they are set to 0 before each epoch and
    each evaluation, and survive copies and files.

    Parameters
    ----------
    dtype : None or str
        Keras' argument; sums are float64 whatever it is.
    name : str, optional
        Key in the logs; by default the class name in lower case, numbered from the second such metric on.

    Attributes
    ----------
    row : str or None
        Row of the engine's table that is averaged; None for what is counted from kept outputs.
    direction : {"max", "min"} or None
        What counts as better, for callbacks that monitor.
    takes_labels : bool or None
        Whether targets are labels (N,) or arrays (N, K); None: either.
    finish : callable
        Applied to the mean over the rows; most leave it alone.

    Examples
    --------
    >>> class LargestError(Metric):
    ...     def __init__(self, name="largest_error", **kwargs):
    ...         super().__init__(name=name, **kwargs)
    ...         self._largest = self.add_variable((), "zeros", name="largest")
    ...
    ...     def update_state(self, y_true, y_pred, sample_weight=None):
    ...         self._largest.assign(max(self._largest, np.abs(y_true - y_pred).max()))
    ...
    ...     def result(self):
    ...         return self._largest
    >>> metric = LargestError()
    >>> metric.update_state(np.array([1.0, 2.0]), np.array([1.5, 2.0]))
    >>> float(metric.result())
    0.5
    """

    name: Final[str]
    row: ClassVar[str | None] = None
    direction: ClassVar[str | None] = None
    takes_labels: ClassVar[bool | None] = None
    by_batch: ClassVar = True
    """Whether what it counts depends on how rows are cut into batches."""
    _remedies: ClassVar = {"": "Make a new metric and call compile again."}

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        name = snake_case(cls.__name__)
        if name in _core.METRICS:
            cls.row = name

    def __init__(self, dtype: object = None, name: str | None = None) -> None:
        if dtype is not None and getattr(dtype, "__name__", str(dtype)) not in _DTYPES:
            raise ValueError(
                f"dtype must be None or the name of a type, such as 'float32', got {dtype!r}. "
                "Pass the name of a metric as name=."
            )
        self.name = auto_name(type(self).__name__) if name is None else checked_name(name, "a metric")
        self._variables: list[Variable] = []

    @staticmethod
    def finish(mean: float) -> float:
        return mean

    @property
    def dtype(self) -> str:
        return "float32"

    @property
    def variables(self) -> list[Variable]:
        """What it keeps, with that of the metrics that are attributes of it."""
        parts = [value for value in vars(self).values() if isinstance(value, Metric)]
        return [*self._variables, *(variable for part in parts for variable in part.variables)]

    def add_variable(
        self,
        shape: Sequence[int] = (),
        initializer: object = "zeros",
        dtype: object = None,
        aggregation: str = "sum",
        name: str | None = None,
    ) -> Variable:
        """A variable of the metric.

        Parameters
        ----------
        shape : sequence of int, default ()
        initializer : str, Initializer or callable (shape), default "zeros"
        dtype, aggregation : optional
            Keras' arguments; floats are float64, and there is one process.
        name : str, optional
        """
        if isinstance(shape, str):  # the name came first in Keras 2
            shape, name = (), shape
        shape = tuple(shape)
        if initializer is None or isinstance(initializer, str | initializers.Initializer | type):
            initializer = initializers.get(initializer or "zeros")
        assert callable(initializer)
        value = np.asarray(initializer(shape) if shape else np.reshape(initializer((1,)), ()))
        if dtype is not None and str(getattr(dtype, "__name__", dtype)).startswith("int"):
            value = value.astype(np.int64)
        variable = Variable(value, name)
        self._variables.append(variable)
        return variable

    def add_weight(
        self,
        shape: Sequence[int] = (),
        initializer: object = None,
        dtype: object = None,
        name: str | None = None,
    ) -> Variable:
        """`add_variable`, under its other name."""
        return self.add_variable(shape, initializer, dtype, name=name)

    def update_state(self, *args: Any, **kwargs: Any) -> None:
        """Count more rows: (y_true, y_pred, sample_weight=None)."""
        raise TypeError(f"{type(self).__name__} must define update_state(y_true, y_pred, sample_weight).")

    def result(self) -> Any:
        """What the rows counted so far amount to."""
        raise TypeError(f"{type(self).__name__} must define result().")

    def reset_state(self) -> None:
        """Forget the rows counted."""
        for variable in self.variables:
            variable.assign(0)

    def reset_states(self) -> None:
        """`reset_state`, under its name in Keras 2."""
        self.reset_state()

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Update the state, and give the result."""
        self.update_state(*args, **kwargs)
        return self.result()

    def get_config(self) -> dict[str, Any]:
        """Arguments of the constructor."""
        return {"name": self.name}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        """The metric with these arguments."""
        return cls(**config)

    def __repr__(self) -> str:
        return represent(self)
