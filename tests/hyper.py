"""Hyper-parameters and targets of the tests, in one place: what a rule or a loss takes is asked of the reference's rows, so that one that is added
is tested without a word here, unless it has a hyper-parameter of a new name."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from nnfast import reference

USUAL = {"learning_rate": 0.1, "momentum": 0.9, "rho": 0.9, "epsilon": 1e-7, "beta_1": 0.9, "beta_2": 0.999}

TELLING = {**USUAL, "learning_rate": 0.125, "momentum": 0.7, "rho": 0.8, "epsilon": 1e-3}
"""No two are alike, and epsilon is large enough for its place in the formula to show."""


def hyper(rule: str, values: Mapping[str, float] = USUAL, **changed: float) -> list[float]:
    """The hyper-parameters of a rule, in its order."""
    return [{**values, **changed}[name] for name in reference.RULES[rule].hyper]


def calm(rule: str) -> list[float]:
    """Rates at which training is stable: a trajectory that diverges, or divides by a vanishing second moment,
    magnifies the last bit of float32 without bound."""
    return hyper(
        rule,
        learning_rate=0.01 if rule == "sgd" else 0.001,
        epsilon=1e-3 if rule.startswith("rmsprop") else 1e-7,
    )


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
