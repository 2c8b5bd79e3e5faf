"""What decides the number of threads."""

from __future__ import annotations

import os
import subprocess
import sys
import threading

import numpy as np
import pytest

import nnfast
from nnfast import threads


def test_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NNFAST_NUM_THREADS", raising=False)
    monkeypatch.setenv("OMP_NUM_THREADS", "3,2")
    assert threads.default_threads() == 3
    monkeypatch.setenv("OMP_NUM_THREADS", "many")
    assert threads.default_threads() == threads.usable_cores()
    monkeypatch.setenv("NNFAST_NUM_THREADS", "5")
    assert threads.default_threads() == 5
    monkeypatch.setenv("NNFAST_NUM_THREADS", "0")
    with pytest.raises(
        ValueError, match="NNFAST_NUM_THREADS: expected a number of threads from 1, received '0'"
    ):
        threads.default_threads()


def test_quota(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)), raising=False)
    assert threads.usable_cores(str(tmp_path)) == 8
    (tmp_path / "cpu.max").write_text("max 100000\n")
    assert threads.usable_cores(str(tmp_path)) == 8
    (tmp_path / "cpu.max").write_text("150000 100000\n")
    assert threads.usable_cores(str(tmp_path)) == 2
    (tmp_path / "cpu.max").unlink()
    (tmp_path / "cpu").mkdir()
    (tmp_path / "cpu/cpu.cfs_quota_us").write_text("50000\n")
    (tmp_path / "cpu/cpu.cfs_period_us").write_text("100000\n")
    assert threads.usable_cores(str(tmp_path)) == 1


@pytest.mark.parametrize("wrong", [0, -1, 65, 1.5, "2", True])
def test_wrong_numbers(wrong: object) -> None:
    with pytest.raises(ValueError, match="threads: expected a number from 1 to 64"):
        nnfast.set_num_threads(wrong)


def test_import_takes_the_environment() -> None:
    script = "import nnfast; print(nnfast.get_num_threads())"
    env = {**os.environ, "NNFAST_NUM_THREADS": "4"}
    assert (
        subprocess.run(
            [sys.executable, "-c", script], env=env, capture_output=True, text=True, check=True
        ).stdout.strip()
        == "4"
    )


def data() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    return rng.standard_normal((4000, 300)).astype(np.float32), rng.integers(0, 10, 4000)


def small_model() -> nnfast.Sequential:
    model = nnfast.Sequential(
        [nnfast.layers.Input((300,)), nnfast.layers.Dense(200, "relu"), nnfast.layers.Dense(10, "softmax")],
        seed=0,
    )
    model.compile("sgd", "sparse_categorical_crossentropy")
    return model


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_forked_child_trains() -> None:
    """After use, and in the middle of a fit of another thread: the child has no workers and makes its own."""
    x, y = data()
    before = nnfast.get_num_threads()
    nnfast.set_num_threads(3)
    try:
        model = small_model()
        expected = small_model()
        expected.fit(x, y, batch_size=64, verbose=0)
        running = small_model()
        stop = threading.Event()

        def fit_on() -> None:
            while not stop.is_set():
                running.fit(x, y, batch_size=64, epochs=2, verbose=0)

        other = threading.Thread(target=fit_on)
        other.start()
        try:
            for _ in range(10):
                child = os.fork()
                if child == 0:
                    status = 1
                    try:
                        model.fit(x, y, batch_size=64, verbose=0)
                        running.fit(x[:100], y[:100], verbose=0)  # its parent's fit is not the child's
                        same = all(
                            (a == b).all()
                            for a, b in zip(model.get_weights(), expected.get_weights(), strict=True)
                        )
                        status = 0 if same else 2
                    finally:
                        os._exit(status)
                assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        finally:
            stop.set()
            other.join()
    finally:
        nnfast.set_num_threads(before)


def test_fits_of_several_threads_at_once_are_those_of_one() -> None:
    """One of them has the pool, the others run alone: the same bits."""
    x, y = data()
    expected = small_model()
    expected.fit(x, y, batch_size=64, epochs=3, verbose=0)
    models = [small_model() for _ in range(4)]
    workers = [
        threading.Thread(target=lambda m=m: m.fit(x, y, batch_size=64, epochs=3, verbose=0)) for m in models
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    for model in models:
        assert all((a == b).all() for a, b in zip(model.get_weights(), expected.get_weights(), strict=True))


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="no affinity on this system")
@pytest.mark.skipif(threads.usable_cores() < 2, reason="one core")
def test_workers_go_where_their_caller_may() -> None:
    """Woken on any core but the caller's, and then allowed where it is, whatever that was before."""
    script = """
import os, time
import numpy as np
import nnfast
model = nnfast.Sequential([nnfast.layers.Input((300,)), nnfast.layers.Dense(500)])
x = np.ones((4000, 300), dtype=np.float32)
others = set(os.listdir("/proc/self/task"))
nnfast.set_num_threads(3)
everywhere = os.sched_getaffinity(0)
model.predict(x, verbose=0)
for allowed in ({min(everywhere)}, everywhere):
    os.sched_setaffinity(0, allowed)
    for attempt in range(100):
        time.sleep(0.01)  # until the workers sleep
        model.predict(x, verbose=0)
        workers = set(os.listdir("/proc/self/task")) - others
        assert len(workers) == 2, workers
        if all(os.sched_getaffinity(int(worker)) == allowed for worker in workers):
            break
    else:
        raise AssertionError(f"{allowed}: {[os.sched_getaffinity(int(worker)) for worker in workers]}")
"""
    subprocess.run([sys.executable, "-c", script], check=True)


def test_threadpoolctl_sees_and_limits_the_workers() -> None:
    threadpoolctl = pytest.importorskip("threadpoolctl")
    threads.register_threadpoolctl()
    threads.register_threadpoolctl()
    before = nnfast.get_num_threads()
    nnfast.set_num_threads(3)
    try:
        (info,) = [pool for pool in threadpoolctl.threadpool_info() if pool["user_api"] == "nnfast"]
        assert info["num_threads"] == 3
        assert info["version"] == nnfast.__version__
        with threadpoolctl.threadpool_limits(1):
            assert nnfast.get_num_threads() == 1
        assert nnfast.get_num_threads() == 3
    finally:
        nnfast.set_num_threads(before)


def test_threadpoolctl_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "threadpoolctl", None)
    with pytest.raises(ImportError, match="pip install threadpoolctl"):
        threads.register_threadpoolctl()
