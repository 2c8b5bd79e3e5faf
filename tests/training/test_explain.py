"""What `explain` prints, and that it changes nothing."""

from __future__ import annotations

import numpy as np
import pytest

from nnfast import Sequential, _core, layers


def explained(model: Sequential, *args: object, **kwargs: object) -> str:
    lines: list[str] = []
    model.explain(*args, print_fn=lines.append, **kwargs)
    return "\n".join(lines)


def classifier(backend: str = "native") -> Sequential:
    model = Sequential(
        [layers.Input((64,)), layers.Dense(32, "relu"), layers.Dropout(0.5), layers.Dense(3, "softmax")],
        seed=0,
    )
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"], backend=backend)
    return model


def test_the_plan_of_a_fit() -> None:
    text = explained(classifier(), batch_size=16)
    for part in (
        "training",
        "batches of 16",
        "rule adam",
        "dense 64 -> 32, relu",
        "dropout",
        "memory",
        *_core.PATHS,
    ):
        assert part in text


def test_the_default_batch_size_is_that_of_fit(capsys: pytest.CaptureFixture[str]) -> None:
    classifier().explain()
    assert "batches of 32" in capsys.readouterr().out


@pytest.mark.parametrize("loss", _core.LOSSES)
def test_stand_ins_fit_every_loss(loss: str) -> None:
    model = Sequential([layers.Input((2, 2)), layers.Flatten(), layers.Dense(2, "sigmoid")], seed=0)
    model.compile("sgd", loss)
    assert f"loss {loss}" in explained(model)


def test_data_decide_which_paths_are_taken() -> None:
    x, y = np.zeros((100, 64), np.float32), np.zeros(100)
    x[:, 3] = 1.0
    assert "+ skip_zeros" in explained(classifier(), 10, x, y)
    assert "- skip_zeros" in explained(classifier(), 10, x + 1.0, y)
    assert "of 100 rows" in explained(classifier(), 10, x, y)


def test_data_build_a_model() -> None:
    model = Sequential([layers.Dense(1)], seed=0)
    model.compile("sgd", "mse")
    with pytest.raises(ValueError, match="has no weights yet"):
        model.explain()
    assert "dense 5 -> 1" in explained(model, x=np.ones((4, 5)), y=np.ones(4))


def test_the_reference_explains_itself() -> None:
    text = explained(classifier("reference"), 16)
    assert "NumPy" in text
    assert "dense 32, relu" in text


@pytest.mark.parametrize("backend", ["native", "reference"])
def test_nothing_is_trained(backend: str) -> None:
    model = classifier(backend)
    before, state = model.get_weights(), model.trainer.state()
    explained(model)
    for old, new in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)
    assert (model.trainer.state(), model.optimizer.iterations, model.history) == (state, 0, None)


def test_what_is_refused() -> None:
    with pytest.raises(ValueError, match=r"batch_size must be a whole number >= 1, got 0"):
        classifier().explain(0)
    with pytest.raises(ValueError, match="x must be given with y"):
        classifier().explain(y=[0])
    with pytest.raises(ValueError, match="y must be given"):
        classifier().explain(x=np.ones((1, 64)))
    with pytest.raises(RuntimeError, match="explain needs a compiled model"):
        Sequential([layers.Input((1,)), layers.Dense(1)]).explain()
