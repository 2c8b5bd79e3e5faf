"""How many worker threads a native call may use. Results do not depend on it, to the last bit.

The default is what this process may really use: `NNFAST_NUM_THREADS`, else `OMP_NUM_THREADS`, else the cores of its affinity mask, never more than its
cgroup's quota. A step too small to share runs on one thread whatever is set.
"""

from __future__ import annotations

import math
import os
import sys
import threading
from collections.abc import Hashable
from functools import cache
from pathlib import Path
from typing import Any, ClassVar

from . import _core
from .errors import cut

MAX_THREADS = 64


def usable_cores(cgroup: str = "/sys/fs/cgroup") -> int:
    """Cores in the affinity mask, or fewer if the cgroup's quota of processor time is less; `os.cpu_count` ignores both."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    for quota_file, period_file in (("cpu.max", None), ("cpu/cpu.cfs_quota_us", "cpu/cpu.cfs_period_us")):
        try:
            quota, *rest = Path(cgroup, quota_file).read_text().split()
            period = rest[0] if period_file is None else Path(cgroup, period_file).read_text()
            if quota != "max" and int(quota) > 0:
                return max(1, min(cores, math.ceil(int(quota) / int(period))))
        except (OSError, ValueError, IndexError):
            continue  # another kind of system, or of container
    return cores


def default_threads() -> int:
    """What a new process uses.

    Raises
    ------
    ValueError
        If NNFAST_NUM_THREADS is not a number from 1. A malformed OMP_NUM_THREADS, which is for others too, is passed over.
    """
    wanted = os.environ.get("NNFAST_NUM_THREADS", "").strip()
    if wanted:
        if not (threads := _parsed(wanted)):
            raise ValueError(
                f"NNFAST_NUM_THREADS: expected a number of threads from 1, received {wanted!r}. Correct or unset it."
            )
        return threads
    shared = os.environ.get("OMP_NUM_THREADS", "").split(",")[0].strip()
    return _parsed(shared) or min(usable_cores(), MAX_THREADS)


def _parsed(text: str) -> int:
    """The number of threads that a variable asks for, at most MAX_THREADS; 0 if it is none. Python reads no number of
    thousands of digits."""
    if not text.isdecimal():
        return 0
    digits = text.lstrip("0")
    return MAX_THREADS if len(digits) > 9 else min(int(digits or "0"), MAX_THREADS)


def set_num_threads(threads: int) -> None:
    """Let native calls use at most so many threads, from now on and in the whole process.

    Raises
    ------
    ValueError
        If `threads` is not from 1 to 64.

    Examples
    --------
    >>> before = get_num_threads()
    >>> set_num_threads(1)
    >>> get_num_threads()
    1
    >>> set_num_threads(before)
    """
    if isinstance(threads, bool) or not isinstance(threads, int) or not 1 <= threads <= MAX_THREADS:
        raise ValueError(f"threads: expected a number from 1 to {MAX_THREADS}, received {cut(threads)}")
    _core.set_num_threads(threads)


def get_num_threads() -> int:
    """The most threads that a native call may use."""
    return _core.num_threads()


class _Shares:
    """Who runs several native calls at once, and what the process had before the first of them."""

    lock = threading.Lock()
    runs: ClassVar[dict[Hashable, int]] = {}
    before = 0
    given = 0


def share_threads(who: Hashable, runs: int) -> None:
    """Divide the threads of this process among the runs of all who share it; 0 runs: `who` is done.

    What the process had before comes back with the last one, and a number that was set meanwhile by someone else
    takes its place.
    """
    with _Shares.lock:
        if not _Shares.runs or get_num_threads() != _Shares.given:
            _Shares.before = get_num_threads()
        if runs:
            _Shares.runs[who] = runs
        else:
            _Shares.runs.pop(who, None)
        _Shares.given = max(1, _Shares.before // max(1, sum(_Shares.runs.values())))
        set_num_threads(_Shares.given)


def register_threadpoolctl() -> None:
    """Let `threadpoolctl.threadpool_limits` and `threadpool_info` see nnfast's workers, as user API "nnfast".

    Done by itself where threadpoolctl (scikit-learn brings it along) is imported before nnfast; call it where that
    comes later. Calling it again changes nothing.

    Raises
    ------
    ImportError
        threadpoolctl is not installed.
    """
    try:
        import threadpoolctl
    except ImportError as error:
        raise ImportError(
            "register_threadpoolctl: expected threadpoolctl, which is not installed. Install it: pip install threadpoolctl"
        ) from error
    _register(threadpoolctl)


@cache
def _register(threadpoolctl: Any) -> None:
    class Controller(threadpoolctl.LibController):  # type: ignore[misc]
        user_api = "nnfast"
        internal_api = "nnfast"
        filename_prefixes = ("_core",)
        check_symbols = ("nn_num_threads", "nn_set_num_threads")

        def get_num_threads(self) -> int:
            return int(self.dynlib.nn_num_threads())

        def set_num_threads(self, num_threads: int) -> None:
            self.dynlib.nn_set_num_threads(num_threads)

        def get_version(self) -> str:
            from .version import __version__

            return __version__

    threadpoolctl.register(Controller)


_core.set_num_threads(default_threads())
if "threadpoolctl" in sys.modules:
    register_threadpoolctl()
