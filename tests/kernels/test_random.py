"""The random streams: fixed for good, uniform, independent, and the permutations fair."""

from __future__ import annotations

import numpy as np
import pytest

from nnfast import _core

from ..tolerances import NORMAL_QUANTILE_RTOL

UNIFORM = [0.8983909033178589, 0.2987927080817774, 0.5481237677928279]
NORMAL = [-2.4434525918345935, 1.364776742472629, 0.5320915922370804]
TRUNCATED = [-1.8853260557015563, 1.253612894210977]
ORDER = [4, 8, 7, 5, 9, 1, 3, 6, 2, 0]


def test_stream_version_1_never_changes() -> None:
    """Model files say `stream 1`: these numbers must stay as they are on every machine and in every release."""
    assert _core.uniform(3, 0, 0).tolist() == UNIFORM
    assert _core.normal(3, 1, 2).tolist() == NORMAL
    assert _core.truncated_normal(2, 1, 2).tolist() == TRUNCATED
    order = np.empty(10, dtype=np.uint32)
    _core.shuffle(order, 7, 3)
    assert order.tolist() == ORDER


def test_streams_and_seeds_differ() -> None:
    draws = {
        (seed, stream): _core.uniform(1000, seed, stream)
        for seed in (0, 1, 2**63)
        for stream in (0, 1, 2**32)
    }
    values = np.array(list(draws.values()))
    assert len(np.unique(values)) == values.size
    assert np.abs(np.corrcoef(values) - np.eye(len(values))).max() < 0.15


def test_uniform_moments() -> None:
    u = _core.uniform(1_000_000, 3, 1)
    assert ((u >= 0) & (u < 1)).all()
    counts = np.bincount((u * 100).astype(int), minlength=100)
    chi2 = ((counts - 1e4) ** 2 / 1e4).sum()
    assert chi2 < 149.4  # 0.999 quantile for 99 degrees of freedom


def test_normal_is_the_quantile_of_the_uniform() -> None:
    ndtri = pytest.importorskip("scipy.special").ndtri
    u = _core.uniform(200_000, 5, 9)
    assert np.allclose(
        _core.normal(200_000, 5, 9), ndtri(u + 2.0**-54), rtol=NORMAL_QUANTILE_RTOL, atol=1e-15
    )
    truncated = _core.truncated_normal(200_000, 5, 9)
    assert (np.abs(truncated) < 2).all()
    assert abs(truncated.std() - 0.87962566) < 0.003


def test_shuffle_is_a_fair_permutation() -> None:
    order = np.empty(60_000, dtype=np.uint32)
    _core.shuffle(order, 1, 0)
    assert np.array_equal(np.sort(order), np.arange(60_000))
    counts = np.zeros((4, 4))
    small = np.empty(4, dtype=np.uint32)
    patterns: dict[tuple[int, ...], int] = {}
    for epoch in range(24_000):
        _core.shuffle(small, 11, epoch)
        counts[np.arange(4), small] += 1
        patterns[tuple(small)] = patterns.get(tuple(small), 0) + 1
    assert len(patterns) == 24
    chi2 = sum((n - 1000) ** 2 / 1000 for n in patterns.values())
    assert chi2 < 49.7  # 0.999 quantile for 23 degrees of freedom


@pytest.mark.parametrize("n", [0, 1, 2, 3])
def test_shuffle_of_few(n: int) -> None:
    order = np.empty(n, dtype=np.uint32)
    _core.shuffle(order, 1, 2)
    assert sorted(order.tolist()) == list(range(n))
