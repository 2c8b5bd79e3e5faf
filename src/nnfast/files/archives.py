"""Arrays out of .npy and .npz files that anybody may have made.

NumPy's own reader trusts a file: it inflates what it is told to, and its errors are those of five libraries.
Here the size that an array declares is held against the memory that there is before anything is inflated,
no more than that is inflated, and whatever is wrong is one ValueError.
"""

from __future__ import annotations

import io
import lzma
import math
import os
import struct
import warnings
import zipfile
import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from ..names import shortened
from . import paths

COPIES = 24
"""Bytes for each number besides two copies as it is: float64 as it is scaled, twice, and float32 with a mask."""
LONGEST_HEADER = 10_000
"""Bytes; that of an array of numbers has about a hundred."""
PIECE = 1 << 20
UNKNOWN = 4 * 2**30
"""Bytes that are taken to be there where the system does not say."""
METHODS = (
    zipfile.ZIP_STORED,
    zipfile.ZIP_DEFLATED,
)  # what NumPy writes; others may ask for gigabytes at once
ENCRYPTED = 1  # flag of a member

Array = NDArray[Any]


def read_npy(path: str | os.PathLike[str]) -> Array:
    """The array of numbers in a .npy file.

    Raises
    ------
    ValueError
        Another file, a damaged one, an array of objects, or one too large for the memory that is available.
    OSError
        The file cannot be read, or is no regular file.
    """
    with os.fdopen(paths.open_regular(path), "rb") as file:
        try:
            return _array(file, "the array", os.fstat(file.fileno()).st_size)
        except ValueError as error:
            raise ValueError(f"{path}: expected a .npy file, received {_one_line(error)}") from None


def read_npz(path: str | os.PathLike[str], names: Iterable[str]) -> list[Array]:
    """The arrays of numbers of these names in an .npz file.

    Raises
    ------
    ValueError
        Another file, a damaged or encrypted one, an array that is missing, of objects, or too large.
    OSError
        The file cannot be read, or is no regular file.
    """
    names = list(names)
    with os.fdopen(paths.open_regular(path), "rb") as file:
        try:
            with zipfile.ZipFile(file) as archive:
                return [_member(archive, name, names) for name in names]
        except KeyError as error:
            raise ValueError(
                f"{path}: expected arrays {' and '.join(names)}, received {error.args[0]}"
            ) from None
        # RuntimeError: an encrypted member; the rest: fields of the archive that make no sense
        except (
            zipfile.BadZipFile, zlib.error, lzma.LZMAError, struct.error, EOFError, RuntimeError, ValueError,
            OverflowError, IndexError, OSError,
        ) as error:  # fmt: skip
            raise ValueError(
                f"{path}: expected an .npz file with arrays {' and '.join(names)}, received {_one_line(error)}"
            ) from None


def _one_line(error: Exception) -> str:
    return shortened(" ".join(str(error).split()) or type(error).__name__, 500)


def _member(archive: zipfile.ZipFile, name: str, names: list[str]) -> Array:
    found = [info for info in archive.infolist() if info.filename in (name, f"{name}.npy")]
    if not found:
        others = ", ".join(info.filename.removesuffix(".npy") for info in archive.infolist()) or "none"
        raise KeyError(shortened(others, 200))
    info = found[0]
    if len(found) > 1:
        raise ValueError(f"{name} twice")
    if info.flag_bits & ENCRYPTED:
        raise ValueError(f"an encrypted {name}. Save it without a password.")
    if info.compress_type not in METHODS:
        kind = zipfile.compressor_names.get(info.compress_type, str(info.compress_type))  # type: ignore[attr-defined]
        raise ValueError(f"{name} compressed by {kind}. Write the file with numpy.savez_compressed.")
    with archive.open(info) as stream:
        return _array(stream, name, info.file_size)


def _array(stream: IO[bytes], name: str, size: int) -> Array:
    """Read the one array that a stream of announced `size` holds."""
    shape, fortran, dtype, begin = _header(stream, name)
    if dtype.hasobject:
        raise ValueError(
            f"{name} of Python objects, which could run anything when they are read. Save numbers."
        )
    if dtype.kind not in "biufSU" or dtype.itemsize == 0:
        raise ValueError(f"{name} of type {dtype}. Save numbers.")
    if any(length < 0 for length in shape) or len(shape) > 32:
        raise ValueError(f"{name} of shape {shortened(str(shape), 100)}")
    count = math.prod(shape)
    room = available_memory()
    needed = count * (2 * dtype.itemsize + COPIES)
    if needed > room:
        raise ValueError(
            f"{name} of shape {shape} and type {dtype}, which takes {needed / 1e9:.3g} GB of memory "
            f"to work with, where {room / 1e9:.3g} are available. Pass fewer rows."
        )
    if size - begin != count * dtype.itemsize:
        raise ValueError(
            f"{name} of shape {shape} and type {dtype} in {max(0, size - begin)} bytes. It is damaged, or holds more."
        )
    flat = np.empty(count, dtype)
    raw = memoryview(flat.view(np.uint8)) if count else memoryview(b"")  # type: ignore[arg-type]
    filled = 0
    while filled < len(raw):
        piece = stream.read(min(PIECE, len(raw) - filled))
        if not piece:
            raise ValueError(f"{name} that is cut off")
        raw[filled : filled + len(piece)] = piece
        filled += len(piece)
    if stream.read(1):  # this also has the checksum of a member checked
        raise ValueError(f"{name} with more than one array")
    return flat.reshape(shape, order="F" if fortran else "C")


def _header(stream: IO[bytes], name: str) -> tuple[tuple[int, ...], bool, np.dtype[Any], int]:
    """Shape, order and type of an array, and the length of what says so."""
    magic = np.lib.format.MAGIC_PREFIX
    start = stream.read(len(magic) + 2)
    if not start.startswith(magic):
        raise ValueError(f"{name} that is no array" if start else f"{name} that is empty")
    version = tuple(start[len(magic) :])
    width = 2 if version == (1, 0) else 4
    length = stream.read(width)
    count = int.from_bytes(length, "little")
    if version not in ((1, 0), (2, 0)) or len(length) < width or count > LONGEST_HEADER:
        raise ValueError(f"{name} in a form that is not one of numbers")
    header = io.BytesIO(length + stream.read(count))
    parse = np.lib.format.read_array_header_1_0 if width == 2 else np.lib.format.read_array_header_2_0
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of headers that Python 2 wrote
            shape, fortran, dtype = parse(header)
    except Exception as error:  # a literal of Python is parsed, which can fail in many ways
        raise ValueError(f"{name} that does not say what it is ({_one_line(error)})") from None
    return shape, fortran, dtype, len(start) + width + count


def available_memory() -> int:
    """Bytes that this process can have: by the system, the container and the process's own limit."""
    return min(filter(None, (_system(), _container(), _limit())), default=UNKNOWN)


def _system() -> int | None:
    try:
        for line in Path("/proc/meminfo").read_text(encoding="ascii").splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, AttributeError, IndexError):
        return None


def _container() -> int | None:
    group = Path("/sys/fs/cgroup")
    try:
        most = (group / "memory.max").read_text(encoding="ascii").strip()
        used = int((group / "memory.current").read_text(encoding="ascii"))
        return None if most == "max" else max(1, int(most) - used)
    except (OSError, ValueError):
        return None


def _limit() -> int | None:
    try:
        import resource

        most = resource.getrlimit(resource.RLIMIT_AS)[0]
        used = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0]) * resource.getpagesize()
    except (ImportError, OSError, ValueError):
        return None
    return None if most == resource.RLIM_INFINITY else max(1, most - used)
