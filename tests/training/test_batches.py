"""The one loop over batches: a callback that listens to them costs what its batches cost, not the whole data."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from nnfast import Sequential, callbacks, layers, reference

X = np.linspace(-1.0, 1.0, 60, dtype=np.float32).reshape(20, 3)
Y = X.sum(axis=1, keepdims=True)


class Listens(callbacks.Callback):
    """To every batch."""

    def __init__(self) -> None:
        self.heard: list[tuple[str, int]] = []

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self.heard.append(("train", batch))

    def on_test_batch_end(self, batch: int, logs: Any = None) -> None:
        self.heard.append(("test", batch))

    def on_predict_batch_end(self, batch: int, logs: Any = None) -> None:
        self.heard.append(("predict", len(logs["outputs"])))


def model(backend: str = "native") -> Sequential:
    made = Sequential([layers.Input((3,)), layers.Dense(4, "tanh"), layers.Dense(1)], seed=1)
    made.compile("adam", "mse", metrics=["mae"], backend=backend)
    return made


@pytest.fixture
def prepared(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The numbers of rows of all runs that are prepared."""
    rows: list[int] = []
    real = reference.Net.prepare

    def prepare(self: Any, x: Any, *args: Any, **kwargs: Any) -> Any:
        rows.append(len(x))
        return real(self, x, *args, **kwargs)

    monkeypatch.setattr(reference.Net, "prepare", prepare)
    return rows


def test_data_are_prepared_once_for_all_batches_and_epochs(prepared: list[int]) -> None:
    model("reference").fit(X, Y, batch_size=2, epochs=3, verbose=0, callbacks=[Listens()])
    assert prepared == [20]


def test_an_evaluation_is_prepared_once(prepared: list[int]) -> None:
    model("reference").evaluate(X, Y, batch_size=2, verbose=0, callbacks=[Listens()])
    assert prepared == [20]


@pytest.mark.parametrize("backend", ["native", "reference"])
def test_batches_of_all_kinds(backend: str) -> None:
    listens, quiet, loud = Listens(), model(backend), model(backend)
    histories = [
        quiet.fit(X, Y, batch_size=8, epochs=2, verbose=0, validation_data=(X, Y)).history,
        loud.fit(
            X, Y, batch_size=8, epochs=2, verbose=0, validation_data=(X, Y), callbacks=[listens]
        ).history,
    ]
    assert histories[0] == histories[1]
    each = [(kind, batch) for kind in ("train", "test") for batch in range(3)]
    assert listens.heard == [*each, *each]
    for a, b in zip(quiet.get_weights(), loud.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    listens.heard.clear()
    np.testing.assert_array_equal(loud.predict(X, batch_size=8, callbacks=[listens]), quiet.predict(X))
    assert listens.heard == [("predict", 8), ("predict", 8), ("predict", 4)]
