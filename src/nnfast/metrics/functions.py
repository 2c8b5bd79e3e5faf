"""Values of the rows, in NumPy: what the mean metrics average, under the names of Keras' functions.

Each takes targets and outputs of shape (N, K), or labels (N,), and gives one number a row (of `binary_accuracy`:
an output). Clipping and thresholds are those of float32, the rest is float64.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

EPSILON = 1e-7
"""Probabilities are clipped to [EPSILON, 1 - EPSILON]."""


def same_rank(first: Array, second: Array, expand: bool = True) -> tuple[Array, Array]:
    """Both of one rank: (N,) beside (N, 1) becomes (N, 1); otherwise a last axis of length 1 goes."""
    if first.ndim == second.ndim + 1 and first.shape[-1] == 1:
        return (first, second[..., None]) if second.ndim == 1 and expand else (first[..., 0], second)
    if second.ndim == first.ndim + 1 and second.shape[-1] == 1:
        return (first[..., None], second) if first.ndim == 1 and expand else (first, second[..., 0])
    return first, second


def _floats(y_true: Any, y_pred: Any) -> tuple[Array, Array]:
    """In float64, from the values that float32 holds."""
    pair = (np.asarray(y_true, np.float32), np.asarray(y_pred, np.float32))
    first, second = same_rank(*pair)
    return first.astype(np.float64), second.astype(np.float64)


def _probabilities(y_pred: Any) -> Any:
    """Clipped, as float32 holds the bounds."""
    clipped = np.clip(np.asarray(y_pred, np.float32), np.float32(EPSILON), np.float32(1 - EPSILON))
    return clipped.astype(np.float64)


def mean_squared_error(y_true: Any, y_pred: Any) -> Any:
    """mean_k (p_k - y_k)^2."""
    target, output = _floats(y_true, y_pred)
    return np.square(target - output).mean(axis=-1)


def mean_absolute_error(y_true: Any, y_pred: Any) -> Any:
    """mean_k |p_k - y_k|."""
    target, output = _floats(y_true, y_pred)
    return np.abs(target - output).mean(axis=-1)


def mean_absolute_percentage_error(y_true: Any, y_pred: Any) -> Any:
    """100 mean_k |p_k - y_k| / max(|y_k|, 1e-7)."""
    target, output = _floats(y_true, y_pred)
    return 100.0 * np.abs((target - output) / np.maximum(np.abs(target), EPSILON)).mean(axis=-1)


def mean_squared_logarithmic_error(y_true: Any, y_pred: Any) -> Any:
    """mean_k (log(1 + p_k) - log(1 + y_k))^2, of values of at least 1e-7."""
    target, output = (np.log(np.maximum(part, EPSILON) + 1.0) for part in _floats(y_true, y_pred))
    return np.square(target - output).mean(axis=-1)


def log_cosh(y_true: Any, y_pred: Any) -> Any:
    """mean_k log(cosh(p_k - y_k))."""
    target, output = _floats(y_true, y_pred)
    error = output - target
    return (error + np.logaddexp(0.0, -2.0 * error) - np.log(2.0)).mean(axis=-1)


def huber(y_true: Any, y_pred: Any, delta: float = 1.0) -> Any:
    """mean_k of e^2 / 2 where e = |p_k - y_k| is at most delta, else delta e - delta^2 / 2."""
    target, output = _floats(y_true, y_pred)
    error = np.abs(output - target)
    return np.where(error <= delta, 0.5 * np.square(error), delta * error - 0.5 * delta**2).mean(axis=-1)


def cosine_similarity(y_true: Any, y_pred: Any, axis: int = -1) -> Any:
    """The cosine: 1 where they point the same way. Of Keras' loss of this name it is the negative."""
    target, output = (
        part / np.sqrt(np.maximum(np.square(part).sum(axis=axis, keepdims=True), 1e-12))
        for part in _floats(y_true, y_pred)
    )
    return np.asarray((target * output).sum(axis=axis))


def kl_divergence(y_true: Any, y_pred: Any) -> Any:
    """sum_k y_k log(y_k / p_k), both clipped to [1e-7, 1]."""
    target, output = (
        np.clip(np.asarray(part, np.float32).astype(np.float64), EPSILON, 1) for part in (y_true, y_pred)
    )
    return np.asarray((target * np.log(target / output)).sum(axis=-1))


def poisson(y_true: Any, y_pred: Any) -> Any:
    """mean_k (p_k - y_k log(p_k + 1e-7))."""
    target, output = (np.asarray(part, np.float32).astype(np.float64) for part in (y_true, y_pred))
    return (output - target * np.log(output + EPSILON)).mean(axis=-1)


def _signs(y_true: Array) -> Any:
    """Targets of 0 and 1 as -1 and 1; others as they are."""
    return 2.0 * y_true - 1.0 if ((y_true == 0) | (y_true == 1)).all() else y_true


def hinge(y_true: Any, y_pred: Any) -> Any:
    """mean_k max(1 - y_k p_k, 0); targets of 0 and 1 become -1 and 1."""
    target, output = _floats(y_true, y_pred)
    return np.maximum(1.0 - _signs(target) * output, 0.0).mean(axis=-1)


def squared_hinge(y_true: Any, y_pred: Any) -> Any:
    """mean_k max(1 - y_k p_k, 0)^2; targets of 0 and 1 become -1 and 1."""
    target, output = _floats(y_true, y_pred)
    return np.square(np.maximum(1.0 - _signs(target) * output, 0.0)).mean(axis=-1)


def categorical_hinge(y_true: Any, y_pred: Any) -> Any:
    """max(neg - pos + 1, 0): pos the output of the class, neg the largest of the others."""
    target, output = _floats(y_true, y_pred)
    right, wrong = (target * output).sum(axis=-1), ((1.0 - target) * output).max(axis=-1)
    return np.maximum(wrong - right + 1.0, 0.0)


def binary_crossentropy(
    y_true: Any, y_pred: Any, from_logits: bool = False, label_smoothing: float = 0.0, axis: int = -1
) -> Any:
    """mean_k -(y_k log p_k + (1 - y_k) log(1 - p_k))."""
    target, output = _floats(y_true, y_pred)
    if label_smoothing:
        target = target * (1.0 - label_smoothing) + 0.5 * label_smoothing
    if from_logits:
        row = np.logaddexp(0.0, output) - target * output
    else:
        p = _probabilities(output)
        row = -(target * np.log(p) + (1.0 - target) * np.log1p(-p))
    return row.mean(axis=axis)


def _log_probabilities(y_pred: Any, from_logits: bool) -> Any:
    output = np.asarray(y_pred, np.float32).astype(np.float64)
    if from_logits:
        shifted = output - output.max(axis=-1, keepdims=True)
        return np.asarray(shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True)))
    return np.log(_probabilities(output / output.sum(axis=-1, keepdims=True)))


def _check_last(axis: int) -> None:
    if axis != -1:
        raise ValueError(f"axis must be -1, the outputs of a row, got {axis!r}.")


def categorical_crossentropy(
    y_true: Any, y_pred: Any, from_logits: bool = False, label_smoothing: float = 0.0, axis: int = -1
) -> Any:
    """-sum_k y_k log p_k, for probabilities that are made to sum to 1."""
    _check_last(axis)
    target = np.asarray(y_true, np.float32).astype(np.float64)
    if label_smoothing:
        target = target * (1.0 - label_smoothing) + label_smoothing / target.shape[-1]
    return np.asarray(-(target * _log_probabilities(y_pred, from_logits)).sum(axis=-1))


def sparse_categorical_crossentropy(
    y_true: Any, y_pred: Any, from_logits: bool = False, ignore_class: None = None, axis: int = -1
) -> Any:
    """-log p_y, for labels y and probabilities that are made to sum to 1."""
    _check_last(axis)
    if ignore_class is not None:
        raise ValueError(
            f"ignore_class must be None, got {ignore_class!r}. Weigh such rows 0: weighted_metrics."
        )
    logs = _log_probabilities(y_pred, from_logits)
    return -np.take_along_axis(logs, _labels(y_true, logs)[..., None], axis=-1)[..., 0]


def _labels(y_true: Any, y_pred: Array) -> NDArray[np.int64]:
    """Labels (N,), from (N,) or (N, 1)."""
    labels = np.asarray(y_true)
    if labels.ndim == y_pred.ndim and labels.shape[-1] == 1:
        labels = labels[..., 0]
    return labels.astype(np.int64)


def accuracy(y_true: Any, y_pred: Any) -> Any:
    """Where outputs and targets are the same number."""
    first, second = same_rank(np.asarray(y_true, np.float32), np.asarray(y_pred, np.float32))
    return (first == second).astype(np.float64)


def binary_accuracy(y_true: Any, y_pred: Any, threshold: float = 0.5) -> Any:
    """1 where (p > threshold) == y, else 0, for each output."""
    first, second = same_rank(np.asarray(y_true, np.float32), np.asarray(y_pred, np.float32))
    return (first == (second > np.float32(threshold))).astype(np.float64)


def _classes(y_true: Any, y_pred: Any) -> tuple[Array, Array]:
    """Both as arrays, of one shape with a place for each class."""
    targets, outputs = np.asarray(y_true), np.asarray(y_pred)
    if targets.shape != outputs.shape or not targets.ndim or not targets.shape[-1]:
        raise ValueError(
            f"y_true and y_pred must have the same shape (N, K), got {targets.shape} and {outputs.shape}. "
            "For labels take the metric of the same name with sparse before it."
        )
    return targets, outputs


def categorical_accuracy(y_true: Any, y_pred: Any) -> Any:
    """1 where the largest output is where the target is largest, else 0."""
    targets, outputs = _classes(y_true, y_pred)
    return (targets.argmax(axis=-1) == outputs.argmax(axis=-1)).astype(np.float64)


def sparse_categorical_accuracy(y_true: Any, y_pred: Any) -> Any:
    """1 where the largest output is the label's, else 0."""
    output = np.asarray(y_pred)
    return (_labels(y_true, output) == output.argmax(axis=-1)).astype(np.float64)


def top_k_categorical_accuracy(y_true: Any, y_pred: Any, k: int = 5) -> Any:
    """1 where fewer than k outputs are larger than that of the target's class, else 0."""
    targets, outputs = _classes(y_true, y_pred)
    return sparse_top_k_categorical_accuracy(targets.argmax(axis=-1), outputs, k)


def sparse_top_k_categorical_accuracy(
    y_true: Any, y_pred: Any, k: int = 5, from_sorted_ids: bool = False
) -> Any:
    """Where fewer than k outputs are larger than the label's; with `from_sorted_ids` outputs are classes, likely ones
    first."""
    output = np.asarray(y_pred)
    labels = _labels(y_true, output)[..., None]
    if from_sorted_ids:
        return (output[..., :k] == labels).any(axis=-1).astype(np.float64)
    larger = output > np.take_along_axis(output, labels, axis=-1)
    return (larger.sum(axis=-1) < k).astype(np.float64)
