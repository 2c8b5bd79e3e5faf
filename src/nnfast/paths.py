"""Whether a file can be written, asked before the work whose result it is to hold."""

from __future__ import annotations

import errno
import os
import tempfile
from os import PathLike


def check_writable(path: str | PathLike[str], name: str = "path", replace: bool = True) -> None:
    """Refuse a path to which nothing could be written; nothing is left there.

    Parameters
    ----------
    path : str or path
        Of a file that may exist.
    name : str
        The argument, for messages.
    replace : bool, default True
        An existing file is replaced by a new one, so that its folder must be writable; False: it is written to.

    Raises
    ------
    TypeError
        Not a path.
    ValueError
        An empty one, or one that no system takes.
    OSError
        The subclass that writing would raise: a folder that does not exist, a folder in the place of the file, no
        permission, a disk that is full or read-only.

    Examples
    --------
    >>> check_writable("no such folder/model.safetensors", "filepath")
    Traceback (most recent call last):
    FileNotFoundError: [Errno 2] filepath cannot be written, its folder does not exist: 'no such folder/model.safetensors'
    """
    if not isinstance(path, str | PathLike) or not isinstance(text := os.fspath(path), str):
        raise TypeError(f"{name} must be a str or a path, got {path!r}.")
    if not text or "\0" in text:
        raise ValueError(f"{name} must name a file, got {path!r}.")
    target = os.path.realpath(text)
    folder = os.path.dirname(target)
    if os.path.isdir(target) or text.endswith(os.sep):
        raise IsADirectoryError(errno.EISDIR, f"{name} must be a file, this is a folder", text)
    if not os.path.exists(folder):
        raise FileNotFoundError(errno.ENOENT, f"{name} cannot be written, its folder does not exist", text)
    try:
        exists = _exists(target)
        if exists and not os.access(target, os.W_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        if replace or not exists:
            with tempfile.NamedTemporaryFile(dir=folder, prefix=".nnfast-", suffix=".tmp"):
                pass
    except OSError as error:
        raise type(error)(error.errno, f"{name} cannot be written, {error.strerror}", text) from None


def _exists(path: str) -> bool:
    """Whether there is a file; a name that is too long, or a folder that cannot be searched, is an OSError."""
    try:
        os.lstat(path)
    except FileNotFoundError:
        return False
    return True
