"""Whether training still works: weights that are not finite, kernels that do not move, units that are dead."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from .. import _core, kernels
from ..activations import Activation
from ..data import arrays
from ..errors import DeadUnits, NonFiniteError, warn
from ..network import Network

if TYPE_CHECKING:
    from ..network import Net

BLOCK_ROWS = 1024
"""Rows that `dead_units` looks at together: their activations stay in the cache."""
DEAD_SAMPLE = 256
"""Rows that are looked at when a layer seems dead."""


class LastFinite:
    """The weights of a network as the last finite epoch left them, flat; None before the first fit."""

    def __init__(self) -> None:
        self.params: arrays.Floats | None = None
        self._kernels: list[tuple[memoryview, memoryview]] | None = None  # of the network and of `params`
        self._trained: list[bool] = []  # what of the network was trained when they were listed

    def begin(self, params: arrays.Floats) -> None:
        """A fit begins with these weights."""
        if _core.first_nonfinite(params) < 0:
            self.keep_finite(params)

    def keep_finite(self, params: arrays.Floats) -> None:
        """Remember weights that are finite."""
        if self.params is None:
            self.params = params.copy()
        else:
            np.copyto(self.params, params)

    def forget_kernels(self) -> None:
        """The network is another one."""
        self._kernels = None

    def kernel_unchanged(self, net: Net) -> bool:
        """Whether a kernel (of the first one only in a model of one layer) is, to the bit, what it was before the
        epoch: its gradient was zero for every batch.

        The kernel above a dead layer is, and of a dead last layer its own. One that trains differs in its first
        weights, so that this takes a fraction of a microsecond; the first kernel is left out because it stands
        still wherever an input is always 0.
        """
        if self.params is None:
            return False
        if self._kernels is None or self._trained != net.trainable:
            self._trained = net.trainable
            pairs = [
                (now.data.cast("B").cast("I"), before.data.cast("B").cast("I"))
                for now, before in zip(net.tensors, net.split(self.params), strict=True)
                if now.ndim == 2
            ]
            trained = [pair for pair, moves in zip(pairs, self._trained, strict=True) if moves]
            self._kernels = trained[1:] if len(pairs) > 1 and self._trained[0] else trained
        return any(now == before for now, before in self._kernels)


def check_weights(model: Network, params: arrays.Floats) -> None:
    """NonFiniteError with the name of a weight that is not finite."""
    if _core.first_nonfinite(params) >= 0:
        names = [
            name
            for name, weight in zip(model.weight_names, model.weights, strict=True)
            if not np.isfinite(weight).all()
        ]
        raise NonFiniteError(None, subject=f"weight {names[0]}")


def warn_of_dead_units(model: Network, inputs: arrays.Inputs) -> None:
    """Look for a dead layer, on some of these rows."""
    every = -(-len(inputs) // DEAD_SAMPLE)
    rows = inputs[::every] if isinstance(inputs, np.ndarray) else inputs.toarray(range(0, len(inputs), every))
    fractions = dead_units(model, rows.reshape(-1, *model.sample_shape))
    dead = [name for name, part in fractions.items() if part == 1]
    if dead:
        names = ", ".join(map(repr, dead))
        units = sum(op.units for op in model._ops() if op.name in dead and op.kind != "dropout")
        warn(DeadUnits(names, f"{units} of {units} units", model.seed))


def dead_units(model: Network, x: ArrayLike) -> dict[str, float]:
    """The fraction of dead units in each layer: those whose output is 0 for every row.

    Where a ReLU gives 0 its slope is 0, so that no row moves the weights of such a unit, and gradient descent
    cannot bring it back. A few are usual in a hidden layer. A whole layer lets no gradient through: nothing
    below it learns, and if it is the last one nothing at all (`errors.DeadUnits` warns of that).

    Parameters
    ----------
    model : Sequential
    x : array_like, shape (N, ...)
        As for `predict`. All of N is looked at unless every unit has given something before.

    Returns
    -------
    dict of str to float
        Name of each layer that computes something to a fraction from 0 to 1. An `Activation` that follows a
        linear `Dense` is part of it.

    Raises
    ------
    ValueError, TypeError
        `x` is not what `predict` takes.

    Examples
    --------
    >>> from nnfast import Sequential, layers
    >>> model = Sequential([layers.Input((1,)), layers.Dense(2, "relu"), layers.Dense(1)], seed=0)
    >>> model.set_weights([[[1.0, -1.0]], [0.0, 0.0], [[1.0], [1.0]], [0.0]])
    >>> dead_units(model, [[1.0], [2.0]])
    {'dense': 0.5, 'dense_1': 0.0}
    """
    array = arrays.to_rows(x)
    shape = model._shape_for(array)
    inputs = arrays.as_inputs(array, shape)
    model._network(shape)
    ops = [op for op in model._ops() if op.kind != "dropout"]  # which drops nothing here
    weights = iter(model.weights)
    tensors = [[next(weights) for _ in range(1 + op.use_bias)] if op.kind == "dense" else [] for op in ops]
    silent = [np.ones(op.units, bool) for op in ops]
    for start in range(0, len(inputs), BLOCK_ROWS):
        undecided = [place for place, units in enumerate(silent) if units.any()]
        if not undecided:
            break
        block = inputs[start : start + BLOCK_ROWS]
        a = block if isinstance(block, np.ndarray) else block.toarray()
        for op, own, units in zip(ops[: undecided[-1] + 1], tensors, silent, strict=False):
            activation = Activation(op.activation, op.parameter or None)
            if own:
                a = kernels.dense_forward(a, own[0], own[1] if op.use_bias else None, activation)
            else:
                a = kernels.activation_forward(a, activation)
            units &= ~a.any(axis=0)
    return {op.name: float(units.mean()) for op, units in zip(ops, silent, strict=True)}
