"""The elementary functions against NumPy in double, over their whole domains, and the ULP bounds that vmath.h states."""

from __future__ import annotations

import numpy as np
import pytest

from nnfast import _core

from ..tolerances import ULP
from .helpers import same_bits

EXACT = {
    "exp": np.exp,
    "log": np.log,
    "log1p": np.log1p,
    "tanh": np.tanh,
    "sigmoid": lambda x: 1.0 / (1.0 + np.exp(-x)),
}
# Floats between these, all bit patterns at a stride; what lies outside is tested by special values.
DOMAIN = {
    "exp": (-87.3, 88.72),
    "log": (1.2e-38, 3.4e38),
    "log1p": (1.2e-38, 3.4e38),
    "tanh": (-30.0, 30.0),
    "sigmoid": (-87.0, 87.0),
}


def sample(low: float, high: float, stride: int) -> np.ndarray:
    """Every stride-th float of [low, high]."""
    parts = []
    tiny = np.finfo(np.float32).tiny
    for sign, end in ((1, high), (-1, -low)):
        begin = max(tiny, low if sign > 0 else tiny)
        if end > begin:
            first, last = (int(np.float32(v).view(np.int32)) for v in (begin, end))
            parts.append(sign * np.arange(first, last, stride, dtype=np.int32).view(np.float32))
    return np.concatenate(parts)


def ulp_error(actual: np.ndarray, exact: np.ndarray) -> np.ndarray:
    spacing = np.spacing(np.abs(exact).astype(np.float32)).astype(np.float64)
    return np.abs(actual.astype(np.float64) - exact) / spacing


@pytest.mark.parametrize("function", EXACT)
def test_error(isa: str, function: str) -> None:
    x = sample(*DOMAIN[function], stride=1499)
    exact = EXACT[function](x.astype(np.float64))
    normal = np.abs(exact) >= np.finfo(np.float32).tiny
    error = ulp_error(_core.math(function, x), exact)[normal]
    worst = x[normal][error.argmax()]
    assert error.max() <= ULP[function], f"{function}({worst!r}) is {error.max():.3f} ULP off on {isa}"


@pytest.mark.parametrize("function", EXACT)
def test_same_bits_on_every_set(on_each_set, function: str) -> None:
    x = np.concatenate(
        [sample(-3e38, 3e38, 100_003), np.array([0.0, -0.0, np.inf, -np.inf, 1e-40], np.float32)]
    )
    assert same_bits(on_each_set(lambda: _core.math(function, x)))


@pytest.mark.parametrize(
    ("function", "x", "expected"),
    [
        ("exp", 0.0, 1.0),
        ("exp", 89.0, np.inf),
        ("exp", np.inf, np.inf),
        ("exp", -104.0, 0.0),
        ("exp", -np.inf, 0.0),
        ("exp", np.nan, np.nan),
        ("log", 1.0, 0.0),
        ("log", 0.0, -np.inf),
        ("log", -1.0, np.nan),
        ("log", np.inf, np.inf),
        ("log", np.nan, np.nan),
        ("log1p", 0.0, 0.0),
        ("tanh", 0.0, 0.0),
        ("tanh", 100.0, 1.0),
        ("tanh", -100.0, -1.0),
        ("tanh", np.inf, 1.0),
        ("tanh", -np.inf, -1.0),
        ("tanh", np.nan, np.nan),
        ("sigmoid", 0.0, 0.5),
        ("sigmoid", 200.0, 1.0),
        ("sigmoid", -200.0, 0.0),
        ("sigmoid", -np.inf, 0.0),
        ("sigmoid", np.nan, np.nan),
    ],
)
def test_special_values(isa: str, function: str, x: float, expected: float) -> None:
    result = _core.math(function, np.full(17, x, dtype=np.float32))
    assert np.array_equal(result, np.full(17, expected, dtype=np.float32), equal_nan=True)
