"""Which attributes of an object may be set. What an object accepts takes effect; anything else is refused at
once, with what to do instead, as a misspelt or unknown attribute would change nothing and say nothing.

A class of nnfast declares what may be set as an annotation in its body (`patience: int`; `Final` where only
the constructor may) or as a property with a setter. Classes of a user's own may have any further attributes.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Mapping
from typing import Any, ClassVar

from .arguments import accepting
from .names import nearest

_OLD_NAMES = {"lr": "learning_rate"}  # of Keras 2


class Guarded:
    """Base of all objects with state that a user holds.

    A name that begins with an underscore is nobody's business but the setter's.
    """

    _declared: ClassVar[Mapping[str, object]] = {}
    _remedies: ClassVar[Mapping[str, str]] = {}
    """What to do instead of setting an attribute; under "" for all that are not named."""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        cls._declared = {**cls._declared, **inspect.get_annotations(cls)}
        if "__init__" in vars(cls) and is_own(cls):
            type.__setattr__(cls, "__init__", accepting(vars(cls)["__init__"]))

    def __setattr__(self, name: str, value: object) -> None:
        if not name.startswith("_") and not self._may_set(name):
            raise AttributeError(self._refusal(name), name=name, obj=self)
        super().__setattr__(name, value)

    def __delattr__(self, name: str) -> None:
        if not name.startswith("_") and is_own(type(self)):
            raise AttributeError(
                f"{type(self).__name__}.{name} cannot be deleted. Set it to what it is to be, or make a new object.",
                name=name,
                obj=self,
            )
        super().__delattr__(name)

    def _may_set(self, name: str) -> bool:
        owner = next((cls for cls in type(self).__mro__ if name in vars(cls)), None)
        member = None if owner is None else vars(owner)[name]
        if isinstance(member, property):
            return member.fset is not None
        if hasattr(type(member), "__set__"):
            return True
        annotation = str(self._declared.get(name, ""))
        if annotation.startswith("Final"):
            return name not in vars(self)
        if annotation:
            return not annotation.startswith("ClassVar")
        return not is_own(type(self)) and (owner is None or not is_own(owner))

    def _refusal(self, name: str) -> str:
        kind = type(self).__name__
        if hasattr(type(self), name) or name in vars(self):
            remedy = self._remedies.get(name, self._remedies.get("", "Make a new object."))
            return f"{kind}.{name} cannot be set. {remedy}"
        known = [key for key in (*dir(type(self)), *self._declared) if key[0] != "_" and self._may_set(key)]
        old = _OLD_NAMES.get(name)
        hint = f" It is called {old!r} here." if old in known else nearest(name, known)
        return (
            f"{kind} has no attribute {name!r}, which would be set without any effect.{hint} "
            f"What can be set: {', '.join(dict.fromkeys(known)) or 'nothing'}. "
            "For a note of your own begin the name with an underscore, or derive a class."
        )


def is_own(cls: type) -> bool:
    """Whether a class is one of nnfast's, not derived by a user."""
    return cls.__module__.partition(".")[0] == __name__.partition(".")[0]


def refuse_ignored_methods(thing: object, ignored: Iterable[str], remedy: str) -> None:
    """Refuse an object whose class, derived by a user, defines methods that Keras would call and nnfast would
    not.

    Raises
    ------
    TypeError
        It does; the message names them.
    """
    cls = type(thing)
    defined = [
        name
        for name in ignored
        if any(name in vars(base) for base in cls.__mro__ if base is not object and not is_own(base))
    ]
    if defined:
        names = ", ".join(f"{name}()" for name in defined)
        raise TypeError(f"{cls.__name__} defines {names}, which nnfast would never call. {remedy}")
