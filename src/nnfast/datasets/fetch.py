"""Where published files come from: the caller's folders, the user's cache, the publishers' servers.

This is the only place that knows addresses and checksums. What the bytes mean is in `idx` and in the module
of each data set. The checksum is that of the bytes after decompression, because mirrors compress anew; it is
checked at every read, so that a file which is not the published one can come neither from a server nor from a
disk.
"""

from __future__ import annotations

import errno
import gzip
import hashlib
import importlib
import io
import os
import sys
import tempfile
import warnings
import zlib
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, TypeAlias

from ..callbacks.progress import is_open
from ..names import shortened

DATA_DIR_VARIABLE = "NNFAST_DATA_DIR"
TIMEOUT = 30.0
"""Seconds a server may stay silent."""

Folder: TypeAlias = "str | os.PathLike[str]"


class Published(NamedTuple):
    """A file as its publisher means it: sha256 and number of its bytes after decompression."""

    sha256: str
    size: int


_IDX_SIZES = {
    "train-images-idx3-ubyte.gz": 47_040_016,
    "train-labels-idx1-ubyte.gz": 60_008,
    "t10k-images-idx3-ubyte.gz": 7_840_016,
    "t10k-labels-idx1-ubyte.gz": 10_008,
}


def _idx_files(*digests: str) -> dict[str, Published]:
    """MNIST and the sets made after it share names and sizes."""
    sizes = _IDX_SIZES.items()
    return {name: Published(digest, size) for (name, size), digest in zip(sizes, digests, strict=True)}


FILES: dict[str, dict[str, Published]] = {
    "mnist": _idx_files(
        "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
        "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
        "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
        "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
    ),
    "fashion-mnist": _idx_files(
        "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
        "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
        "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
        "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
    ),
    "wine-quality": {
        "winequality-white.csv": Published(
            "76c3f809815c17c07212622f776311faeb31e87610d52c26d87d6e361b169836", 264_426
        ),
    },
}
"""Data set -> file name -> what it must be."""

PUBLISHERS: dict[str, tuple[str, ...]] = {
    "mnist": (
        "https://ossci-datasets.s3.amazonaws.com/mnist/",
        "https://storage.googleapis.com/cvdf-datasets/mnist/",
    ),
    # This server has no https; the checksum is what is trusted.
    "fashion-mnist": ("http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",),
    "wine-quality": ("https://archive.ics.uci.edu/ml/machine-learning-databases/wine-quality/",),
}
"""Data set -> base addresses, tried in this order; a file name is appended."""

_GZIP_MAGIC = b"\x1f\x8b"


class Refused(ValueError):
    """Bytes that are not the published file."""


class Namesake(Refused):
    """Bytes that are the published file of this name of another data set."""


def load(
    dataset: str,
    data_dir: Folder | None = None,
    last_resort: Callable[[], dict[str, bytes]] | None = None,
    remedy: str = "",
) -> dict[str, bytes]:
    """Find, or download into the cache, all files of a data set.

    Each file is looked for in `data_dir`, in the folder that NNFAST_DATA_DIR names, in the user's cache, and
    with the publishers. In the two folders it may lie in a subfolder named like the data set, and unpacked.

    Parameters
    ----------
    dataset : str
        A key of `FILES`.
    data_dir : path, optional
        Folder that is searched first.
    last_resort : callable, optional
        Called when a file is found nowhere; returns all files of the set.
    remedy : str
        What else the caller could do, for the message.

    Returns
    -------
    dict
        File name -> bytes after decompression, in the order of `FILES`.

    Raises
    ------
    ValueError
        A file in one of the two folders is not the published one. It was put there on purpose, so it is not
        passed over; only the file of the same name of another data set is (MNIST beside Fashion-MNIST).
    FileNotFoundError
        A file is nowhere; the message lists every place tried.

    Warns
    -----
    UserWarning
        A file in the cache is damaged; it is fetched again.
    """
    contents: dict[str, bytes] = {}
    for name in FILES[dataset]:
        tried: list[str] = []
        content = (
            _from_folders(dataset, name, data_dir, tried)
            or _from_cache(dataset, name, tried)
            or _from_publishers(dataset, name, tried)
        )
        if content is None:
            if last_resort is not None:
                try:
                    return last_resort()
                except (OSError, ValueError) as error:
                    tried.append(str(error))
            raise _not_found(dataset, name, tried, remedy)
        contents[name] = content
    return contents


def verified(dataset: str, name: str, stream: BinaryIO) -> bytes:
    """Read a published file, compressed or not, and never more of it than it should hold.

    Raises
    ------
    Refused
        The bytes are cut off, damaged, or others.
    """
    expected = FILES[dataset][name]
    packed = stream.read(2) == _GZIP_MAGIC
    stream.seek(0)
    try:
        # One byte more than expected: it shows what is too long, and makes gzip check its own end.
        content = (gzip.GzipFile(fileobj=stream) if packed else stream).read(expected.size + 1)
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise Refused(f"it cannot be decompressed: {error}") from None
    digest = hashlib.sha256(content).hexdigest()
    if digest == expected.sha256:
        return content
    for other, files in FILES.items():
        if name in files and files[name].sha256 == digest:
            raise Namesake(f"it is the file of this name of {other}")
    if len(content) > expected.size:
        raise Refused(f"it holds more than the expected {expected.size} bytes")
    raise Refused(
        f"its sha256 after decompression is {digest} ({len(content)} bytes), expected {expected.sha256} "
        f"({expected.size} bytes)"
    )


def store(dataset: str, name: str, content: bytes, packed: bytes = b"") -> None:
    """Put a verified file into the cache, whole or not at all; warn if the cache cannot be written.

    Parameters
    ----------
    content : bytes
        After decompression.
    packed : bytes
        The same as it came; compressed here if it is not.
    """
    if name.endswith(".gz"):
        content = packed if packed.startswith(_GZIP_MAGIC) else gzip.compress(content, 6, mtime=0)
    try:
        path = cache_dir() / dataset / name
        path.parent.mkdir(parents=True, exist_ok=True)
        # Not synced: the checksum at the next read finds what a power cut may have left.
        with tempfile.NamedTemporaryFile(dir=path.parent, prefix=f".{name}.", delete=False) as temporary:
            try:
                temporary.write(content)
                temporary.close()
                os.replace(temporary.name, path)
            except BaseException:
                with suppress(OSError):
                    os.unlink(temporary.name)
                raise
    except OSError as error:
        warnings.warn(f"{name} of {dataset} could not be kept in the cache: {error}", stacklevel=2)


def cache_dir() -> Path:
    """The folder of nnfast in the place where this system keeps what programs can fetch again."""
    if sys.platform == "win32":
        given, usual = os.environ.get("LOCALAPPDATA"), Path("AppData", "Local")
    elif sys.platform == "darwin":
        given, usual = None, Path("Library", "Caches")
    else:
        given, usual = os.environ.get("XDG_CACHE_HOME"), Path(".cache")
    # The XDG specification: a relative path is invalid and ignored.
    if given and os.path.isabs(given):
        return Path(given) / "nnfast"
    try:
        return Path.home() / usual / "nnfast"
    except RuntimeError:
        raise FileNotFoundError(errno.ENOENT, "this user has no home folder, and so no cache") from None


def _from_folders(dataset: str, name: str, data_dir: Folder | None, tried: list[str]) -> bytes | None:
    folders = {"data_dir": data_dir, DATA_DIR_VARIABLE: os.environ.get(DATA_DIR_VARIABLE)}
    for origin, folder in folders.items():
        if not folder:
            tried.append(f"{origin}: not given")
            continue
        root = _expanded(folder, origin)
        for path in candidates(root, dataset, name):
            try:
                with path.open("rb") as stream:
                    return verified(dataset, name, stream)
            except Namesake as error:
                tried.append(f"{origin}: {path}: {error}")
            except Refused as error:
                raise ValueError(
                    f"{path} in {origin} is not the published {name} of {dataset}: {error}. "
                    "Replace or remove it."
                ) from None
        tried.append(f"{origin}: no {name} of {dataset} in {root} or in {root / dataset}")
    return None


def _expanded(folder: Folder, origin: str) -> Path:
    try:
        return Path(folder).expanduser()
    except RuntimeError:
        raise ValueError(
            f"{origin}: expected a folder, got {os.fspath(folder)!r}, and there is no user of that name with a home. "
            "Pass the whole path."
        ) from None


def candidates(root: Path, dataset: str, name: str) -> Iterator[Path]:
    """Where a file lies in a folder: in a subfolder named like the data set or not, packed or not."""
    for folder in (root / dataset, root):
        for path in dict.fromkeys((folder / name, folder / name.removesuffix(".gz"))):
            if path.is_file():
                yield path


def _from_cache(dataset: str, name: str, tried: list[str]) -> bytes | None:
    try:
        path = cache_dir() / dataset / name
    except FileNotFoundError as error:
        tried.append(f"cache: {error.strerror}")
        return None
    try:
        with path.open("rb") as stream:
            return verified(dataset, name, stream)
    except FileNotFoundError:
        tried.append(f"cache: no {path}")
    except (OSError, Refused) as error:
        tried.append(f"cache: {path}: {error}")
        warnings.warn(f"{path} in the cache is damaged and is fetched again: {error}.", stacklevel=2)
    return None


def _from_publishers(dataset: str, name: str, tried: list[str]) -> bytes | None:
    try:
        pooch = importlib.import_module("pooch")
    except ImportError:
        tried.append("download: needs pooch, which is not installed: pip install 'nnfast[data]'")
        return None
    for base in PUBLISHERS[dataset]:
        with _Download(FILES[dataset][name].size) as download:
            try:
                with _bar(dataset, name) as bar:
                    pooch.HTTPDownloader(progressbar=bar, timeout=TIMEOUT)(base + name, download, None)
                download.seek(0)
                content = verified(dataset, name, download)
            except MemoryError:
                raise
            except (
                Exception
            ) as error:  # whatever a server can make four libraries raise: the next one is asked
                reason = " ".join(str(error).split()) or type(error).__name__
                tried.append(f"download: {base}{name}: {shortened(reason, 500)}")
                continue
            store(dataset, name, content, download.getvalue())
        return content
    return None


class _Download(io.BytesIO):
    """What a server sends, in memory until it is verified, and cut off when it cannot be right any more."""

    def __init__(self, size: int) -> None:
        super().__init__()
        # Data that do not compress grow by 5 bytes per 16 KiB block (RFC 1951, 3.2.4), plus header and name.
        self.limit = size + size // 1000 + 1024

    def write(self, data: Any) -> int:
        if self.tell() + len(data) > self.limit:
            raise OSError(f"the server sends more than {self.limit} bytes")
        return super().write(data)


def _bar(dataset: str, name: str) -> Any:
    # disable=None: only on a terminal, and not without a standard error. The total is corrected by what the server announces.
    return importlib.import_module("tqdm").tqdm(
        total=FILES[dataset][name].size,
        desc=f"{dataset}/{name}",
        unit="B",
        unit_scale=True,
        leave=False,
        disable=None if is_open(sys.stderr) else True,
    )


def _not_found(dataset: str, name: str, tried: list[str], remedy: str) -> FileNotFoundError:
    places = "\n".join(f"  - {place}" for place in tried)
    addresses = " or ".join(f"{base}{name}" for base in PUBLISHERS[dataset])
    return FileNotFoundError(
        f"{name} of {dataset} was found nowhere. Tried:\n{places}\n"
        f"Get it from {addresses} on a machine that can, and name its folder by data_dir= or "
        f"{DATA_DIR_VARIABLE}." + (f" {remedy}" if remedy else "")
    )
