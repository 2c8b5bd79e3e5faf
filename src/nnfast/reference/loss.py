"""Losses (csrc/loss.h): one row each, of functions that return the losses of the rows (B,) and the gradient (B,K)
of their sum. To add one, write its line in LOSSES."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .activation import sigmoid_forward
from .common import Array, Targets, check_shape
from .common import row as row_of

PROBABILITY_MIN, PROBABILITY_MAX = 1e-7, 1.0 - 1e-7  # Keras' epsilon: bounds for what no link has made


class Loss(NamedTuple):
    """A row: `from_outputs(a, y)`; with a link also `from_logits(z, y)`, which makes z probabilities; and what the
    tests want to know of it."""

    from_outputs: Callable[[Array, Any], tuple[Array, Array]]
    sample: Callable[[np.random.Generator, int, int], NDArray[Any]]
    """Targets of so many rows and outputs."""
    domain: tuple[float, float] = (-math.inf, math.inf)
    """Where outputs lie; where its ends are finite, outputs are clipped just inside."""
    kinked: bool = False
    """Whether it has no derivative where an output is its target."""
    link: str | None = None
    from_logits: Callable[[Array, Any], tuple[Array, Array]] | None = None
    sparse: bool = False


def _mean_squared_error(a: Array, y: Array) -> tuple[Array, Array]:
    difference = a - y
    row_loss = (difference * difference).sum(axis=1) / a.shape[1]
    difference *= 2.0 / a.shape[1]
    return row_loss, difference


def _mean_absolute_error(a: Array, y: Array) -> tuple[Array, Array]:
    difference = a - y
    return np.abs(difference).sum(axis=1) / a.shape[1], np.sign(difference) / a.shape[1]


def _clip(p: Array) -> tuple[Array, NDArray[np.bool_]]:
    """Probabilities within bounds, and where they were so: elsewhere the gradient is 0."""
    clipped = np.clip(p, PROBABILITY_MIN, PROBABILITY_MAX)
    return clipped, clipped == p


def _binary_from_outputs(a: Array, y: Array) -> tuple[Array, Array]:
    p, inside = _clip(a)
    loss = -(y * np.log(p) + (1.0 - y) * np.log(1.0 - p))
    return loss.sum(axis=1) / a.shape[1], inside * (p - y) / (p * (1.0 - p) * a.shape[1])


def _binary_from_logits(z: Array, y: Array) -> tuple[Array, Array]:
    """max(z, 0) - z y + log(1 + exp(-|z|)), in which nothing overflows."""
    loss = np.maximum(z, 0.0) - z * y + np.log1p(np.exp(-np.abs(z)))
    sigmoid_forward(z, 1.0)
    return loss.sum(axis=1) / z.shape[1], (z - y) / z.shape[1]


def _categorical_from_outputs(a: Array, y: Array) -> tuple[Array, Array]:
    """-sum_k y_k log c_k, c = clip(q), q = a / sum(a).

    The gradient with respect to q, u = -y / c where not clipped, goes through the division: that with respect
    to a is (u - sum_k u_k q_k) / sum(a).
    """
    total = a.sum(axis=1, keepdims=True)
    q = a / total
    c, inside = _clip(q)
    u = -(inside * y) / c
    return -(y * np.log(c)).sum(axis=1), (u - (u * q).sum(axis=1, keepdims=True)) / total


def _categorical_from_logits(z: Array, y: Array) -> tuple[Array, Array]:
    """sum_k y_k (log sum_j exp z_j - z_k), with the gradient softmax(z) sum_k y_k - y."""
    z -= z.max(axis=1, keepdims=True)
    below = (y * z).sum(axis=1)
    weight = y.sum(axis=1)
    np.exp(z, out=z)
    total = z.sum(axis=1)
    z /= total[:, None]
    return weight * np.log(total) - below, z * weight[:, None] - y


def _sparse_from_outputs(a: Array, labels: NDArray[np.integer[Any]]) -> tuple[Array, Array]:
    return _categorical_from_outputs(a, np.eye(a.shape[1], dtype=a.dtype)[labels])


def _sparse_from_logits(z: Array, labels: NDArray[np.integer[Any]]) -> tuple[Array, Array]:
    """As for one-hot rows, without making them."""
    rows = np.arange(len(z))
    z -= z.max(axis=1, keepdims=True)
    below = z[rows, labels]
    np.exp(z, out=z)
    total = z.sum(axis=1)
    z /= total[:, None]
    gradient = z.copy()
    gradient[rows, labels] -= 1.0
    return np.log(total) - below, gradient


def _values(rng: np.random.Generator, rows: int, outputs: int) -> NDArray[Any]:
    return rng.standard_normal((rows, outputs))


def _bits(rng: np.random.Generator, rows: int, outputs: int) -> NDArray[Any]:
    return rng.integers(0, 2, (rows, outputs)).astype(np.float64)


def _labels(rng: np.random.Generator, rows: int, outputs: int) -> NDArray[Any]:
    return rng.integers(0, outputs, rows)


def _one_hot(rng: np.random.Generator, rows: int, outputs: int) -> NDArray[Any]:
    one_hot: NDArray[Any] = np.eye(outputs)[_labels(rng, rows, outputs)]
    return one_hot


_PROBABILITY = (0.0, 1.0)

LOSSES = {
    "mean_squared_error": Loss(_mean_squared_error, _values),
    "mean_absolute_error": Loss(_mean_absolute_error, _values, kinked=True),
    "binary_crossentropy": Loss(
        _binary_from_outputs, _bits, _PROBABILITY, link="sigmoid", from_logits=_binary_from_logits
    ),
    "categorical_crossentropy": Loss(
        _categorical_from_outputs,
        _one_hot,
        _PROBABILITY,
        link="softmax",
        from_logits=_categorical_from_logits,
    ),
    "sparse_categorical_crossentropy": Loss(
        _sparse_from_outputs,
        _labels,
        _PROBABILITY,
        link="softmax",
        from_logits=_sparse_from_logits,
        sparse=True,
    ),
}


def check_targets(name: str, y: NDArray[Any], sparse: bool, shape: tuple[int, int]) -> None:
    """TypeError or ValueError where y is not the targets, or labels, of outputs of this shape."""
    if not sparse:
        check_shape(name, y, shape)
        return
    rows, classes = shape
    if not isinstance(y, np.ndarray) or y.dtype.kind not in "iu":
        received = getattr(y, "dtype", type(y).__name__)
        raise TypeError(
            f"{name}: expected an array of integer labels of shape ({rows},), received {received}"
        )
    if y.shape != (rows,):
        raise ValueError(f"{name}: expected labels of shape ({rows},), received {y.shape}")
    outside = np.flatnonzero((y < 0) | (y >= classes))
    if outside.size:
        row = outside[0]
        raise ValueError(f"{name}: expected labels from 0 to {classes - 1}, received {y[row]} in row {row}")


def weighted_mean(row_loss: Array, gradient: Array, sample_weight: Array | None) -> None:
    """Weights the rows and turns the gradient of their sum into that of their mean, in place."""
    if sample_weight is None:
        gradient /= len(gradient)
    else:
        row_loss *= sample_weight
        gradient *= (sample_weight / len(gradient))[:, None]


@np.errstate(over="ignore", invalid="ignore", divide="ignore")
def loss_value_and_gradient(
    outputs: Array,
    targets: Targets,
    loss: str,
    sample_weight: Array | None = None,
    from_logits: bool = False,
) -> tuple[float, Array]:
    """The mean loss over the rows, and its gradient with respect to `outputs`.

    Parameters
    ----------
    outputs : (B,K) probabilities or values; logits with `from_logits`, which computes softmax (sigmoid) and
        loss together, with no clipping. Probabilities are clipped to [1e-7, 1 - 1e-7], those of the
        categorical losses after a division by their sum, and the gradient is 0 where clipped (Keras 3).
    targets : integer labels (B,) for sparse_categorical_crossentropy, else floats (B,K).
    loss : a name in `LOSSES`.
    sample_weight : (B,), multiplies each row's loss; the divisor stays B.

    Raises
    ------
    ValueError
        For an unknown loss, labels out of range, other shapes, or `from_logits` with a loss that has no link.

    Examples
    --------
    >>> y = np.array([[1.0], [3.0]])
    >>> loss_value_and_gradient(np.zeros_like(y), y, "mean_squared_error")
    (5.0, array([[-1.],
           [-3.]]))
    """
    row = row_of("loss", loss, LOSSES)
    if outputs.ndim != 2 or not outputs.size:
        raise ValueError(f"outputs: expected shape (B, K), at least one row, received {outputs.shape}")
    check_targets("targets", targets, row.sparse, outputs.shape)
    if sample_weight is not None:
        check_shape("sample_weight", sample_weight, outputs.shape[:1])
    if not from_logits:
        row_loss, gradient = row.from_outputs(outputs, targets)
    elif row.from_logits is not None:
        row_loss, gradient = row.from_logits(outputs.copy(), targets)
    else:
        raise ValueError(f"from_logits: expected False for {loss}, which has no link, received True")
    weighted_mean(row_loss, gradient, sample_weight)
    return float(row_loss.sum(dtype=np.float64) / len(outputs)), gradient
