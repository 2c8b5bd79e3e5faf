"""The engine again, in pure NumPy and for any float type: the oracle of the tests (in float64), the baseline
of the benchmarks, and `compile(backend="reference")`.

Here are the functions of `kernels` under the same names, and `Net` with the interface of the native one; one
module for each header of csrc/ that has mathematics. Batches and random numbers come from outside, but for the
masks of Dropout. Nothing native is imported, so that an error there cannot hide here.

Shapes: x (B,I), w (I,O), b (O,), z and a (B,O). A gradient is that of the mean over the rows of the batch;
the division by B happens once, in the loss.
"""

from __future__ import annotations

from .activation import ACTIVATIONS, activation_backward, activation_forward
from .dense import dense_backward, dense_backward_update, dense_forward
from .dropout import dropout_mask
from .loss import LOSSES, PROBABILITY_MAX, PROBABILITY_MIN, loss_value_and_gradient
from .metric import METRICS
from .net import Net
from .optimizer import RULES, adam_update, momentum_update, rmsprop_update, sgd_update, update
from .run import Run

__all__ = [
    "ACTIVATIONS",
    "LOSSES",
    "METRICS",
    "PROBABILITY_MAX",
    "PROBABILITY_MIN",
    "RULES",
    "Net",
    "Run",
    "activation_backward",
    "activation_forward",
    "adam_update",
    "dense_backward",
    "dense_backward_update",
    "dense_forward",
    "dropout_mask",
    "loss_value_and_gradient",
    "momentum_update",
    "rmsprop_update",
    "sgd_update",
    "update",
]
