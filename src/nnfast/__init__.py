"""nnfast: dense neural networks on the CPU, under Keras' names.

`import nnfast as keras` runs a Keras script of dense layers. What every script needs is imported here; data
sets, plots and the command line are loaded when they are first used.
"""

from __future__ import annotations

import importlib
import importlib.util
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .unbuilt import engine_missing

if importlib.util.find_spec("._core", __name__) is None:
    raise engine_missing(Path(__file__).parent)

from . import (
    activations,
    callbacks,
    errors,
    initializers,
    kernels,
    layers,
    losses,
    metrics,
    models,
    optimizers,
    utils,
)
from .errors import DeadUnits, ModelFileError, NonFiniteError
from .layers import Input
from .models import Sequential, load_model
from .names import unknown_attribute
from .threads import get_num_threads, set_num_threads
from .training import Trainer
from .version import __version__ as __version__

if TYPE_CHECKING:
    from . import backend, compare, datasets, descent, ops, plot, reference, saving, thesis
    from .compare import GridInterrupted
    from .compat import install
    from .info import show_config

__all__ = [
    "DeadUnits",
    "GridInterrupted",
    "Input",
    "ModelFileError",
    "NonFiniteError",
    "Sequential",
    "Trainer",
    "activations",
    "backend",
    "callbacks",
    "compare",
    "datasets",
    "descent",
    "errors",
    "get_num_threads",
    "initializers",
    "install",
    "kernels",
    "layers",
    "load_model",
    "losses",
    "metrics",
    "models",
    "ops",
    "optimizers",
    "plot",
    "reference",
    "saving",
    "set_num_threads",
    "show_config",
    "thesis",
    "utils",
]

_LAZY = {
    "GridInterrupted": "compare",
    "backend": "",
    "compare": "",
    "datasets": "",
    "descent": "",
    "install": "compat",
    "ops": "",
    "plot": "",
    "reference": "",
    "saving": "",
    "show_config": "info",
    "thesis": "",
}
"""Submodules, and names in a submodule, that are loaded on first use."""


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise unknown_attribute(__name__, name, __all__)
    if _LAZY[name]:
        value: Any = getattr(importlib.import_module(f"{__name__}.{_LAZY[name]}"), name)
    else:
        value = importlib.import_module(f"{__name__}.{name}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
