"""Numbers of rows, epochs and updates, checked."""

from __future__ import annotations

import numpy as np

from ..errors import cut

BATCH_SIZE = 32
LARGEST_TOTAL = 2**53
"""Of updates and epochs: no training gets there, and no arithmetic overflows."""


def checked_batch_size(batch_size: int | None) -> int:
    """The batch size, 32 where it is None."""
    if batch_size is None:
        return BATCH_SIZE
    return check_count("batch_size", batch_size, 1)


def check_count(name: str, value: object, least: int) -> int:
    """The value, if it is a whole number from `least` on."""
    if not isinstance(value, int | np.integer) or isinstance(value, bool) or value < least:
        raise ValueError(f"{name} must be a whole number >= {least}, got {cut(value)}.")
    return int(value)


def checked_total(name: str, value: int) -> int:
    """A number of epochs or updates, as a model file can hold it."""
    total = check_count(name, value, 0)
    if total > LARGEST_TOTAL:
        raise ValueError(f"{name} must be at most 2**53, got {cut(value)}.")
    return total
