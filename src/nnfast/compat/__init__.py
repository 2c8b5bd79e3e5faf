"""nnfast in the place of `keras`, `tf_keras` and `tensorflow`, for a script that must not change.

`install` puts a finder before all others; the modules that it finds hand out nnfast's own objects and refuse
the rest with a sentence. Nothing else of the package imports this.
"""

from __future__ import annotations

import importlib
import sys

from .finder import Finder
from .tree import ROOTS

__all__ = ["install"]


def install() -> None:
    """Put nnfast in the place of `keras`, `tf_keras`, `tensorflow` and what hangs on them, for this process.

    Call it before the first of them is imported; a second call does nothing. `nnfast run script.py` does it
    before a script begins.

    Raises
    ------
    RuntimeError
        Keras or TensorFlow itself has been imported already.

    Examples
    --------
    >>> import nnfast
    >>> nnfast.install()  # doctest: +SKIP
    >>> from tensorflow.keras.layers import Dense  # doctest: +SKIP
    """
    if any(isinstance(finder, Finder) for finder in sys.meta_path):
        return
    there = [root for root in ROOTS if root in sys.modules]
    if there:
        raise RuntimeError(
            f"{', '.join(there)} has been imported already. Call nnfast.install() before, as the first thing, "
            "or run the script by `nnfast run script.py`."
        )
    sys.meta_path.insert(0, Finder())
    for root in ROOTS:
        importlib.import_module(root)  # who looks into sys.modules sees that they are there
