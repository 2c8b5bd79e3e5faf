"""Model files: a safetensors file whose metadata describes the model in JSON, and how it gets to disk whole
or not at all.

Tensors are the weights (`dense/kernel`) and, of a compiled model, the optimizer's slots
(`optimizer/dense/kernel/velocity`). The description has the architecture, the arguments of `compile`, the
number of updates, the place in the random stream, and a SHA-256 over all of that and over the names, shapes
and bytes of the tensors. A file is accepted only if writing its content again gives the same bytes, checksum
included: no bit of it can be wrong. Nothing in a file is executed, and nothing is made whose size has not
been held against the tensors that are there.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import math
import os
import secrets
import stat
from collections.abc import Mapping
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from .errors import ModelFileError
from .trainer import LARGEST_TOTAL

if TYPE_CHECKING:
    from .models import Sequential

FORMAT = "nnfast model"
FORMAT_VERSION = 1
RANDOM_STREAM = 1  # the version of csrc/random.h
KEY = "nnfast"  # of the description in the metadata
FOREIGN = {
    ".h5": "Keras' HDF5", ".hdf5": "Keras' HDF5", ".keras": "Keras' own", ".tf": "TensorFlow's",
    ".pb": "TensorFlow's", ".tflite": "TensorFlow's", ".onnx": "ONNX", ".pt": "PyTorch's", ".pth": "PyTorch's",
    ".pkl": "pickle", ".pickle": "pickle", ".joblib": "joblib's", ".npz": "NumPy's", ".npy": "NumPy's",
}  # fmt: skip
"""Suffixes that promise a format which `save_model` does not write."""
DEEPEST = 12  # levels of nesting in a description; those that `save_model` writes have 7
CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)

Tensors = dict[str, NDArray[np.float32]]


def save_model(model: Sequential, path: str | PathLike[str], overwrite: bool = True) -> None:
    """Write a model with its training state, all or nothing.

    The bytes go to a temporary file in the same folder, are synced, and take the place of the old file by a
    rename; a crash leaves the old file or the new one. An existing file keeps its mode; a symbolic link
    stays, and what it points to is replaced.

    Parameters
    ----------
    model : Sequential
        Built; compiled or not.
    path : str or path
        Conventionally with the suffix .safetensors; one of another format, as .keras or .h5, is refused.
    overwrite : bool, default True
        False: an existing file is an error.

    Raises
    ------
    ValueError
        The suffix is that of another format; the model has no weights yet; or something in it is of the user's own class, or has a name that is
        not a string: `load_model` could not make it again.
    RuntimeError
        The model is being trained by another thread.
    FileExistsError
        `overwrite` is False and there is a file.
    OSError
        What the file system says. The old file is as it was, unless the last step, the sync of the folder,
        failed: then the new one is in its place. What is not a file is not replaced.
    """
    check_suffix(path)
    if not model.built:
        raise ValueError(
            f"the model {model.name!r} has no weights to save yet. "
            "Begin it with layers.Input(shape), or call fit or build first."
        )
    target = Path(os.path.realpath(path))
    if not overwrite and target.exists():
        raise FileExistsError(
            errno.EEXIST, "overwrite is False and there is a file. Pass another path", str(path)
        )
    with model.use:
        contents = _contents(model)
    write_file(target, _serialize(*contents))


def check_suffix(path: str | PathLike[str]) -> None:
    """Refuse a path whose suffix promises another format than that of a model file.

    Raises
    ------
    ValueError
        .keras, .h5 or the like.
    """
    suffix = Path(path).suffix.lower()
    if suffix in FOREIGN:
        raise ValueError(
            f"a model is saved as a safetensors file, got a path ending in {suffix} ({FOREIGN[suffix]} format). "
            f"Save it as {str(Path(path).with_suffix('.safetensors'))!r}."
        )


def load_model(path: str | PathLike[str]) -> Sequential:
    """The model in a file that `save_model` wrote; its training goes on exactly where it stopped.

    Raises
    ------
    ModelFileError
        Not such a file, a damaged one, or one of a later version.
    OSError
        The file cannot be read.

    Examples
    --------
    >>> import tempfile
    >>> import nnfast as nn
    >>> model = nn.Sequential([nn.layers.Input((2,)), nn.layers.Dense(1)], seed=0)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     model.save(f"{folder}/model.safetensors")
    ...     copy = nn.load_model(f"{folder}/model.safetensors")
    >>> bool((copy.get_weights()[0] == model.get_weights()[0]).all())
    True
    """
    _mode(Path(path))
    data = Path(path).read_bytes()
    try:
        return _model(*_parse(data))
    except ModelFileError as error:
        raise ModelFileError(f"{path}: {error}") from error.__cause__


# What is in a file


def _contents(model: Sequential) -> tuple[dict[str, Any], Tensors]:
    """Description (without checksum) and tensors; ValueError for what `_model` would refuse."""
    from . import __version__, layers, losses, metrics, optimizers

    _check_names(model)
    names = model.weight_names
    tensors: Tensors = dict(zip(names, model.get_weights(), strict=True))
    description: dict[str, Any] = {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "nnfast_version": __version__,
        "random_stream": RANDOM_STREAM,
        "model": model.get_config(),
        "trainer": None,
    }
    trainer = model.trainer
    if trainer is not None:
        for slot, values in trainer.slots.items():
            tensors |= {_slot_name(name, slot): a.copy() for name, a in zip(names, values, strict=True)}
        description["trainer"] = {
            "compile": trainer.get_config(),
            "state": trainer.state(),
            "iterations": trainer.iterations,
        }
        compiled = description["trainer"]["compile"]
        optimizers.get(compiled["optimizer"])
        losses.get(compiled["loss"])
        for metric in compiled["metrics"]:
            metrics.get(metric)
    for layer in description["model"]["layers"]:
        layers.get(layer)
    return description, tensors


def _check_names(model: Sequential) -> None:
    seen: set[object] = set()
    for layer in model.layers:
        if layer.name in seen:
            raise ValueError(
                f"layers of a model must have different names, got {layer.name!r} twice. "
                "Rename one: layer.name = 'another'."
            )
        seen.add(layer.name)
    named: Any
    for named in (model, *model.layers, *(model.trainer.metrics if model.trainer else ())):
        if not isinstance(named.name, str):
            raise ValueError(
                f"the name of a {type(named).__name__} must be a string, got {named.name!r}. "
                "Pass another name= to it."
            )
        try:
            named.name.encode()
        except UnicodeEncodeError:
            raise ValueError(
                f"the name of a {type(named).__name__} must be text that UTF-8 can hold, got {named.name!r}. "
                "Pass another name= to it."
            ) from None


def _slot_name(weight: str, slot: str) -> str:
    # The slot stands last: no layer can be called so that one of its weights gets the same name.
    return f"optimizer/{weight}/{slot}"


def _model(description: dict[str, Any], tensors: Tensors) -> Sequential:
    """The model that contents describe."""
    from .models import Sequential

    try:
        config, training = description["model"], description["trainer"]
        _count(config["seed"], 2**64 - 1)
        if len(config["sample_shape"]) > 63:  # NumPy's arrays have 64 axes at most
            raise ValueError(f"sample_shape has {len(config['sample_shape'])} axes")
        model = Sequential.from_config(config)
        names = _take_weights(model, config["sample_shape"], tensors)
        model.build()
        expected = set(names)
        if training is not None:
            model.compile(**training["compile"])
            trainer = model.trainer
            assert trainer is not None
            slots = {slot: [tensors[_slot_name(name, slot)] for name in names] for slot in trainer.slots}
            expected |= {_slot_name(name, slot) for slot in slots for name in names}
            trainer.set_slots(slots)
            trainer.set_state({name: _count(training["state"][name]) for name in trainer.state()})
            trainer.iterations = _count(training["iterations"])
        _check_names(model)
        if expected != set(tensors):
            raise ValueError(f"tensors {sorted(set(tensors) - expected)} belong to nothing")
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise ModelFileError(
            f"its description is not one that nnfast writes ({type(error).__name__}: {error}). "
            "Use a file that `save` wrote."
        ) from error
    return model


def _take_weights(model: Sequential, sample_shape: list[int], tensors: Tensors) -> list[str]:
    """Give each layer its tensors, by name, before a network is made; ValueError if sizes do not agree."""
    from .layers import Dense, checked_shape

    names: list[str] = []
    shape = checked_shape(sample_shape)
    for layer in model.layers:
        after = layer.output_shape(shape)
        if isinstance(layer, Dense):
            sizes = {"kernel": (*shape, layer.units)} | ({"bias": after} if layer.use_bias else {})
            for name, size in sizes.items():
                if tensors[f"{layer.name}/{name}"].shape != size:
                    raise ValueError(f"the {name} of layer {layer.name!r} must have shape {size}")
            own = [f"{layer.name}/{name}" for name in sizes]
            layer.place([tensors[name] for name in own])
            names += own
        shape = after
    return names


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

    return json.dumps(description, sort_keys=True, separators=(",", ":"), allow_nan=False, default=plain)


def _checksum(description: Mapping[str, Any], tensors: Tensors) -> str:
    digest = hashlib.sha256(_canonical(description).encode())
    for name, a in sorted(tensors.items()):
        digest.update(f"{name}:{a.dtype.str}:{a.shape}\n".encode())
        digest.update(np.ascontiguousarray(a, a.dtype.newbyteorder("<")).data)
    return digest.hexdigest()


def _serialize(description: dict[str, Any], tensors: Tensors) -> bytes:
    from safetensors.numpy import save

    body = {key: value for key, value in description.items() if key != "checksum"}
    whole = {**body, "checksum": _checksum(body, tensors)}
    return save(tensors, metadata={KEY: _canonical(whole)})


def _parse(data: bytes) -> tuple[dict[str, Any], Tensors]:
    """Description and tensors of a file's bytes, checked to the last bit."""
    from safetensors import SafetensorError
    from safetensors.numpy import load

    try:
        tensors = load(data)  # first, so that what it refuses is refused
        text = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])["__metadata__"][KEY]
    except (SafetensorError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise ModelFileError(
            f"expected a model that nnfast saved, got another file or a damaged one "
            f"({type(error).__name__}: {error}). Use a file that `save` wrote."
        ) from error
    description = _description(text)
    versions = description.get("format_version"), description.get("random_stream")
    if versions != (FORMAT_VERSION, RANDOM_STREAM):
        raise ModelFileError(
            f"format version and random stream must be {FORMAT_VERSION} and {RANDOM_STREAM}, got "
            f"{versions[0]!r} and {versions[1]!r}, written by nnfast {description.get('nnfast_version')!r}. "
            "Use that version of nnfast."
        )
    if any(a.dtype != np.float32 for a in tensors.values()):
        raise ModelFileError("all tensors must be float32, got others. Use a file that `save` wrote.")
    if _serialize(description, tensors) != data:
        raise ModelFileError("damaged: its checksum does not fit. Use another copy.")
    return description, tensors


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


# Disk


def _mode(path: Path) -> int:
    """Mode of a file. A pipe would be waited for, a device read for ever or replaced: OSError."""
    mode = path.stat().st_mode
    if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):  # a folder gets its usual error
        raise OSError(errno.EINVAL, "expected a regular file, this is not one", str(path))
    return stat.S_IMODE(mode)


def write_file(path: str | PathLike[str], data: bytes) -> None:
    """Put data in the place of a file, all or nothing, as `save_model` does."""
    target = Path(os.path.realpath(path))
    mode = _mode(target) if target.exists() else None
    temporary = target.with_name(f".nnfast-{secrets.token_hex(8)}.tmp")
    try:
        descriptor = os.open(temporary, CREATE, 0o666)
        try:
            if mode is not None:
                os.chmod(temporary, mode)
            rest = memoryview(data)
            while rest:
                rest = rest[os.write(descriptor, rest) :]
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        os.replace(temporary, target)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise
    if hasattr(os, "O_DIRECTORY"):  # where a folder can be opened, make the rename itself durable
        descriptor = os.open(target.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
