"""Arrays for the kernel tests: guarded by canaries, of sizes around the tiles."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from nnfast import _core

# one, around a word (4, 8, 16), around a tile (6, 12 rows; 8, 16, 32 columns), primes
ROWS = (1, 2, 3, 4, 5, 6, 7, 8, 9, 11, 12, 13, 16, 23, 24, 25, 37)
COLUMNS = (1, 2, 3, 4, 5, 7, 8, 9, 10, 15, 16, 17, 31, 32, 33, 47, 64, 65, 127, 128, 129, 161)

CANARY = np.float32(-12345.678)


class Guarded:
    """Float32 arrays inside larger ones; `check` fails if anything was written outside them."""

    def __init__(self) -> None:
        self.rooms: list[tuple[np.ndarray, int, int]] = []

    def __call__(self, *shape: int, fill: float = np.nan) -> np.ndarray:
        size, margin = int(np.prod(shape)), 32
        room = np.full(size + 2 * margin, CANARY, dtype=np.float32)
        room[margin : margin + size] = fill  # poison: what a kernel does not write stays NaN
        self.rooms.append((room, margin, size))
        return room[margin : margin + size].reshape(shape)

    def copy(self, a: np.ndarray) -> np.ndarray:
        out = self(*a.shape)
        out[...] = a
        return out

    def check(self) -> None:
        for room, margin, size in self.rooms:
            assert (room[:margin] == CANARY).all()
            assert (room[margin + size :] == CANARY).all()


def floats(rng: np.random.Generator, *shape: int) -> np.ndarray:
    return rng.standard_normal(shape).astype(np.float32)


def same_bits(results: list[object]) -> bool:
    """Whether arrays, or tuples and lists of them, are the same to the last bit."""

    def raw(result: object) -> object:
        if isinstance(result, np.ndarray):
            return result.tobytes()
        if isinstance(result, list | tuple):
            return [raw(part) for part in result]
        return result

    return all(raw(result) == raw(results[0]) for result in results[1:])


def changed(function: Callable[..., None], *arrays: np.ndarray) -> list[np.ndarray]:
    """What function makes of copies of the arrays."""
    copies = [a.copy() for a in arrays]
    function(*copies)
    return copies


def compressed(x: np.ndarray) -> _core.SparseRows:
    """x without its zeros."""
    start = np.concatenate([[0], np.cumsum((x != 0).sum(1))]).astype(np.int64)
    return _core.SparseRows(start, np.nonzero(x)[1].astype(np.int32), x[x != 0], x.shape[1])


def draw(net: object, scale: float = 0.6, seed: int = 1) -> None:
    """Weights and biases from -scale / 2 to scale / 2."""
    for i, tensor in enumerate(net.tensors):
        tensor[...] = (_core.uniform(tensor.size, seed, i).reshape(tensor.shape) - 0.5) * scale


def paths_of(run: _core.Run) -> dict[str, bool]:
    """Which fast paths a run takes, as it explains itself."""
    lines = run.explain().split("fast paths\n")[1].split("memory")[0].splitlines()
    return {line.split()[1]: line.split()[0] == "+" for line in lines}
