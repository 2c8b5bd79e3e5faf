"""The benchmarks' own parts, without timing anything: turns, agreement of losses, page and picture, the table of workloads."""

from __future__ import annotations

import copy
import math
import os
from pathlib import Path

import numpy as np
import pytest

from benchmarks import contest, peers, peers_report, report, workloads

RESULT = {
    "command": "python -m benchmarks.peers --turns 3",
    "machine": {"processor": "a processor", "threads": "2", "instruction set": "avx2"},
    "versions": {"JAX": "0.10"},
    "turns": 3,
    "budget": 0.25,
    "limits": {"avx2 GFLOP/s, one thread": 100.0, "avx2 GFLOP/s, 2 threads": 200.0},
    "rows": [
        {
            "net": "mnist",
            "rule": "sgd",
            "batch_size": batch_size,
            "flops": 409_088 * batch_size,
            "seconds": {
                "nnfast": [ours, 9.0, ours],  # one turn that something else disturbed
                "JAX": [3e-5] * 3,
                "JAX, one thread": [2e-5] * 3,
                "NumPy reference": [1e-4] * 3,
            },
            "checks": {},
            "errors": {"PyTorch": "loss 3 where others have 2", "PyTorch, one thread": "its process ended"},
            "between cores": [90.0, 430.0],
        }
        for batch_size, ours in ((8, 4e-6), (32, 2.5e-5))
    ],
}


def make(task: object) -> contest.Timed:
    """A contestant: does as the task says."""
    if task == "raise":
        raise ValueError("no such thing")
    if task == "die":
        os._exit(1)
    return contest.Timed(lambda count: 0.5 * count, check=float("OPENBLAS_CORETYPE" in os.environ))


@pytest.fixture(scope="module")
def entrants() -> contest.Contest:
    """Two processes, started where a variable that slows OpenBLAS down is set."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OPENBLAS_CORETYPE", "Haswell")
        started = contest.Contest({name: (make, {}) for name in ("one", "other")})
        assert os.environ["OPENBLAS_CORETYPE"] == "Haswell"
    return started


def test_turns_go_on_when_a_contestant_fails_or_dies(
    entrants: contest.Contest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(contest, "PAUSE", 0.0)
    for task, message in (("raise", "ValueError: no such thing"), ("die", "its process ended")):
        results = entrants.run({"one": "steps", "other": task}, turns=2, budget=0.01)
        assert results["one"] == contest.Result([0.5, 0.5], check=0.0)
        assert results["other"].error == message
        assert results["other"].median is None


def test_data_that_stand_in_for_the_published_ones_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def lost() -> None:
        raise FileNotFoundError("no such file")

    monkeypatch.setattr("nnfast.datasets.mnist.load_data", lost)
    monkeypatch.setattr(
        "nnfast.datasets.wine_quality.load_data", lambda: ((np.ones((4, 11)), np.ones(4)), None)
    )
    for cache in (workloads.published, workloads.data):
        cache.cache_clear()
    try:
        assert workloads.origin() == "random in the place of mnist, which NNFAST_DATA_DIR does not have"
        assert len(workloads.data("wine")[0]) == 4
        assert len(workloads.data("mnist")[0]) == workloads.WORKLOADS["mnist"].rows
        monkeypatch.setattr(
            "nnfast.datasets.mnist.load_data", lambda: ((np.ones((4, 28, 28)), np.ones(4)), None)
        )
        workloads.published.cache_clear()
        assert workloads.origin() == "MNIST and wine as published"
    finally:
        for cache in (workloads.published, workloads.data):
            cache.cache_clear()


def test_a_quick_report_is_marked_and_leaves_the_readme_alone(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    class Settled:
        def __init__(self, _: object) -> None: ...

        def run(self, tasks: dict[str, object], turns: int, budget: float) -> dict[str, contest.Result]:
            return {name: contest.Result([1e-6] * turns, 0.0) for name in tasks}

    readme = tmp_path / "README.md"
    readme.write_text(f"{report.BEGIN}\nold\n{report.END}\n", encoding="utf-8")
    monkeypatch.setattr(report, "README", readme)
    monkeypatch.setattr(report, "Contest", Settled)
    report.main(["--quick"])
    assert "old" in readme.read_text(encoding="utf-8")
    out = capsys.readouterr().out
    assert "A quick run, too short for figures to quote" in out
    assert "by `python -m benchmarks.report --quick`." in out
    assert out.count("| 1.0 µs | 1.0 µs | 1.0x |") == len(report.QUICK)
    assert set(report.QUICK) <= set(workloads.TRAININGS)
    report.main([])
    assert readme.read_text(encoding="utf-8").count("| 1.0 µs | 1.0 µs | 1.0x |") == 48


def test_steps_within_a_budget_come_in_whole_units() -> None:
    asked: list[int] = []

    def run(count: int) -> float:
        asked.append(count)
        return 1e-3 * count

    assert contest.steps_within(contest.Timed(run, least=20, unit=7), budget=0.1) == 98
    assert asked == [21, 84]
    assert contest.steps_within(contest.Timed(run, unit=500), budget=0.1) == 500


def test_a_loss_that_disagrees_is_reported() -> None:
    checks = {"nnfast": 2.0, "JAX": 2.00001, "NumPy reference": 2.0, "tf.keras": 2.01}
    assert list(peers.disagreements(checks, "sgd")) == ["tf.keras"]
    assert "2.01" in peers.disagreements(checks, "sgd")["tf.keras"]
    assert list(peers.disagreements({**checks, "nnfast": 2.1, "tf.keras": math.nan}, "sgd")) == [
        "nnfast",
        "tf.keras",
    ]
    assert not peers.disagreements({}, "sgd")


def test_only_an_adam_of_another_formula_may_differ_by_more() -> None:
    checks = {"nnfast": 2.0, "JAX": 2.0, "PyTorch, one thread": 2.01}
    assert not peers.disagreements(checks, "adam")
    assert list(peers.disagreements({"nnfast": 2.0, "NumPy reference": 2.0, "JAX": 2.01}, "adam")) == ["JAX"]
    assert list(peers.disagreements(checks, "momentum")) == ["PyTorch, one thread"]
    assert list(peers.disagreements({**checks, "PyTorch, one thread": 2.1}, "adam")) == [
        "PyTorch, one thread"
    ]


def test_who_disagrees_gets_no_time() -> None:
    class Settled:
        def run(self, tasks: object, turns: int, budget: float) -> dict[str, contest.Result]:
            return {
                "nnfast": contest.Result([1e-6], 2.0),
                "JAX": contest.Result([2e-6], 2.0),
                "tf.keras": contest.Result([1e-9], 7.0),
                "scikit-learn": contest.Result([], None, "ImportError: broken"),
            }

    found = peers.row(("wine", "sgd", 0), Settled(), [], 1, 0.1)
    assert list(found["seconds"]) == ["nnfast", "JAX"]
    assert list(found["errors"]) == ["scikit-learn", "tf.keras"]
    assert found["batch_size"] == 3673


def test_a_contestant_that_is_not_installed_is_left_out(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    missing = peers.CONTESTANTS["JAX"]._replace(module="no_such_module")
    monkeypatch.setitem(peers.CONTESTANTS, "JAX", missing)
    assert peers.installed(["nnfast", "JAX"]) == ["nnfast"]
    assert "JAX: not installed" in capsys.readouterr().out


def test_losses_stand_first() -> None:
    rows = peers_report.read(RESULT)
    assert [(row.batch_size, row.lost) for row in rows] == [(32, True), (8, False)]
    assert rows[0].seconds == {"nnfast": 2.5e-5, "JAX": 2e-5, "NumPy": 1e-4}
    assert rows[0].fastest == "JAX"
    without_ours = copy.deepcopy(RESULT)
    del without_ours["rows"][0]["seconds"]["nnfast"]
    assert [row.batch_size for row in peers_report.read(without_ours)] == [8, 32]
    alone = copy.deepcopy(RESULT)
    alone["rows"][0]["seconds"] = {"nnfast": [1.0]}
    assert not peers_report.read(alone)[1].lost


def test_page() -> None:
    page = peers_report.page(RESULT)
    assert page.startswith("nnfast loses 1 of 2 rows to a peer.")
    assert (
        "| mnist | sgd | 32 | 25.0 µs | 262% | 90, 430 | JAX 20.0 µs | **0.80x** | **0.80x** | failed | - | - | 4.0x |"
        in page
    )
    assert "| mnist | sgd | 8 | 4.0 µs |" in page
    assert "- mnist sgd 8, PyTorch, one thread: its process ended" in page
    assert "| avx2 GFLOP/s | 100.0 | 200.0 | 2.00 |" in page
    assert "`python -m benchmarks.peers --turns 3`. processor a processor;" in page
    table = [line for line in page.splitlines() if line.startswith(("| net", "|---|---|", "| mnist"))]
    assert {line.count("|") for line in table} == {14}
    assert "not measured" in peers_report.page({**RESULT, "limits": {}})


def test_each_instruction_set_has_its_section(tmp_path: Path) -> None:
    path = tmp_path / "page.md"
    path.write_text("# Page\n", encoding="utf-8")
    other = {**RESULT, "machine": {**RESULT["machine"], "instruction set": "avx512"}}
    for result in (RESULT, {**other, "command": "first"}, {**other, "command": "second"}):
        peers_report.write(result, path)
    written = path.read_text(encoding="utf-8")
    assert written.startswith("# Page\n\n## Results with avx2\n")
    assert written.count("## Results with avx512\n") == written.count(peers_report.page(RESULT)) == 1
    assert "`second`" in written
    assert "`first`" not in written
    assert "(img/peers-avx2.png)" in written


def test_the_sections_of_the_page_are_found() -> None:
    """Written by hand where there is something to say about them."""
    page = peers_report.PAGE.read_text(encoding="utf-8")
    for name in ("avx512", "avx2"):
        assert page.count(f"## Results with {name}\n") == 1
        assert page.count(f"<!-- results with {name}: made by `make bench-peers` -->\nnnfast loses ") == 1
        assert (peers_report.DOCS / "img" / f"peers-{name}.png").exists()


RANGES = {
    "wide, 784-512-512-10 and 256-256-256-256-1, batch 256": lambda net, batch: (
        net[:3] in {"784", "256"} and batch == 256
    ),
    "wide, batch 32": lambda net, batch: net[:3] in {"784", "256"} and batch == 32,
    "784-128-10 on inputs without zeros": lambda net, batch: net == "dense",
    "MNIST, batch 32 and up": lambda net, batch: net == "mnist" and batch >= 32,
    "MNIST, batch 1 to 16": lambda net, batch: net == "mnist" and batch <= 16,
    "wine, batch 1 to 3673": lambda net, batch: net == "wine",
}
"""The rows of the README's table of ratios, and which rows of the page they sum up."""


@pytest.mark.parametrize("line", RANGES)
def test_the_readme_gives_the_range_of_all_rows(line: str) -> None:
    """By processor, from the tables that were written by the benchmark."""
    page = peers_report.PAGE.read_text(encoding="utf-8")
    readme = report.README.read_text(encoding="utf-8")
    cells = next(row for row in readme.splitlines() if row.startswith(f"| {line} |")).split(" | ")
    for name, said in zip(("avx2", "avx512"), cells[2:], strict=True):
        table = page.split(f"<!-- results with {name}:")[1].split(f"<!-- end of results with {name}")[0]
        rows = [row.split(" | ") for row in table.splitlines() if " | sgd | " in row or " | adam | " in row]
        ratios = [
            float(row[7].strip("*x")) for row in rows if RANGES[line](row[0].removeprefix("| "), int(row[2]))
        ]
        assert [float(end.strip("* |")) for end in said.split("-")] == [min(ratios), max(ratios)], name


def test_picture(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib").use("Agg")
    figure = peers_report.picture(RESULT, tmp_path / "peers.png")
    assert (tmp_path / "peers.png").read_bytes().startswith(b"\x89PNG")
    (ax,) = figure.axes
    lines = {line.get_label(): line for line in ax.lines}
    assert list(lines) == ["nnfast", "JAX", "NumPy", "limit"]
    assert list(lines["limit"].get_ydata()) == [409_088 * rows / 200e9 for rows in (8, 32)]
    assert [text.get_text().strip() for text in ax.texts] == ["JAX", "nnfast", "limit, dense", "NumPy"]
    assert ax.get_xscale() == ax.get_yscale() == "log"
    places = np.log10([text.xy[1] for text in ax.texts])
    assert np.diff(places).min() > 0.05 * np.ptp(np.log10(ax.get_ylim()))
    with pytest.raises(ValueError, match="picture: expected rows of mnist sgd"):
        peers_report.picture({**RESULT, "rows": []})


@pytest.mark.parametrize("name", workloads.WORKLOADS)
def test_workloads_are_consistent(name: str) -> None:
    work = workloads.WORKLOADS[name]
    assert set(work.rules) <= set(workloads.RULES)
    assert max(work.batch_sizes) <= work.rows
    x, y = workloads.data(name)
    assert x.shape == (work.rows, work.inputs)
    assert y.shape == ((work.rows,) if work.classes else (work.rows, work.layers[-1][0]))
    assert (x != 0).mean() == pytest.approx(work.density, abs=0.01)
    shapes = [tensor.shape for tensor in workloads.weights(name)]
    assert shapes == [tensor.shape for tensor in workloads.make_net(name, "sgd", "native").tensors]
    assert sorted(workloads.order(name)[:]) == list(range(work.rows))


def test_every_row_has_a_name_of_its_own() -> None:
    titles = [workloads.title(task) for task in workloads.TASKS]
    assert len(titles) == len(set(titles))
    assert {"mnist momentum 60000", "wine adam 3673", "dense sgd 32", "mnist predict 1"} <= set(titles)
