"""Dropout: units that are missing at random while a model is trained."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Final

import numpy as np

from ..errors import cut
from ..graph import Op
from .base import Layer, Shape


class Dropout(Layer):
    """Drops units at random while a model is trained, so that no unit relies on a few others (Srivastava et al.
    2014).

    In training a unit is set to 0 with probability `rate` and else divided by 1 - rate, so that its expectation
    stays; in `evaluate` and `predict` nothing is done. What is dropped is a function of the seed, the layer's
    place, the step, the row's place in its batch and the unit: the same for any number of threads, and when a
    run is repeated.

    Parameters
    ----------
    rate : float
        The part of the units that is dropped, from 0 to 1.
    noise_shape : None
        Keras' argument for masks that are shared along axes, which rows do not have.
    seed : int, optional
        From 0 to 2**64 - 1. None is the seed of the model.
    name : str, optional
    input_shape : sequence of int, optional
        Shape of one sample, on the first layer of a model.
    trainable : bool, default True
        It has no weights.

    Raises
    ------
    ValueError
        A rate below 0 or above 1; a noise_shape; a seed out of range.

    Examples
    --------
    >>> from nnfast import Sequential, layers
    >>> model = Sequential([Dropout(0.5, input_shape=(4,)), layers.Dense(1)], seed=0)
    >>> bool((model.predict([[1, 1, 1, 1]]) == model.predict([[1, 1, 1, 1]])).all())
    True
    """

    rate: Final[float]
    seed: Final[int | None]

    def __init__(
        self,
        rate: float,
        noise_shape: None = None,
        seed: int | None = None,
        name: str | None = None,
        input_shape: Sequence[int] | None = None,
        trainable: bool = True,
    ) -> None:
        if isinstance(rate, bool) or not isinstance(rate, int | float | np.number) or not 0 <= rate <= 1:
            raise ValueError(f"rate must be a number from 0 to 1, got {cut(rate)}.")
        if noise_shape is not None:
            raise ValueError(
                f"noise_shape must be None, as each unit of a row is dropped by itself, got {noise_shape!r}."
            )
        if seed is not None and (
            not isinstance(seed, int | np.integer) or isinstance(seed, bool) or not 0 <= seed < 2**64
        ):
            raise ValueError(f"seed must be a whole number from 0 to 2**64 - 1, got {cut(seed)}.")
        super().__init__(name, input_shape, trainable)
        self.rate = float(rate)
        self.seed = None if seed is None else int(seed)

    def output_shape(self, shape: Shape) -> Shape:
        return shape

    def add_ops(self, ops: list[Op], shape: Shape) -> None:
        if self.rate:
            ops.append(Op("dropout", math.prod(shape), self.name, rate=self.rate, seed=self.seed))

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "rate": self.rate, "seed": self.seed}
