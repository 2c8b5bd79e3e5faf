"""Model files: a safetensors file whose metadata holds a JSON description, and how it gets to disk whole or not at all.

Tensors are the weights (`dense/kernel`, ...) and, of a compiled model, the optimizer's slots (`optimizer/velocity/dense/kernel`). The description has
the architecture, the arguments of `compile`, the number of updates, the place in the random stream, and a SHA-256 over all of that and over
the tensors' names, shapes and bytes. A file is accepted only if the checksum holds and if writing its content again gives the same bytes, so that not
one bit of it can be wrong. Nothing in a file is executed, and nothing larger than the file is allocated before it has been checked.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
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

if TYPE_CHECKING:
    from .models import Sequential

FORMAT = "nnfast model"
FORMAT_VERSION = 1
RANDOM_STREAM = 1  # the version of csrc/random.h
KEY = "nnfast"  # of the description in the metadata
DEEPEST = 12  # levels of nesting in a description; those that `save_model` writes have 6

Tensors = dict[str, NDArray[np.float32]]


def save_model(model: Sequential, path: str | PathLike[str], overwrite: bool = True) -> None:
    """Write a model with its training state, all or nothing.

    The bytes go to a temporary file in the same folder, are synced, and take the place of the old file by a rename; a crash leaves the
    old file or the new one. An existing file keeps its mode; a symbolic link stays, what it points to is replaced.

    Parameters
    ----------
    model : Sequential
        Built; compiled or not.
    path : str or path
        Conventionally with the suffix .safetensors.
    overwrite : bool, default True
        False: an existing file is an error.

    Raises
    ------
    ValueError
        The model has no weights yet.
    FileExistsError
        `overwrite` is False and there is a file.
    OSError
        What the file system says; the old file is as it was.
    """
    if not model.built:
        raise ValueError(
            "save: expected a model with weights, received one whose input shape is not known yet. "
            "Begin it with layers.Input(shape), or fit it first."
        )
    target = Path(os.path.realpath(path))
    if not overwrite and target.exists():
        raise FileExistsError(f"save: {path} exists, and overwrite is False")
    _write(target, _serialize(*_contents(model)))


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
    data = Path(path).read_bytes()
    try:
        return _model(*_parse(data))
    except ModelFileError as error:
        raise ModelFileError(f"{path}: {error}") from error.__cause__


# What is in a file


def _contents(model: Sequential) -> tuple[dict[str, Any], Tensors]:
    """Description (without checksum) and tensors."""
    tensors: Tensors = dict(zip(model.weight_names, model.get_weights(), strict=True))
    description: dict[str, Any] = {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "random_stream": RANDOM_STREAM,
        "model": model.get_config(),
        "trainer": None,
    }
    trainer = model.trainer
    if trainer is not None:
        for slot, arrays in trainer.slots.items():
            tensors |= {
                f"optimizer/{slot}/{name}": a for name, a in zip(model.weight_names, arrays, strict=True)
            }
        description["trainer"] = {
            "compile": trainer.get_config(),
            "state": trainer.state(),
            "iterations": trainer.iterations,
        }
    return description, tensors


def _model(description: dict[str, Any], tensors: Tensors) -> Sequential:
    """The model that contents describe. Sizes are held against the tensors of the file before weights are made."""
    from .models import Sequential

    try:
        config, training = description["model"], description["trainer"]
        _check_sizes(config, tensors)
        model = Sequential.from_config(config)
        model.build((None, *config["sample_shape"]))
        names = model.weight_names
        expected = set(names)
        model.set_weights([tensors[name] for name in names])
        if training is not None:
            model.compile(**training["compile"])
            trainer = model.trainer
            assert trainer is not None
            slots = {slot: [tensors[f"optimizer/{slot}/{name}"] for name in names] for slot in trainer.slots}
            expected |= {f"optimizer/{slot}/{name}" for slot in slots for name in names}
            trainer.set_slots(slots)
            trainer.set_state({name: _count(training["state"][name]) for name in trainer.state()})
            trainer.iterations = _count(training["iterations"])
        if expected != set(tensors):
            raise ValueError(f"tensors {sorted(set(tensors) - expected)} belong to nothing")
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise ModelFileError(
            f"its description is not one that nnfast writes ({type(error).__name__}: {error}). Use the file that `save` wrote."
        ) from error
    return model


def _check_sizes(config: dict[str, Any], tensors: Tensors) -> None:
    """ValueError if the kernels that the layers need hold more than the tensors of the file: before any is made."""
    inputs, needed = 1, 0
    for extent in config["sample_shape"]:
        inputs *= _count(extent)
    for layer in config["layers"]:
        units = layer["config"].get("units")
        if units is not None:
            needed += inputs * _count(units)
            inputs = units
    held = sum(a.size for a in tensors.values())
    if needed > held:
        raise ValueError(f"the layers need {needed} weights, the file has {held}")


def _count(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < 2**63:
        raise ValueError(f"expected a count from 0 to 2**63 - 1, received {value!r}")
    return value


# Bytes


def _canonical(description: Mapping[str, Any]) -> str:
    return json.dumps(description, sort_keys=True, separators=(",", ":"), allow_nan=False)


def _checksum(description: Mapping[str, Any], tensors: Tensors) -> str:
    digest = hashlib.sha256(_canonical(description).encode())
    for name, a in sorted(tensors.items()):
        digest.update(f"{name}:{a.dtype.str}:{a.shape}\n".encode())
        digest.update(np.ascontiguousarray(a).data)
    return digest.hexdigest()


def _serialize(description: dict[str, Any], tensors: Tensors) -> bytes:
    from safetensors.numpy import save

    body = {key: value for key, value in description.items() if key != "checksum"}
    whole = {**body, "checksum": _checksum(body, tensors)}
    return save(
        {name: np.ascontiguousarray(a) for name, a in tensors.items()}, metadata={KEY: _canonical(whole)}
    )


def _parse(data: bytes) -> tuple[dict[str, Any], Tensors]:
    """Description and tensors of a file's bytes, checked to the last bit."""
    from safetensors import SafetensorError
    from safetensors.numpy import load

    if len(data) < 8 or not 2 <= int.from_bytes(data[:8], "little") <= len(data) - 8:
        raise ModelFileError(
            "expected a safetensors file, received one that is too short or whose header is not there"
        )
    header = data[8 : 8 + int.from_bytes(data[:8], "little")]
    try:
        text = json.loads(header)["__metadata__"][KEY]
        tensors = load(data)
    except (SafetensorError, ValueError, KeyError, TypeError, RecursionError, AttributeError) as error:
        raise ModelFileError(
            f"expected a model that nnfast saved, received something else or a damaged file ({type(error).__name__}: {error})"
        ) from error
    description = _description(text)
    if (
        description.get("format_version") != FORMAT_VERSION
        or description.get("random_stream") != RANDOM_STREAM
    ):
        raise ModelFileError(
            f"expected format version {FORMAT_VERSION} with random stream {RANDOM_STREAM}, received "
            f"{description.get('format_version')!r} and {description.get('random_stream')!r}. Upgrade nnfast."
        )
    if any(a.dtype != np.float32 or a.ndim not in {1, 2} for a in tensors.values()):
        raise ModelFileError("expected float32 tensors of one or two dimensions, received others")
    if _serialize(description, tensors) != data:
        raise ModelFileError("its checksum does not fit: the file is damaged. Use another copy.")
    return description, tensors


def _description(text: object) -> dict[str, Any]:
    """The JSON of the metadata; constants that JSON does not have, keys given twice and deep nesting are refused."""

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        result = dict(pairs)
        if len(result) != len(pairs):
            raise ValueError("a key is given twice")
        return result

    def refuse(constant: str) -> None:
        raise ValueError(f"{constant} is not JSON")

    try:
        if not isinstance(text, str):
            raise TypeError(f"expected text, received {type(text).__name__}")
        level = deepest = 0
        for character in text:
            level += (character in "[{") - (character in "]}")
            deepest = max(deepest, level)
        if deepest > DEEPEST:
            raise ValueError(f"it is nested {deepest} deep")
        description = json.loads(text, object_pairs_hook=unique, parse_constant=refuse)
        if not isinstance(description, dict) or description.get("format") != FORMAT:
            raise ValueError("it does not name this format")
    except (TypeError, ValueError, RecursionError) as error:
        raise ModelFileError(
            f"its description cannot be read ({error}). Use the file that `save` wrote."
        ) from error
    return description


# Disk


def _write(target: Path, data: bytes) -> None:
    """Put data in the place of target, all or nothing."""
    temporary = target.with_name(f".{target.name}.{secrets.token_hex(8)}.tmp")
    try:
        descriptor = os.open(
            temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), 0o666
        )
        try:
            if target.exists():
                os.chmod(temporary, stat.S_IMODE(target.stat().st_mode))
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
    _sync_folder(target.parent)


def _sync_folder(folder: Path) -> None:
    """Make the rename itself durable, where a folder can be opened."""
    if not hasattr(os, "O_DIRECTORY"):
        return
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
