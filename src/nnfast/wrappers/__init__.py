"""Models as estimators of scikit-learn, which is an extra: `nnfast[sklearn]`."""

from __future__ import annotations

import importlib
from typing import Any

from ..names import unknown_attribute

_MODULES = {
    "KerasClassifier": "scikit_learn",
    "KerasRegressor": "scikit_learn",
    "scikeras": "",
    "scikit_learn": "",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise unknown_attribute(__name__, name, _MODULES)
    module = importlib.import_module(f"{__name__}.{_MODULES[name] or name}")
    return getattr(module, name) if _MODULES[name] else module
