"""The arguments of constructors and methods: names of older Keras, and names that nobody knows.

One table holds the old names. An argument of an old name is passed on under the new one, with a warning, where
the callable has the new name and not the old one; any other unknown argument is refused with the nearest name.
Nothing is looked at before Python itself has refused the call.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from typing import Any, ParamSpec, TypeVar

from .errors import warn
from .names import nearest

P = ParamSpec("P")
R = TypeVar("R")

RENAMED: Mapping[str, tuple[str, ...]] = {
    "W_constraint": ("kernel_constraint",),
    "W_regularizer": ("kernel_regularizer",),
    "b_constraint": ("bias_constraint",),
    "b_regularizer": ("bias_regularizer",),
    "alpha": ("negative_slope",),  # of LeakyReLU
    "batch_input_shape": ("input_shape",),
    "batch_shape": ("shape",),
    "beta_init": ("beta_initializer",),
    "bias": ("use_bias",),
    "epsilon": ("min_delta",),  # of ReduceLROnPlateau
    "gamma_init": ("gamma_initializer",),
    "init": ("kernel_initializer", "embeddings_initializer"),
    "input": ("inputs",),
    "l": ("l2", "l1"),
    "lr": ("learning_rate",),
    "nb_classes": ("num_classes",),
    "nb_epoch": ("epochs",),
    "output": ("outputs",),
    "output_dim": ("units",),
    "p": ("rate",),
    "sigma": ("stddev",),
    "show_layer_activation": ("show_layer_activations",),
    "y": ("x",),  # of to_categorical
}
"""Argument of Keras 1 or 2 to its names of today: the first that the callable has is meant."""

_WITH_BATCH = {"batch_input_shape", "batch_shape"}
"""Shapes that count the rows of a batch, which those of today leave out."""

IGNORED: Mapping[str, str] = {
    "class_mode": "The loss decides it.",
    "max_q_size": "Batches are not queued.",
    "max_queue_size": "Batches are not queued.",
    "nb_worker": "nnfast.set_num_threads(n) sets the threads.",
    "pickle_safe": "No processes are started.",
    "sample_weight_mode": "A weight belongs to a row.",
    "show_accuracy": "Pass metrics=['accuracy'] to compile.",
    "use_multiprocessing": "No processes are started.",
    "workers": "nnfast.set_num_threads(n) sets the threads.",
}
"""Arguments of older Keras' methods that change no number: they are ignored, with a warning that says what takes
their place."""

NEUTRAL: Mapping[str, tuple[object, ...]] = {
    "activity_regularizer": (None,),
    "auto_scale_loss": (True, False),
    "autocast": (True, False),
    "bias_constraint": (None,),
    "bias_regularizer": (None,),
    "dtype": (None, "float32"),
    "dynamic": (False,),
    "jit_compile": (True, False, None, "auto"),
    "kernel_constraint": (None,),
    "kernel_regularizer": (None,),
    "lora_alpha": (None,),
    "lora_rank": (None,),
    "quantization_config": (None,),
    "ragged": (False, None),
    "run_eagerly": (True, False, None),
    "sparse": (False, None),
    "steps_per_execution": (1, None),
    "weighted_metrics": (None,),
}
"""Arguments of today's Keras with the values that ask for what is done anyway."""


def accepting(function: Callable[P, R], ignored: Mapping[str, str] = {}) -> Callable[P, R]:
    """The same function, which takes arguments of older Keras too and says what is wrong with any other.

    Parameters
    ----------
    function : callable
        A constructor's `__init__`, a method or a function.
    ignored : mapping, default empty
        Arguments that it may ignore: `IGNORED` for the methods of a model.

    Raises
    ------
    TypeError
        By the call: an argument that is not known, too many, or one that is missing.
    """
    signature = inspect.signature(function)

    @functools.wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return function(*args, **kwargs)
        except TypeError:
            if _binds(signature, args, kwargs):
                raise
        owner = args[0] if args and "self" in signature.parameters else None
        name = type(owner).__name__ if function.__name__ == "__init__" else function.__name__
        arguments = _translated(name, signature, kwargs, ignored)
        try:
            signature.bind(*args, **arguments)
        except TypeError as error:
            raise TypeError(f"{name}(): {error}. It takes {_listed(signature)}.") from None
        return function(*args, **arguments)

    return call


def model_method(method: Callable[P, R]) -> Callable[P, R]:
    """A method of a model, which may ignore what older Keras' methods took."""
    return accepting(method, IGNORED)


def _binds(signature: inspect.Signature, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> bool:
    try:
        signature.bind(*args, **kwargs)
    except TypeError:
        return False
    return True


def _listed(signature: inspect.Signature) -> str:
    return ", ".join(name for name in signature.parameters if name not in ("self", "args", "kwargs"))


def _translated(
    callee: str, signature: inspect.Signature, given: Mapping[str, Any], ignored: Mapping[str, str]
) -> dict[str, Any]:
    """The arguments under their names of today, each old one announced.

    Raises
    ------
    TypeError
        One is not known.
    """
    known = signature.parameters
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in known.values()):
        return dict(given)
    arguments = {name: value for name, value in given.items() if name in known}
    for name, value in given.items():
        if name in known:
            continue
        new = next((new for new in RENAMED.get(name, ()) if new in known), None)
        if new is not None and new not in given:
            arguments[new] = tuple(value)[1:] if name in _WITH_BATCH else value
            warn(FutureWarning(f"{callee}({name}=...) is older Keras: it is called {new} now."))
        elif name in ignored:
            warn(FutureWarning(f"{callee}({name}=...) is older Keras and has no effect. {ignored[name]}"))
        elif not any(value is neutral or value == neutral for neutral in NEUTRAL.get(name, ())):
            raise TypeError(_refusal(callee, name, value, new, signature))
    return arguments


def _refusal(callee: str, name: str, value: object, new: str | None, signature: inspect.Signature) -> str:
    if new is not None:
        return f"{callee}() was given {name!r}, which is older Keras' name for {new!r}, and {new!r} too. Leave {name!r} out."
    if name in NEUTRAL:
        values = " or ".join(map(repr, NEUTRAL[name]))
        return f"{callee}() takes {name!r} only as {values}, got {value!r}. Leave it out."
    known = [parameter for parameter in signature.parameters if parameter != "self"]
    return f"{callee}() has no argument {name!r}.{nearest(name, known)} It takes {_listed(signature)}."
