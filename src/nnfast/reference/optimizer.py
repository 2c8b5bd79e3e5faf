"""Update rules (csrc/optimizer.h): one row each. They work in place, through one array of scratch where that is
enough; `t` is the number of the update, from 1. To add one, write its line in RULES."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple

import numpy as np

from .common import Array, check_shape
from .common import row as row_of

Step = Callable[[Array, Array, Sequence[Array], Sequence[float], int, Array], None]


class Rule(NamedTuple):
    """A row: names of the hyperparameters and of the slots, `step(w, g, slots, hyper, t, scratch)`, and what a
    slot begins with where that is not zero."""

    hyper: tuple[str, ...]
    slots: tuple[str, ...]
    step: Step
    begins: Mapping[str, float] = MappingProxyType({})

    @property
    def initial(self) -> tuple[float, ...]:
        """What each slot begins with."""
        return tuple([self.begins.get(name, 0.0) for name in self.slots])


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


def _adagrad(
    w: Array, g: Array, slots: Sequence[Array], hyper: Sequence[float], t: int, scratch: Array
) -> None:
    (accumulator,), (learning_rate, epsilon) = slots, hyper
    accumulator += np.multiply(g, g, out=scratch)
    np.add(accumulator, epsilon, out=scratch)
    np.sqrt(scratch, out=scratch)
    np.divide(g, scratch, out=scratch)
    scratch *= learning_rate
    w -= scratch


def _adadelta(
    w: Array, g: Array, slots: Sequence[Array], hyper: Sequence[float], t: int, scratch: Array
) -> None:
    """Steps are as large as the steps before, beside gradients as large as those before."""
    (grad, delta), (learning_rate, rho, epsilon) = slots, hyper
    grad *= rho
    grad += (1.0 - rho) * np.multiply(g, g, out=scratch)
    np.multiply(np.sqrt(delta + epsilon), g, out=scratch)
    scratch /= np.sqrt(grad + epsilon)
    delta *= rho
    delta += (1.0 - rho) * (scratch * scratch)
    scratch *= learning_rate
    w -= scratch


def _adam(w: Array, g: Array, slots: Sequence[Array], hyper: Sequence[float], t: int, scratch: Array) -> None:
    """w -= a m / (sqrt(v) + epsilon), a = learning_rate sqrt(1 - beta_2^t) / (1 - beta_1^t)."""
    _moments(g, slots, hyper, scratch)
    _adam_increment(w, slots[0], slots[1], hyper, t, scratch)


def _adam_amsgrad(
    w: Array, g: Array, slots: Sequence[Array], hyper: Sequence[float], t: int, scratch: Array
) -> None:
    """The root is that of the largest v so far."""
    _moments(g, slots, hyper, scratch)
    np.maximum(slots[2], slots[1], out=slots[2])
    _adam_increment(w, slots[0], slots[2], hyper, t, scratch)


def _moments(g: Array, slots: Sequence[Array], hyper: Sequence[float], scratch: Array) -> None:
    """m += (1 - beta_1)(g - m); v += (1 - beta_2)(g^2 - v)."""
    m, v = slots[:2]
    np.subtract(g, m, out=scratch)
    scratch *= 1.0 - hyper[1]
    m += scratch
    np.multiply(g, g, out=scratch)
    scratch -= v
    scratch *= 1.0 - hyper[2]
    v += scratch


def _adam_increment(w: Array, m: Array, v: Array, hyper: Sequence[float], t: int, scratch: Array) -> None:
    learning_rate, beta_1, beta_2, epsilon = hyper
    np.sqrt(v, out=scratch)
    scratch += epsilon
    np.divide(m, scratch, out=scratch)
    scratch *= learning_rate * math.sqrt(1.0 - beta_2**t) / (1.0 - beta_1**t)
    w -= scratch


def _corrected(step: Step) -> Step:
    """Epsilon beside sqrt(v / (1 - beta_2^t)) is epsilon sqrt(1 - beta_2^t) beside sqrt(v)."""

    def update(
        w: Array, g: Array, slots: Sequence[Array], hyper: Sequence[float], t: int, scratch: Array
    ) -> None:
        learning_rate, beta_1, beta_2, epsilon = hyper
        corrected = epsilon * math.sqrt(1.0 - beta_2**t)
        step(w, g, slots, (learning_rate, beta_1, beta_2, corrected), t, scratch)

    return update


def _decayed(step: Step) -> Step:
    """The weights shrink by learning_rate weight_decay of themselves before the step (AdamW)."""

    def update(
        w: Array, g: Array, slots: Sequence[Array], hyper: Sequence[float], t: int, scratch: Array
    ) -> None:
        *others, weight_decay = hyper
        w -= np.multiply(w, hyper[0] * weight_decay, out=scratch)
        step(w, g, slots, others, t, scratch)

    return update


def _adamax(
    w: Array, g: Array, slots: Sequence[Array], hyper: Sequence[float], t: int, scratch: Array
) -> None:
    """The moment over the largest gradient, which is forgotten by and by."""
    (m, norm), (learning_rate, beta_1, beta_2, epsilon) = slots, hyper
    np.subtract(g, m, out=scratch)
    scratch *= 1.0 - beta_1
    m += scratch
    norm *= beta_2
    np.maximum(norm, np.abs(g, out=scratch), out=norm)
    np.add(norm, epsilon, out=scratch)
    np.divide(m, scratch, out=scratch)
    scratch *= learning_rate / (1.0 - beta_1**t)
    w -= scratch


def _nadam(
    w: Array, g: Array, slots: Sequence[Array], hyper: Sequence[float], t: int, scratch: Array
) -> None:
    """Adam with Nesterov's look ahead: momentum mu_t = beta_1 (1 - 0.96^t / 2), corrected by mu_1 ... mu_t."""
    (m, v), (learning_rate, beta_1, beta_2, epsilon) = slots, hyper
    _moments(g, slots, hyper, scratch)
    *before, now, after = (beta_1 * (1.0 - 0.5 * 0.96**k) for k in range(1, t + 2))
    product = math.prod(before) * now
    np.divide(v, 1.0 - beta_2**t, out=scratch)
    np.sqrt(scratch, out=scratch)
    scratch += epsilon
    ahead = m * (after / (1.0 - product * after)) + g * ((1.0 - now) / (1.0 - product))
    np.divide(ahead, scratch, out=scratch)
    scratch *= learning_rate
    w -= scratch


def _lion(w: Array, g: Array, slots: Sequence[Array], hyper: Sequence[float], t: int, scratch: Array) -> None:
    (m,), (learning_rate, beta_1, beta_2) = slots, hyper
    np.multiply(g, 1.0 - beta_1, out=scratch)
    scratch += beta_1 * m
    np.sign(scratch, out=scratch)
    scratch *= learning_rate
    w -= scratch
    m *= beta_2
    m += np.multiply(g, 1.0 - beta_2, out=scratch)


def _ftrl(w: Array, g: Array, slots: Sequence[Array], hyper: Sequence[float], t: int, scratch: Array) -> None:
    _ftrl_power(w, g, slots, (*hyper, -0.5), t, scratch)


def _ftrl_power(
    w: Array, g: Array, slots: Sequence[Array], hyper: Sequence[float], t: int, scratch: Array
) -> None:
    """The weights are no sum of steps: they follow from `linear`, which is."""
    accumulator, linear = slots
    learning_rate, l1, l2, shrinkage, beta, power = hyper
    before = accumulator**-power
    accumulator += np.multiply(g, g, out=scratch)
    after = accumulator**-power
    linear += g
    linear += np.multiply(w, 2.0 * shrinkage, out=scratch)
    linear -= (after - before) / learning_rate * w
    np.clip(linear, -l1, l1, out=scratch)
    scratch -= linear
    np.divide(scratch, after / learning_rate + (2.0 * l2 + beta / learning_rate), out=w)


_MOMENTUM_HYPER = ("learning_rate", "momentum")
_RMSPROP_HYPER = ("learning_rate", "rho", "epsilon")
_ADAM_HYPER = ("learning_rate", "beta_1", "beta_2", "epsilon")
_ADAMW_HYPER = (*_ADAM_HYPER, "weight_decay")
_ADAM_SLOTS = ("momentum", "velocity")
_AMSGRAD_SLOTS = (*_ADAM_SLOTS, "velocity_hat")
_FTRL_HYPER = (
    "learning_rate",
    "l1_regularization_strength",
    "l2_regularization_strength",
    "l2_shrinkage_regularization_strength",
    "beta",
)
_FTRL_SLOTS = ("accumulator", "linear")

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
    "adagrad": Rule(("learning_rate", "epsilon"), ("accumulator",), _adagrad, {"accumulator": 0.1}),
    "adadelta": Rule(_RMSPROP_HYPER, ("accumulated_grad", "accumulated_delta_var"), _adadelta),
    "adam": Rule(_ADAM_HYPER, _ADAM_SLOTS, _adam),
    "adam_corrected": Rule(_ADAM_HYPER, _ADAM_SLOTS, _corrected(_adam)),
    "adam_amsgrad": Rule(_ADAM_HYPER, _AMSGRAD_SLOTS, _adam_amsgrad),
    "adam_corrected_amsgrad": Rule(_ADAM_HYPER, _AMSGRAD_SLOTS, _corrected(_adam_amsgrad)),
    "adamw": Rule(_ADAMW_HYPER, _ADAM_SLOTS, _decayed(_adam)),
    "adamw_corrected": Rule(_ADAMW_HYPER, _ADAM_SLOTS, _decayed(_corrected(_adam))),
    "adamw_amsgrad": Rule(_ADAMW_HYPER, _AMSGRAD_SLOTS, _decayed(_adam_amsgrad)),
    "adamw_corrected_amsgrad": Rule(_ADAMW_HYPER, _AMSGRAD_SLOTS, _decayed(_corrected(_adam_amsgrad))),
    "adamax": Rule(_ADAM_HYPER, ("momentum", "norm"), _adamax),
    "nadam": Rule(_ADAM_HYPER, _ADAM_SLOTS, _nadam),
    "lion": Rule(("learning_rate", "beta_1", "beta_2"), ("momentum",), _lion),
    "ftrl": Rule(_FTRL_HYPER, _FTRL_SLOTS, _ftrl, {"accumulator": 0.1}),
    "ftrl_power": Rule((*_FTRL_HYPER, "learning_rate_power"), _FTRL_SLOTS, _ftrl_power, {"accumulator": 0.1}),
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
