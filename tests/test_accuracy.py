"""Real data, real accuracy: what a user gets who trains the thesis' net."""

from __future__ import annotations

import numpy as np
import pytest

import nnfast as nn

from .published import needs


def classifier(hidden: int, seed: int = 0) -> nn.Sequential:
    return nn.Sequential(
        [
            nn.layers.Flatten(),
            nn.layers.Dense(hidden, activation="relu"),
            nn.layers.Dense(10, activation="softmax"),
        ],
        seed=seed,
    )


def test_digits() -> None:
    (x, y), (x_test, y_test) = nn.datasets.digits.load_data()
    model = classifier(128)
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    model.fit(x / 16.0, y, epochs=30, batch_size=32, verbose=0)
    assert model.evaluate(x_test / 16.0, y_test, verbose=0, return_dict=True)["accuracy"] >= 0.96


@needs("mnist")
def test_mnist() -> None:
    (x, y), (x_test, y_test) = nn.datasets.mnist.load_data()
    model = classifier(128)
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    history = model.fit(x / 255.0, y, epochs=10, batch_size=128, verbose=0).history
    assert history["accuracy"][-1] >= 0.985
    assert model.evaluate(x_test / 255.0, y_test, verbose=0, return_dict=True)["accuracy"] >= 0.973


@pytest.mark.parametrize("optimizer", ["sgd", "adam", "rmsprop"])
def test_both_backends_give_the_same_curve(optimizer: str) -> None:
    (x, y), _ = nn.datasets.digits.load_data()
    curves = {}
    for backend in ("native", "reference"):
        model = classifier(32)
        model.compile(optimizer, "sparse_categorical_crossentropy", metrics=["accuracy"], backend=backend)
        curves[backend] = model.fit(x[:600] / 16.0, y[:600], epochs=3, batch_size=25, verbose=0).history
    assert curves["native"]["loss"] == pytest.approx(curves["reference"]["loss"], rel=1e-4)
    assert curves["native"]["accuracy"] == pytest.approx(curves["reference"]["accuracy"], abs=2 / 600)


def test_example_3_of_the_thesis_through_the_public_interface() -> None:
    """One step of SGD at rate 1 on x = 2, y = 0.25, from w = (0.75, 0.5); rounded as in the thesis."""
    model = nn.Sequential(
        [
            nn.layers.Input((1,)),
            nn.layers.Dense(1, activation="sigmoid", use_bias=False),
            nn.layers.Dense(1, activation="sigmoid", use_bias=False),
        ]
    )
    model.compile(nn.optimizers.SGD(1.0), "mean_squared_error")
    model.set_weights([np.array([[0.75]]), np.array([[0.5]])])
    x, y = np.array([[2.0]]), np.array([[0.25]])
    assert float(model.predict(x)[0, 0]) == pytest.approx(0.60080, abs=2e-5)
    assert model.train_on_batch(x, y) == pytest.approx(0.35080**2, abs=2e-5)
    assert [float(w[0, 0]) for w in model.get_weights()] == pytest.approx([0.72490, 0.36243], abs=2e-5)
    assert float(model.predict(x)[0, 0]) == pytest.approx(0.57287, abs=2e-5)
