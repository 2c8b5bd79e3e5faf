"""Public metrics: values against their definitions, the choice that "accuracy" makes, keys in the logs."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

from nnfast import Sequential, _core, layers, losses, metrics

from .tolerances import POINTWISE_RTOL

RNG = np.random.default_rng(1)
X = RNG.normal(size=(40, 5)).astype(np.float32)
LABELS = RNG.integers(0, 3, 40)
ONE_HOT = np.eye(3, dtype=np.float32)[LABELS]
BINARY = (LABELS > 0).astype(np.float32)


def model(units: int, activation: str, loss: str, chosen: list[object]) -> Sequential:
    result = Sequential([layers.Input((5,)), layers.Dense(units, activation)], seed=3)
    result.compile("sgd", loss, metrics=chosen)
    return result


DEFINITIONS = {
    "sparse_categorical_accuracy": lambda y, p: (p.argmax(axis=1) == y).mean(),
    "categorical_accuracy": lambda y, p: (p.argmax(axis=1) == y.argmax(axis=1)).mean(),
    "binary_accuracy": lambda y, p: ((p > 0.5) == (y > 0.5)).mean(),
    "mean_squared_error": lambda y, p: ((p - y) ** 2).mean(),
    "mean_absolute_error": lambda y, p: abs(p - y).mean(),
    "root_mean_squared_error": lambda y, p: np.sqrt(((p - y) ** 2).mean()),
}


def test_every_row_of_the_table_has_a_public_class_and_the_reverse() -> None:
    counted = [cls for cls in metrics.KNOWN_CLASSES if cls.row]
    assert {cls.row for cls in counted} | {metrics.BinaryAccuracy(threshold=0).row} == set(_core.METRICS)
    assert {cls().name for cls in counted} == set(DEFINITIONS)


@pytest.mark.parametrize("name", DEFINITIONS)
def test_value(name: str) -> None:
    sparse = name.startswith("sparse")
    loss = "sparse_categorical_crossentropy" if sparse else "categorical_crossentropy"
    trained = model(3, "softmax", loss, [name])
    y = LABELS if sparse else ONE_HOT
    _, value = trained.evaluate(X, y, verbose=0)
    assert value == pytest.approx(DEFINITIONS[name](y, trained.predict(X)), rel=POINTWISE_RTOL)


def test_metrics_of_training_are_those_of_the_same_forward_passes() -> None:
    trained = model(3, "softmax", "sparse_categorical_crossentropy", ["accuracy"])
    twin = model(3, "softmax", "sparse_categorical_crossentropy", ["accuracy"])
    history = trained.fit(X, LABELS, batch_size=16, shuffle=False, verbose=0).history
    seen = [
        twin.train_on_batch(X[i : i + 16], LABELS[i : i + 16], return_dict=True) for i in range(0, 40, 16)
    ]
    rows = [16, 16, 8]
    for key in ("loss", "accuracy"):
        assert history[key][0] == pytest.approx(np.average([logs[key] for logs in seen], weights=rows))


@pytest.mark.parametrize(
    ("units", "activation", "loss", "y", "picked"),
    [
        (3, "softmax", "sparse_categorical_crossentropy", LABELS, "sparse_categorical_accuracy"),
        (3, "softmax", "categorical_crossentropy", ONE_HOT, "categorical_accuracy"),
        (3, "sigmoid", "binary_crossentropy", ONE_HOT, "categorical_accuracy"),
        (1, "sigmoid", "binary_crossentropy", BINARY, "binary_accuracy"),
        (1, "sigmoid", "mse", BINARY, "binary_accuracy"),
        (3, "linear", "mse", ONE_HOT, "categorical_accuracy"),
    ],
)
@pytest.mark.parametrize("spelling", ["accuracy", "acc"])
def test_what_accuracy_picks(units, activation, loss, y, picked, spelling) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        logs = model(units, activation, loss, [spelling, picked]).evaluate(X, y, verbose=0, return_dict=True)
    assert list(logs) == ["loss", spelling, picked]
    assert logs[spelling] == logs[picked]


def test_keys_are_what_the_user_wrote() -> None:
    chosen = [
        "mse",
        "mean_squared_error",
        metrics.MeanSquaredError(name="squared"),
        metrics.RootMeanSquaredError,
        losses.mae,
    ]
    logs = model(1, "linear", "mse", chosen).evaluate(X, BINARY, verbose=0, return_dict=True)
    assert list(logs) == [
        "loss",
        "mse",
        "mean_squared_error",
        "squared",
        "root_mean_squared_error",
        "mean_absolute_error",
    ]
    assert logs["loss"] == pytest.approx(logs["mse"])
    assert logs["root_mean_squared_error"] == pytest.approx(np.sqrt(logs["mse"]))


def test_accuracy_of_a_regression_warns() -> None:
    with pytest.warns(UserWarning, match="accuracy.*regression"):
        model(1, "linear", "mse", ["accuracy"])


@pytest.mark.parametrize("backend", ["native", "reference"])
@pytest.mark.parametrize(
    ("targets", "outputs", "value"),
    [
        ([0.9], [0.95], 0.0),  # 0.9 is not 1, as in Keras
        ([0.9], [0.1], 0.0),
        ([1.0], [0.95], 1.0),
        ([0.0], [0.5], 1.0),  # above 0.5 only
        ([0.9, 1.0, 0.0], [0.95, 0.6, 0.2], 2 / 3),
    ],
)
def test_binary_accuracy_of_soft_targets(backend: str, targets: list, outputs: list, value: float) -> None:
    given = Sequential([layers.Input((1,)), layers.Dense(1)], seed=0)
    given.set_weights([[[1.0]], [0.0]])
    given.compile("sgd", "mse", metrics=["binary_accuracy"], backend=backend)
    assert given.evaluate(outputs, targets, verbose=0)[1] == pytest.approx(value)
    assert "0.9 counts as wrong" in metrics.BinaryAccuracy.__doc__


def test_categorical_accuracy_of_soft_targets_looks_at_the_largest() -> None:
    given = Sequential([layers.Input((2,)), layers.Dense(2)], seed=0)
    given.set_weights([np.eye(2), np.zeros(2)])
    given.compile("sgd", "mse", metrics=["accuracy"])
    assert given.evaluate([[0.9, 0.1], [0.9, 0.1]], [[0.6, 0.4], [0.4, 0.6]], verbose=0)[1] == 0.5


@pytest.mark.parametrize("backend", ["native", "reference"])
@pytest.mark.parametrize("spelling", ["accuracy", "acc", metrics.BinaryAccuracy(threshold=0)], ids=str)
def test_accuracy_of_logits_is_that_of_their_probabilities(backend: str, spelling: object) -> None:
    """0.3 is a probability of 0.57, hence the class 1, which a threshold of 0.5 would miss."""
    z, y = [[0.3], [-0.3], [0.6], [0.0]], [1.0, 0.0, 1.0, 0.0]
    values = []
    for activation, loss in (
        ("linear", losses.BinaryCrossentropy(from_logits=True)),
        ("sigmoid", losses.BinaryCrossentropy()),
    ):
        given = Sequential([layers.Input((1,)), layers.Dense(1, activation)], seed=0)
        given.set_weights([[[1.0]], [0.0]])
        chosen = [spelling] if activation == "linear" else ["accuracy"]
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            given.compile("sgd", loss, metrics=chosen, backend=backend)
        values.append(given.evaluate(z, y, verbose=0)[1])
        values.append(given.fit(z, y, verbose=0).history[given.metrics_names[1]][0])
    assert values == [1.0] * 4


def test_binary_accuracy_of_logits_at_half_warns() -> None:
    with pytest.warns(UserWarning, match=r"compares outputs with 0.5, but they are logits .*threshold=0"):
        model(1, "linear", losses.BinaryCrossentropy(from_logits=True), ["binary_accuracy"])


@pytest.mark.parametrize("threshold", [None, "0.5", np.nan, np.inf, True])
def test_thresholds_that_are_no_numbers_are_refused(threshold: object) -> None:
    with pytest.raises(ValueError, match=r"threshold must be a finite number, got"):
        metrics.BinaryAccuracy(threshold=threshold)


def test_sample_weights_leave_metrics_alone() -> None:
    trained = model(3, "softmax", "sparse_categorical_crossentropy", ["accuracy"])
    plain = trained.evaluate(X, LABELS, verbose=0)
    weighted = trained.evaluate(X, LABELS, verbose=0, sample_weight=np.full(40, 2.0))
    assert weighted[0] == pytest.approx(2 * plain[0])
    assert weighted[1] == plain[1]


@pytest.mark.parametrize(
    "identifier",
    [
        "acc",
        "accuracy",
        *DEFINITIONS,
        "mse",
        metrics.BinaryAccuracy(name="b"),
        metrics.BinaryAccuracy(threshold=0),
    ],
    ids=str,
)
def test_configuration(identifier: object) -> None:
    metric = metrics.get(identifier)
    again = metrics.get(metrics.describe(metric))
    assert type(again) is type(metric)
    assert again.name == metric.name
    assert getattr(again, "row", None) == getattr(metric, "row", None)


def test_ties_go_to_the_lowest_index() -> None:
    trained = Sequential([layers.Input((5,)), layers.Dense(3, "softmax", kernel_initializer="zeros")], seed=3)
    trained.compile("sgd", "sparse_categorical_crossentropy", metrics=["accuracy"])
    assert trained.evaluate(X, np.zeros(40), verbose=0)[1] == 1.0
    assert trained.evaluate(X, np.ones(40), verbose=0)[1] == 0.0
