"""The finder: which stand-in answers to the name of a module, and which name is refused."""

from __future__ import annotations

import importlib.abc
import importlib.machinery
import types
from collections.abc import Sequence

from ..errors import warn
from ..names import nearest
from ..scope import out_of_scope
from . import tensorflow
from .modules import StandIn
from .tree import KERAS_ROOTS, MODULES, OLDER, OTHERS, REFUSED_ROOTS, RENAMED_CLASSES, ROOTS, split

VERSION = "3.15.1"
"""Of the Keras whose behaviour nnfast has; scripts ask for it."""

_BESIDE_KERAS = {**tensorflow.MODULES, **OTHERS}


class Finder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Finds the modules that stand in for Keras and TensorFlow, and makes them."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: types.ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        """That of a stand-in; None for modules that are none of ours.

        Raises
        ------
        ModuleNotFoundError
            A module of Keras or TensorFlow that is out, or one that does not exist.
        """
        root = fullname.partition(".")[0]
        if root in REFUSED_ROOTS:
            raise ModuleNotFoundError(_refusal(fullname, ()), name=fullname)
        if root not in ROOTS:
            return None
        if not exists(fullname):
            parent = fullname.rpartition(".")[0]
            raise ModuleNotFoundError(_refusal(fullname, below(parent)), name=fullname)
        return importlib.machinery.ModuleSpec(fullname, self, is_package=True)

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> types.ModuleType:
        """The stand-in, empty but for what tables say."""
        name = spec.name
        keras = split(name)
        if keras is None:
            return StandIn(name, _BESIDE_KERAS[name], tensorflow.names(name), submodules=below(name))
        rest = keras[1]
        if rest in OLDER:
            warn(FutureWarning(f"{name} is older Keras: import from {keras[0]}.{OLDER[rest]} instead."))
        names = {"__version__": VERSION} if not rest else {}
        return StandIn(name, MODULES[rest], names, RENAMED_CLASSES, below(name))

    def exec_module(self, module: types.ModuleType) -> None:
        """Nothing: it is made whole."""


def exists(name: str) -> bool:
    """Whether there is a stand-in of that name."""
    keras = split(name)
    if keras is not None:
        return keras[1] in MODULES
    return name in _BESIDE_KERAS


def below(name: str) -> list[str]:
    """Last names of the stand-ins directly below one."""
    keras = split(name)
    if keras is not None:
        prefix = keras[1] + "." if keras[1] else ""
        full = [module for module in MODULES if module and module.startswith(prefix)]
        inner = [module[len(prefix) :] for module in full]
        inner += [root[len(name) + 1 :] for root in KERAS_ROOTS if root.startswith(name + ".")]
    else:
        full = [*_BESIDE_KERAS, *KERAS_ROOTS]
        inner = [module[len(name) + 1 :] for module in full if module.startswith(name + ".")]
    return sorted({module for module in inner if module and "." not in module})


def _refusal(name: str, known: Sequence[str]) -> str:
    reason = out_of_scope(name)
    if not reason:
        reason = (
            f"nnfast stands in the place of {name.partition('.')[0]} and has no such module."
            f"{nearest(name.rpartition('.')[2], known)} Here: {', '.join(known)}."
        )
    return f"cannot import {name}. {reason}"
