"""Grids: the same bits however they are run, every run kept, nothing mixed."""

from __future__ import annotations

import csv
import json
import math
import os
import signal
import subprocess
import sys
import threading
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import nnfast as nn
from nnfast import compare, layers
from nnfast.compare import display, journal, plan, runs

RNG = np.random.default_rng(0)
X = RNG.standard_normal((120, 5)).astype(np.float32)
Y = RNG.integers(0, 3, 120)
SCORES = ["loss", "accuracy"]


def build(units: int = 8, activation: str = "relu") -> nn.Sequential:
    return nn.Sequential([layers.Dense(units, activation), layers.Dense(3, "softmax")])


def grid(**changes: Any) -> compare.Comparison:
    arguments: dict[str, Any] = {
        "build": build,
        "x": X,
        "y": Y,
        "optimizers": ["sgd", "adam"],
        "batch_sizes": [8, "full"],
        "epochs": 3,
        "loss": "sparse_categorical_crossentropy",
        "metrics": ["accuracy"],
        "verbose": 0,
    }
    return compare.grid(**(arguments | changes))


def without_times(records: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{name: value for name, value in record.items() if name != "seconds"} for record in records]


def test_a_run_is_the_fit_of_a_model_with_its_seed() -> None:
    result = grid(validation_data=(X[:30], Y[:30]), test_data=(X[30:], Y[30:]), repeats=2, seed=7)
    assert result.axes == {"optimizer": ["sgd", "adam"], "batch_size": [8, 120], "repeat": [0, 1]}
    assert result.finished
    assert len(result) == 8
    for record in result.records:
        model = nn.Sequential(
            [layers.Dense(8, "relu"), layers.Dense(3, "softmax")], seed=7 + record["repeat"]
        )
        model.compile(record["optimizer"], "sparse_categorical_crossentropy", metrics=["accuracy"])
        fitted = model.fit(X, Y, record["batch_size"], 3, verbose=0, validation_data=(X[:30], Y[:30])).history
        assert record["history"] == fitted
        assert record["seed"] == model.seed
        assert record["rows"] == 120
        assert record["epochs"] == 3
        assert record["seconds"] > 0
        assert not record["diverged"]
        assert all(record[name] == values[-1] for name, values in fitted.items())
        assert [record[f"test_{name}"] for name in SCORES] == model.evaluate(X[30:], Y[30:], verbose=0)
        assert record["dead_units"] == nn.utils.dead_units(model, X)


@pytest.mark.parametrize("jobs", [1, 3])
def test_bits_do_not_depend_on_what_runs_together(jobs: int) -> None:
    before = nn.get_num_threads()
    several = grid(jobs=jobs, repeats=2)
    assert nn.get_num_threads() == before
    assert without_times(several.records) == without_times(grid(repeats=2).records)


def test_further_parameters_go_to_the_builder_and_to_the_optimizers() -> None:
    result = grid(
        batch_sizes=[30],
        units={"small": 4, "large": 8},
        activation=["tanh"],
        learning_rate=(0.01, np.float64(0.1)),
    )
    assert result.axes["units"] == ["small", "large"]
    assert result.axes["learning_rate"] == [0.01, 0.1]
    assert len(result) == 8
    for record in result.records:
        model = build({"small": 4, "large": 8}[record["units"]], record["activation"])
        model.seed = 0
        model.compile(
            nn.optimizers.get(record["optimizer"]).from_config({"learning_rate": record["learning_rate"]}),
            "sparse_categorical_crossentropy",
        )
        assert record["history"]["loss"] == model.fit(X, Y, 30, 3, verbose=0).history["loss"]


def test_a_compiled_model_brings_optimizer_loss_and_metrics_and_stays_as_it_is() -> None:
    model = build()
    model.compile(nn.optimizers.Adam(0.05), "sparse_categorical_crossentropy", metrics=["accuracy"])
    model.fit(X, Y, verbose=0)
    weights = model.get_weights()
    result = grid(build=model, optimizers=None, loss=None, metrics=None)
    assert result.axes["optimizer"] == ["Adam"]
    assert list(result.records[0]["history"]) == SCORES
    assert result.records[0]["history"] == grid(optimizers=[nn.optimizers.Adam(0.05)]).records[0]["history"]
    assert all((a == b).all() for a, b in zip(model.get_weights(), weights, strict=True))
    assert list(grid(build=model, loss=None, metrics=[]).records[0]["history"]) == ["loss"]


def test_an_unbuilt_model_is_not_built_by_a_grid() -> None:
    model = build()
    grid(build=model)
    assert not model.built


def test_fewer_rows_for_a_batch_size() -> None:
    result = grid(batch_sizes=[8, "full"], rows={8: 50}, optimizers=["sgd"], repeats=2)
    assert [record["rows"] for record in result.records] == [50, 50, 120, 120]
    assert result.records[0]["loss"] != result.records[1]["loss"]
    every = grid(batch_sizes=[8, "full"], rows=50, optimizers=["sgd"])
    assert [record["rows"] for record in every.records] == [50, 50]
    assert [record["batch_size"] for record in every.records] == [8, 50]
    assert every.records[0]["history"] == result.records[0]["history"]
    # Without replacement, and of all rows: 119 of 120 leave out one, which depends on the seed.
    left_out = set()
    for seed in range(20):
        cell = plan.Cell(0, {}, "", {}, {}, 1, 119, seed, 1.0)
        rows = runs.subset(plan.Rows(np.arange(120.0)[:, None], np.arange(120)), cell).y
        assert len(set(rows)) == 119
        left_out |= set(range(120)) - set(rows.tolist())
    assert len(left_out) > 10


def test_a_run_that_diverges_is_one_record_among_others(tmp_path: Path) -> None:
    result = grid(optimizers={"wild": nn.optimizers.SGD(1e30), "sgd": "sgd"}, path=tmp_path / "grid.jsonl")
    assert [record["diverged"] for record in result.records] == [True, True, False, False]
    assert math.isnan(result.records[0]["loss"])
    assert result.records[0]["epochs"] == len(result.records[0]["history"]["loss"]) < 3
    result.to_json(tmp_path / "grid.json")
    assert json.loads((tmp_path / "grid.json").read_text())[0]["loss"] is None
    loaded = compare.load(tmp_path / "grid.jsonl")
    assert math.isnan(loaded.records[0]["loss"])


# The table


def test_tables(tmp_path: Path) -> None:
    pytest.importorskip("pandas")
    result = grid(test_data=(X, Y))
    frame = result.to_frame()
    assert list(frame.batch_size) == [8, 120, 8, 120]
    assert "dead_units/dense" in frame
    assert "history" not in frame
    epochs = result.to_frame(per_epoch=True)
    assert list(epochs) == ["optimizer", "batch_size", "repeat", "seed", "epoch", *SCORES]
    assert list(epochs.loss) == [loss for record in result.records for loss in record["history"]["loss"]]
    for per_epoch, wanted in ((False, frame), (True, epochs)):
        result.to_csv(tmp_path / "grid.csv", per_epoch)
        with (tmp_path / "grid.csv").open(newline="") as file:
            read = list(csv.reader(file))
        assert read == [
            list(wanted),
            *([str(value) for value in row] for row in wanted.itertuples(index=False)),
        ]
    assert len(read) == 1 + 4 * 3
    result.to_json(tmp_path / "grid.json")
    assert json.loads((tmp_path / "grid.json").read_text()) == result.records
    assert str(result).splitlines()[0].split()[:2] == ["optimizer", "batch_size"]
    assert len(str(result).splitlines()) == 5
    assert repr(result) == "<Comparison of optimizer x2, batch_size x2, repeat x1: 4 of 4 runs>"


def test_without_pandas(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(ImportError, match=r"to_frame: expected pandas.*pip install pandas.*to_csv"):
        grid().to_frame()


def test_lines_and_bar(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    grid(verbose=2, path=tmp_path / "g")
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 4
    assert lines[-1].startswith("4/4 - ")
    assert lines[-1].endswith("0:00:00 left")
    assert any("adam, batch 8: loss " in line for line in lines)
    grid(verbose=2, path=tmp_path / "g")
    assert capsys.readouterr().out == "4 of 4 runs were finished before.\n"
    grid(verbose=1, repeats=2)
    out = capsys.readouterr().out
    assert "100%" in out
    assert "8/8 runs" in out
    assert ", seed 1: loss" in out
    grid(verbose=0)
    assert capsys.readouterr().out == ""


# Mistakes


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"build": 3}, TypeError, "build must be a Sequential, or a function"),
        ({"build": lambda: 3}, TypeError, "build must return a Sequential, got int"),
        ({"loss": None}, ValueError, "needs optimizers and loss"),
        ({"optimizers": None}, ValueError, "needs optimizers and loss"),
        ({"optimizers": "sgd"}, TypeError, "optimizers must be a list"),
        ({"optimizers": []}, ValueError, "at least one"),
        ({"optimizers": [nn.optimizers.SGD(), nn.optimizers.SGD(0.1)]}, ValueError, "of different names"),
        ({"optimizers": ["sdg"]}, ValueError, "Did you mean 'sgd'"),
        ({"batch_sizes": []}, ValueError, "batch_sizes must hold at least one"),
        ({"batch_sizes": [0]}, ValueError, "whole number >= 1, got 0"),
        ({"batch_sizes": ["all"]}, ValueError, "a batch size that is not 'full' must be"),
        ({"batch_sizes": [120, "full"]}, ValueError, "got 120 rows twice"),
        ({"rows": {1: 10}}, ValueError, r"rows must be for sizes that are in batch_sizes.*got \[1\]"),
        ({"rows": 121}, ValueError, "at most those of x, 120, got 121"),
        ({"epochs": 0}, ValueError, "epochs must be"),
        ({"repeats": 0}, ValueError, "repeats must be"),
        ({"seed": -1}, ValueError, "seed must be"),
        ({"jobs": 0}, ValueError, "jobs must be"),
        ({"y": Y[:-1]}, ValueError, "y must have as many rows as x"),
        ({"y": Y + 1}, ValueError, "labels from 0 to 2"),
        ({"x": X[:0]}, ValueError, "at least one row"),
        ({"test_data": X}, ValueError, r"test data must be a pair \(x, y\)"),
        ({"test_data": (X[:, :4], Y)}, ValueError, "test x must have shape"),
        ({"validation_data": (X, Y[:3])}, ValueError, "validation y must have as many rows"),
        ({"units": 4}, TypeError, "units must be a list of values"),
        ({"units": []}, ValueError, "units must have at least one value"),
        ({"units": [(4, 4)]}, TypeError, r"got \(4, 4\). Name its values: a dict"),
        ({"momentum": [0.9]}, TypeError, "'momentum' that neither build takes nor optimizer 'adam' has"),
        ({"learning_rate": [-1.0]}, ValueError, "learning_rate must be at least 0"),
        ({"optimizers": ["sgd"], "momentum": [0.9], "history": [1]}, TypeError, "'history' that neither"),
        ({"build": lambda rows_: build(), "rows_": [1], "verbose": 3}, ValueError, "verbose must be"),
        ({"build": lambda history: build(), "history": [1]}, ValueError, "must not be called 'history'"),
    ],
)  # fmt: skip
def test_mistakes_are_found_before_the_first_run(
    changes: dict[str, Any], error: type[Exception], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(nn.Sequential, "fit", lambda *_, **__: pytest.fail("a run has begun"))
    with pytest.raises(error, match=message):
        grid(**changes)


def test_an_error_in_a_run_ends_the_grid(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_memory(*_: object, **__: object) -> None:
        raise MemoryError("of the test")

    monkeypatch.setattr(nn.Sequential, "fit", no_memory)
    before = nn.get_num_threads()
    with pytest.raises(MemoryError, match="of the test"):
        grid()
    assert nn.get_num_threads() == before


# Disk


def test_a_finished_grid_is_not_run_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = grid(path=tmp_path / "grid.jsonl")
    monkeypatch.setattr(nn.Sequential, "fit", lambda *_, **__: pytest.fail("a run has begun"))
    assert grid(path=tmp_path / "grid.jsonl").records == first.records
    loaded = compare.load(tmp_path / "grid.jsonl")
    assert (loaded.records, loaded.axes, loaded.cells) == (first.records, first.axes, 4)


OTHERS: dict[str, tuple[dict[str, Any], str]] = {
    "data": ({"x": X + 1}, "x and y"),
    "labels": ({"y": (Y + 1) % 3}, "x and y"),
    "model": ({"build": lambda: build(9)}, "the model"),
    "optimizer": ({"optimizers": {"sgd": nn.optimizers.SGD(0.1), "adam": "adam"}}, "optimizers"),
    "batch size": ({"batch_sizes": [9, "full"]}, "the values of the grid"),
    "epochs": ({"epochs": 4}, "epochs"),
    "seed": ({"seed": 1}, "the model, seed"),
    "rows": ({"rows": {8: 100}}, "rows"),
    "loss": ({"build": lambda: nn.Sequential([layers.Dense(3)]), "loss": "mse", "y": np.eye(3)[Y]}, "loss"),
    "metrics": ({"metrics": []}, "metrics"),
    "test data": ({"test_data": (X, Y)}, "test_data"),
    "validation data": ({"validation_data": (X, Y)}, "validation_data"),
}


@pytest.mark.parametrize("other", OTHERS)
def test_another_grid_is_refused(other: str, tmp_path: Path) -> None:
    grid(path=tmp_path / "grid.jsonl")
    before = (tmp_path / "grid.jsonl").read_bytes()
    changes, part = OTHERS[other]
    with pytest.raises(
        ValueError, match=f"holds the runs of another grid; what differs: .*{part}.*Pass another path"
    ):
        grid(path=tmp_path / "grid.jsonl", **changes)
    assert (tmp_path / "grid.jsonl").read_bytes() == before


@pytest.mark.parametrize(
    "content", [b"", b"{}\n", b'{"format": "nnfast grid"}\n', b"x\n", b"[1]\n", b"\xff\n"]
)
def test_another_file_is_refused(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(content)
    for attempt in (lambda: grid(path=tmp_path / "file"), lambda: compare.load(tmp_path / "file")):
        with pytest.raises(ValueError, match=r"is not a file that compare\.grid of this version wrote"):
            attempt()
    assert (tmp_path / "file").read_bytes() == content


def test_an_incomplete_last_line_is_run_again(tmp_path: Path) -> None:
    """Wherever a crash cut the file: what is whole stays, the rest is run again, the result is the same."""
    path = tmp_path / "grid.jsonl"
    whole = grid(path=path, jobs=1, epochs=1)
    lines = path.read_bytes().splitlines(keepends=True)
    kept = b"".join(lines[:3])
    for length in range(0, len(lines[3]), 97):
        path.write_bytes(kept + lines[3][:length])
        assert len(compare.load(path)) == 2
        again = grid(path=path, jobs=1, epochs=1)
        assert without_times(again.records) == without_times(whole.records)
        assert path.read_bytes().startswith(kept)
        assert len(path.read_bytes().splitlines()) == 5
        assert compare.load(path).records == again.records


def test_a_run_that_cannot_be_written_leaves_no_trace(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "grid.jsonl"
    full = grid(path=path, epochs=1).records
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:2]))
    before = path.read_bytes()
    real = os.write

    def half(descriptor: int, data: Any) -> int:
        real(descriptor, data[: len(data) // 2])
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "write", half)
        with pytest.raises(OSError, match="No space left"):
            grid(path=path, epochs=1)
    assert path.read_bytes() == before
    assert without_times(grid(path=path, epochs=1).records) == without_times(full)


def test_two_processes_do_not_share_a_file(tmp_path: Path) -> None:
    pytest.importorskip("fcntl")
    path = tmp_path / "grid.jsonl"
    grid(path=path)
    held = journal.Journal(path, json.loads(path.read_bytes().splitlines()[0])["identity"], {})
    try:
        with pytest.raises(ValueError, match="in use by another process"):
            grid(path=path)
    finally:
        held.close()
    grid(path=path)


SCRIPT = """
import sys
import numpy as np
import nnfast as nn

rng = np.random.default_rng(0)
x, y = rng.standard_normal((2000, 20)).astype(np.float32), rng.integers(0, 3, 2000)
layers = [nn.layers.Dense(32, "relu"), nn.layers.Dense(3, "softmax")]
try:
    nn.compare.grid(
        nn.Sequential(layers), x, y, optimizers=["sgd", "adam"], batch_sizes=[1, 2, 4, 8, 16, 32], epochs=int(sys.argv[2]),
        loss="sparse_categorical_crossentropy", metrics=["accuracy"], path=sys.argv[1], verbose=2, jobs=2, seed=3,
    )
except nn.GridInterrupted as error:
    print(f"interrupted with {len(error.result)}: {error}", flush=True)
    sys.exit(5)
"""


def start(path: Path, epochs: int) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", SCRIPT, str(path), str(epochs)], stdout=subprocess.PIPE, text=True
    )


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="no kill -9 on this system")
def test_kill_9_and_go_on(tmp_path: Path) -> None:
    """Killed at several moments, a grid keeps what it has said to be finished, and ends as if nothing had been."""
    straight = start(tmp_path / "straight", 40)
    straight.communicate(timeout=120)
    assert straight.returncode == 0
    wanted = compare.load(tmp_path / "straight")
    assert len(wanted) == 12
    path = tmp_path / "killed"
    seen = 0
    for stop_after in (1, 3, 2):
        process = start(path, 40)
        assert process.stdout is not None
        said = [line for line, _ in zip(process.stdout, range(stop_after + (seen > 0)), strict=False)]
        process.kill()
        process.wait()
        kept = compare.load(path)
        assert len(kept) >= seen + stop_after, said
        assert len(kept) < 12
        seen = len(kept)
    last = start(path, 40)
    out, _ = last.communicate(timeout=120)
    assert last.returncode == 0
    assert out.startswith(f"{seen} of 12 runs were finished before.")
    assert without_times(compare.load(path).records) == without_times(wanted.records)


@pytest.mark.skipif(sys.platform == "win32", reason="signals are sent by os.kill")
def test_ctrl_c_leaves_what_was_finished(tmp_path: Path) -> None:
    process = start(tmp_path / "grid", 200_000)  # many hours
    assert process.stdout is not None
    while not (tmp_path / "grid").exists():
        assert process.poll() is None
        time.sleep(0.01)
    time.sleep(0.5)
    process.send_signal(signal.SIGINT)
    out, _ = process.communicate(timeout=30)  # and not hours
    assert process.returncode == 5
    assert "interrupted with 0: 0 of 12 runs are finished" in out
    assert "the same call goes on from there" in out
    assert not compare.load(tmp_path / "grid").finished


def test_ctrl_c_without_a_file_gives_the_finished_runs_to_who_catches_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    real = display.Display.finished

    def strike(self: Any, cell: Any, record: Any) -> None:
        real(self, cell, record)
        raise KeyboardInterrupt

    monkeypatch.setattr(display.Display, "finished", strike)
    with pytest.raises(
        nn.GridInterrupted, match=r"of 4 runs are finished; they are in the `result`"
    ) as caught:
        grid(epochs=500)
    assert 1 <= len(caught.value.result) < 4
    assert caught.value.result.records[0]["epochs"] == 500
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("nnfast-grid")]


def test_dead_units_are_one_warning_for_the_grid() -> None:
    def dying() -> nn.Sequential:
        bias = nn.initializers.Constant(-100.0)
        return nn.Sequential([layers.Dense(4, "relu", bias_initializer=bias), layers.Dense(3, "softmax")])

    with pytest.warns(
        nn.DeadUnits, match=r"Layer 'dense' is dead \(8 of 8 runs\).*other than 0, 1"
    ) as caught:
        result = grid(build=dying, repeats=2)
    assert len(caught) == 1
    assert result.records[0]["dead_units"] == {"dense": 1.0, "dense_1": 0.0}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        grid()
