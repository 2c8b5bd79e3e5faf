"""Callbacks: Keras' hooks, and the ones that come with nnfast.

Epoch hooks are called `(epoch, logs)`, batch hooks `(batch, logs)`, the others `(logs)`, all positionally. A
callback may set `self.model.stop_training` and `self.model.optimizer.learning_rate`. The loop that calls them
is in `training`.
"""

from __future__ import annotations

from typing import Any

from ..names import unknown_attribute
from . import progress as progress  # found at once: not by way of __getattr__
from .base import Callback, Logs
from .checkpoint import BackupAndRestore, ModelCheckpoint
from .functions import LambdaCallback
from .history import History, ProgbarLogger, TimeHistory
from .learning_rate import LearningRateScheduler, ReduceLROnPlateau
from .list import CallbackList, as_list
from .refused import RemoteMonitor, TensorBoard
from .stopping import EarlyStopping, TerminateOnNaN
from .tables import CSVLogger

__all__ = [
    "BackupAndRestore",
    "CSVLogger",
    "Callback",
    "CallbackList",
    "EarlyStopping",
    "History",
    "LambdaCallback",
    "LearningRateScheduler",
    "Logs",
    "ModelCheckpoint",
    "ProgbarLogger",
    "ReduceLROnPlateau",
    "RemoteMonitor",
    "TensorBoard",
    "TerminateOnNaN",
    "TimeHistory",
    "as_list",
]


def __getattr__(name: str) -> Any:
    raise unknown_attribute(__name__, name, __all__)
