"""Arguments of a wrong kind are refused by name, before anything has changed; none is accepted and ignored."""

from __future__ import annotations

import pickle
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import nnfast as nn
from nnfast import callbacks, initializers, layers, losses, metrics, optimizers, utils

X = np.ones((6, 2), np.float32)
Y = np.arange(6, dtype=np.float32)
HUGE = 10**5000  # of more digits than Python writes


def make(*first: layers.Layer, **kwargs: Any) -> nn.Sequential:
    model = nn.Sequential([*first, layers.Dense(1)], seed=0)
    model.compile("adam", "mse", **kwargs)
    return model


@pytest.mark.parametrize(
    ("argument", "value"),
    [
        ("validation_split", "a"),
        ("validation_split", [0.2]),
        pytest.param("validation_split", HUGE, id="long split"),
        ("validation_freq", "a"),
        ("validation_freq", [1.5, "x"]),
        ("validation_batch_size", 0),
        ("shuffle", "batch"),
        ("shuffle", np.array([1, 0])),
        pytest.param("batch_size", -HUGE, id="long batch"),
        pytest.param("epochs", -HUGE, id="long epochs"),
        pytest.param("verbose", HUGE, id="long verbose"),
    ],
)
def test_fit_refuses_before_it_builds(argument: str, value: object) -> None:
    model = make()
    with pytest.raises(ValueError, match=f"^{argument}.* must be .*, got "):
        model.fit(X, Y, **{"verbose": 0, argument: value})
    assert model._net is None
    assert model.history is None
    model.fit(X[:, :1], Y, verbose=0)


@pytest.mark.parametrize(
    "call",
    [
        lambda model, x: model.fit(x, Y, verbose=0),
        lambda model, x: model.train_on_batch(x, Y),
        lambda model, x: model.test_on_batch(x, Y),
        lambda model, x: model.predict(x),
    ],
)
@pytest.mark.parametrize("first", [layers.Dropout(0.5), layers.Activation("tanh")])
def test_sparse_rows_need_a_dense_layer_first(
    first: layers.Layer, call: Callable[[nn.Sequential, Any], object]
) -> None:
    sparse = pytest.importorskip("scipy.sparse")
    model = make(type(first).from_config(first.get_config()))
    with pytest.raises(TypeError, match=r"^x must be a dense array, as layer '.*' comes .* x.toarray\(\)"):
        call(model, sparse.csr_matrix(X))
    assert model._net is None
    call(model, X[:, :1])
    call(make(layers.Dropout(0.0), layers.Activation("linear")), sparse.csr_matrix(X))


def test_dead_units_refuses_before_it_builds() -> None:
    model = make()
    with pytest.raises(ValueError, match="finite"):
        utils.dead_units(model, [[np.nan, 1.0]])
    model.fit(X[:, :1], Y, verbose=0)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (None, "weights must be a list of arrays, .* got None"),
        (3, "weights must be a list of arrays, .* got 3"),
        ({"a": 1}, "weights must be a list of arrays"),
        ([[["1"], ["2"]], [0.0]], r"weights\[0\] must hold real numbers, got .* text"),
        ([[[1j], [0]], [0.0]], r"weights\[0\] must hold real numbers"),
    ],
)
def test_weights_are_arrays_of_numbers(values: Any, message: str) -> None:
    model = make(layers.Input((2,)))
    before = model.get_weights()
    for owner in (model, model.layers[0]):
        with pytest.raises(TypeError, match=message):
            owner.set_weights(values)
    assert all(map(np.array_equal, before, model.get_weights()))


def test_state_of_a_trainer_is_named() -> None:
    model = make(layers.Input((2,)))
    trainer = model.trainer
    for state in ({}, None, {"epoch": 1}):
        with pytest.raises(ValueError, match="state must be a dict with epoch and epochs_shuffled"):
            trainer.set_state(state)
    for slots in (None, 3, {"a": 1}):
        with pytest.raises(ValueError, match=r"slots must be .* those of rule"):
            trainer.set_slots(slots)
    name = min(trainer.slots)
    with pytest.raises(TypeError, match=rf"slots\['{name}'\] must be a list of arrays"):
        trainer.set_slots(trainer.slots | {name: None})
    with pytest.raises(ValueError, match=r"config must be .* with layers"):
        nn.Sequential.from_config({"name": "a", "seed": 1, "sample_shape": None})


@pytest.mark.parametrize("name", [3, b"x", ""])
@pytest.mark.parametrize(
    "make_named",
    [
        lambda name: layers.Dense(2, name=name),
        lambda name: layers.Dropout(0.5, name=name),
        lambda name: nn.Sequential(name=name),
        lambda name: metrics.MeanAbsoluteError(name=name),
    ],
)
def test_names_are_text(make_named: Callable[[Any], object], name: object) -> None:
    with pytest.raises(ValueError, match=r"name of a .* must be a string of at least one character"):
        make_named(name)


def test_what_is_given_twice_or_for_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match=r"input_dim=3 and input_shape=.* Leave one"):
        layers.Dense(2, input_dim=3, input_shape=(4,))
    with pytest.raises(TypeError, match="metrics must be a list"):
        make(metrics={"mae": "mse"})
    for name in ("val_loss", "val_mae"):
        with pytest.raises(ValueError, match=f"cannot be called '{name}'"):
            make(metrics=["mae", metrics.MeanSquaredError(name=name)])
    with pytest.raises(ValueError, match="trainable cannot become False before the model has layers"):
        nn.Sequential().trainable = False
    with pytest.raises(ValueError, match="seed"):
        layers.Dropout(0.5, seed=True)


@pytest.mark.parametrize("name", ["history", "stop_training"])
def test_attributes_cannot_be_deleted(name: str) -> None:
    model = make(layers.Input((2,)))
    with pytest.raises(AttributeError, match=f"Sequential.{name} cannot be deleted"):
        delattr(model, name)
    with pytest.raises(AttributeError, match="cannot be deleted"):
        del model.optimizer.beta_1
    pickle.loads(pickle.dumps(model))


@pytest.mark.parametrize("value", ["0.1", b"0.1", np.array("0.1"), 1j, [0.1]])
def test_rates_are_numbers(value: Any) -> None:
    optimizer = optimizers.SGD(0.5)
    with pytest.raises(TypeError, match="learning_rate must be a number"):
        optimizer.learning_rate = value
    assert optimizer.learning_rate == 0.5
    optimizer.learning_rate = np.float32(0.25)
    assert optimizer.learning_rate == 0.25


@pytest.mark.parametrize("value", [pytest.param(HUGE, id="long"), "a", None, np.nan, np.inf, 1e39])
def test_initializers_check_their_numbers(value: Any) -> None:
    for call, name in (
        (initializers.Constant, "value"),
        (lambda value: initializers.RandomUniform(maxval=value), "maxval"),
        (lambda value: initializers.RandomNormal(mean=value), "mean"),
        (lambda value: initializers.TruncatedNormal(stddev=value), "stddev"),
        (initializers.Identity, "gain"),
        (initializers.Orthogonal, "gain"),
        (initializers.VarianceScaling, "scale"),
    ):
        with pytest.raises(ValueError, match=f"^{name} must be a finite number"):
            call(value)
    with pytest.raises(ValueError, match="stddev must be a finite number >= 0"):
        initializers.RandomNormal(stddev=-1)
    with pytest.raises(ValueError, match="value must be a number or an array of numbers, all finite"):
        initializers.Constant([0.5, value])
    with pytest.raises(ValueError, match="value must be a number or an array of numbers, all finite"):
        initializers.Constant([[0.5], [0.5, 1.0]])


@pytest.mark.parametrize(
    "call",
    [
        lambda: layers.Dense(-HUGE),
        lambda: layers.Dropout(HUGE),
        lambda: nn.Sequential(seed=HUGE),
        lambda: utils.set_random_seed(HUGE),
        lambda: utils.to_categorical([0], HUGE),
        lambda: utils.normalize(X, axis=HUGE),
        lambda: nn.set_num_threads(HUGE),
        lambda: callbacks.EarlyStopping(patience=-HUGE),
        lambda: callbacks.ReduceLROnPlateau(factor=HUGE),
        lambda: metrics.BinaryAccuracy(threshold=HUGE),
        lambda: losses.get(HUGE),
        lambda: nn.activations.get(HUGE),
        lambda: make(layers.Input((2,))).fit(X, Y, class_weight={HUGE: 1}),
        lambda: make(layers.Input((2,))).fit(X, Y, class_weight={0: HUGE}),
    ],
)
def test_numbers_too_long_to_write(call: Callable[[], object]) -> None:
    with pytest.raises((TypeError, ValueError), match=r"(got|received) a number of thousands of digits"):
        call()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: nn.Trainer(None, "sgd", "mse"), "model must be a Sequential, got None"),
        (lambda: nn.Sequential(3), "layers must be a list of layers, got 3"),
        (lambda: make().add(make()), "a layer must be an object such as layers.Dense"),
        (lambda: make().build(3), "input_shape must be a tuple with the batch first"),
        (lambda: make(layers.Input((2,))).predict(3.0), "Pass one row for each sample"),
    ],
)
def test_other_things_in_their_place(call: Callable[[], object], message: str) -> None:
    with pytest.raises((TypeError, ValueError), match=re.escape(message)):
        call()


@pytest.mark.parametrize("path", [None, 0, True, b"m", ["a"], "", "a\0b"])
def test_paths_of_model_files(path: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for call in (make(layers.Input((2,))).save, nn.load_model):
        with pytest.raises((TypeError, ValueError), match=r"^the path of a model file must"):
            call(path)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("last", "loss", "message"),
    [
        (
            [layers.Dense(2, "softmax"), layers.Dropout(0.5)],
            "sparse_categorical_crossentropy",
            "is a Dropout",
        ),
        ([layers.Dense(1, "sigmoid"), layers.Dropout(0.5)], "binary_crossentropy", "is a Dropout"),
        (
            [layers.Dense(2, "softmax"), layers.Activation("softmax")],
            "categorical_crossentropy",
            "softmax and softmax are applied",
        ),
        (
            [layers.Dense(2), layers.Activation("sigmoid"), layers.Activation("softmax")],
            "categorical_crossentropy",
            "sigmoid and softmax are applied",
        ),
        ([layers.Dense(1), layers.Dropout(0.5)], "mse", ""),
        ([layers.Dense(2, "softmax"), layers.Dropout(0.0)], "categorical_crossentropy", ""),
    ],
)
def test_last_layers_that_spoil_probabilities(
    last: list[layers.Layer], loss: str, message: str, recwarn: pytest.WarningsRecorder
) -> None:
    nn.Sequential([layers.Input((2,)), *last]).compile("sgd", loss)
    said = [str(warning.message) for warning in recwarn]
    assert len(said) == bool(message)
    assert all(message in text for text in said)
