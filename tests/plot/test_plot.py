"""Pictures are drawn, and say what is missing."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nnfast import Sequential, activations, compare, kernels, layers, plot
from nnfast.descent import Descent, minimize

from ..test_descent import FIGURE_1, example_1

pytest.importorskip("matplotlib").use("Agg")

CURVES = {
    "loss": [1.0, 0.5, 0.3],
    "val_loss": [1.1, 0.7, 0.6],
    "accuracy": [0.5, 0.7, 0.9],
    "val_accuracy": [0.5, 0.6, 0.7],
}


@pytest.fixture(autouse=True)
def figures_are_closed() -> Iterator[None]:
    yield
    import matplotlib.pyplot as plt

    plt.close("all")


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


def words(figure: Any) -> list[str]:
    return [text.get_text() for ax in figure.axes for text in ax.texts]


@pytest.mark.parametrize("suffix", ["png", "svg", "pdf"])
@pytest.mark.parametrize(
    "draw",
    [
        lambda path: plot.history(CURVES, path=path),
        lambda path: plot.activation("relu", path=path),
        lambda path: plot.neuron(path=path),
        lambda path: plot.network(mlp(3, 2), path=path, weights="symbols", direction="both"),
        lambda path: plot.descent(minimize(FIGURE_1, 0.0), FIGURE_1, path=path),
        lambda path: plot.descent(minimize(example_1, [0, 0]), example_1, path=path),
    ],
    ids=["history", "activation", "neuron", "network", "descent", "contours"],
)
def test_files_are_written_and_figures_not_kept(
    draw: Callable[[Path], Any], suffix: str, tmp_path: Path
) -> None:
    import matplotlib.pyplot as plt

    path = tmp_path / f"picture.{suffix}"
    figure = draw(path)
    assert path.stat().st_size > 1000
    assert not plt.get_fignums()
    assert figure.patch.get_alpha() == 0.0  # paper is left out: light pages and dark ones


# Activations


@pytest.mark.parametrize("name", ["sigmoid", "relu", "tanh", "linear", activations.Sigmoid(2.0)], ids=str)
def test_activation_draws_value_and_derivative_of_the_engine(name: Any) -> None:
    value, slope = plot.activation(name, span=(-2, 2)).axes[0].lines
    z = np.float32(value.get_xdata())[:, None]
    np.testing.assert_array_equal(value.get_ydata(), activations.get(name)(z)[:, 0])
    expected = kernels.activation_backward(np.ones_like(z), activations.get(name)(z), activations.get(name))
    np.testing.assert_array_equal(slope.get_ydata(), expected[:, 0])
    assert value.get_linestyle() != slope.get_linestyle()
    assert (z[0], z[-1], z[len(z) // 2]) == (-2, 2, 0)


def test_activation_on_given_axes_and_with_its_parameter_in_the_title() -> None:
    import matplotlib.pyplot as plt

    figure, ax = plt.subplots()
    assert plot.activation(activations.Sigmoid(2.0), ax=ax) is figure
    assert ax.get_title() == "sigmoid(2)"


def test_neuron_has_a_panel_for_each_pair() -> None:
    figure = plot.neuron()
    assert len(figure.axes) == 4
    for ax, (w0, w1) in zip(figure.axes, plot.functions.BIAS_AND_WEIGHT, strict=True):
        x = np.float32(ax.lines[-1].get_xdata())
        np.testing.assert_array_equal(
            ax.lines[-1].get_ydata(), activations.sigmoid(np.float32(w0) + np.float32(w1) * x)
        )
    assert [len(ax.lines) for ax in figure.axes] == [1, 2, 2, 2]  # the plain neuron, to compare with
    three = plot.neuron("relu", [(0, 1), (1, 1), (2, 1)])
    assert [ax.axison for ax in three.axes] == [True, True, True, False]


@pytest.mark.parametrize("draw", [plot.activation, plot.neuron])
def test_what_is_no_curve(draw: Callable[..., Any]) -> None:
    with pytest.raises(ValueError, match="activation: expected a function of one number, received softmax"):
        draw("softmax")
    with pytest.raises(ValueError, match="Did you mean 'relu'"):
        draw("rellu")
    with pytest.raises(ValueError, match="span: expected two finite numbers"):
        draw("relu", span=(1, 1))
    with pytest.raises(ValueError, match="bias_and_weight: expected at least one"):
        plot.neuron(bias_and_weight=[])


# Descents


def test_descent_in_one_dimension() -> None:
    path = minimize(FIGURE_1, 0.0, learning_rate=0.1)
    figure = plot.descent(path, FIGURE_1)
    (ax,) = figure.axes
    graph, points = ax.lines
    np.testing.assert_allclose(graph.get_ydata(), FIGURE_1(graph.get_xdata()))
    np.testing.assert_array_equal(points.get_xdata(), path.points)
    np.testing.assert_array_equal(points.get_ydata(), path.values)
    assert words(figure) == ["start", "end"]
    assert points.get_label() == "descent: 111 iterations, to x = 2.103, f = 0.1295"
    low, high = ax.get_xlim()
    assert low < 0 < path.x < high


def test_several_descents_differ_without_colour_and_share_a_label_where_they_meet() -> None:
    paths = {
        "plain": minimize(FIGURE_1, 0.0, learning_rate=0.1),
        "momentum": minimize(FIGURE_1, 0.0, method="momentum", learning_rate=0.1, momentum=0.4),
        "adam": minimize(FIGURE_1, 0.0, method="adam", learning_rate=5),
    }
    figure = plot.descent(paths, FIGURE_1)
    styles = {(line.get_marker(), line.get_linestyle()) for line in figure.axes[0].lines[1:]}
    assert len(styles) == 3
    assert words(figure) == ["start", "end of plain\nend of momentum", "end of adam"]
    unnamed = plot.descent(list(paths.values()), FIGURE_1)
    assert "end of descent 3" in words(unnamed)


def test_a_descent_that_diverged_leaves_the_picture() -> None:
    path = minimize(FIGURE_1, 0.0, learning_rate=4.5)
    figure = plot.descent([path], FIGURE_1)
    (ax,) = figure.axes
    low, high = ax.get_xlim()
    assert ((path.points > low) & (path.points < high)).tolist() == [True, True, False, False, False]
    assert np.isfinite(ax.get_ylim()).all()
    assert words(figure) == ["start"]
    assert ax.lines[1].get_label() == "descent 1: diverged, 4 iterations"


def test_descent_in_two_dimensions() -> None:
    from matplotlib.contour import ContourSet

    path = minimize(example_1, [0, 0], line_search="exact")
    figure = plot.descent(path, example_1)
    (ax,) = figure.axes
    assert any(isinstance(child, ContourSet) for child in ax.get_children())
    np.testing.assert_array_equal(np.column_stack(ax.lines[0].get_data()), path.points)
    assert words(figure) == ["start", "end"]
    wide = plot.descent(path, example_1, spans=((-2, 2), (-1, 3))).axes[0]
    assert (wide.get_xlim(), wide.get_ylim()) == ((-2, 2), (-1, 3))


def test_descent_of_one_number_in_an_array_and_without_a_step() -> None:
    still = minimize(lambda x: float(x[0] ** 2), [0.0])
    figure = plot.descent(still, lambda x: float(x[0] ** 2))
    assert words(figure) == ["start\nend"]
    assert figure.axes[0].get_xlim() == pytest.approx((-0.12, 0.12))


def test_descents_that_cannot_be_drawn() -> None:
    one, three = minimize(FIGURE_1, 0.0, max_iter=1), minimize(lambda x: x @ x, [1.0, 2, 3], max_iter=1)
    two = minimize(example_1, [0, 0], max_iter=1)
    none: list[Descent] = []
    with pytest.raises(ValueError, match="results: expected at least one descent"):
        plot.descent(none, FIGURE_1)
    for wrong in ([three], [one, two]):
        with pytest.raises(ValueError, match="results: expected descents of one or of two numbers"):
            plot.descent(wrong, FIGURE_1)
    for spans in [(1, 0), ((0, 1), (0, 1)), (0, np.inf)]:
        with pytest.raises(ValueError, match="spans: expected for each of 1 numbers"):
            plot.descent(one, FIGURE_1, spans=spans)


# Networks


def mlp(*units: int, inputs: int = 3, use_bias: bool = True) -> Sequential:
    dense = [layers.Dense(each, "sigmoid", use_bias=use_bias) for each in units]
    return Sequential([layers.Input((inputs,)), *dense], seed=0)


def circles(figure: Any) -> int:
    return len(figure.axes[0].patches)


def edges(figure: Any) -> int:
    return sum(not text.get_text() for text in figure.axes[0].texts)


def test_perceptron_of_figures_2_and_5() -> None:
    without = plot.network(mlp(1), weights="symbols", state=True, bias=False)
    assert (circles(without), edges(without)) == (3 + 1 + 1, 3 + 1)
    symbols = {"$x_{1}$", "$x_{2}$", "$x_{3}$", "$z$", r"$\hat{y}$", "$w_{1}$", "$w_{2}$", "$w_{3}$"}
    assert symbols <= set(words(without))
    with_bias = plot.network(mlp(1), weights="symbols", state=True)
    assert (circles(with_bias), edges(with_bias)) == (6, 5)
    assert set(words(with_bias)) - set(words(without)) == {"1", "$w_{0}$"}
    assert "dense\n1 sigmoid" in words(with_bias)


def test_multi_output_perceptron_and_layers_of_figures_6_to_9() -> None:
    assert {"$w_{2,0}$", "$w_{1,3}$", "$z_{2}$", r"$\hat{y}_{2}$"} <= set(
        words(plot.network(mlp(2), weights="symbols", state=True))
    )
    single = plot.network(mlp(4, 2), weights="symbols")
    assert (circles(single), edges(single)) == (4 + 5 + 2, 4 * 4 + 5 * 2)
    assert {"$w^1_{4,3}$", "$w^2_{2,0}$", "$z_{4}$", r"$\hat{y}_{1}$"} <= set(words(single))
    deep = plot.network(mlp(5, 4, 2))
    assert {"$z^1_{5}$", "$z^2_{4}$"} <= set(words(deep))
    highlighted = plot.network(mlp(4, 2), weights="symbols", highlight=(1, 2))
    assert [word for word in words(highlighted) if "w" in word] == [f"$w^1_{{2,{k}}}$" for k in range(4)]


def test_values_are_those_of_the_model() -> None:
    model = mlp(1, 1, inputs=1)
    model.set_weights([[[0.75]], [0.125], [[0.5]], [-2.0]])
    written = words(plot.network(model, weights="values"))
    assert [word for word in written if word in {"0.75", "0.125", "0.5", "-2"}] == [
        "0.125",
        "0.75",
        "-2",
        "0.5",
    ]


def test_wide_columns_have_an_ellipsis_and_captions() -> None:
    model = Sequential(
        [
            layers.Input((28, 28)),
            layers.Flatten(),
            layers.Dense(128, activation="relu", use_bias=False),
            layers.Dense(10),
            layers.Activation("softmax"),
        ],
        seed=0,
    )
    figure = plot.network(model, max_units=5)
    assert circles(figure) == 4 + 4 + 1 + 4  # one bias: that of the last layer
    assert len(figure.axes[0].lines) == 3  # ellipses
    assert {"input\n28 x 28", "dense\n128 relu", "dense_1\n10 softmax", "$x_{784}$", "$z_{1}$"} <= set(
        words(figure)
    )


@pytest.mark.parametrize(
    ("direction", "passes"),
    [("forward", ["forward"]), ("backward", ["backward"]), ("both", ["forward", "backward"]), (None, [])],
)
def test_directions(direction: Any, passes: list[str]) -> None:
    figure = plot.network(mlp(2, 1), direction=direction)
    assert [word for word in words(figure) if "pass" in word] == [f"{way} pass" for way in passes]


def test_an_activation_of_its_own_is_a_column_joined_one_to_one() -> None:
    model = Sequential([layers.Input((2,)), layers.Dense(3, "relu"), layers.Activation("softmax")], seed=0)
    figure = plot.network(model, bias=False)
    assert (circles(figure), edges(figure)) == (2 + 3 + 3, 6 + 3)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"max_units": 2}, "max_units: expected at least 3"),
        ({"weights": "symbol"}, "Unknown weights 'symbol'. Did you mean 'symbols'"),
        ({"direction": "back"}, "Unknown direction 'back'"),
        ({"highlight": (3, 1)}, "highlight: expected a layer with weights, counted from 1, received 3"),
        ({"highlight": (1, 7)}, "highlight: expected a neuron of layer 1 that is drawn, .*, received 7"),
        ({"highlight": (1, 7), "max_units": 20}, None),
        ({"weights": "values", "max_units": 20}, "weights: expected at most 40 to label, received"),
    ],
)
def test_network_errors(options: dict[str, Any], message: str | None) -> None:
    model = mlp(12, 2)
    if message is None:
        plot.network(model, **options)
        return
    with pytest.raises(ValueError, match=message):
        plot.network(model, **options)


def test_network_without_known_inputs() -> None:
    with pytest.raises(ValueError, match=r"Begin it with layers\.Input"):
        plot.network(Sequential([layers.Dense(2)]))


# Grids of runs.


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
