"""Hyper-parameters and targets of the tests, in one place: what a rule or a loss takes is asked of the reference's rows, so that one that is added
is tested without a word here, unless it has a hyper-parameter of a new name."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from nnfast import reference

USUAL = {
    "learning_rate": 0.1,
    "momentum": 0.9,
    "rho": 0.9,
    "epsilon": 1e-7,
    "beta_1": 0.9,
    "beta_2": 0.999,
    "weight_decay": 0.004,
    "l1_regularization_strength": 0.0,
    "l2_regularization_strength": 0.0,
    "l2_shrinkage_regularization_strength": 0.0,
    "beta": 0.0,
    "learning_rate_power": -0.4,
}

TELLING = {
    **USUAL,
    "learning_rate": 0.125,
    "momentum": 0.7,
    "rho": 0.8,
    "epsilon": 1e-3,
    "weight_decay": 0.06,
    "l1_regularization_strength": 0.05,
    "l2_regularization_strength": 0.15,
    "l2_shrinkage_regularization_strength": 0.025,
    "beta": 0.35,
}
"""No two are alike, and epsilon is large enough for its place in the formula to show."""


def hyper(rule: str, values: Mapping[str, float] = USUAL, **changed: float) -> list[float]:
    """The hyper-parameters of a rule, in its order."""
    return [{**values, **changed}[name] for name in reference.RULES[rule].hyper]


def calm(rule: str) -> list[float]:
    """Rates at which training is stable: a trajectory that diverges, or divides by a vanishing second moment,
    magnifies the last bit of float32 without bound."""
    return hyper(
        rule,
        learning_rate={"sgd": 0.01, "lion": 1e-6}.get(rule, 0.001),  # Lion: a sign may turn with the last bit
        epsilon=1e-3 if rule in ("adadelta", "adamax") or rule.startswith("rmsprop") else 1e-7,
    )


BRISK = {"adagrad": 0.5, "adadelta": 5.0, "ftrl": 0.5, "ftrl_power": 0.5}
"""Rates at which a rule learns a small task in some hundred steps; 0.02 for all others."""


def fresh_slots(rule: str, like: np.ndarray) -> list[np.ndarray]:
    """The slots of weights like these before the first step."""
    return [np.full_like(like, value) for value in reference.RULES[rule].initial]


def targets_for(loss: str, rng: np.random.Generator, rows: int, outputs: int) -> np.ndarray:
    """Targets of a loss as the engine takes them."""
    y = reference.LOSSES[loss].sample(rng, rows, outputs)
    return y.astype(np.int32 if reference.LOSSES[loss].sparse else np.float32)


def as_double(a: np.ndarray) -> np.ndarray:
    """The same for the reference in float64; labels stay."""
    return a if a.dtype == np.int32 else a.astype(np.float64)


def outputs_for(loss: str, rng: np.random.Generator, shape: tuple[int, int]) -> np.ndarray:
    """Outputs inside the domain of a loss, far enough from its ends not to be clipped."""
    low, high = reference.LOSSES[loss].domain
    if np.isinf([low, high]).any():
        return (4 * rng.standard_normal(shape)).astype(np.float32)
    margin = 0.05 * (high - low)
    return rng.uniform(low + margin, high - margin, shape).astype(np.float32)
