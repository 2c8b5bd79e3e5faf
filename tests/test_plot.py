"""Pictures are drawn, and say what is missing."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

import nnfast as nn
from nnfast import descent, plot

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


def bowl(x: np.ndarray) -> float:
    return float(x[0] ** 2 + 3 * x[1] ** 2)


def test_descent_in_one_variable(tmp_path: Path) -> None:
    run = descent.minimize(lambda x: x**2, 3.0, learning_rate=0.2, max_iter=4)
    wild = descent.minimize(lambda x: x**2, 3.0, learning_rate=5.0)
    figure = plot.descent([run, wild], lambda x: x**2, -4, 4, path=tmp_path / "way.svg")
    curve, way, star, gone = figure.axes[0].lines
    assert len(curve.get_xdata()) > 100
    assert list(way.get_xdata()) == list(run.points)
    assert list(way.get_ydata()) == list(run.values)
    assert list(star.get_xdata()) == [run.x]
    assert np.isnan(gone.get_xdata()[1:]).all()  # outside what is shown
    labels = [text.get_text() for text in figure.axes[0].get_legend().get_texts()]
    assert labels == ["gd: 4 steps", f"gd: {wild.iterations} steps, diverged"]
    assert way.get_marker() != gone.get_marker()
    assert "<svg" in (tmp_path / "way.svg").read_text()


def test_descent_in_two_variables() -> None:
    run = descent.minimize(bowl, [1.0, 1.0], max_iter=5)
    figure = plot.descent(run, bowl, labels=["plain"])
    way, star = figure.axes[0].lines
    np.testing.assert_array_equal(np.column_stack(way.get_data()), run.points)
    assert figure.axes[0].collections


def test_descent_refuses() -> None:
    run = descent.minimize(bowl, [1.0, 1.0], max_iter=2)
    three = descent.minimize(lambda x: x @ x, np.ones(3), max_iter=2)
    with pytest.raises(ValueError, match="a label for each, received 1 and 2"):
        plot.descent(run, bowl, labels=["a", "b"])
    with pytest.raises(ValueError, match=r"of one variable, or of two, received \[3\]"):
        plot.descent(three, bowl)


@pytest.mark.parametrize("name", ["linear", "relu", "sigmoid", "tanh"])
def test_activation(name: str) -> None:
    figure = plot.activation(name, -2, 2)
    value, slope = figure.axes[0].lines
    x = value.get_xdata()
    numeric = np.gradient(np.asarray(value.get_ydata(), float), np.asarray(x, float))
    far = np.abs(x) > 0.1
    np.testing.assert_allclose(slope.get_ydata()[far], numeric[far], atol=1e-2)


def test_activation_with_weight_and_bias() -> None:
    figure = plot.activation("sigmoid", weight=3.0, bias=-3.0, derivative=False)
    (value,) = figure.axes[0].lines
    assert np.interp(1.0, value.get_xdata(), value.get_ydata()) == pytest.approx(0.5, abs=1e-3)
    with pytest.raises(ValueError, match="needs a whole row"):
        plot.activation("softmax")
    with pytest.raises(ValueError, match="low must be below high"):
        plot.activation("relu", 1, 1)


def network() -> nn.Sequential:
    layers = nn.layers
    return nn.Sequential(
        [layers.Input((784,)), layers.Dense(4, "relu"), layers.Dense(2, "softmax", use_bias=False)]
    )


def test_network() -> None:
    from matplotlib.patches import Circle

    ax = plot.network(network(), most=5).axes[0]
    circles = [patch for patch in ax.patches if isinstance(patch, Circle)]
    assert (
        len(circles) == 4 + 1 + 4 + 2
    )  # 784 inputs as 1, 2, dots, 783, 784; the bias of the first layer; the layers
    assert len(ax.lines) == 5 * 4 + 4 * 2
    texts = [text.get_text() for text in ax.texts]
    assert {"input\n784", "relu\n4", "output, softmax\n2", "$x_{784}$", "⋮"} <= set(texts)


def test_network_of_the_second_example() -> None:
    layers = nn.layers
    model = nn.Sequential([layers.Input((2,)), layers.Dense(3), layers.Dense(1)])
    ax = plot.network(model, weights=True, highlight=(1, 2), direction="forward").axes[0]
    assert [t.get_text() for t in ax.texts if "w_" in t.get_text()] == ["$w_{02}$", "$w_{12}$", "$w_{22}$"]
    assert "forward pass" in [t.get_text() for t in ax.texts]


def test_network_refuses() -> None:
    with pytest.raises(ValueError, match="direction must be"):
        plot.network(network(), direction="up")
    with pytest.raises(ValueError, match="highlight must name a neuron"):
        plot.network(network(), highlight=(3, 1))
