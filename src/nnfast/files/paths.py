"""Which paths may be read and written, and how bytes get to disk whole or not at all.

What the bytes mean is in `saving`, `journal` and `archives`.
"""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import stat
from collections.abc import Iterator
from os import PathLike
from pathlib import Path
from typing import Any, TypeAlias

PathName: TypeAlias = "str | PathLike[str]"
CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
FOREIGN = {
    ".h5": "Keras' HDF5", ".hdf5": "Keras' HDF5", ".keras": "Keras' own", ".tf": "TensorFlow's",
    ".pb": "TensorFlow's", ".tflite": "TensorFlow's", ".onnx": "ONNX", ".pt": "PyTorch's", ".pth": "PyTorch's",
    ".pkl": "pickle", ".pickle": "pickle", ".joblib": "joblib's", ".npz": "NumPy's", ".npy": "NumPy's",
}  # fmt: skip
"""Suffixes that promise a format which nnfast does not write."""
AT_ONCE = getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)


def checked(path: object, argument: str) -> str:
    """The text of a path that could be one of a file.

    Raises
    ------
    TypeError
        Neither text nor a path: None, bytes, a descriptor.
    ValueError
        Empty, or with a character 0.
    """
    if not isinstance(path, str | PathLike) or not isinstance(text := os.fspath(path), str):
        raise TypeError(f"{argument} must be a str or a path, got {path!r}.")
    if not text or "\0" in text:
        raise ValueError(f"{argument} must name a file, got {path!r}.")
    return text


def check_suffix(path: PathName) -> None:
    """Refuse a path whose suffix promises another format than that of a model file.

    Raises
    ------
    ValueError
        .keras, .h5 or the like.
    """
    suffix = Path(checked(path, "the path of a model file")).suffix.lower()
    if suffix in FOREIGN:
        raise ValueError(
            f"a model is saved as a safetensors file, got a path ending in {suffix} ({FOREIGN[suffix]} format). "
            f"Save it as {str(Path(path).with_suffix('.safetensors'))!r}."
        )


# Reading


def open_regular(path: PathName, flags: int = os.O_RDONLY) -> int:
    """Descriptor of a regular file. A pipe would be waited for and a device read for ever: OSError.

    Raises
    ------
    OSError
        There is no such file, it may not be opened, or it is a folder, a pipe, a device or a socket.
    """
    _require_regular(os.stat(path), path)  # a socket cannot be opened, and its error would not say why
    descriptor = os.open(path, flags | AT_ONCE)  # a pipe that came in between is not waited for
    try:
        _require_regular(os.fstat(descriptor), path)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def read_file(path: PathName, most: int) -> bytes:
    """The bytes of a regular file that holds no more than `most`; ValueError for a larger one."""
    with os.fdopen(open_regular(path), "rb") as file:
        data = file.read(most + 1)
    if len(data) > most:
        raise ValueError(f"{path}: expected at most {most:,} bytes, the file has more")
    return data


def _require_regular(status: os.stat_result, path: PathName) -> None:
    if stat.S_ISDIR(status.st_mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    if not stat.S_ISREG(status.st_mode):
        raise OSError(errno.EINVAL, "expected a regular file, this is not one", str(path))


# Writing


def require_writable(path: PathName, argument: str, in_place: bool = False) -> None:
    """Refuse a path that could not be written later, by making a file beside it and removing that again.

    Parameters
    ----------
    path : str or path
    argument : str
        The name under which it was given, for the message.
    in_place : bool, default False
        Whether an existing file will be opened for writing, and not replaced.

    Raises
    ------
    TypeError, ValueError
        Not a path, or an empty one.
    OSError
        Its folder is missing or cannot be written; it is a folder, a pipe, a device or a socket.
    """
    target = Path(os.path.realpath(checked(path, argument)))
    with _naming(argument, path):
        with contextlib.suppress(FileNotFoundError):
            _require_regular(target.stat(), path)
            if in_place and not os.access(target, os.W_OK):
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
        _probe(target)


def make_folder(path: PathName, argument: str) -> Path:
    """A folder into which files can be written; made where there is none.

    Raises
    ------
    OSError
        It cannot be made or written, or is something else.
    """
    folder = Path(path)
    with _naming(argument, path):
        folder.mkdir(parents=True, exist_ok=True)
        _probe(folder / "probe")
    return folder


def _probe(target: Path) -> None:
    beside = _temporary(target)
    os.close(os.open(beside, CREATE, 0o600))
    os.unlink(beside)


@contextlib.contextmanager
def _naming(argument: str, path: PathName) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise OSError(
            error.errno or errno.EIO,
            f"{argument}: it cannot be written ({error.strerror}). Pass a path in a folder that exists and can be",
            str(path),
        ) from None


def write_file(path: PathName, data: bytes, overwrite: bool = True) -> None:
    """Put data in the place of a file, all or nothing, as `replacing` does."""
    with replacing(path, overwrite) as descriptor:
        write_all(descriptor, data)


def write_all(descriptor: int, data: Any) -> None:
    """Write a buffer to its end."""
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(descriptor, rest) :]


@contextlib.contextmanager
def replacing(path: PathName, overwrite: bool = True) -> Iterator[int]:
    """Descriptor of a new file that takes the place of an old one when the block ends well.

    It is a temporary file in the same folder, synced and renamed; a crash leaves the old file or the new one.
    An existing file keeps its mode; a symbolic link stays, and what it points to is replaced.

    Parameters
    ----------
    path : str or path
    overwrite : bool, default True
        False: of any number of processes, one makes the file, and the others get FileExistsError.

    Raises
    ------
    FileExistsError
        `overwrite` is False and there is a file.
    OSError
        What the file system says. The old file is as it was, unless the last step, the sync of the folder,
        failed: then the new one is in its place. What is not a file is not replaced.
    """
    target = Path(os.path.realpath(path))
    mode = None
    with contextlib.suppress(FileNotFoundError):  # also where it vanishes just now
        status = target.stat()
        _require_regular(status, path)
        if not overwrite:
            raise _exists(path)
        mode = stat.S_IMODE(status.st_mode)
    temporary = _temporary(target)
    try:
        descriptor = os.open(temporary, CREATE, 0o666)
    except OSError as error:
        error.filename = str(path)  # the name that the caller knows
        raise
    try:
        try:
            if mode is not None:
                os.chmod(temporary, mode)
            yield descriptor
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        if overwrite:
            os.replace(temporary, target)
        else:
            _put_new(temporary, target, path)
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


def _put_new(temporary: Path, target: Path, path: PathName) -> None:
    """Give a file its name, unless another one has it: a link is refused then, where a rename would replace."""
    try:
        os.link(temporary, target)
    except FileExistsError:
        raise _exists(path) from None
    except (OSError, AttributeError, NotImplementedError):  # a file system without links
        try:
            os.close(os.open(target, CREATE, 0o666))  # the name is taken by an empty file first
        except FileExistsError:
            raise _exists(path) from None
        try:
            os.replace(temporary, target)
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(target)
            raise
        return
    os.unlink(temporary)


def _exists(path: PathName) -> FileExistsError:
    return FileExistsError(
        errno.EEXIST, "overwrite is False and there is a file. Pass another path", str(path)
    )


def _temporary(target: Path) -> Path:
    return target.with_name(f".nnfast-{secrets.token_hex(8)}.tmp")
