"""IDX, the file format of MNIST and the sets made after it: arrays of unsigned bytes behind a short header.

Only what these sets use of the format: 00 00, 08 for unsigned bytes, the number of axes, the length of each
axis as a big-endian 32-bit number, the values in C order.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Mapping
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Bytes: TypeAlias = NDArray[np.uint8]
Splits: TypeAlias = tuple[tuple[Bytes, Bytes], tuple[Bytes, Bytes]]


def splits(contents: Mapping[str, bytes]) -> Splits:
    """The four files of a set as `(x_train, y_train), (x_test, y_test)`."""

    def pair(part: str) -> tuple[Bytes, Bytes]:
        x = decode(contents[f"{part}-images-idx3-ubyte.gz"], ndim=3)
        y = decode(contents[f"{part}-labels-idx1-ubyte.gz"], ndim=1)
        return x, y

    return pair("train"), pair("t10k")


def decode(content: bytes, ndim: int) -> Bytes:
    """The array in a file.

    Parameters
    ----------
    content : bytes
        The whole file, decompressed.
    ndim : int
        Number of axes it must have.

    Returns
    -------
    ndarray of uint8
        A writable copy.

    Raises
    ------
    ValueError
        The magic number or the length is wrong.

    Examples
    --------
    >>> decode(bytes.fromhex("00000801 00000002 0305"), ndim=1)
    array([3, 5], dtype=uint8)
    """
    magic, start = bytes([0, 0, 8, ndim]), 4 + 4 * ndim
    if content[:4] != magic:
        raise ValueError(
            f"An IDX file of unsigned bytes with {ndim} axes begins with {magic.hex(' ')}, got "
            f"{content[:4].hex(' ') or 'nothing'}."
        )
    if len(content) < start:
        raise ValueError(f"The header of an IDX file with {ndim} axes has {start} bytes, got {len(content)}.")
    shape = struct.unpack_from(f">{ndim}I", content, 4)
    if len(content) != start + math.prod(shape):
        raise ValueError(
            f"An IDX file of shape {shape} has {start + math.prod(shape)} bytes, got {len(content)}."
        )
    return np.frombuffer(content, np.uint8, offset=start).reshape(shape).copy()


def encode(array: Bytes) -> bytes:
    """The file of an array; inverse of `decode`.

    Examples
    --------
    >>> encode(np.array([3, 5], np.uint8)).hex()
    '00000801000000020305'
    """
    return bytes([0, 0, 8, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape) + array.tobytes()
