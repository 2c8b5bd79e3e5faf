"""The public names of the optimizers: what a user sets. The updates are in the C table (csrc/optimizer.h);
nothing is computed here.

An optimizer is accepted as a name ("adam"), a class or an object. Its slots (velocities, moments) live in the
network it updates, so that one object serves one model.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..names import resolve, unknown_attribute
from . import schedules
from .adadelta import Adadelta
from .adagrad import Adagrad
from .adam import Adam, AdamW
from .adamax import Adamax
from .base import Optimizer
from .ftrl import Ftrl
from .lion import Lion
from .nadam import Nadam
from .rate import checked_number
from .rmsprop import RMSprop
from .sgd import SGD

__all__ = [
    "KNOWN",
    "SGD",
    "Adadelta",
    "Adagrad",
    "Adam",
    "AdamW",
    "Adamax",
    "Ftrl",
    "Lion",
    "Nadam",
    "Optimizer",
    "RMSprop",
    "checked_number",
    "get",
    "schedules",
]

KNOWN: dict[str, type[Optimizer]] = {
    cls.__name__.lower(): cls
    for cls in (SGD, RMSprop, Adam, AdamW, Adagrad, Adadelta, Adamax, Nadam, Lion, Ftrl)
}
"""The names that `get` takes, in lower or upper case."""


def get(identifier: object) -> Optimizer:
    """The optimizer for a name ("sgd"), a class, an object or a saved configuration.

    Raises
    ------
    ValueError
        The name is not known.
    TypeError
        The identifier is none of the above.
    """
    if isinstance(identifier, Mapping) and "class_name" in identifier:
        identifier = {**identifier, "class_name": _as_known(str(identifier["class_name"]))}
    elif isinstance(identifier, str):
        identifier = _as_known(identifier)
    return resolve("optimizer", identifier, Optimizer, KNOWN)


def _as_known(name: str) -> str:
    """In Keras "AdamW" is "adamw"; a name that is not known stays as it is, for the message."""
    return name.lower() if name.lower() in KNOWN else name


def __getattr__(name: str) -> Any:
    raise unknown_attribute(__name__, name, [cls.__name__ for cls in KNOWN.values()])
