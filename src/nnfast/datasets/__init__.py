"""The data sets that examples and tests train on, each a module with Keras' `load_data()`.

`digits` is part of the package; `mnist`, `fashion_mnist` and `wine_quality` are found or downloaded by
`fetch`, which accepts only the published bytes. What users bring themselves is not read here but in `cli`.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from ..names import unknown_attribute

if TYPE_CHECKING:
    from . import digits, fashion_mnist, mnist, wine_quality

__all__ = ["digits", "fashion_mnist", "mnist", "wine_quality"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise unknown_attribute(__name__, name, __all__)
    return importlib.import_module(f"{__name__}.{name}")


def __dir__() -> list[str]:
    return __all__
