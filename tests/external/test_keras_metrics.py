"""Every metric against Keras itself. `python -m tests.external.test_keras_metrics` writes what Keras gives into
`tests/metric_values.json`, with which `tests/test_metrics_values.py` compares where there is no Keras."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest

os.environ.setdefault("KERAS_BACKEND", "torch")
keras = pytest.importorskip(
    "keras", reason="the oracle of the metrics is not installed", exc_type=ImportError
)

import nnfast  # noqa: E402
from nnfast import metrics  # noqa: E402

from ..metric_cases import CASES, identify, values  # noqa: E402

FILE = Path(__file__).parents[1] / "metric_values.json"


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("case", CASES, ids=identify)
def test_value(case) -> None:
    np.testing.assert_allclose(
        np.concatenate(values(metrics, case)),
        np.concatenate(values(keras.metrics, case)),
        rtol=2e-5,
        atol=1e-6,
    )


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("weighted", [False, True])
def test_histories_of_the_same_training(weighted: bool) -> None:
    """Same weights and rows: keys and values of each epoch, and of an evaluation."""
    rng = np.random.default_rng(2)
    x = rng.normal(size=(100, 4)).astype(np.float32)
    y = (x[:, 0] > 0.3).astype(np.float32)[:, None]
    found = []
    for module in (nnfast, keras):
        model = module.Sequential(
            [module.layers.Input((4,)), module.layers.Dense(5, "tanh"), module.layers.Dense(1, "sigmoid")]
        )
        weights = np.random.default_rng(3)
        model.set_weights(
            [weights.normal(size=w.shape).astype(np.float32) * 0.4 for w in model.get_weights()]
        )
        chosen = ["accuracy", "AUC", module.metrics.AUC(curve="PR", name="prc"), "Precision", "Recall", "mse"]
        chosen += ["BinaryCrossentropy", "F1Score", _spread]
        options = {"weighted_metrics": ["accuracy", "AUC", "mse"]} if weighted else {}
        model.compile(module.optimizers.SGD(0.1), "binary_crossentropy", metrics=chosen, **options)
        weight = {"sample_weight": np.linspace(0, 2, 70)} if weighted else {}
        history = model.fit(
            x[:70], y[:70], batch_size=16, epochs=3, shuffle=False, verbose=0,
            validation_data=(x[70:], y[70:]), **weight,
        ).history  # fmt: skip
        found.append({key: np.ravel(values) for key, values in history.items()})
        scores = model.evaluate(x, y, verbose=0, return_dict=True)
        found[-1] |= {f"evaluate {key}": np.ravel(value) for key, value in scores.items()}
    ours, theirs = found
    assert set(ours) == set(theirs)
    for key in ours:
        np.testing.assert_allclose(ours[key], theirs[key], rtol=1e-4, atol=1e-5, err_msg=key)


def _spread(y_true, y_pred):
    return abs(y_pred - y_true).max()


if __name__ == "__main__":
    lines = [f'"{identify(case)}": {json.dumps(values(keras.metrics, case))}' for case in CASES]
    FILE.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")
