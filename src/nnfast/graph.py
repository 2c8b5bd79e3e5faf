"""Ops: the one description of a network that engine, reference, summaries, pictures and files read.

A layer adds the ops that it becomes to a list, from inputs to outputs; what each kind does is in csrc/op.c and
in `reference`.
"""

from __future__ import annotations

from typing import NamedTuple


class Op(NamedTuple):
    """One op of a network.

    Parameters
    ----------
    kind : str
        A name in `_core.OP_KINDS`: "dense", "activation", "dropout".
    units : int
        Floats of a row of its output; ops other than "dense" have as many as they read.
    name : str
        Of the layer that became this op.
    activation : str, default "linear"
        Of "dense" and "activation".
    parameter : float, default 0.0
        Of the activation, where it takes one.
    use_bias : bool, default True
        Of "dense".
    rate : float, default 0.0
        Of "dropout": the part of the units that is dropped in training, from 0 to 1.
    seed : int, optional
        Of "dropout", from 0 to 2**64 - 1, in a network None is 0; with the op's place, the step, the row's place in its batch and the unit
        it decides what is dropped.
    input : int, optional
        Place of the op that it reads, -1 for the inputs of the network; None is the op before.
    """

    kind: str
    units: int
    name: str = ""
    activation: str = "linear"
    parameter: float = 0.0
    use_bias: bool = True
    rate: float = 0.0
    seed: int | None = None
    input: int | None = None
