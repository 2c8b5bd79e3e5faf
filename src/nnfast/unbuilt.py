"""What is said where the engine is missing: nothing here, nor anything that it imports, may need the engine."""

from __future__ import annotations

import sys
from pathlib import Path


def engine_missing(package: Path) -> ImportError:
    """What `import nnfast` raises where the folder of the package has no compiled engine that this Python loads.

    Parameters
    ----------
    package : Path
        The folder with the package's files.
    """
    ours = f"Python {sys.version_info.major}.{sys.version_info.minor} ({sys.implementation.cache_tag})"
    built = sorted(file.name for file in package.glob("_core.*") if file.suffix in {".so", ".pyd"})
    found = f"only {', '.join(built)}, built for another Python" if built else "only its source"
    return ImportError(
        f"nnfast: the compiled engine is missing: {package} has {found}, and this is {ours}. In the clone, run "
        f"`{sys.executable or 'python'} -m pip install .`, and start Python where {package.parent} is neither the current folder "
        "nor in PYTHONPATH; or build the engine into that folder by `pip install -e .`.",
        name="nnfast._core",
    )
