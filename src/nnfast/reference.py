"""The engine again, in pure NumPy and for any float type: the oracle of the tests (in float64), the baseline
of the benchmarks, and `compile(backend="reference")`.

Here are the functions of `kernels` under the same names, and `Net` with the interface of the native one.
Batches and random numbers come from outside. Nothing native is imported, so that an error there cannot hide
here. To add an activation, a loss, a rule or a metric, write its line in the table at the end of its section.

Shapes: x (B,I), w (I,O), b (O,), z and a (B,O). A gradient is that of the mean over the rows of the batch;
the division by B happens once, in the loss.
"""

from __future__ import annotations

import math
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import numpy as np
from numpy.typing import DTypeLike, NDArray

from .errors import NonFiniteError
from .names import unknown_name

if TYPE_CHECKING:
    from types import FrameType

    from ._core import SparseRows
    from .kernels import ActivationLike

Array = NDArray[np.floating[Any]]
Targets = NDArray[np.generic]
Row = TypeVar("Row")

PROBABILITY_MIN, PROBABILITY_MAX = 1e-7, 1.0 - 1e-7  # Keras' epsilon: bounds for what no link has made
PROGRESS_SECONDS = 0.01  # between two calls of progress
BLOCK_ROWS = 1024  # that pass through the layers together where nothing is learned


def _row(kind: str, name: str, table: dict[str, Row]) -> Row:
    if name not in table:
        raise unknown_name(kind, name, table)
    return table[name]


def _check_shape(name: str, array: Array, shape: tuple[int, ...]) -> None:
    """What NumPy would broadcast is an error here, as it is in the engine."""
    if not isinstance(array, np.ndarray) or array.dtype.kind != "f":
        received = getattr(array, "dtype", type(array).__name__)
        raise TypeError(f"{name}: expected an array of floats of shape {shape}, received {received}")
    if array.shape != shape:
        raise ValueError(f"{name}: expected shape {shape}, received {array.shape}")


# Activations. Both functions work in place: z becomes a, and da becomes dz with the slope as a function of a.


class Activation(NamedTuple):
    """A row: `forward(z, parameter)`, `backward(da, a, parameter)`, and the parameter's default, if any."""

    forward: Callable[[Array, float], object]
    backward: Callable[[Array, Array, float], object]
    parameter: float | None = None


def _keep(*_: object) -> None:
    """The linear activation, both ways."""


def _relu_forward(z: Array, parameter: float) -> None:
    np.maximum(z, 0.0, out=z)  # keeps NaN


def _relu_backward(da: Array, a: Array, parameter: float) -> None:
    np.multiply(da, a > 0.0, out=da)


def _sigmoid_forward(z: Array, slope: float) -> None:
    """1 / (1 + exp(-slope z)); where exp overflows to infinity the result is the 0 that it should be."""
    z *= -slope
    np.exp(z, out=z)
    z += 1.0
    np.reciprocal(z, out=z)


def _sigmoid_backward(da: Array, a: Array, slope: float) -> None:
    da *= slope * a * (1.0 - a)


def _tanh_forward(z: Array, parameter: float) -> None:
    np.tanh(z, out=z)


def _tanh_backward(da: Array, a: Array, parameter: float) -> None:
    da *= 1.0 - a * a


def _softmax_forward(z: Array, parameter: float) -> None:
    z -= z.max(axis=1, keepdims=True)
    np.exp(z, out=z)
    z /= z.sum(axis=1, keepdims=True)


def _softmax_backward(da: Array, a: Array, parameter: float) -> None:
    """dz = a (da - sum_k da_k a_k)"""
    da -= (da * a).sum(axis=1, keepdims=True)
    da *= a


ACTIVATIONS = {
    "linear": Activation(_keep, _keep),
    "relu": Activation(_relu_forward, _relu_backward),
    "sigmoid": Activation(_sigmoid_forward, _sigmoid_backward, parameter=1.0),
    "tanh": Activation(_tanh_forward, _tanh_backward),
    "softmax": Activation(_softmax_forward, _softmax_backward),
}


def _activation(activation: str | ActivationLike) -> tuple[Activation, float]:
    """Row and parameter; the parameter of a name is its default."""
    if isinstance(activation, str):
        row = _row("activation", activation, ACTIVATIONS)
        return row, row.parameter or 0.0
    return _row("activation", activation.name, ACTIVATIONS), activation.parameter or 0.0


@np.errstate(over="ignore", invalid="ignore")
def activation_forward(z: Array, activation: str | ActivationLike = "linear") -> Array:
    """a = activation(z), z of shape (B,O); z is kept.

    Examples
    --------
    >>> activation_forward(np.array([[-1.0, 0.0, 3.0]]), "relu")
    array([[0., 0., 3.]])
    """
    row, parameter = _activation(activation)
    a = z.copy()
    row.forward(a, parameter)
    return a


@np.errstate(invalid="ignore")
def activation_backward(da: Array, a: Array, activation: str | ActivationLike = "linear") -> Array:
    """dz from da, for a = activation(z): da times the slope, a function of the output a; da is kept.

    The slope of ReLU at 0 is 0 (thesis, Fig. 4).

    Examples
    --------
    >>> a = np.array([[0.0, 0.5]])
    >>> activation_backward(np.ones_like(a), a, "sigmoid")
    array([[0.  , 0.25]])
    """
    row, parameter = _activation(activation)
    _check_shape("da", da, a.shape)
    dz = da.copy()
    row.backward(dz, a, parameter)
    return dz


# Losses. Each function returns the losses of the rows (B,) and the gradient (B,K) of their sum.


class Loss(NamedTuple):
    """A row: `from_outputs(a, y)`; with a link also `from_logits(z, y)`, which makes z probabilities."""

    from_outputs: Callable[[Array, Any], tuple[Array, Array]]
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
    _sigmoid_forward(z, 1.0)
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


LOSSES = {
    "mean_squared_error": Loss(_mean_squared_error),
    "mean_absolute_error": Loss(_mean_absolute_error),
    "binary_crossentropy": Loss(_binary_from_outputs, "sigmoid", _binary_from_logits),
    "categorical_crossentropy": Loss(_categorical_from_outputs, "softmax", _categorical_from_logits),
    "sparse_categorical_crossentropy": Loss(
        _sparse_from_outputs, "softmax", _sparse_from_logits, sparse=True
    ),
}


def _check_targets(name: str, y: NDArray[Any], sparse: bool, shape: tuple[int, int]) -> None:
    if not sparse:
        _check_shape(name, y, shape)
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


def _weighted_mean(row_loss: Array, gradient: Array, sample_weight: Array | None) -> None:
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
    row = _row("loss", loss, LOSSES)
    if outputs.ndim != 2 or not outputs.size:
        raise ValueError(f"outputs: expected shape (B, K), at least one row, received {outputs.shape}")
    _check_targets("targets", targets, row.sparse, outputs.shape)
    if sample_weight is not None:
        _check_shape("sample_weight", sample_weight, outputs.shape[:1])
    if not from_logits:
        row_loss, gradient = row.from_outputs(outputs, targets)
    elif row.from_logits is not None:
        row_loss, gradient = row.from_logits(outputs.copy(), targets)
    else:
        raise ValueError(f"from_logits: expected False for {loss}, which has no link, received True")
    _weighted_mean(row_loss, gradient, sample_weight)
    return float(row_loss.sum(dtype=np.float64) / len(outputs)), gradient


# Update rules. Each works in place, through one array of scratch; `t` is the number of the update, from 1.


class Rule(NamedTuple):
    """A row: names of the hyperparameters and of the slots, and `step(w, g, slots, hyper, t, scratch)`."""

    hyper: tuple[str, ...]
    slots: tuple[str, ...]
    step: Callable[[Array, Array, Sequence[Array], Sequence[float], int, Array], None]


def _sgd(w: Array, g: Array, slots: Sequence[Array], hyper: Sequence[float], t: int, scratch: Array) -> None:
    w -= np.multiply(g, hyper[0], out=scratch)


def _momentum(
    w: Array, g: Array, slots: Sequence[Array], hyper: Sequence[float], t: int, scratch: Array
) -> None:
    (velocity,), (learning_rate, momentum) = slots, hyper
    velocity *= momentum
    velocity -= np.multiply(g, learning_rate, out=scratch)
    w += velocity


def _nesterov(
    w: Array, g: Array, slots: Sequence[Array], hyper: Sequence[float], t: int, scratch: Array
) -> None:
    """w += momentum velocity - learning_rate g, with the new velocity."""
    (velocity,), (learning_rate, momentum) = slots, hyper
    velocity *= momentum
    np.multiply(g, learning_rate, out=scratch)
    velocity -= scratch
    w -= scratch
    w += np.multiply(velocity, momentum, out=scratch)


def _rmsprop(
    w: Array, g: Array, slots: Sequence[Array], hyper: Sequence[float], t: int, scratch: Array
) -> None:
    w -= _rmsprop_increment(g, slots[0], None, hyper, scratch)


def _rmsprop_centered(
    w: Array, g: Array, slots: Sequence[Array], hyper: Sequence[float], t: int, scratch: Array
) -> None:
    w -= _rmsprop_increment(g, slots[0], slots[1], hyper, scratch)


def _rmsprop_momentum(
    w: Array, g: Array, slots: Sequence[Array], hyper: Sequence[float], t: int, scratch: Array
) -> None:
    velocity, momentum = slots
    momentum *= hyper[3]
    momentum += _rmsprop_increment(g, velocity, None, hyper, scratch)
    w -= momentum


def _rmsprop_centered_momentum(
    w: Array, g: Array, slots: Sequence[Array], hyper: Sequence[float], t: int, scratch: Array
) -> None:
    velocity, average_gradient, momentum = slots
    momentum *= hyper[3]
    momentum += _rmsprop_increment(g, velocity, average_gradient, hyper, scratch)
    w -= momentum


def _rmsprop_increment(
    g: Array, velocity: Array, average_gradient: Array | None, hyper: Sequence[float], scratch: Array
) -> Array:
    """learning_rate g / sqrt(d + epsilon), in scratch; d is the velocity, centered: velocity - average^2."""
    learning_rate, rho, epsilon = hyper[:3]
    velocity *= rho
    np.multiply(g, g, out=scratch)
    scratch *= 1.0 - rho
    velocity += scratch
    if average_gradient is None:
        np.add(velocity, epsilon, out=scratch)
    else:
        average_gradient *= rho
        average_gradient += np.multiply(g, 1.0 - rho, out=scratch)
        np.multiply(average_gradient, average_gradient, out=scratch)
        np.subtract(velocity, scratch, out=scratch)
        scratch += epsilon
    np.sqrt(scratch, out=scratch)
    np.divide(g, scratch, out=scratch)
    scratch *= learning_rate
    return scratch


def _adam(w: Array, g: Array, slots: Sequence[Array], hyper: Sequence[float], t: int, scratch: Array) -> None:
    """w -= a m / (sqrt(v) + epsilon), a = learning_rate sqrt(1 - beta_2^t) / (1 - beta_1^t)."""
    (m, v), (learning_rate, beta_1, beta_2, epsilon) = slots, hyper
    np.subtract(g, m, out=scratch)
    scratch *= 1.0 - beta_1
    m += scratch
    np.multiply(g, g, out=scratch)
    scratch -= v
    scratch *= 1.0 - beta_2
    v += scratch
    np.sqrt(v, out=scratch)
    scratch += epsilon
    np.divide(m, scratch, out=scratch)
    scratch *= learning_rate * math.sqrt(1.0 - beta_2**t) / (1.0 - beta_1**t)
    w -= scratch


def _adam_corrected(
    w: Array, g: Array, slots: Sequence[Array], hyper: Sequence[float], t: int, scratch: Array
) -> None:
    """Epsilon beside sqrt(v / (1 - beta_2^t)) is epsilon sqrt(1 - beta_2^t) beside sqrt(v)."""
    *others, beta_2, epsilon = hyper
    _adam(w, g, slots, (*others, beta_2, epsilon * math.sqrt(1.0 - beta_2**t)), t, scratch)


_MOMENTUM_HYPER = ("learning_rate", "momentum")
_RMSPROP_HYPER = ("learning_rate", "rho", "epsilon")
_ADAM_HYPER = ("learning_rate", "beta_1", "beta_2", "epsilon")

RULES = {
    "sgd": Rule(("learning_rate",), (), _sgd),
    "momentum": Rule(_MOMENTUM_HYPER, ("velocity",), _momentum),
    "nesterov": Rule(_MOMENTUM_HYPER, ("velocity",), _nesterov),
    "rmsprop": Rule(_RMSPROP_HYPER, ("velocity",), _rmsprop),
    "rmsprop_centered": Rule(_RMSPROP_HYPER, ("velocity", "average_gradient"), _rmsprop_centered),
    "rmsprop_momentum": Rule((*_RMSPROP_HYPER, "momentum"), ("velocity", "momentum"), _rmsprop_momentum),
    "rmsprop_centered_momentum": Rule(
        (*_RMSPROP_HYPER, "momentum"),
        ("velocity", "average_gradient", "momentum"),
        _rmsprop_centered_momentum,
    ),
    "adam": Rule(_ADAM_HYPER, ("momentum", "velocity"), _adam),
    "adam_corrected": Rule(_ADAM_HYPER, ("momentum", "velocity"), _adam_corrected),
}


def _check_hyper(row: Rule, hyper: Sequence[float]) -> list[float]:
    """As Python floats, which leave an array its type."""
    if len(hyper) != len(row.hyper):
        raise ValueError(f"hyper: expected {', '.join(row.hyper)}, received {len(hyper)} values")
    for name, value in zip(row.hyper, hyper, strict=True):
        if not math.isfinite(value):
            raise ValueError(f"hyper: expected finite numbers, received {value} for {name}")
    return [float(value) for value in hyper]


@np.errstate(over="ignore", invalid="ignore", divide="ignore")
def update(w: Array, g: Array, slots: Sequence[Array], rule: str, hyper: Sequence[float], step: int) -> None:
    """One step of an update rule on w and its slots, in place; arrays of any shape, all the same.

    Parameters
    ----------
    rule, hyper : a row of `RULES` and its hyperparameters in the row's order.
    step : number of this update, from 1.

    Examples
    --------
    >>> w, velocity = np.ones(2), np.zeros(2)
    >>> update(w, np.ones_like(w), [velocity], "momentum", (0.5, 0.9), step=1)
    >>> w
    array([0.5, 0.5])
    """
    row = _row("rule", rule, RULES)
    constants = _check_hyper(row, hyper)
    if step < 1:
        raise ValueError(f"step: expected the number of this update, from 1, received {step}")
    if len(slots) != len(row.slots):
        names = ", ".join(row.slots) or "none"
        raise ValueError(f"slots: expected {len(row.slots)} arrays ({names}), received {len(slots)}")
    for name, array in [("g", g), *zip(row.slots, slots, strict=True)]:
        _check_shape(name, array, w.shape)
    row.step(w, g, slots, constants, step, np.empty_like(w))


def sgd_update(w: Array, g: Array, learning_rate: float = 0.01) -> None:
    """w -= learning_rate g, in place."""
    update(w, g, (), "sgd", (learning_rate,), 1)


def momentum_update(
    w: Array,
    g: Array,
    velocity: Array,
    learning_rate: float = 0.01,
    momentum: float = 0.9,
    nesterov: bool = False,
) -> None:
    """velocity = momentum velocity - learning_rate g; w += velocity, in place.

    Nesterov: w += momentum velocity - learning_rate g with the new velocity.
    """
    update(w, g, (velocity,), "nesterov" if nesterov else "momentum", (learning_rate, momentum), 1)


def rmsprop_update(
    w: Array,
    g: Array,
    velocity: Array,
    learning_rate: float = 0.001,
    rho: float = 0.9,
    epsilon: float = 1e-7,
) -> None:
    """velocity = rho velocity + (1 - rho) g^2; w -= learning_rate g / sqrt(velocity + epsilon), in place."""
    update(w, g, (velocity,), "rmsprop", (learning_rate, rho, epsilon), 1)


def adam_update(
    w: Array,
    g: Array,
    m: Array,
    v: Array,
    step: int,
    learning_rate: float = 0.001,
    beta_1: float = 0.9,
    beta_2: float = 0.999,
    epsilon: float = 1e-7,
    epsilon_form: str = "uncorrected",
) -> None:
    """Adam (Kingma and Ba 2015; thesis, Algorithm 8), in place.

    m += (1-b1)(g-m); v += (1-b2)(g^2-v); w -= a m / (sqrt(v) + epsilon) with a = learning_rate
    sqrt(1-b2^step) / (1-b1^step), the powers in double.

    `epsilon_form="corrected"` adds epsilon to the bias-corrected sqrt(v), as Algorithm 8 and PyTorch do;
    "uncorrected" is Keras'.
    """
    rules = {"uncorrected": "adam", "corrected": "adam_corrected"}
    if epsilon_form not in rules:
        raise ValueError(f"epsilon_form: expected 'uncorrected' or 'corrected', received {epsilon_form!r}")
    update(w, g, (m, v), rules[epsilon_form], (learning_rate, beta_1, beta_2, epsilon), step)


# Dense layers.


@np.errstate(over="ignore", invalid="ignore")
def dense_forward(
    x: Array, w: Array, b: Array | None = None, activation: str | ActivationLike = "linear"
) -> Array:
    """The output of a dense layer, a = activation(x w + b) (thesis, eq. 8-9).

    Examples
    --------
    >>> x, w = np.array([[1.0, 2.0]]), np.array([[1.0, -1.0], [0.5, 0.25]])
    >>> dense_forward(x, w, activation="relu")
    array([[2., 0.]])
    """
    row, parameter = _activation(activation)
    a: Array = np.dot(x, w)
    if b is not None:
        _check_shape("b", b, w.shape[1:])
        a += b
    row.forward(a, parameter)
    return a


@np.errstate(over="ignore", invalid="ignore")
def dense_backward(dz: Array, x: Array, w: Array, need_dx: bool = True) -> tuple[Array, Array, Array | None]:
    """The gradients of a dense layer: dw = xT dz, db = sum of the rows of dz, dx = dz wT (thesis, eq. 14-16).

    Returns
    -------
    dw (I,O), db (O,), dx (B,I) or None without `need_dx`.

    Examples
    --------
    >>> one = np.ones((1, 1))
    >>> dense_backward(3 * one, 2 * one, 5 * one)
    (array([[6.]]), array([3.]), array([[15.]]))
    """
    _check_shape("w", w, (x.shape[1], dz.shape[1]))
    return np.dot(x.T, dz), dz.sum(axis=0), np.dot(dz, w.T) if need_dx else None


def dense_backward_update(
    w: Array,
    b: Array | None,
    dz: Array,
    x: Array,
    rule: str,
    hyper: Sequence[float],
    slots: Sequence[tuple[Array, Array | None]],
    step: int,
    need_dx: bool = True,
) -> Array | None:
    """Backward pass and update of a dense layer: `dense_backward`, then `update` on w and b.

    Parameters
    ----------
    w, b : weights and bias (or None), changed in place.
    rule, hyper : a row of `RULES` and its hyperparameters in the row's order.
    slots : per slot of the rule, the pair of its arrays for w and b, changed in place.
    step : number of this update, from 1.

    Returns
    -------
    dx (B,I), computed with the weights before the update, or None without `need_dx`.

    Examples
    --------
    >>> w, x, dz = (np.full((1, 1), value) for value in (1.0, 2.0, 0.5))
    >>> dense_backward_update(w, None, dz, x, "sgd", (0.1,), (), step=1)
    array([[0.5]])
    >>> w
    array([[0.9]])
    """
    dw, db, dx = dense_backward(dz, x, w, need_dx)
    update(w, dw, [slot_w for slot_w, _ in slots], rule, hyper, step)
    if b is not None:
        update(b, db, [slot_b for _, slot_b in slots if slot_b is not None], rule, hyper, step)
    return dx


# Metrics: sums over the rows, in double, of something that is looked at and not trained on.


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


# Networks.


@dataclass
class _Layer:
    units: int
    name: str
    parameter: float
    kernel: Array | None = None  # views of the parameters and of their gradient
    bias: Array | None = None
    kernel_gradient: Array | None = None
    bias_gradient: Array | None = None
    frozen: bool = False

    def __post_init__(self) -> None:
        self.activation = _row("activation", self.name, ACTIVATIONS)


class Prepared(NamedTuple):
    """Data that `Net.prepare` has checked."""

    x: Array | SparseRows
    y: Targets
    sample_weight: Array | None


class Net:
    """A dense network in NumPy; the interface is that of the native `_core.Net`.

    Parameters
    ----------
    input_size : int
    layers : sequence of (units, activation, its parameter, has_kernel, use_bias)
        Without a kernel a layer is an activation alone, with as many units as the layer below.
    dtype : float type, default float32
        Of parameters and arithmetic; data of other float types are converted batch by batch.

    Attributes
    ----------
    params : (P,) all parameters, flat and writable: per layer w (I,O), then b (O,).
    tensors : views of them, kernel (I,O) and bias (O,) of each layer.
    slots : flat arrays (P,) of the compiled rule.
    step : number of updates made since `compile`.
    frozen : whether training leaves weights and slots as they are, for each layer with a kernel.

    Examples
    --------
    >>> net = Net(1, [(1, "linear", 0.0, True, False)], dtype=np.float64)
    >>> net.compile("mean_squared_error", False, "sgd", ())
    >>> x, y, totals = np.ones((4, 1)), np.full((4, 1), 2.0), np.zeros(1)
    >>> net.train(x, y, None, None, 0, 4, 2, (0.25,), totals, None)
    >>> net.params, totals, net.step
    (array([1.5]), array([10.]), 2)
    """

    def __init__(
        self,
        input_size: int,
        layers: Sequence[tuple[int, str, float, bool, bool]],
        *,
        dtype: DTypeLike = np.float32,
    ) -> None:
        if input_size < 1 or not layers:
            raise ValueError(
                f"Net: expected at least one input and one layer, received {input_size} and {len(layers)}"
            )
        self.input_size = input_size
        self.dtype: np.dtype[Any] = np.dtype(dtype)
        self._layers: list[_Layer] = []
        self._shapes: list[tuple[int, ...]] = []
        size = input_size
        shaped = []
        for place, (units, name, parameter, has_kernel, use_bias) in enumerate(layers):
            if units < 1 or not (has_kernel or units == size):
                raise ValueError(
                    f"layers[{place}]: expected units >= 1 (without kernel: {size}), received {units}"
                )
            layer = _Layer(units, name, parameter)
            self._layers.append(layer)
            if has_kernel:
                shaped.append((layer, use_bias))
                self._shapes += [(size, units), (units,)] if use_bias else [(size, units)]
            size = units
        self.params: Array = np.zeros(sum(map(math.prod, self._shapes)), self.dtype)
        self._gradient = np.empty_like(self.params)
        self._scratch = np.empty_like(self.params)
        views = iter(zip(self.tensors, self.split(self._gradient), strict=True))
        for layer, use_bias in shaped:
            layer.kernel, layer.kernel_gradient = next(views)
            if use_bias:
                layer.bias, layer.bias_gradient = next(views)
        self._outputs: list[Array] = []  # per layer (rows, units): a, and dz of all but the last
        self._deltas: list[Array] = []
        self._rule: Rule | None = None
        self.slots: tuple[Array, ...] = ()
        self.step = 0

    @property
    def tensors(self) -> list[Array]:
        return self.split(self.params)

    def split(self, flat: Array) -> list[Array]:
        """Views of a flat array of the size of `params`, of the shapes of `tensors`."""
        if flat.shape != (size := sum(map(math.prod, self._shapes)),):
            raise ValueError(f"flat: expected shape ({size},), received {flat.shape}")
        views, at = [], 0
        for shape in self._shapes:
            views.append(flat[at : at + math.prod(shape)].reshape(shape))
            at += math.prod(shape)
        return views

    @property
    def frozen(self) -> list[bool]:
        return [layer.frozen for layer in self._layers if layer.kernel is not None]

    @frozen.setter
    def frozen(self, value: Sequence[bool]) -> None:
        dense = [layer for layer in self._layers if layer.kernel is not None]
        if len(value) != len(dense):
            raise ValueError(
                f"frozen: expected one flag for each of {len(dense)} layers with a kernel, "
                f"received {len(value)}"
            )
        for layer, flag in zip(dense, value, strict=True):
            layer.frozen = bool(flag)

    def _trained(self) -> list[slice]:
        """The parts of the flat arrays that are updated: all, or one for each layer that is not frozen."""
        if not any(self.frozen):
            return [slice(0, self.params.size)]
        parts, at = [], 0
        for layer in self._layers:
            if layer.kernel is None:
                continue
            size = layer.kernel.size + (0 if layer.bias is None else layer.bias.size)
            if not layer.frozen:
                parts.append(slice(at, at + size))
            at += size
        return parts

    def compile(self, loss: str, from_logits: bool, rule: str, metrics: Sequence[str]) -> None:
        """Choose what `train` and `evaluate` do, with slots of zeros and no steps made.

        A loss whose link is the last activation (softmax; sigmoid of slope 1) is computed from the logits;
        with `from_logits` it takes the outputs for logits. Predictions and metrics are those of the outputs.
        """
        loss_row, rule_row = _row("loss", loss, LOSSES), _row("rule", rule, RULES)
        metric_rows = [_row("metric", name, METRICS) for name in metrics]
        for name, metric in zip(metrics, metric_rows, strict=True):
            if metric.sparse != loss_row.sparse:
                raise ValueError(f"metrics: {name} does not fit the targets of {loss}")
        self._loss, self._rule, self._metrics = loss_row, rule_row, metric_rows
        last = self._layers[-1]
        by_default = last.activation.parameter in (None, last.parameter)
        self._from_logits = from_logits and loss_row.from_logits is not None
        self._linked = not from_logits and last.name == loss_row.link and by_default
        self.slots = tuple([np.zeros_like(self.params) for _ in rule_row.slots])
        self.step = 0

    @np.errstate(all="ignore")
    def train(
        self,
        x: Array | SparseRows | Prepared,
        y: Targets | None,
        sample_weight: Array | None,
        order: NDArray[np.unsignedinteger[Any]] | None,
        start: int,
        stop: int,
        batch_size: int,
        hyper: Sequence[float],
        totals: NDArray[np.float64],
        progress: Callable[[int], object] | None,
    ) -> None:
        """Steps over rows order[start:stop] in batches, of which the last may be smaller.

        Parameters
        ----------
        x, y, sample_weight : (n,I) inputs, (n,K) targets or (n,) labels, (n,) weights or None.
        order : (n,) rows in the order in which they are used, or None for that in which they lie.
        start, stop : part of the order.
            x may be what `prepare` made of all three, with None for the other two.
        hyper : hyperparameters of the rule, in its order.
        totals : (1 + metrics,), to which the steps made add their row losses, weighted, and their metrics.
        progress : called with the rows done, between steps, at most every 10 ms.

        Raises
        ------
        NonFiniteError
            The loss of a batch, counted from the start of the epoch, is not finite; its update is not made.
        ValueError, TypeError
            An argument does not fit; nothing has changed.
        """
        x, y, sample_weight = self._prepared(x, y, sample_weight, totals)
        assert self._rule is not None
        constants = _check_hyper(self._rule, hyper)
        rows = self._check_order(order, len(x), start, stop)
        if batch_size < 1:
            raise ValueError(f"batch_size: expected at least 1, received {batch_size}")
        self._reserve(min(batch_size, stop - start))
        trained = self._trained()
        tick = _ticker(progress)
        with _interrupts_between_steps() as deliver:
            for batch, first in enumerate(range(start, stop, batch_size), start // batch_size):
                tick(first - start)
                deliver()
                chosen = slice(first, min(first + batch_size, stop))
                place: Any = chosen if rows is None else rows[chosen.start - start : chosen.stop - start]
                inputs, targets, weight = self._gather(x, y, sample_weight, place)
                outputs = self._forward(inputs, self._outputs, self._linked)
                row_loss, dz = self._row_loss(outputs[-1], targets, weight)
                loss = float(row_loss.sum(dtype=np.float64))
                if not math.isfinite(loss):
                    raise NonFiniteError(batch=batch)
                self._backward(inputs, outputs, dz)
                sums = [loss, *(metric.sum(outputs[-1], targets) for metric in self._metrics)]
                for part in trained:
                    slots = [slot[part] for slot in self.slots]
                    gradient, scratch = self._gradient[part], self._scratch[part]
                    self._rule.step(self.params[part], gradient, slots, constants, self.step + 1, scratch)
                totals += sums
                self.step += 1

    @np.errstate(all="ignore")
    def evaluate(
        self,
        x: Array | SparseRows | Prepared,
        y: Targets | None,
        sample_weight: Array | None,
        totals: NDArray[np.float64],
        progress: Callable[[int], object] | None,
    ) -> None:
        """Adds to totals, for all rows, what `train` adds; the weights stay."""
        x, y, sample_weight = self._prepared(x, y, sample_weight, totals)
        tick = _ticker(progress)
        room = self._room(min(len(x), BLOCK_ROWS))
        for first in range(0, len(x), BLOCK_ROWS):
            tick(first)
            place = slice(first, first + BLOCK_ROWS)
            inputs, targets, weight = self._gather(x, y, sample_weight, place)
            a = self._forward(inputs, room, self._linked)[-1]
            row_loss, _ = self._row_loss(a, targets, weight)
            totals += [row_loss.sum(dtype=np.float64), *(metric.sum(a, targets) for metric in self._metrics)]

    @np.errstate(all="ignore")
    def predict(self, x: Array | SparseRows, out: Array, progress: Callable[[int], object] | None) -> None:
        """Outputs (n,K) of the rows of x, into out; any number of threads may do so at once."""
        self._check_inputs(x)
        _check_shape("out", out, (len(x), self._layers[-1].units))
        tick = _ticker(progress)
        room = self._room(min(len(x), BLOCK_ROWS))
        for first in range(0, len(x), BLOCK_ROWS):
            tick(first)
            place = slice(first, first + BLOCK_ROWS)
            out[place] = self._forward(_rows(x, place).astype(self.dtype, copy=False), room, linked=False)[-1]

    # Checks

    def _check_inputs(self, x: Array | SparseRows) -> None:
        if hasattr(x, "toarray"):
            if x.shape[1] != self.input_size:
                raise ValueError(f"x: expected {self.input_size} columns, received {x.shape[1]}")
        else:
            _check_shape("x", x, (len(x), self.input_size))

    def prepare(self, x: Array | SparseRows, y: Targets, sample_weight: Array | None) -> Prepared:
        """These data, checked once for any number of calls of `train` and `evaluate`."""
        if self._rule is None:
            raise RuntimeError("the network has no loss yet: call compile first")
        self._check_inputs(x)
        if not len(x):
            raise ValueError("x: expected at least one row, received none")
        _check_targets("y", y, self._loss.sparse, (len(x), self._layers[-1].units))
        if sample_weight is not None:
            _check_shape("sample_weight", sample_weight, (len(x),))
        return Prepared(x, y.copy() if self._loss.sparse else y, sample_weight)

    def _prepared(
        self,
        x: Array | SparseRows | Prepared,
        y: Targets | None,
        sample_weight: Array | None,
        totals: NDArray[np.float64],
    ) -> Prepared:
        """What `prepare` made, if x is that, or makes now."""
        if not isinstance(x, Prepared):
            assert y is not None
            x = self.prepare(x, y, sample_weight)
        elif y is not None or sample_weight is not None:
            raise ValueError("y, sample_weight: expected None beside prepared rows, which have theirs")
        _check_shape("totals", totals, (1 + len(self._metrics),))
        return x

    @staticmethod
    def _check_order(
        order: NDArray[np.unsignedinteger[Any]] | None, n: int, start: int, stop: int
    ) -> NDArray[np.intp] | None:
        """The rows of order[start:stop], as indices."""
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

    # The passes

    def _room(self, rows: int) -> list[Array]:
        return [np.empty((rows, layer.units), self.dtype) for layer in self._layers]

    def _reserve(self, rows: int) -> None:
        """Room for batches of so many rows; what is large enough is kept."""
        if not self._outputs or len(self._outputs[0]) < rows:
            self._outputs, self._deltas = self._room(rows), self._room(rows)[:-1]

    def _gather(
        self,
        x: Array | SparseRows,
        y: Targets,
        sample_weight: Array | None,
        place: slice | NDArray[np.intp],
    ) -> tuple[Array, Any, Array | None]:
        def rows(array: NDArray[Any] | SparseRows, dtype: np.dtype[Any]) -> NDArray[Any]:
            return _rows(array, place).astype(dtype, copy=False)

        return (
            rows(x, self.dtype),
            rows(y, y.dtype if self._loss.sparse else self.dtype),
            None if sample_weight is None else rows(sample_weight, self.dtype),
        )

    def _forward(self, x: Array, room: list[Array], linked: bool) -> list[Array]:
        """The outputs of all layers, in room; a linked last layer stops at its logits."""
        outputs = []
        for layer, memory in zip(self._layers, room, strict=True):
            a = memory[: len(x)]
            if layer.kernel is None:
                a[...] = x
            else:
                np.dot(x, layer.kernel, out=a)
            if layer.bias is not None:
                a += layer.bias
            outputs.append(a)
            if not (linked and layer is self._layers[-1]):
                layer.activation.forward(a, layer.parameter)
            x = a
        return outputs

    def _row_loss(self, a: Array, y: Any, sample_weight: Array | None) -> tuple[Array, Array]:
        """Weighted row losses, and the gradient of their mean with respect to z of the last layer.

        Where linked, a holds z and becomes the probabilities.
        """
        last = self._layers[-1]
        if self._linked or self._from_logits:
            assert self._loss.from_logits is not None
            row_loss, gradient = self._loss.from_logits(a if self._linked else a.copy(), y)
        else:
            row_loss, gradient = self._loss.from_outputs(a, y)
        _weighted_mean(row_loss, gradient, sample_weight)
        if not self._linked:
            last.activation.backward(gradient, a, last.parameter)
        return row_loss, gradient

    def _backward(self, x: Array, outputs: list[Array], dz: Array) -> None:
        """The gradient of all parameters, from dz of the last layer down (thesis, Algorithm 4)."""
        for place in reversed(range(len(self._layers))):
            layer = self._layers[place]
            below = outputs[place - 1] if place else x
            if layer.kernel is not None:
                np.dot(below.T, dz, out=layer.kernel_gradient)
            if layer.bias is not None:
                np.add.reduce(dz, axis=0, out=layer.bias_gradient)
            if not place:
                return
            if layer.kernel is not None:
                dz = np.dot(dz, layer.kernel.T, out=self._deltas[place - 1][: len(x)])
            source = self._layers[place - 1]
            source.activation.backward(dz, below, source.parameter)


def _rows(array: NDArray[Any] | SparseRows, place: slice | NDArray[np.intp]) -> NDArray[Any]:
    """Rows of a dense array or, as a dense array, of a sparse one."""
    if not isinstance(array, np.ndarray):
        return array.toarray(np.arange(len(array))[place])
    return array[place] if isinstance(place, slice) else array.take(place, axis=0)


def _ticker(progress: Callable[[int], object] | None) -> Callable[[int], None]:
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
