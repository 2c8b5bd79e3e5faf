"""The engine's single kernels, for whoever wants them on arrays of their own.

Each function checks its arguments, releases the GIL and makes one native call on contiguous float32 arrays: no conversion, no copy. `reference.py` has the same
functions with the same arguments in pure NumPy, for any float type; a test holds the two together. Whole epochs are not here: see `Trainer`.

Shapes: x (B,I), w (I,O), b (O,), z and a (B,O). A gradient is that of the mean over the rows of the batch. `activation` is
a name, or an object with `name` and `parameter` such as `activations.Sigmoid(slope=2.0)`. Every function raises TypeError or
ValueError, before anything is changed, for an array that is not a C-contiguous float32 array of the expected shape.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from . import _core

__all__ = [
    "activation_backward",
    "activation_forward",
    "adam_update",
    "dense_backward",
    "dense_backward_update",
    "dense_forward",
    "loss_value_and_gradient",
    "momentum_update",
    "rmsprop_update",
    "sgd_update",
    "update",
]

Array = NDArray[np.float32]


class ActivationLike(Protocol):
    """What stands for an activation with a parameter."""

    @property
    def name(self) -> str: ...
    @property
    def parameter(self) -> float | None: ...


def _activation(activation: str | ActivationLike) -> tuple[str, float]:
    """Name and parameter; the parameter of a name is its default."""
    if isinstance(activation, str):
        return activation, _core.ACTIVATIONS.get(activation) or 0.0
    return activation.name, activation.parameter or 0.0


def _columns(name: str, a: Array) -> int:
    """The width of a matrix; the engine checks the rest."""
    if not isinstance(a, np.ndarray) or a.ndim != 2:
        raise TypeError(
            f"{name}: expected a two-dimensional float32 array, received {type(a).__name__} of shape {np.shape(a)}"
        )
    return int(a.shape[1])


def _transposed(w: Array) -> Array:
    """Room for the transpose of w, which the input gradient works on."""
    return np.empty((_columns("w", w), len(w)), dtype=np.float32)


def dense_forward(
    x: Array, w: Array, b: Array | None = None, activation: str | ActivationLike = "linear"
) -> Array:
    """The output of a dense layer, a = activation(x w + b) (thesis, eq. 8-9).

    Each output is one chain of fused multiply-adds over the inputs in order, started at the bias, so that its bits do not depend on the other rows.

    Examples
    --------
    >>> x = np.array([[1.0, 2.0]], dtype=np.float32)
    >>> w = np.array([[1.0, -1.0], [0.5, 0.25]], dtype=np.float32)
    >>> dense_forward(x, w, activation="relu")
    array([[2., 0.]], dtype=float32)
    """
    name, parameter = _activation(activation)
    _columns("x", x)
    a: Array = np.empty((len(x), _columns("w", w)), dtype=np.float32)
    _core.dense_forward(a, x, w, b, name, parameter)
    return a


def dense_backward(dz: Array, x: Array, w: Array, need_dx: bool = True) -> tuple[Array, Array, Array | None]:
    """The gradients of a dense layer: dw = xT dz, db = sum of the rows of dz, dx = dz wT (thesis, eq. 14-16).

    Returns
    -------
    dw (I,O), db (O,), dx (B,I) or None without `need_dx`.

    Examples
    --------
    >>> one = np.ones((1, 1), dtype=np.float32)
    >>> dense_backward(3 * one, 2 * one, 5 * one)
    (array([[6.]], dtype=float32), array([3.], dtype=float32), array([[15.]], dtype=float32))
    """
    dw, db = np.empty_like(w), np.empty(_columns("dz", dz), dtype=np.float32)
    dx = np.empty_like(x) if need_dx else None
    wt = _transposed(w) if need_dx else None
    _core.dense_backward(dw, db, dx, dz, x, w, wt)
    return dw, db, dx


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
    """Backward pass and update of a dense layer in one: the gradient goes to the rule as it leaves the registers and is never stored.

    Bit for bit the same as `dense_backward` and then `update` on w and b.

    Parameters
    ----------
    w, b : weights and bias (or None), changed in place.
    rule, hyper : a row of the engine's table of update rules (`sgd`, `momentum`, `adam`, ...) and its hyperparameters in the table's order.
    slots : per slot of the rule, the pair of its arrays for w and b, changed in place.
    step : number of this update, from 1.

    Returns
    -------
    dx (B,I), computed with the weights before the update, or None without `need_dx`.

    Examples
    --------
    >>> w, x, dz = (np.full((1, 1), value, dtype=np.float32) for value in (1.0, 2.0, 0.5))
    >>> dense_backward_update(w, None, dz, x, "sgd", (0.1,), (), step=1)
    array([[0.5]], dtype=float32)
    >>> w
    array([[0.9]], dtype=float32)
    """
    dx = np.empty_like(x) if need_dx else None
    wt = _transposed(w) if need_dx else None
    _core.dense_backward_update(
        w, b, dx, dz, x, wt, rule, hyper, [s[0] for s in slots], [s[1] for s in slots], step
    )
    return dx


def activation_forward(z: Array, activation: str | ActivationLike = "linear") -> Array:
    """a = activation(z), z of shape (B,O).

    Examples
    --------
    >>> activation_forward(np.array([[-1.0, 0.0, 3.0]], dtype=np.float32), "relu")
    array([[0., 0., 3.]], dtype=float32)
    """
    name, parameter = _activation(activation)
    _columns("z", z)
    a = z.copy()
    _core.activation_forward(a, name, parameter)
    return a


def activation_backward(da: Array, a: Array, activation: str | ActivationLike = "linear") -> Array:
    """dz from da, for a = activation(z): da times the slope, which is written as a function of the output a. The slope of ReLU at 0 is 0.

    Examples
    --------
    >>> a = np.array([[0.0, 0.5]], dtype=np.float32)
    >>> activation_backward(np.ones_like(a), a, "sigmoid")
    array([[0.  , 0.25]], dtype=float32)
    """
    name, parameter = _activation(activation)
    dz = np.empty_like(da)
    _core.activation_backward(dz, da, a, name, parameter)
    return dz


def loss_value_and_gradient(
    outputs: Array,
    targets: NDArray[np.generic],
    loss: str,
    sample_weight: Array | None = None,
    from_logits: bool = False,
) -> tuple[float, Array]:
    """The mean loss over the rows, and its gradient with respect to `outputs`.

    Parameters
    ----------
    outputs : (B,K) probabilities or values; logits with `from_logits`, which computes softmax (sigmoid) and loss together.
    targets : int32 labels (B,) for sparse_categorical_crossentropy, else float32 (B,K).
    loss : a name from the engine's table.
    sample_weight : (B,), multiplies each row's loss; the divisor stays B.

    Raises
    ------
    ValueError
        For an unknown loss, labels out of range, or `from_logits` with a loss that has no link.

    Examples
    --------
    >>> y = np.array([[1.0], [3.0]], dtype=np.float32)
    >>> loss_value_and_gradient(np.zeros_like(y), y, "mean_squared_error")
    (5.0, array([[-1.],
           [-3.]], dtype=float32))
    """
    _columns("outputs", outputs)
    row_loss, gradient = np.empty(len(outputs), dtype=np.float32), np.empty_like(outputs)
    scratch = np.empty_like(outputs) if from_logits else None
    _core.loss_rows(row_loss, gradient, scratch, outputs, targets, loss, sample_weight, from_logits)
    return float(row_loss.sum(dtype=np.float64) / len(outputs)), gradient


def update(w: Array, g: Array, slots: Sequence[Array], rule: str, hyper: Sequence[float], step: int) -> None:
    """One step of an update rule on w and its slots, in place; arrays of any shape, all the same.

    Examples
    --------
    >>> w, velocity = np.ones(2, dtype=np.float32), np.zeros(2, dtype=np.float32)
    >>> update(w, np.ones_like(w), [velocity], "momentum", (0.5, 0.9), step=1)
    >>> w
    array([0.5, 0.5], dtype=float32)
    """
    _core.update(w, g, slots, rule, hyper, step)


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
    """velocity = momentum velocity - learning_rate g; w += velocity, in place. Nesterov: w += momentum velocity - learning_rate g."""
    update(w, g, (velocity,), "nesterov" if nesterov else "momentum", (learning_rate, momentum), 1)


def rmsprop_update(
    w: Array, g: Array, velocity: Array, learning_rate: float = 0.001, rho: float = 0.9, epsilon: float = 1e-7
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
    """Adam (Kingma and Ba 2015; thesis, Algorithm 8) in place: m += (1-b1)(g-m); v += (1-b2)(g^2-v); w -= a m / (sqrt(v) + epsilon)
    with a = learning_rate sqrt(1-b2^step) / (1-b1^step).

    `epsilon_form="corrected"` adds epsilon to the bias-corrected sqrt(v), as Algorithm 8 and PyTorch do; "uncorrected" is Keras'.
    """
    rules = {"uncorrected": "adam", "corrected": "adam_corrected"}
    if epsilon_form not in rules:
        raise ValueError(f"epsilon_form: expected 'uncorrected' or 'corrected', received {epsilon_form!r}")
    update(w, g, (m, v), rules[epsilon_form], (learning_rate, beta_1, beta_2, epsilon), step)
