"""The safetensors format: eight bytes with the length of the header, the header in JSON, the bytes of the tensors.

Read and written piece by piece, without a copy of the tensors in memory, byte for byte as the package of that
name writes it. All tensors are float32; what they mean, and the checksum over them, is in `saving`.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from ..errors import ModelFileError

Shapes = dict[str, tuple[int, ...]]

LONGEST_HEADER = 100_000_000
"""Bytes; the format's own limit."""
ALIGNMENT = 8
DTYPE = "F32"
METADATA = "__metadata__"
PIECE = 1 << 18
"""Numbers that are read or written at once: a mebibyte."""


def header(metadata: Mapping[str, str], shapes: Shapes) -> bytes:
    """Everything before the tensors, which follow by name without gaps.

    Raises
    ------
    ValueError
        It would be longer than the format allows, or a name is not Unicode.
    """
    entries: dict[str, Any] = {METADATA: dict(metadata)}
    end = 0
    for name, shape in sorted(shapes.items()):
        begin, end = end, end + 4 * math.prod(shape)
        entries[name] = {"dtype": DTYPE, "shape": list(shape), "data_offsets": [begin, end]}
    text = json.dumps(entries, ensure_ascii=False, separators=(",", ":")).encode()
    text += b" " * (-len(text) % ALIGNMENT)
    if len(text) > LONGEST_HEADER:
        raise ValueError(
            f"the description of a model may have {LONGEST_HEADER:,} bytes, this one has {len(text):,}. "
            "Give it fewer layers or shorter names."
        )
    return len(text).to_bytes(8, "little") + text


def read_header(file: BinaryIO, size: int) -> tuple[dict[str, str], Shapes]:
    """Metadata and shapes of a file of `size` bytes, which stands behind its header then.

    Accepted is only what `header` would write for them, to the last byte.

    Raises
    ------
    ModelFileError
        Something else.
    """
    start = file.read(8)
    length = int.from_bytes(start, "little")
    if len(start) < 8 or length > min(size - 8, LONGEST_HEADER):
        raise _other(f"it has {size} bytes, and a header of {length} does not fit into it")
    text = file.read(length)
    try:
        if not text.startswith(b"{"):
            raise ValueError("its header does not begin with a brace")
        entries = json.loads(text.decode())
        metadata = entries.pop(METADATA, {})
        if not all(isinstance(value, str) for value in metadata.values()):
            raise ValueError("its metadata are not strings")
        others = {str(entry["dtype"]) for entry in entries.values()} - {DTYPE}
        if others:
            raise ValueError(f"all tensors must be float32, got {', '.join(sorted(others))}")
        shapes = {name: _shape(entry["shape"]) for name, entry in entries.items()}
        if header(metadata, shapes) != start + text:
            raise ValueError("its header is not written as nnfast writes it")
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise _other(f"{type(error).__name__}: {error}") from error
    expected = 8 + length + 4 * sum(map(math.prod, shapes.values()))
    if size != expected:
        raise _other(f"it has {size} bytes where its header announces {expected}")
    return metadata, shapes


def _shape(sizes: object) -> tuple[int, ...]:
    if not isinstance(sizes, list) or not all(type(each) is int and each >= 0 for each in sizes):
        raise ValueError("the shape of a tensor is not a list of sizes")
    return tuple(sizes)


def _other(reason: str) -> ModelFileError:
    return ModelFileError(
        f"expected a model that nnfast saved, got another file or a damaged one ({reason}). "
        "Use a file that `save` wrote."
    )


def pieces(tensor: NDArray[np.float32]) -> Iterator[memoryview]:
    """The bytes of a tensor, copied part by part: what is done with a part does not see it change."""
    numbers = tensor.reshape(-1)
    buffer = np.empty(min(PIECE, numbers.size), "<f4")
    for start in range(0, numbers.size, PIECE):
        part = buffer[: min(PIECE, numbers.size - start)]
        part[:] = numbers[start : start + PIECE]
        yield part.data.cast("B")


def read_into(file: BinaryIO, count: int, target: NDArray[np.float32] | None) -> Iterator[memoryview]:
    """Read the `count` numbers of a tensor to where they belong, if they do, and hand out their bytes.

    Raises
    ------
    ModelFileError
        The file has become shorter.
    """
    numbers = None if target is None else target.reshape(-1)
    assert target is None or np.may_share_memory(numbers, target)  # a view, or nothing would be read
    buffer = np.empty(min(PIECE, count), "<f4")
    for start in range(0, count, PIECE):
        part = buffer[: min(PIECE, count - start)]
        raw = part.data.cast("B")
        filled = 0
        while filled < len(raw):
            got = file.readinto(raw[filled:])  # type: ignore[attr-defined]
            if not got:
                raise _other("it ends before its last tensor")
            filled += got
        if numbers is not None:
            numbers[start : start + PIECE] = part
        yield raw
