"""Dropout (csrc/dropout.h, dropout.c, random.h): which units are dropped, as a function of seed, op, step, row and
unit."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_BITS = 0xFFFFFFFFFFFFFFFF
_GAMMA = 0x9E3779B97F4A7C15


def _mix(z: int) -> int:
    """SplitMix64's finisher, Stafford's variant 13."""
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9 & _BITS
    z = (z ^ z >> 27) * 0x94D049BB133111EB & _BITS
    return z ^ z >> 31


def random_key(seed: int, stream: int) -> int:
    """The key of one random stream of many, as `nn_random_key`."""
    return _mix(_mix(seed + _GAMMA & _BITS) ^ _mix(stream * _GAMMA + 0x632BE59BD9B4E019 & _BITS))


def dropout_mask(rate: float, seed: int, op: int, step: int, rows: int, units: int) -> NDArray[np.bool_]:
    """Which units of the rows of a batch are kept.

    Parameters
    ----------
    rate : float
        The part that is dropped, from 0 to 1.
    seed, op, step : int
        Of the op; its place in the network; the number of the update, from 1.
    rows, units : int

    Returns
    -------
    ndarray of bool, shape (rows, units)

    Examples
    --------
    >>> round(float(dropout_mask(0.25, seed=1, op=0, step=1, rows=400, units=100).mean()), 2)
    0.75
    """
    if rate >= 1.0:
        return np.zeros((rows, units), np.bool_)
    base = random_key(random_key(seed, op), step)
    keys = np.array([random_key(base, row) for row in range(rows)], np.uint64)
    low, high = (keys & 0xFFFFFFFF).astype(np.uint32)[:, None], (keys >> 32).astype(np.uint32)[:, None]
    with np.errstate(over="ignore"):
        h = np.arange(units, dtype=np.uint32) * np.uint32(0x9E3779B1) + low
        h = (h ^ h >> np.uint32(16)) * np.uint32(0x7FEB352D) ^ high
        h = (h ^ h >> np.uint32(15)) * np.uint32(0x846CA68B)
    kept: NDArray[np.bool_] = (h ^ h >> np.uint32(16)) >= np.uint32(int(rate * 2.0**32))
    return kept
