"""Every optimizer against that of Keras: fifty steps from the same weights over the same rows."""

from __future__ import annotations

import os
from types import ModuleType
from typing import Any

import numpy as np
import pytest

import nnfast as nn

from ..tolerances import KERAS_DISTANCE

STEPS, BATCH = 50, 16

CASES: list[tuple[str, dict[str, Any]]] = [
    ("SGD", {}),
    ("SGD", {"momentum": 0.9}),
    ("SGD", {"momentum": 0.9, "nesterov": True}),
    ("RMSprop", {}),
    ("RMSprop", {"centered": True}),
    ("RMSprop", {"momentum": 0.5, "rho": 0.8}),
    ("RMSprop", {"momentum": 0.5, "centered": True, "epsilon": 1e-3}),
    ("Adam", {}),
    ("Adam", {"beta_1": 0.8, "beta_2": 0.95, "epsilon": 1e-3}),
    ("Adam", {"amsgrad": True, "beta_2": 0.9}),
    ("AdamW", {}),
    ("AdamW", {"weight_decay": 0.5, "learning_rate": 0.01}),
    ("AdamW", {"weight_decay": 0.1, "amsgrad": True, "beta_2": 0.9}),
    ("Adagrad", {}),
    ("Adagrad", {"learning_rate": 0.1, "initial_accumulator_value": 0.0, "epsilon": 1e-3}),
    ("Adadelta", {}),
    ("Adadelta", {"learning_rate": 1.0, "rho": 0.8, "epsilon": 1e-4}),
    ("Adamax", {}),
    ("Adamax", {"beta_1": 0.8, "beta_2": 0.9, "epsilon": 1e-3}),
    ("Nadam", {}),
    ("Nadam", {"beta_1": 0.8, "beta_2": 0.95, "epsilon": 1e-3}),
    ("Lion", {}),
    ("Lion", {"beta_1": 0.8, "beta_2": 0.9, "learning_rate": 1e-4}),
    ("Ftrl", {}),
    ("Ftrl", {"learning_rate": 0.1, "beta": 0.5, "initial_accumulator_value": 0.5}),
    (
        "Ftrl",
        {
            "learning_rate": 0.1,
            "l1_regularization_strength": 0.01,
            "l2_regularization_strength": 0.05,
            "l2_shrinkage_regularization_strength": 0.02,
        },
    ),
    ("Ftrl", {"learning_rate": 0.1, "learning_rate_power": -0.3}),
    ("Ftrl", {"learning_rate": 0.1, "learning_rate_power": 0.0}),
]


@pytest.fixture(scope="module")
def keras() -> ModuleType:
    os.environ.setdefault("KERAS_BACKEND", "torch")
    found = pytest.importorskip("keras", exc_type=ImportError)
    if found.backend.backend() == "numpy":
        pytest.skip("Keras was imported with its backend numpy, which has no gradients")
    return found


def rows() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(3)
    x = rng.standard_normal((STEPS * BATCH, 12)).astype(np.float32)
    return x, np.argmax(x @ rng.standard_normal((12, 4)), axis=1).astype(np.int32)


@pytest.mark.parametrize(("name", "options"), CASES, ids=lambda value: str(value))
def test_fifty_steps(keras: ModuleType, name: str, options: dict[str, Any], record_property: Any) -> None:
    x, y = rows()
    models = []
    for module in (keras, nn):
        layers = [
            module.layers.Input((12,)),
            module.layers.Dense(24, activation="tanh"),
            module.layers.Dense(4, activation="softmax"),
        ]
        model = module.Sequential(layers)
        model.compile(getattr(module.optimizers, name)(**options), "sparse_categorical_crossentropy")
        models.append(model)
    theirs, ours = models
    start = [np.array(weight) for weight in ours.get_weights()]
    theirs.set_weights(start)
    for model in models:
        for step in range(STEPS):
            part = slice(step * BATCH, (step + 1) * BATCH)
            model.train_on_batch(x[part], y[part])
    worst = 0.0
    for weight, expected, first in zip(ours.get_weights(), theirs.get_weights(), start, strict=True):
        moved = float(np.abs(expected - first).max())
        assert moved > 0
        worst = max(worst, float(np.abs(weight - expected).max()) / moved)
    record_property("share_of_the_distance", worst)
    print(f"{name} {options}: {worst:.1e} of the distance moved")
    assert worst <= KERAS_DISTANCE
