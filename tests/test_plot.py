"""Pictures are drawn, and say what is missing."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from nnfast import plot

pytest.importorskip("matplotlib").use("Agg")

CURVES = {
    "loss": [1.0, 0.5, 0.3],
    "val_loss": [1.1, 0.7, 0.6],
    "accuracy": [0.5, 0.7, 0.9],
    "val_accuracy": [0.5, 0.6, 0.7],
}


def test_history_draws_each_curve_with_its_name(tmp_path: Path) -> None:
    figure = plot.history(CURVES, path=tmp_path / "curve.png")
    assert (tmp_path / "curve.png").read_bytes().startswith(b"\x89PNG")
    labels = [text.get_text() for ax in figure.axes for text in ax.texts]
    assert labels == [" loss 0.3", " loss (validation) 0.6", " accuracy (validation) 0.7", " accuracy 0.9"]
    assert [list(line.get_ydata()) for line in figure.axes[0].lines] == [CURVES["loss"], CURVES["val_loss"]]


def test_history_of_one_epoch_and_on_given_axes() -> None:
    import matplotlib.pyplot as plt

    figure, ax = plt.subplots()
    assert plot.history({"loss": [2.0]}, ax=ax) is figure
    assert ax.lines[0].get_marker() == "o"


def test_nothing_to_draw() -> None:
    with pytest.raises(ValueError, match="history: expected at least one curve"):
        plot.history({})


def test_without_matplotlib(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)
    with pytest.raises(ImportError, match=r"pip install 'nnfast\[plot\]'"):
        plot.history(CURVES)
