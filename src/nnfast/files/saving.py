"""Model files: a safetensors file whose metadata describes the model in JSON.

How the bytes are laid out is in `tensorfile`, how they get to disk whole or not at all in `paths`.

Tensors are the weights (`dense/kernel`) and, of a compiled model, the optimizer's slots
(`optimizer/dense/kernel/velocity`). The description has the architecture, the arguments of `compile`, the
number of updates, the place in the random stream, and a SHA-256 over all of that and over the names, shapes
and bytes of the tensors. A file is accepted only if writing its content again gives the same bytes, checksum
included: no bit of it can be wrong. Nothing in a file is executed, and nothing is made whose size has not
been held against the tensors that are there, and these against the size of the file.

Tensors go from the model to the disk and back piece by piece; there is never a second copy of them.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
from collections.abc import Callable, Iterable, Mapping
from os import PathLike
from typing import Any, BinaryIO, TypeVar

import numpy as np
from numpy.typing import NDArray

from .. import _core, layers, losses, metrics, optimizers
from ..errors import ModelFileError
from ..layers import Dense, Layer
from ..layers.base import checked_shape
from ..names import shortened
from ..network import Network
from ..training import Trainer
from ..training.counts import LARGEST_TOTAL
from ..version import __version__
from . import paths, tensorfile
from .tensorfile import Shapes

FORMAT = "nnfast model"
FORMAT_VERSION = 1
RANDOM_STREAM = 1  # the version of csrc/random.h
KEY = "nnfast"  # of the description in the metadata
DEEPEST = 12  # levels of nesting in a description; those that `save_model` writes have 7
BLOCK = 1 << 20  # bytes that are written at once, at least

Tensors = dict[str, NDArray[np.float32]]
M = TypeVar("M", bound=Network)


def save_model(model: Network, path: str | PathLike[str], overwrite: bool = True) -> None:
    """Write a model with its training state, all or nothing.

    The bytes go to a temporary file in the same folder, are synced, and take the place of the old file by a
    rename; a crash leaves the old file or the new one. An existing file keeps its mode; a symbolic link
    stays, and what it points to is replaced. Until all is written no other thread can train the model.

    Parameters
    ----------
    model : Sequential
        Built; compiled or not.
    path : str or path
        Conventionally with the suffix .safetensors; one of another format, as .keras or .h5, is refused.
    overwrite : bool, default True
        False: an existing file is an error, also one that another process makes meanwhile.

    Raises
    ------
    ValueError
        The model has no weights yet; or something in it is of the user's own class, has a name that is
        not a string or that another layer has, or a number that is not finite: `load_model` could not make it
        again. The path has the suffix of another format.
    RuntimeError
        The model is being trained by another thread.
    FileExistsError
        `overwrite` is False and there is a file.
    OSError
        What the file system says. The old file is as it was, unless the last step, the sync of the folder,
        failed: then the new one is in its place. What is not a file is not replaced.
    """
    paths.check_suffix(path)
    if not model.built:
        raise ValueError(
            f"the model {model.name!r} has no weights to save yet. "
            "Begin it with layers.Input(shape), or call fit or build first."
        )
    with model._lock:
        contents = _contents(model)
        with paths.replacing(path, overwrite) as descriptor:
            _write(descriptor, *contents)


def read_model(path: str | PathLike[str], make: Callable[[dict[str, Any]], M]) -> M:
    """The model in a file that `save_model` wrote, made by `make` from its configuration.

    Raises
    ------
    ModelFileError
        Not such a file, a damaged one, or one of a later version.
    OSError
        The file cannot be read.
    """
    paths.checked(path, "the path of a model file")
    with os.fdopen(paths.open_regular(path), "rb") as file:
        try:
            return _load(file, os.fstat(file.fileno()).st_size, make)
        except ModelFileError as error:
            # Without its cause, which may quote the whole file.
            raise ModelFileError(f"{path}: {shortened(str(error))}") from None


# What is in a file


def _contents(model: Network) -> tuple[dict[str, Any], Tensors]:
    """Description (without checksum) and tensors, as views; ValueError for what `_model` would refuse."""
    _check_names(model)
    names = model.weight_names
    tensors: Tensors = dict(zip(names, model.weights, strict=True))
    description: dict[str, Any] = {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "nnfast_version": __version__,
        "random_stream": RANDOM_STREAM,
        "model": model.get_config(),
        "trainer": None,
    }
    trainer = _trainer(model)
    if trainer is not None:
        for slot, values in trainer.slots.items():
            tensors |= {_slot_name(name, slot): a for name, a in zip(names, values, strict=True)}
        description["trainer"] = {
            "compile": trainer.get_config(),
            "state": {name: _count(value) for name, value in trainer.state().items()},
            "iterations": _count(trainer.iterations),
        }
        compiled = description["trainer"]["compile"]
        optimizers.get(compiled["optimizer"])
        losses.get(compiled["loss"])
        for metric in (*compiled["metrics"], *compiled.get("weighted_metrics", ())):
            metrics.get(metric)
    for layer in description["model"]["layers"]:
        layers.get(layer)
    _weight_names(model.layers, model.sample_shape, {name: a.shape for name, a in tensors.items()})
    _description(_canonical(description))
    return description, tensors


def _trainer(model: Network) -> Trainer | None:
    return model._trainer if isinstance(model._trainer, Trainer) else None


def _check_names(model: Network) -> None:
    seen: set[object] = set()
    for layer in model.layers:
        if layer.name in seen:
            raise ValueError(
                f"layers of a model must have different names, got {layer.name!r} twice. "
                "Rename one: layer.name = 'another'."
            )
        seen.add(layer.name)
    trainer = _trainer(model)
    named: Any
    for named in (model, *model.layers, *(trainer._all_metrics if trainer else ())):
        if not isinstance(named.name, str):
            raise ValueError(
                f"the name of a {type(named).__name__} must be a string, got {named.name!r}. "
                "Pass another name= to it."
            )
    taken: set[str] = set()
    for layer in model.layers:
        if layer.name in taken:
            raise ValueError(
                f"layers of a model must have different names, got {layer.name!r} twice. Rename one of them."
            )
        taken.add(layer.name)
        try:
            layer.name.encode()
        except UnicodeEncodeError:
            raise ValueError(
                f"the name of a layer must be Unicode, got {layer.name!r} with half a sign. Rename it."
            ) from None


def _slot_name(weight: str, slot: str) -> str:
    # The slot stands last: no layer can be called so that one of its weights gets the same name.
    return f"optimizer/{weight}/{slot}"


def _model(
    description: dict[str, Any], shapes: Shapes, make: Callable[[dict[str, Any]], M]
) -> tuple[M, Tensors]:
    """The model that contents describe, and where each of its tensors has its place."""
    try:
        config, training = description["model"], description["trainer"]
        _count(config["seed"], 2**64 - 1)
        if len(config["sample_shape"]) > 63:  # NumPy's arrays have 64 axes at most
            raise ValueError(f"sample_shape has {len(config['sample_shape'])} axes")
        model = make(config)
        names = _weight_names(model.layers, config["sample_shape"], shapes)
        expected = set(names)
        if training is not None:
            expected |= {_slot_name(name, slot) for slot in _slots(training) for name in names}
        if expected != set(shapes):
            missing, unknown = sorted(expected - set(shapes)), sorted(set(shapes) - expected)
            raise ValueError(f"tensors {missing} are missing and {unknown} belong to nothing")
        for slot_of in expected - set(names):
            if shapes[slot_of] != shapes[slot_of.removeprefix("optimizer/").rpartition("/")[0]]:
                raise ValueError(f"{slot_of} must have the shape of its weight")
        _hold_places(model.layers, shapes)
        model.build()
        places: Tensors = {}
        if training is not None:
            trainer = Trainer(model, **training["compile"])
            trainer._release_model()
            for slot, values in trainer.slots.items():
                places |= {_slot_name(name, slot): a for name, a in zip(names, values, strict=True)}
            trainer.set_state({name: _count(training["state"][name]) for name in trainer.state()})
            trainer.iterations = _count(training["iterations"])
        _check_names(model)
        places |= zip(names, model.weights, strict=True)  # now: `compile` may have had another network made
        return model, {name: places[name] for name in shapes}
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError, RecursionError) as error:
        raise ModelFileError(
            f"its description is not one that nnfast writes ({type(error).__name__}: {shortened(str(error))}). "
            "Use a file that `save` wrote."
        ) from error


def _slots(training: Mapping[str, Any]) -> Iterable[str]:
    """Names of the slots that the optimizer has."""
    return _core.RULES[optimizers.get(training["compile"]["optimizer"]).rule][1]


def _weight_names(stack: Iterable[Layer], sample_shape: Iterable[int], shapes: Shapes) -> list[str]:
    """Names of the weights in their order; ValueError if a layer's tensors do not have the shapes they must."""
    names: list[str] = []
    shape = checked_shape(sample_shape)
    for layer in stack:
        after = layer.output_shape(shape)
        for name, size in _sizes(layer, shape, after).items():
            own = f"{layer.name}/{name}"
            if shapes[own] != size:
                raise ValueError(
                    f"the {name} of layer {layer.name!r} must have shape {size}, got {shapes[own]}"
                )
            names.append(own)
        shape = after
    return names


def _sizes(layer: Layer, shape: tuple[int, ...], after: tuple[int, ...]) -> Shapes:

    if not isinstance(layer, Dense):
        return {}
    return {"kernel": (*shape, layer.units)} | ({"bias": after} if layer.use_bias else {})


def _hold_places(stack: Iterable[Layer], shapes: Shapes) -> None:
    """Let a network be built without drawing weights: zeros, of which there is one in memory."""
    for layer in stack:
        own = [f"{layer.name}/{name}" for name in ("kernel", "bias")]
        layer._place([np.broadcast_to(np.float32(0), shapes[name]) for name in own if name in shapes])


def _count(value: object, largest: int = LARGEST_TOTAL) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= largest:
        raise ValueError(f"a count must be a whole number from 0 to {largest}, got {value!r}")
    return value


# Bytes


def _canonical(description: Mapping[str, Any]) -> str:
    def plain(value: object) -> object:  # a seed, say, that was given as a number of NumPy's
        if isinstance(value, np.generic):
            return value.item()
        raise TypeError(f"a model file cannot hold {value!r}. Give a plain number or a string.")

    try:
        return json.dumps(description, sort_keys=True, separators=(",", ":"), allow_nan=False, default=plain)
    except ValueError as error:
        raise ValueError(
            f"a model file cannot hold what its description would have ({error}). "
            "Give numbers that are finite, and not of thousands of digits."
        ) from error


def _write(descriptor: int, description: dict[str, Any], tensors: Tensors) -> None:
    """Write a file: the tensors first, because the checksum over them stands in the header before them."""
    shapes: Shapes = {name: a.shape for name, a in tensors.items()}

    def header(checksum: str) -> bytes:
        return tensorfile.header({KEY: _canonical({**description, "checksum": checksum})}, shapes)

    digest = hashlib.sha256(_canonical(description).encode())
    os.lseek(descriptor, len(header("0" * 2 * digest.digest_size)), os.SEEK_SET)
    pending = bytearray()
    for name, tensor in sorted(tensors.items()):
        digest.update(_mark(name, tensor.shape))
        for piece in tensorfile.pieces(tensor):
            digest.update(piece)
            pending += piece
            if len(pending) >= BLOCK:
                paths.write_all(descriptor, pending)
                pending = bytearray()
    paths.write_all(descriptor, pending)
    os.lseek(descriptor, 0, os.SEEK_SET)
    paths.write_all(descriptor, header(digest.hexdigest()))


def _mark(name: str, shape: tuple[int, ...]) -> bytes:
    """What the checksum has of a tensor before its bytes."""
    return f"{name}:<f4:{shape}\n".encode()


def _load(file: BinaryIO, size: int, make: Callable[[dict[str, Any]], M]) -> M:
    """The model in a file, checked to the last bit."""
    metadata, shapes = tensorfile.read_header(file, size)
    if set(metadata) != {KEY}:
        raise ModelFileError(
            "expected a model that nnfast saved, got a file without its description. Use a file that `save` wrote."
        )
    description = _description(metadata[KEY])
    versions = description.get("format_version"), description.get("random_stream")
    if versions != (FORMAT_VERSION, RANDOM_STREAM):
        raise ModelFileError(
            f"format version and random stream must be {FORMAT_VERSION} and {RANDOM_STREAM}, got "
            f"{versions[0]!r} and {versions[1]!r}, written by nnfast {description.get('nnfast_version')!r}. "
            "Use that version of nnfast."
        )
    if _canonical(description) != metadata[KEY]:
        raise ModelFileError("its description is not written as nnfast writes it. Use another copy.")
    checksum = description.pop("checksum", None)
    begin = file.tell()
    try:
        model, places = _model(description, shapes, make)
    except ModelFileError:
        _read(file, description, shapes, {}, checksum)  # if it is damaged, rather say that
        raise
    file.seek(begin)
    _read(file, description, shapes, places, checksum)
    return model


def _read(
    file: BinaryIO, description: dict[str, Any], shapes: Shapes, places: Tensors, checksum: object
) -> None:
    """Read the tensors to their places; ModelFileError if the checksum does not fit."""
    digest = hashlib.sha256(_canonical(description).encode())
    for name, shape in shapes.items():
        digest.update(_mark(name, shape))
        for piece in tensorfile.read_into(file, math.prod(shape), places.get(name)):
            digest.update(piece)
    if digest.hexdigest() != checksum:
        raise ModelFileError("damaged: its checksum does not fit. Use another copy.")


def _description(text: str) -> dict[str, Any]:
    """The JSON of the metadata; what JSON does not have, keys given twice and deep nesting are refused."""

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        result = dict(pairs)
        if len(result) != len(pairs):
            raise ValueError("a key is given twice")
        return result

    def finite(number: str) -> float:  # of NaN and Infinity as well
        value = float(number)
        if not math.isfinite(value):
            raise ValueError(f"{number} is not finite")
        return value

    try:
        description = json.loads(text, object_pairs_hook=unique, parse_constant=finite, parse_float=finite)
        if not isinstance(description, dict) or description.get("format") != FORMAT:
            raise ValueError("it does not name this format")
        level: list[Any] = [description]
        for _ in range(DEEPEST):
            parents = [value.values() if isinstance(value, dict) else value for value in level]
            level = [child for parent in parents for child in parent if isinstance(child, dict | list)]
        if level:
            raise ValueError(f"it is nested more than {DEEPEST} deep")
    except (ValueError, RecursionError) as error:
        raise ModelFileError(
            f"its description cannot be read ({error}). Use a file that `save` wrote."
        ) from error
    return description
