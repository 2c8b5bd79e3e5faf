"""Metrics that the engine does not count, in training: from the outputs of the same forward passes, in their order."""

from __future__ import annotations

import copy
import pickle
import warnings
from pathlib import Path

import numpy as np
import pytest

import nnfast as nn
from nnfast import Sequential, layers, metrics
from nnfast.callbacks import Callback

from .tolerances import POINTWISE_RTOL

RNG = np.random.default_rng(4)
X = RNG.normal(size=(70, 5)).astype(np.float32)
Y = (X[:, 0] + 0.5 * RNG.normal(size=70) > 0).astype(np.float32)
WEIGHT = RNG.integers(0, 3, 70).astype(np.float32)
NAMES = ["auc", "precision", "recall", "true_positives", "binary_crossentropy"]
BACKENDS = pytest.mark.parametrize("backend", ["native", "reference"])


def model(chosen: object, backend: str = "native", **kwargs: object) -> Sequential:
    made = Sequential([layers.Input((5,)), layers.Dense(6, "relu"), layers.Dense(1, "sigmoid")], seed=3)
    made.compile(nn.optimizers.Adam(0.02), "binary_crossentropy", metrics=chosen, backend=backend, **kwargs)
    return made


def direct(y: np.ndarray, outputs: np.ndarray, names: list = NAMES, weight: object = None) -> dict:
    chosen = metrics.get_all(names)
    return {metric.name: metric(y[:, None], outputs, weight) for metric in chosen}


@BACKENDS
@pytest.mark.parametrize("listens", [False, True])
def test_training_counts_what_each_batch_gave_before_its_update(backend: str, listens: bool) -> None:
    class Listener(Callback):
        def on_train_batch_end(self, batch, logs=None):
            seen.append(logs)

    seen: list = []
    trained = model([*NAMES, "accuracy"], backend)
    twin = model(["accuracy"], backend)
    history = trained.fit(
        X, Y, batch_size=16, epochs=2, verbose=0, callbacks=[Listener()] if listens else []
    ).history
    order = np.empty(70, np.uint32)
    for epoch in range(2):
        nn._core.shuffle(order, twin.seed, epoch)
        outputs, logs = [], []
        for start in range(0, 70, 16):
            rows = order[start : start + 16]
            outputs.append(twin.predict(X[rows]))
            twin.train_on_batch(X[rows], Y[rows])
            logs.append(direct(Y[order[: start + 16]], np.concatenate(outputs)))
        for name in NAMES:
            assert history[name][epoch] == pytest.approx(logs[-1][name], rel=1e-5)
            if listens:
                found = [one[name] for one in seen[5 * epoch : 5 * epoch + 5]]
                assert found == pytest.approx([one[name] for one in logs], rel=1e-5)
    assert all((a == b).all() for a, b in zip(trained.get_weights(), twin.get_weights(), strict=True))


@BACKENDS
def test_evaluation_and_validation(backend: str) -> None:
    trained = model(["accuracy", *NAMES], backend)
    history = trained.fit(X[:40], Y[:40], validation_data=(X[40:], Y[40:]), epochs=2, verbose=0).history
    logs = trained.evaluate(X[40:], Y[40:], verbose=0, return_dict=True)
    assert list(logs) == ["loss", "accuracy", *NAMES]
    expected = direct(Y[40:], trained.predict(X[40:]))
    assert {name: logs[name] for name in NAMES} == pytest.approx(expected, rel=POINTWISE_RTOL)
    assert {name: history[f"val_{name}"][-1] for name in NAMES} == pytest.approx(expected, rel=POINTWISE_RTOL)
    once = trained.test_on_batch(X[40:], Y[40:], return_dict=True)
    assert once == pytest.approx(logs)


@BACKENDS
def test_weighted_metrics_are_weighted_and_others_are_not(backend: str) -> None:
    trained = model(["auc", "mse"], backend, weighted_metrics=["auc", "accuracy", "mse"])
    names = ["loss", "auc", "mse", "weighted_auc", "accuracy", "weighted_mse"]
    assert trained.metrics_names == names
    outputs = trained.predict(X)
    logs = trained.evaluate(X, Y, sample_weight=WEIGHT, verbose=0, return_dict=True)
    assert list(logs) == names
    assert logs["auc"] == pytest.approx(direct(Y, outputs, ["auc"])["auc"])
    weighted = direct(Y, outputs, ["auc", "mse", "binary_accuracy"], WEIGHT)
    found = [logs["weighted_auc"], logs["weighted_mse"], logs["accuracy"]]
    assert found == pytest.approx(list(weighted.values()), rel=1e-5)
    trained.fit(X, Y, class_weight={0: 1.0, 1: 3.0}, batch_size=70, verbose=0)
    both = np.where(Y > 0, 3.0, 1.0)
    expected = direct(Y, outputs, ["auc", "mse"], both)
    history = trained.history.history
    assert history["weighted_mse"][0] == pytest.approx(expected["mse"], rel=1e-5)


def test_one_batch() -> None:
    trained = model(NAMES)
    expected = direct(Y, trained.predict(X))
    logs = trained.train_on_batch(X, Y, return_dict=True)
    assert {name: logs[name] for name in NAMES} == pytest.approx(expected, rel=POINTWISE_RTOL)


def test_names_of_a_session_are_numbered_until_they_are_forgotten() -> None:
    metrics.forget_names()
    made = [metrics.AUC(), metrics.AUC(), metrics.AUC(name="auc"), metrics.Precision(), metrics.AUC()]
    assert [metric.name for metric in made] == ["auc", "auc_1", "auc", "precision", "auc_2"]
    metrics.forget_names()
    assert metrics.AUC().name == "auc"
    assert model(["AUC", "auc", metrics.AUC(name="auc")]).metrics_names == ["loss", "AUC", "auc", "auc_1"]


class Largest(metrics.Metric):
    """Counts its updates, too: how rows are cut into batches is seen."""

    def __init__(self, name="largest", **kwargs):
        super().__init__(name=name, **kwargs)
        self.largest = self.add_weight(name="largest", initializer="zeros")
        self.updates = self.add_variable(shape=(), initializer="zeros", name="updates")

    def update_state(self, y_true, y_pred, sample_weight=None):
        assert y_true.shape == y_pred.shape
        self.largest.assign(max(self.largest, np.abs(y_true - y_pred).max()))
        self.updates.assign_add(1)

    def result(self):
        return {"largest": self.largest, "updates": self.updates}


def spread(y_true, y_pred):
    return np.abs(y_pred - y_true).max()


@BACKENDS
def test_classes_and_functions_of_a_users_own(backend: str) -> None:
    own = Largest()
    trained = model([own, spread, lambda y, p: (y - p)[:, 0]], backend)
    outputs = trained.predict(X)
    logs = trained.evaluate(X, Y, batch_size=32, verbose=0, return_dict=True)
    error = np.abs(outputs[:, 0] - Y)
    assert list(logs) == ["loss", "largest", "updates", "spread", "lambda"]
    assert logs["largest"] == pytest.approx(error.max())
    assert logs["updates"] == 3
    assert logs["spread"] == pytest.approx(np.mean([error[i : i + 32].max() for i in (0, 32, 64)]))
    assert logs["lambda"] == pytest.approx((Y - outputs[:, 0]).mean(), rel=1e-5)
    assert float(own.result()["updates"]) == 3
    history = trained.fit(X, Y, batch_size=7, epochs=2, verbose=0).history
    assert history["updates"] == [10, 10]


def test_a_class_that_derives_from_one_the_engine_counts() -> None:
    class Halved(metrics.MeanAbsoluteError):
        def result(self):
            return super().result() / 2

    logs = model(["mae", Halved(name="half")]).evaluate(X, Y, verbose=0, return_dict=True)
    assert logs["half"] == pytest.approx(logs["mae"] / 2, rel=1e-5)


def test_several_numbers_are_an_array(capsys: pytest.CaptureFixture[str]) -> None:
    trained = model([metrics.Precision(thresholds=[0.2, 0.8], name="p")])
    history = trained.fit(X, Y, epochs=2, verbose=2).history
    assert [values.shape for values in history["p"]] == [(2,), (2,)]
    assert f"p: [{history['p'][-1][0]:.4f}, " in capsys.readouterr().out


def test_labels() -> None:
    labels = RNG.integers(0, 3, 70)
    chosen = [
        "accuracy",
        "sparse_categorical_crossentropy",
        metrics.SparseTopKCategoricalAccuracy(2, name="two"),
    ]
    made = Sequential([layers.Input((5,)), layers.Dense(3, "softmax")], seed=1)
    made.compile("sgd", "sparse_categorical_crossentropy", metrics=chosen)
    logs = made.evaluate(X, labels, verbose=0, return_dict=True)
    assert logs["sparse_categorical_crossentropy"] == pytest.approx(logs["loss"], rel=1e-5)
    assert logs["accuracy"] < logs["two"] < 1


@pytest.mark.parametrize("wrong", ["auc", metrics.Precision(), "f1_score"])
def test_targets_that_a_metric_does_not_take(wrong: object) -> None:
    made = Sequential([layers.Input((5,)), layers.Dense(3, "softmax")], seed=1)
    with pytest.raises(
        ValueError, match="does not fit loss 'sparse_categorical_crossentropy', which takes labels"
    ):
        made.compile("sgd", "sparse_categorical_crossentropy", metrics=[wrong])
    assert made.trainer is None


def test_nothing_is_kept_without_such_metrics() -> None:
    trained = model(["accuracy", "mse", "mae", metrics.BinaryAccuracy()])
    trained.fit(X, Y, verbose=0)
    assert trained.trainer._watched == []


def test_copies_and_files(tmp_path: Path) -> None:
    trained = model(["auc", metrics.Recall(thresholds=[0.3, 0.6], name="r")], weighted_metrics=["precision"])
    trained.fit(X, Y, verbose=0)
    trained.save(tmp_path / "m")
    scores = trained.evaluate(X, Y, sample_weight=WEIGHT, verbose=0)
    for other in (nn.load_model(tmp_path / "m"), copy.deepcopy(trained), pickle.loads(pickle.dumps(trained))):
        assert other.metrics_names == trained.metrics_names
        np.testing.assert_array_equal(
            np.hstack(other.evaluate(X, Y, sample_weight=WEIGHT, verbose=0)), np.hstack(scores)
        )


def test_a_file_leaves_metrics_of_a_users_own_out_and_says_so(tmp_path: Path) -> None:
    trained = model(["mae", spread])
    with pytest.warns(UserWarning, match="metrics of your own are left out of what is saved: spread"):
        trained.save(tmp_path / "m")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert nn.load_model(tmp_path / "m").metrics_names == ["loss", "mae"]


def test_a_loss_that_is_not_finite() -> None:
    class Exploding(Callback):
        def on_train_batch_end(self, batch, logs=None):
            if batch == 1:
                self.model.set_weights([np.full_like(w, np.inf) for w in self.model.get_weights()])

    trained = model([Largest()])
    quiet = [Exploding(), nn.callbacks.TerminateOnNaN()]
    history = trained.fit(X, Y, batch_size=16, shuffle=False, verbose=0, callbacks=quiet).history
    assert np.isnan(history["loss"][0])
    assert history["updates"] == [2]


def test_early_stopping_knows_which_way_is_better() -> None:
    trained = model([metrics.AUC(name="prc", curve="PR"), spread])
    stop = nn.callbacks.EarlyStopping("val_prc", patience=1, restore_best_weights=True)
    trained.fit(X, Y, validation_split=0.3, epochs=30, verbose=0, callbacks=[stop])
    values = trained.history.history["val_prc"]
    assert stop.best == max(values)
    unclear = nn.callbacks.EarlyStopping("spread")
    with pytest.raises(ValueError, match="cannot tell whether 'spread' should go up or down"):
        trained.fit(X, Y, epochs=2, verbose=0, callbacks=[unclear])


def test_runs_of_a_grid_count_for_themselves() -> None:
    def build() -> Sequential:
        return Sequential([layers.Input((5,)), layers.Dense(1, "sigmoid")])

    def run(jobs: int) -> list:
        return nn.compare.grid(
            build, X, Y, optimizers=["sgd", "adam"], batch_sizes=[7, 16], epochs=2, repeats=2,
            loss="binary_crossentropy", metrics=["auc", Largest()], jobs=jobs, verbose=0,
        ).rows()  # fmt: skip

    one, two = run(1), run(4)
    assert [r["auc"] for r in one] == [r["auc"] for r in two]
    assert {r["batch_size"]: r["updates"] for r in one} == {7: 10, 16: 5}


@pytest.mark.parametrize("thresholds", [None, [0.25, 0.3, 0.9]])
def test_nan_is_above_no_threshold(thresholds: list[float] | None) -> None:
    counts = metrics.TruePositives(thresholds=thresholds)
    counts.update_state([1.0, 1.0], [np.nan, 0.95])
    assert np.all(np.asarray(counts.result()) == 1.0)
    area = metrics.AUC()
    area.update_state([1.0, 0.0], [np.nan, 0.5])
    assert area.result() == 0.0


@pytest.mark.parametrize(
    ("metric", "y_true", "y_pred", "message"),
    [
        (
            metrics.TopKCategoricalAccuracy(),
            [[1, 0]],
            [[1.0, 0.0, 0.0]],
            r"same shape \(N, K\), got \(1, 2\) and",
        ),
        (metrics.TopKCategoricalAccuracy(), [], [], r"same shape \(N, K\), got \(0,\)"),
        (metrics.CategoricalAccuracy(), [0, 1], [[1.0, 0.0], [0.0, 1.0]], "sparse before it"),
        (metrics.MeanIoU(2), [0, 1], [0, 1, 1], r"as many elements, got shapes \(2,\) and \(3,\)"),
    ],
)
def test_shapes_that_do_not_fit(metric: metrics.Metric, y_true: object, y_pred: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        metric.update_state(y_true, y_pred)
