"""The data sets that examples and tests train on, each a module with Keras' `load_data()`.

`digits` is part of the package; `mnist`, `fashion_mnist` and `wine_quality` are found or downloaded by `fetch`,
which accepts nothing but the published bytes. What users bring themselves is not read here but in `cli`.
"""

from __future__ import annotations

from typing import Any

from ..names import unknown_attribute
from . import digits, fashion_mnist, mnist, wine_quality

__all__ = ["digits", "fashion_mnist", "mnist", "wine_quality"]


def __getattr__(name: str) -> Any:
    raise unknown_attribute(__name__, name, __all__)
