"""A module that stands in for one of Keras or TensorFlow: it hands out what nnfast has under that name."""

from __future__ import annotations

import importlib
import importlib.util
import sys
import types
from collections.abc import Callable, Iterable, Mapping
from typing import Any, ParamSpec, TypeVar

from ..names import unknown_attribute


class StandIn(types.ModuleType):
    """A module whose names are looked up when they are asked for, in modules below it, in nnfast, in a table.

    Parameters
    ----------
    name : str
        Full name, such as "tensorflow.keras.layers".
    targets : iterable of str
        Modules of nnfast that have its names; those that do not exist are passed over.
    names : mapping, optional
        Further names and what they are.
    renamed : mapping, optional
        Old names and those of today.
    submodules : iterable of str
        Last names of the modules below it.
    """

    def __init__(
        self,
        name: str,
        targets: Iterable[str] = (),
        names: Mapping[str, Any] | None = None,
        renamed: Mapping[str, str] | None = None,
        submodules: Iterable[str] = (),
    ) -> None:
        super().__init__(name, f"nnfast in the place of {name}.")
        own = vars(self)
        own["__path__"] = []
        own["__file__"] = None
        own["_targets"] = tuple(targets)
        own["_renamed"] = dict(renamed or {})
        own["_submodules"] = frozenset(submodules)
        own.update(names or {})

    def _found(self) -> list[types.ModuleType]:
        there = [name for name in self._targets if _exists(name)]
        return [importlib.import_module(name) for name in there]

    def __getattr__(self, name: str) -> Any:
        if name == "__all__":
            return self._public()
        if name.startswith("__"):
            raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}", name=name)
        if name in self._submodules:
            return importlib.import_module(f"{self.__name__}.{name}")
        for module in self._found():
            for candidate in (name, self._renamed.get(name, name)):
                if hasattr(module, candidate):
                    return getattr(module, candidate)
        raise unknown_attribute(self.__name__, name, self._public())

    def _public(self) -> list[str]:
        listed = [name for module in self._found() for name in getattr(module, "__all__", _own(module))]
        own = [name for name in vars(self) if not name.startswith("_")]
        return sorted(name for name in {*listed, *own, *self._submodules} if not name.startswith("_"))

    def __dir__(self) -> list[str]:
        return self._public()

    def __reduce__(self) -> tuple[Callable[[str], types.ModuleType], tuple[str]]:
        return stand_in, (self.__name__,)  # another process has nothing installed yet


def _own(module: types.ModuleType) -> list[str]:
    """What a module defines itself, without what it imports."""
    return [
        name
        for name, value in vars(module).items()
        if getattr(value, "__module__", None) == module.__name__
        and not isinstance(value, TypeVar | ParamSpec)
    ]


def stand_in(name: str) -> types.ModuleType:
    """The module of that name, in a process that may not have called `install` yet."""
    importlib.import_module(__package__).install()  # at run time, as what installs it imports this module
    return importlib.import_module(name)


def _exists(name: str) -> bool:
    if name in sys.modules:
        return True
    try:
        return importlib.util.find_spec(name) is not None
    except ModuleNotFoundError:
        return False
