"""A tf.data.Dataset over arrays trains as its arrays do."""

from __future__ import annotations

import numpy as np
import pytest

import nnfast as nn
from nnfast.compat.dataset import Dataset

X = np.arange(20.0).reshape(10, 2) / 20
Y = X.sum(1, keepdims=True)


def compiled() -> nn.Sequential:
    model = nn.Sequential([nn.layers.Dense(1, input_dim=2)], seed=0)
    model.compile("sgd", "mse")
    return model


@pytest.mark.parametrize("shuffled", [False, True])
def test_fit_evaluate_predict(shuffled: bool) -> None:
    data = Dataset.from_tensor_slices((X, Y))
    data = (data.shuffle(10) if shuffled else data).batch(3).prefetch(-1).cache()
    one, other = compiled(), compiled()
    history = one.fit(data, epochs=3, validation_data=data, verbose=0)
    expected = other.fit(X, Y, batch_size=3, epochs=3, shuffle=shuffled, validation_data=(X, Y), verbose=0)
    assert history.history == expected.history
    assert one.evaluate(data, verbose=0) == other.evaluate(X, Y, verbose=0)
    assert (one.predict(data) == other.predict(X)).all()
    assert len(data) == 4


def test_elements() -> None:
    data = Dataset.from_tensor_slices((X, Y)).map(lambda x, y: (2 * x, y)).filter(lambda x, y: x[0] < 1.5)
    assert [tuple(map(float, x)) for x, _ in data] == [tuple(2 * row) for row in X if 2 * row[0] < 1.5]
    batches = list(Dataset.from_tensor_slices(X).batch(4, drop_remainder=True))
    assert [batch.shape for batch in batches] == [(4, 2), (4, 2)]
    assert batches[0].numpy().tolist() == X[:4].tolist()
    data = Dataset.from_tensor_slices((X, Y)).shuffle(10, seed=3, reshuffle_each_iteration=False)
    first, rest = data.take(3), data.skip(3)
    assert sorted(x[0] for part in (first, rest) for x, _ in part) == X[:, 0].tolist()
    assert len(Dataset.from_tensor_slices(X).batch(4).take(1).unbatch()) == 4


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Dataset.from_tensor_slices({"a": X}), "got a dict"),
        (lambda: Dataset.from_tensor_slices((X, Y[:3])), "same number of rows"),
        (lambda: Dataset.from_tensor_slices(X).batch(2).shuffle(3), "before batch"),
        (lambda: Dataset.from_tensor_slices(X).batch(2).batch(3), "batch was called already"),
        (lambda: Dataset.from_tensor_slices(X).batch(0), "whole number > 0"),
        (lambda: Dataset.from_tensor_slices(X).repeat(), "repeat is out"),
        (lambda: compiled().fit(Dataset.from_tensor_slices((X, Y))), "is not batched"),
        (lambda: compiled().fit(Dataset.from_tensor_slices((X, Y)).batch(2), Y), "y must be left out"),
        (
            lambda: compiled().fit(Dataset.from_tensor_slices((X, Y)).batch(2), batch_size=2),
            "batch_size must be left out",
        ),
        (lambda: Dataset.from_tensor_slices(X).interleave, "nnfast has of tf.data"),
    ],
)
def test_what_is_refused(make: object, message: str) -> None:
    with pytest.raises((ValueError, TypeError, AttributeError), match=message):
        make()
