"""What this machine can do at most, measured: fused multiply-adds of a core, of all cores at once, reading memory, and how far two cores are apart.

The C code is compiled when it is run, for the instruction sets that this machine has; without a compiler there are no limits, and a message says so.
"""

from __future__ import annotations

import ctypes
import os
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np

import nnfast
from nnfast import _core

SOURCE = Path(__file__).with_name("fma_peak.c")
WORDS = {"avx512": (64, "-mavx512f"), "avx2": (32, "-mavx2")}
# -ffp-contract=fast: a product and a sum become one FMA. -ffast-math is not needed for that, and linked into a library it would flush denormals here.
FLAGS = ("-O3", "-ffp-contract=fast", "-mfma", "-shared", "-fPIC")
ROUNDS = 20_000_000
TRIPS = 20_000
BETWEEN_CORES = "line between two cores and back, ns"
FLOATS = 1 << 26


def library(word: int, flag: str, folder: str) -> ctypes.CDLL:
    """The C code for one instruction set."""
    target = Path(folder, f"fma{word}.so")
    compiler = os.environ.get("CC", "cc")
    subprocess.run(
        [compiler, *FLAGS, flag, f"-DWORD={word}", str(SOURCE), "-o", str(target)],
        check=True,
        capture_output=True,
    )
    loaded = ctypes.CDLL(str(target))
    for function in (loaded.fma_chains, loaded.read_floats, loaded.line_trips):
        function.restype = ctypes.c_double
    return loaded


def rate(call: Callable[[], float], threads: int) -> float:
    """Work per second of so many threads at once: the best of three."""
    best = 0.0
    for _ in range(3):
        done = [0.0] * threads

        def work(i: int, done: list[float] = done) -> None:
            done[i] = call()

        workers = [threading.Thread(target=work, args=(i,)) for i in range(threads)]
        begin = time.perf_counter()
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        best = max(best, sum(done) / (time.perf_counter() - begin))
    return best


def round_trip(loaded: ctypes.CDLL) -> float:
    """Nanoseconds for a line of memory to go from one core to another and back. On a virtual machine this changes from minute to minute, as its cores
    are moved together or apart, and with it what a second worker is worth."""
    best = float("inf")
    for _ in range(5):  # whoever takes a core for a moment makes it longer, nobody makes it shorter
        line = ctypes.c_int32()

        def go(mine: int, line: ctypes.c_int32 = line) -> None:
            loaded.line_trips(ctypes.byref(line), ctypes.c_int32(mine), ctypes.c_int64(TRIPS))

        other = threading.Thread(target=go, args=(1,))
        begin = time.perf_counter()
        other.start()
        go(0)
        other.join()
        best = min(best, 1e9 * (time.perf_counter() - begin) / TRIPS)
    return best


@cache
def trips() -> ctypes.CDLL | None:
    """The C code for `round_trip`; None where it cannot be built."""
    with tempfile.TemporaryDirectory() as folder:
        try:
            return library(*WORDS["avx2"], folder)
        except (OSError, subprocess.CalledProcessError):
            return None


def between_cores() -> float | None:
    """What `round_trip` finds now; None with one thread, or without a compiler."""
    loaded = trips() if nnfast.get_num_threads() > 1 else None
    return round(round_trip(loaded), 1) if loaded else None


def measure() -> dict[str, float]:
    """GFLOP/s of one core for each instruction set and of all threads, GB/s from memory, the distance of two cores; empty where the code cannot be
    built."""
    threads = nnfast.get_num_threads()
    sink = ctypes.c_float()
    found: dict[str, float] = {}
    x = np.ones(FLOATS, dtype=np.float32)  # zeros would all lie in one page
    with tempfile.TemporaryDirectory() as folder:
        for name in _core.available_instruction_sets():
            if name not in WORDS:
                continue
            try:
                loaded = library(*WORDS[name], folder)
            except (OSError, subprocess.CalledProcessError) as error:
                print(f"limits of {name} not measured: {SOURCE.name} could not be compiled ({error})")
                continue

            def chains(loaded: ctypes.CDLL = loaded) -> float:
                return float(loaded.fma_chains(ctypes.c_int64(ROUNDS), ctypes.byref(sink)))

            def read(loaded: ctypes.CDLL = loaded) -> float:
                return float(
                    loaded.read_floats(
                        x.ctypes.data_as(ctypes.c_void_p), ctypes.c_int64(FLOATS), ctypes.byref(sink)
                    )
                )

            found[f"{name} GFLOP/s, one thread"] = round(rate(chains, 1) / 1e9, 1)
            found[f"{name} GFLOP/s, {threads} threads"] = round(rate(chains, threads) / 1e9, 1)
            found.setdefault("memory GB/s, one thread", round(rate(read, 1) / 1e9, 1))
            found.setdefault(f"memory GB/s, {threads} threads", round(rate(read, threads) / 1e9, 1))
    if (distance := between_cores()) is not None:
        found[BETWEEN_CORES] = distance
    return found
