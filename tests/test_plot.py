"""Pictures are drawn, and say what is missing."""

from __future__ import annotations

import itertools
import sys
from pathlib import Path

import numpy as np
import pytest

import nnfast as nn
from nnfast import compare, descent, plot

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


def grid(sizes: tuple[int, ...] = (1, 8, 64), repeats: int = 1, **changes: object) -> compare.Comparison:
    """A grid that was not run: the losses are of the size that is wanted."""
    records = [
        {
            "optimizer": optimizer,
            "batch_size": size,
            "repeat": repeat,
            "rows": 64,
            "seconds": 1 / size,
            "loss": (loss := [2.0, 1.0, 0.5 + 0.001 * place + 0.1 * repeat])[-1],
            "accuracy": 0.9,
            "test_accuracy": 0.8,
            "history": {"loss": loss, "accuracy": [0.1, 0.5, 0.9]},
        }
        | changes
        for optimizer in ("SGD", "Adam")
        for place, size in enumerate(sizes)
        for repeat in range(repeats)
    ]
    axes = {"optimizer": ["SGD", "Adam"], "batch_size": list(sizes), "repeat": list(range(repeats))}
    return compare.Comparison(records, axes, len(records))


def lines(ax: object) -> dict[str, object]:
    return {line.get_label(): line for line in ax.get_lines() if not line.get_label().startswith("_")}


def test_comparison_has_a_panel_per_optimizer_and_one_per_score(tmp_path: Path) -> None:
    result = grid()
    figure = plot.comparison(result, path=tmp_path / "grid.png")
    assert (tmp_path / "grid.png").read_bytes().startswith(b"\x89PNG")
    *losses, seconds, loss, accuracy, tested = figure.axes
    assert [ax.get_title("left") for ax in losses] == ["SGD", "Adam"]
    for ax in losses:
        assert list(lines(ax)) == ["1", "8", "full"]
        assert list(lines(ax)["8"].get_ydata()) == [2.0, 1.0, 0.501]
    drawn = [ax.get_ylabel() for ax in (seconds, loss, accuracy, tested)]
    assert drawn == ["training time, s", "loss", "accuracy", "test accuracy"]
    assert list(lines(seconds)["Adam"].get_ydata()) == [1, 1 / 8, 1 / 64]
    assert seconds.get_yscale() == "log"
    assert accuracy.get_yscale() == "linear"
    assert [text.get_text() for text in seconds.get_xticklabels()] == ["1", "8", "full"]


def test_optimizers_differ_without_colour() -> None:
    sgd, adam, *scores = plot.comparison(grid()).axes
    styles = [
        {(line.get_linestyle(), line.get_marker()) for line in lines(ax).values()} for ax in (sgd, adam)
    ]
    assert styles == [{("-", "o")}, {("--", "s")}]
    for ax in scores:
        assert lines(ax)["SGD"].get_linestyle() != lines(ax)["Adam"].get_linestyle()


def test_labels_do_not_overlap_and_stay_in_the_panel() -> None:
    figure = plot.comparison(grid(sizes=tuple(range(1, 12))))
    figure.canvas.draw()
    for ax in figure.axes:
        boxes = [text.get_window_extent() for text in ax.texts if text.get_text() != "batch size"]
        boxes.sort(key=lambda box: box.y0)
        for below, above in itertools.pairwise(boxes):
            assert above.y0 >= below.y1 - 1
        assert all(box.y1 <= figure.bbox.y1 and box.x1 <= figure.bbox.x1 + 1 for box in boxes)


def test_comparison_of_repeats_draws_their_mean_and_each() -> None:
    sgd, _, _, loss, *_ = plot.comparison(grid(repeats=3)).axes
    assert lines(sgd)["1"].get_ydata()[-1] == pytest.approx(0.6)
    assert lines(loss)["SGD"].get_ydata()[0] == pytest.approx(0.6)
    points = [list(line.get_ydata()) for line in loss.get_lines() if line.get_label().startswith("_child")]
    assert [0.5, 0.6, 0.7] in points


def test_comparison_of_runs_that_diverged() -> None:
    nan = float("nan")
    result = grid(history={"loss": [2.0, nan]}, loss=nan)
    sgd, _, _, loss = plot.comparison(result).axes
    assert list(lines(sgd)["1"].get_ydata()) == [2.0]
    assert not lines(loss)
    assert plot.comparison(grid(history={"loss": [nan]}, loss=nan, seconds=nan)).axes


def test_comparison_of_further_parameters_has_a_panel_for_each() -> None:
    result = grid()
    records = [record | {"units": units} for units in (8, 64) for record in result.records]
    axes = result.axes | {"units": [8, 64], "activation": ["relu"]}
    figure = plot.comparison(compare.Comparison(records, axes, len(records)))
    titles = [ax.get_title("left") for ax in figure.axes if ax.get_title("left")]
    assert titles == ["SGD, units 8", "Adam, units 8", "SGD, units 64", "Adam, units 64"]


def test_fewer_rows_are_told_at_their_batch_size() -> None:
    result = grid()
    for record in result.records:
        if record["batch_size"] == 1:
            record["rows"] = 10
    figure = plot.comparison(result)
    assert [text.get_text() for text in figure.axes[2].get_xticklabels()] == ["1\n(10\nrows)", "8", "full"]


def test_comparison_of_a_real_grid() -> None:
    from nnfast import Sequential, layers

    x = np.linspace(0, 1, 40)[:, None]
    result = compare.grid(
        Sequential([layers.Dense(1)]), x, x, optimizers=["sgd"], batch_sizes=[4], loss="mse", verbose=0
    )
    assert len(plot.comparison(result).axes) == 3


def test_nothing_to_compare() -> None:
    with pytest.raises(ValueError, match="comparison: expected at least one finished run"):
        plot.comparison(compare.Comparison([], {}, 3))
