"""Grids of runs: optimizers x batch sizes x whatever else, over one model and one data set.

Which runs there are, in which order and how many at once, and what is kept of them on disk. One run is
`Sequential.fit`; pictures are `plot.comparison`.
"""

from __future__ import annotations

from typing import Any

from ..names import unknown_attribute
from .grids import grid, load
from .results import Comparison, GridInterrupted

__all__ = ["Comparison", "GridInterrupted", "grid", "load"]


def __getattr__(name: str) -> Any:
    raise unknown_attribute(__name__, name, __all__)
