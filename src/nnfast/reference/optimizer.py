"""Update rules (csrc/optimizer.h): one row each. They work in place, through one array of scratch; `t` is the
number of the update, from 1. To add one, write its line in RULES."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from .common import Array, check_shape
from .common import row as row_of


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


def check_hyper(row: Rule, hyper: Sequence[float]) -> list[float]:
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
    row = row_of("rule", rule, RULES)
    constants = check_hyper(row, hyper)
    if step < 1:
        raise ValueError(f"step: expected the number of this update, from 1, received {step}")
    if len(slots) != len(row.slots):
        names = ", ".join(row.slots) or "none"
        raise ValueError(f"slots: expected {len(row.slots)} arrays ({names}), received {len(slots)}")
    for name, array in [("g", g), *zip(row.slots, slots, strict=True)]:
        check_shape(name, array, w.shape)
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
