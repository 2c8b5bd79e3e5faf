"""How many worker threads a native call may use. Results do not depend on it, to the last bit.

The default is what this process may really use: `NNFAST_NUM_THREADS`, else `OMP_NUM_THREADS`, else the cores of its affinity mask, never more than its
cgroup's quota. A step too small to share runs on one thread whatever is set.
"""

from __future__ import annotations

import math
import os
import sys
from pathlib import Path

from . import _core

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
        if not wanted.isdecimal() or int(wanted) < 1:
            raise ValueError(
                f"NNFAST_NUM_THREADS: expected a number of threads from 1, received {wanted!r}. Correct or unset it."
            )
        return min(int(wanted), MAX_THREADS)
    shared = os.environ.get("OMP_NUM_THREADS", "").split(",")[0].strip()
    if shared.isdecimal() and int(shared) >= 1:
        return min(int(shared), MAX_THREADS)
    return min(usable_cores(), MAX_THREADS)


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
        raise ValueError(f"threads: expected a number from 1 to {MAX_THREADS}, received {threads!r}")
    _core.set_num_threads(threads)


def get_num_threads() -> int:
    """The most threads that a native call may use."""
    return _core.num_threads()


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
    if any(controller.user_api == "nnfast" for controller in threadpoolctl._ALL_CONTROLLERS):
        return

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
            from . import __version__

            return __version__

    threadpoolctl.register(Controller)


_core.set_num_threads(default_threads())
if "threadpoolctl" in sys.modules:
    register_threadpoolctl()
