"""What a model is made of: the structure of dense layers, with no arithmetic.

A layer says how shapes pass through it, what weights it has and which ops of the network it becomes.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

from ..errors import cut
from ..names import resolve, snake_case, unknown_attribute
from .activated import ELU, LeakyReLU, ReLU, Softmax
from .base import Layer
from .core import Activation, Dense, Flatten, Input, InputLayer
from .dropout import Dropout

__all__ = [
    "ELU", "Activation", "Dense", "Dropout", "Flatten", "Input", "InputLayer", "Layer", "LeakyReLU", "ReLU", "Softmax", "get",
]  # fmt: skip

_KNOWN: dict[str, type[Layer]] = {
    snake_case(cls.__name__): cls
    for cls in (InputLayer, Flatten, Dense, Activation, Dropout, Softmax, ReLU, LeakyReLU, ELU)
}


def get(identifier: object) -> Layer:
    """The layer for an object or a saved configuration.

    Raises
    ------
    TypeError
        It is neither: a class without its arguments, or a layer of Keras itself.
    """
    if isinstance(identifier, str | type):
        raise TypeError(f"a layer must be an object such as layers.Dense(10), got {identifier!r}.")
    if not isinstance(identifier, Layer | Mapping):
        raise TypeError(
            f"a layer must be an object such as layers.Dense(10), got {cut(identifier)}. "
            "Add layers one by one; models and lists are no layers."
        )
    return resolve("layer", identifier, Layer, _KNOWN)


for _older in ("advanced_activations", "embeddings", "merge", "noise", "normalization"):
    globals().setdefault(_older, sys.modules[__name__])  # modules of older Keras, all one here


def __getattr__(name: str) -> Any:
    raise unknown_attribute(__name__, name, ["Input", *(cls.__name__ for cls in _KNOWN.values())])
