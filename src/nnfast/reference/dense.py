"""Dense layers (csrc/dense.h)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from .activation import activation_row
from .common import Array, check_shape
from .optimizer import update

if TYPE_CHECKING:
    from ..kernels import ActivationLike


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
    row, parameter = activation_row(activation)
    a: Array = np.dot(x, w)
    if b is not None:
        check_shape("b", b, w.shape[1:])
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
    check_shape("w", w, (x.shape[1], dz.shape[1]))
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
