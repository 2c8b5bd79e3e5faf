"""Where seeds come from when a model is given none."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator

import numpy as np

from .errors import cut


class _Seeds:
    """What `set_random_seed` starts and `next_seed` draws from; one assignment, so that threads may draw."""

    sequence: tuple[int, Iterator[int]] | None = None  # the seed, and the numbers of the draws from it


def set_random_seed(seed: int) -> None:
    """Make a script repeatable: seed Python's `random`, NumPy's global generator, and nnfast's own.

    Models made with `seed=None` afterwards take their seeds from one sequence, in the order in which they
    are made. Call it again to start the sequence again.

    Parameters
    ----------
    seed : int
        From 0 to 2**63 - 1.

    Raises
    ------
    ValueError
        `seed` is not such a number.

    Examples
    --------
    >>> set_random_seed(7)
    >>> first = next_seed(), next_seed()
    >>> set_random_seed(7)
    >>> first == (next_seed(), next_seed())
    True
    """
    import random

    if not isinstance(seed, int | np.integer) or isinstance(seed, bool) or not 0 <= seed < 2**63:
        raise ValueError(f"seed must be a whole number from 0 to 2**63 - 1, got {cut(seed)}.")
    seed = int(seed)
    random.seed(seed)
    # NumPy takes 32 bits as a number, as every other Keras script does it, and more as an array of words.
    np.random.seed(seed if seed < 2**32 else [seed & 0xFFFFFFFF, seed >> 32])
    _Seeds.sequence = seed, itertools.count(1)


def next_seed() -> int:
    """The seed of a model that was given none.

    Returns
    -------
    int
        From 0 to 2**63 - 1: the next of the sequence that `set_random_seed` started, else entropy of the
        system.
    """
    if _Seeds.sequence is None:
        return int.from_bytes(os.urandom(8)) >> 1
    seed, draws = _Seeds.sequence
    return _splitmix64(seed, next(draws)) >> 1


def _splitmix64(seed: int, draw: int) -> int:
    """Output `draw`, from 1, of the generator SplitMix64: Steele, Lea and Flood, OOPSLA 2014, figure 17."""
    mask = 2**64 - 1
    z = (seed + draw * 0x9E3779B97F4A7C15) & mask
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & mask
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & mask
    return z ^ (z >> 31)
