"""The report of the thesis: what is cheap is made and compared here; `make thesis` makes all of it."""

from __future__ import annotations

import csv
import json
import math
import re
from pathlib import Path

import pytest

from nnfast import cli, thesis
from nnfast.thesis import experiments, report
from nnfast.thesis.item import Findings, Item, Row, make, total

from ..published import needs

pytest.importorskip("matplotlib").use("Agg")

CHEAP = ("A1", "E1", "N1", "N2", "E2", "L1", "A3", "E3", "A5", "P1", "F18", "F19", "C1")


needs_data = needs("mnist", "wine-quality")


def test_cheap_items_agree(tmp_path: Path) -> None:
    said: list[str] = []
    result = thesis.run(tmp_path, CHEAP, tell=said.append)
    assert [one.item.id for one in result.made] == list(CHEAP)
    wrong = [(one.item.id, row) for one in result.made for row in one.findings.rows if not row.agrees]
    assert not wrong
    assert result.agrees
    assert len(said) == len(CHEAP)
    assert sum(len(one.findings.rows) for one in result.made) >= 50

    page = result.path.read_text()
    assert not re.search(r'(src|href)="(?!#)', page)  # nothing from outside
    ids = re.findall(r'\bid="([^"]+)"', page)
    assert len(ids) == len(set(ids))
    for one in result.made:
        assert f'<section id="{one.item.id}">' in page
        for name in one.findings.figures:
            assert (tmp_path / f"{name}.png").read_bytes().startswith(b"\x89PNG")
            assert (tmp_path / f"{name}.svg").exists()
    assert page.count("<svg") == sum(len(one.findings.figures) for one in result.made)
    stored = json.loads((tmp_path / "report.json").read_text())
    assert [item["id"] for item in stored["items"]] == list(CHEAP)
    assert all(item["agrees"] for item in stored["items"])


@needs_data
def test_quick(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """All items in their quick form, from the command line; a second call finds the grids finished."""
    assert cli.main(["thesis", "--quick", "--out", str(tmp_path)]) == 0
    out = capsys.readouterr().out
    assert "everything that is compared agrees" in out
    assert len(out.splitlines()) == len(thesis.ITEMS) + 1
    with (tmp_path / "figure-22-23.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 16
    assert {row["optimizer"] for row in rows} == {"SGD", "Adam"}
    again = thesis.run(tmp_path, ["F22", "D1"], quick=True)
    assert [one.item.id for one in again.made] == ["D1", "F22"]
    dead = again.made[0].findings
    assert any("units" in note for note in dead.notes)  # what the library said


@needs_data
def test_wine_as_printed(tmp_path: Path) -> None:
    result = thesis.run(tmp_path, ["F16", "F15"])
    assert result.agrees, [row for one in result.made for row in one.findings.rows if not row.agrees]


def test_a_deviation_is_told_and_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    def wrong(_: object) -> Findings:
        found = Findings()
        found.check("two and two", 4, 5, 0.5)
        found.check("<name>", "a & b", "a & b")
        return found

    monkeypatch.setitem(thesis.ITEMS, "X1", Item("X1", "Sums", "Two and two.", wrong))
    assert cli.main(["thesis", "--only", "x1", "--out", str(tmp_path)]) == 1
    out = capsys.readouterr().out
    assert "1 DIFFER" in out
    assert "two and two: printed 4, computed 5, allowed 0.5" in out
    page = (tmp_path / "report.html").read_text()
    assert "1 of 2 values that are compared do not agree" in page
    assert "&lt;name&gt;" in page
    assert "a &amp; b" in page


def test_unknown_items(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ValueError, match="Unknown item 'F21'"):
        thesis.run(tmp_path / "none", ["F21"])
    assert not (tmp_path / "none").exists()
    assert cli.main(["thesis", "--only", "F21", "--out", str(tmp_path)]) == 2
    assert "--only: Unknown item 'F21'" in capsys.readouterr().err


def test_rows() -> None:
    assert Row("", 1.0, 1.1, 0.2).agrees
    assert not Row("", 1.0, 1.1, 0.05).agrees
    assert not Row("", 1.0, math.nan, 0.05).agrees
    assert Row("", 1.0, 7.0).agrees  # nothing asked
    assert not Row("", "yes", "no", 0.0).agrees
    assert Row("", 1, 3).difference == 2
    assert Row("", "a", 3).difference is None


def test_every_printed_run_has_its_place() -> None:
    for printed, last in ((experiments.MNIST_PRINTED, 60000), (experiments.WINE_PRINTED, 4898)):
        for runs in printed.values():
            assert list(runs) == [1, 8, 16, 32, 64, 128, 256, last]
    seconds = [
        sum(run.seconds for runs in printed.values() for run in runs.values())
        for printed in (experiments.MNIST_PRINTED, experiments.WINE_PRINTED)
    ]
    assert seconds == [14_000, 4_081]
    assert experiments.mnist_tolerance("SGD", 32) == (0.058, pytest.approx(0.08 * 0.058))
    assert experiments.mnist_tolerance("SGD", 60000)[0] == 2.19
    assert experiments.wine_tolerance(128) == 0.03


def test_total() -> None:
    assert total([1.25, 2.0]) == "3.2 s"
    assert total([734]) == "12:14 min"
    assert total([18_081]) == "5:01:21"


def test_svg_names_do_not_meet() -> None:
    svg = '<?xml version="1.0"?><svg><metadata>x</metadata><g id="a"/><use href="#a" clip-path="url(#b)"/></svg>'
    assert (
        report.inline(svg, "one") == '<svg><g id="one-a"/><use href="#one-a" clip-path="url(#one-b)"/></svg>'
    )


def test_making_an_item_takes_time() -> None:
    made = make(Item("T", "", "", lambda _: Findings()), None)
    assert made.seconds >= 0
    assert made.agrees
