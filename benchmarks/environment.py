"""What a measurement needs around it: NumPy at its best, and a record of where it was taken."""

from __future__ import annotations

import os
import platform
import subprocess
import sys

# Some machines set these to spare old processors; they slow OpenBLAS down. The reference is to be measured at its best.
SLOWING = ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE")


def free_openblas() -> None:
    """Unset them for this process, which must not have imported NumPy yet."""
    for variable in SLOWING:
        if os.environ.pop(variable, None) is not None and "numpy" in sys.modules:
            raise RuntimeError(
                f"{variable} is set and NumPy was imported before it could be unset: call free_openblas first"
            )


def processor() -> str:
    """The processor's name as the system gives it."""
    try:
        with open("/proc/cpuinfo") as file:
            return next(line.split(":", 1)[1].strip() for line in file if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def commit() -> str:
    """The commit that is measured, with a plus sign if the tree differs from it."""
    try:
        command = ["git", "describe", "--always", "--dirty=+"]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def describe() -> dict[str, str]:
    """Machine, versions, threads, data, commit: what stands under every table."""
    import numpy as np

    import nnfast
    from nnfast import _core

    from . import workloads

    return {
        "processor": processor(),
        "threads": str(nnfast.get_num_threads()),
        "instruction set": _core.instruction_set(),
        "compiler": _core.build_info()["compiler"],
        "Python": platform.python_version(),
        "NumPy": np.__version__,
        "data": workloads.origin(),
        "commit": commit(),
    }
