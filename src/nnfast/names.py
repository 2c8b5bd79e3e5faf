"""How a user names a thing: a string, a class, an object or a saved configuration become an object; an
unknown name becomes a helpful error.

The names themselves are not here: they come from the tables of the C engine and from the classes that
register.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Protocol, TypeVar

from .errors import cut


class Configurable(Protocol):
    """What `serialize` needs: an object that can say with which arguments it was made."""

    def get_config(self) -> dict[str, Any]: ...


T = TypeVar("T", bound=Configurable)


def snake_case(name: str) -> str:
    """The name Keras derives from a class.

    Examples
    --------
    >>> snake_case("GlorotUniform"), snake_case("Dense")
    ('glorot_uniform', 'dense')
    """
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()


def nearest(name: str, known: Iterable[str]) -> str:
    """A sentence that proposes the known name closest to `name`, or nothing. The same letters in another order
    are closer than letters too few.

    Examples
    --------
    >>> nearest("adma", ["adamax", "adam"])
    " Did you mean 'adam'?"
    """
    import difflib

    found = difflib.get_close_matches(name, list(known))
    found.sort(key=lambda each: sorted(each) != sorted(name))
    return f" Did you mean {found[0]!r}?" if found else ""


def shortened(text: str, most: int = 1500) -> str:
    """A text for a message: without its middle where it is longer than can be read.

    Examples
    --------
    >>> shortened("abcdefghij", most=6)
    'abc ... hij'
    """
    return text if len(text) <= most else f"{text[: most // 2]} ... {text[-(most // 2) :]}"


def unknown_name(kind: str, name: str, known: Iterable[str]) -> ValueError:
    """The error for a name that stands in no table.

    Examples
    --------
    >>> print(unknown_name("activation", "rellu", ["linear", "relu"]))
    Unknown activation 'rellu'. Did you mean 'relu'? Known: linear, relu.
    """
    known = list(known)
    return ValueError(f"Unknown {kind} {name!r}.{nearest(name, known)} Known: {', '.join(known)}.")


def unknown_attribute(module: str, name: str, known: Iterable[str]) -> AttributeError:
    """The error of a module's `__getattr__`: nnfast is Keras' namespace for dense networks, and a name
    outside it says so.

    Examples
    --------
    >>> print(unknown_attribute("nnfast.layers", "Conv2D", ["Dense", "Flatten"]))
    module 'nnfast.layers' has no attribute 'Conv2D'. nnfast has of Keras what Sequential models of \
dense layers need; here: Dense, Flatten.
    """
    if name.startswith("_"):  # the import system asks for such names; no help is wanted
        return AttributeError(f"module {module!r} has no attribute {name!r}", name=name)
    known = [public for public in known if not public.startswith("_")]
    return AttributeError(
        f"module {module!r} has no attribute {name!r}.{nearest(name, known)} "
        f"nnfast has of Keras what Sequential models of dense layers need; here: {', '.join(known)}.",
        name=name,
    )


def serialize(thing: Configurable) -> dict[str, Any]:
    """The JSON-able description from which `resolve` makes an equal object.

    Examples
    --------
    >>> from nnfast import initializers
    >>> serialize(initializers.Constant(2.0))
    {'class_name': 'Constant', 'config': {'value': 2.0}}
    """
    return {"class_name": type(thing).__name__, "config": thing.get_config()}


def represent(thing: Configurable) -> str:
    """The call that makes an equal object, for `__repr__`.

    Examples
    --------
    >>> from nnfast import initializers
    >>> represent(initializers.Constant(2.0))
    'Constant(value=2.0)'
    """
    arguments = ", ".join(f"{key}={value!r}" for key, value in thing.get_config().items())
    return f"{type(thing).__name__}({arguments})"


def checked_name(name: object, of: str) -> str:
    """A name that a user gives.

    Raises
    ------
    ValueError
        No string, or an empty one.
    """
    if not isinstance(name, str) or not name:
        raise ValueError(f"the name of {of} must be a string of at least one character, got {name!r}.")
    return name


def resolve(kind: str, identifier: object, base: type[T], known: Mapping[str, Callable[..., T]]) -> T:
    """Turn what a user passed into an object of class `base`.

    Parameters
    ----------
    kind : str
        What is looked up, for the message: "optimizer".
    identifier : object
        An instance of `base`, a subclass, a name in `known`, or the result of `serialize`.
    base : type
        Common class of what may come out.
    known : mapping
        Name to class or factory; a class is found under its own name ("HeNormal") if its `snake_case` is a
        key.

    Raises
    ------
    ValueError
        The name is not known.
    TypeError
        The identifier is none of the above.
    """
    if isinstance(identifier, base):
        return identifier
    if isinstance(identifier, type) and issubclass(identifier, base):
        return identifier()
    if isinstance(identifier, Mapping) and "class_name" in identifier:
        return _find(kind, str(identifier["class_name"]), known)(**identifier.get("config", {}))
    if isinstance(identifier, str):
        return _find(kind, identifier, known)()
    raise TypeError(
        f"{kind} must be a name, or an object or subclass of {base.__name__}, got {cut(identifier)}. "
        f"Known names: {', '.join(known)}."
    )


def _find(kind: str, name: str, known: Mapping[str, Callable[..., T]]) -> Callable[..., T]:
    factory = known.get(name) or known.get(snake_case(name))
    if factory is None:
        raise unknown_name(kind, name, known)
    return factory
