"""What this installation is and what it runs on: the lines of `nnfast info`."""

from __future__ import annotations

import platform
import sys

import numpy as np

from . import _core, threads
from .version import __version__


def config() -> dict[str, str]:
    """Version, instruction set, cores, threads, build."""
    build = _core.build_info()
    return {
        "nnfast": __version__,
        "instruction set": f"{_core.instruction_set()} (this machine runs {', '.join(_core.available_instruction_sets())})",
        "cores": str(threads.usable_cores()),
        "threads": str(threads.get_num_threads()),
        "compiler": build["compiler"],
        "build": build["build"],
        "Python": platform.python_version(),
        "NumPy": np.__version__,
        "system": f"{sys.platform} {platform.machine()}",
    }


def show_config() -> None:
    """Print version, instruction set, cores and build.

    Examples
    --------
    >>> show_config()  # doctest: +ELLIPSIS
    nnfast           ...
    """
    for name, value in config().items():
        print(f"{name:16} {value}")
