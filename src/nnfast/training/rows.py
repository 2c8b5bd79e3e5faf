"""The rows of a fit: those that are trained on, those that are set aside, and after which epochs these count."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..data import arrays
from ..data.sources import Source
from ..errors import cut
from ..losses import Loss
from .counts import check_count


class Data(NamedTuple):
    """Rows as the engine takes them."""

    x: arrays.Inputs
    y: arrays.Labels | arrays.Floats
    weight: arrays.Floats | None

    def part(self, rows: slice) -> Data:
        """Some of them."""
        return Data(self.x[rows], self.y[rows], None if self.weight is None else self.weight[rows])


def stand_ins(
    loss: Loss, sample_shape: tuple[int, ...], outputs: int, rows: int
) -> tuple[NDArray[np.float32], NDArray[np.generic]]:
    """Rows of ones, where there are no data, and targets for them."""
    y = np.zeros(rows, np.int32) if loss.sparse else np.zeros((rows, outputs), np.float32)
    return np.ones((rows, *sample_shape), np.float32), y


def validation_epochs(frequency: int | Collection[int]) -> Callable[[int], bool]:
    """Whether to validate after an epoch, counted from 1."""
    if not isinstance(frequency, int | str) and isinstance(frequency, Collection):
        return frozenset(
            check_count("validation_freq: each epoch", epoch, 1) for epoch in frequency
        ).__contains__
    every = check_count("validation_freq", frequency, 1)
    return lambda epoch: epoch % every == 0


def unpack(validation_data: object) -> tuple[Any, Any, Any]:
    """x, y and the weights of the rows, or None."""
    if isinstance(validation_data, Source):
        return validation_data.as_rows()[:3]
    if not isinstance(validation_data, tuple | list) or len(validation_data) not in (2, 3):
        raise ValueError(
            f"validation_data must be (x, y) or (x, y, sample_weight), got {type(validation_data).__name__}."
        )
    x, y, *weight = validation_data
    return x, y, weight[0] if weight else None


def check_share(share: object) -> None:
    """Refuse what is no share of rows to validate on; 0 and None are none."""
    if share is None or (isinstance(share, int | float | np.integer | np.floating) and 0 <= share < 1):
        return
    raise ValueError(f"validation_split must be between 0 and 1, got {cut(share)}.")


def split(data: Data, share: float) -> tuple[Data, Data]:
    """All but the tail, and the tail."""
    rows = len(data.x)
    at = math.floor(rows * (1.0 - share))
    if at == 0:
        raise ValueError(
            f"validation_split={share} leaves no row of {rows} to train on. "
            "Pass a smaller share, or validation_data."
        )
    if at == rows:
        raise ValueError(
            f"validation_split={share} leaves no row of {rows} to validate on. Pass a larger share."
        )
    return data.part(slice(0, at)), data.part(slice(at, rows))
