"""Sequential: building, weights, predictions, description, copies that go on training on the same path."""

from __future__ import annotations

import copy
import gc
import inspect
import json
import pickle
import threading
import weakref

import numpy as np
import pytest

import nnfast
from nnfast import Sequential, Trainer, layers, models

from .tolerances import POINTWISE_RTOL

RNG = np.random.default_rng(0)
X = RNG.normal(size=(30, 4)).astype(np.float32)
LABELS = RNG.integers(0, 3, 30)


def model(seed: int = 1) -> Sequential:
    result = Sequential([layers.Input((4,)), layers.Dense(5, "relu"), layers.Dense(3, "softmax")], seed=seed)
    result.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    return result


def assert_same_weights(first: Sequential, second: Sequential) -> None:
    for a, b in zip(first.get_weights(), second.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_prediction_is_the_forward_pass() -> None:
    w1, b1, w2, b2 = model().get_weights()
    logits = np.maximum(X @ w1 + b1, 0) @ w2 + b2
    expected = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(model().predict(X), expected, rtol=POINTWISE_RTOL)


def test_predictions_of_every_spelling() -> None:
    trained = model()
    whole = trained.predict(X)
    assert whole.dtype == np.float32
    for other in (
        trained.predict_on_batch(X),
        trained(X),
        trained.predict(X.tolist()),
        trained.predict(X, batch_size=1),
    ):
        np.testing.assert_array_equal(whole, other)
    np.testing.assert_array_equal(whole[7:8], trained.predict(X[7:8]))


def test_add_pop_and_a_list_build_the_same() -> None:
    listed = model()
    added = Sequential(seed=1)
    for layer in (layers.Input((4,)), layers.Dense(5, "relu"), layers.Dense(2), layers.Dense(3, "softmax")):
        added.add(layer)
    top = added.pop()
    added.pop()
    assert top.name == "dense_2"
    added.add(layers.Dense(3, "softmax"))
    assert_same_weights(listed, added)


def test_trained_weights_stay_when_layers_come_and_go() -> None:
    trained = model()
    trained.fit(X, LABELS, verbose=0)
    first, _, last, _ = trained.get_weights()
    top = trained.pop()
    assert trained.trainer is None
    np.testing.assert_array_equal(trained.get_weights()[0], first)
    np.testing.assert_array_equal(top.get_weights()[0], last)
    trained.add(top)
    np.testing.assert_array_equal(trained.get_weights()[2], last)


def test_built_by_the_first_data() -> None:
    for use in (
        lambda m: m.fit(X.reshape(30, 2, 2), LABELS, verbose=0),
        lambda m: m.evaluate(X.reshape(30, 2, 2), LABELS, verbose=0),
        lambda m: m.predict(X.reshape(30, 2, 2)),
        lambda m: m.train_on_batch(X.reshape(30, 2, 2), LABELS),
        lambda m: m.build((None, 2, 2)),
    ):
        late = Sequential([layers.Flatten(), layers.Dense(3, "softmax")], seed=1)
        late.compile("sgd", "sparse_categorical_crossentropy")
        assert not late.built
        use(late)
        assert late.built
        assert late.input_shape == (None, 2, 2)
        assert late.predict(X.reshape(30, 2, 2)).shape == (30, 3)


def test_weights() -> None:
    trained = model()
    assert trained.weight_names == ["dense/kernel", "dense/bias", "dense_1/kernel", "dense_1/bias"]
    assert [weight.shape for weight in trained.weights] == [(4, 5), (5,), (5, 3), (3,)]
    assert trained.count_params() == 4 * 5 + 5 + 5 * 3 + 3
    copied = trained.get_weights()
    trained.weights[0][0, 0] = 9
    assert copied[0][0, 0] != 9
    trained.set_weights(copied)
    assert_same_weights(trained, model())


def test_set_weights_is_all_or_nothing() -> None:
    trained = model()
    wrong = [weight + 1 for weight in trained.get_weights()]
    wrong[3] = np.zeros(4)
    with pytest.raises(ValueError, match="needs weights of shapes"):
        trained.set_weights(wrong)
    assert_same_weights(trained, model())


def test_a_drawn_seed_is_kept_and_printed_and_repeats_the_run() -> None:
    first = Sequential([layers.Input((4,)), layers.Dense(3)])
    lines: list[str] = []
    first.summary(print_fn=lines.append)
    assert f"seed {first.seed}" in lines[0]
    second = Sequential([layers.Input((4,)), layers.Dense(3)])
    assert first.seed != second.seed
    assert_same_weights(first, Sequential([layers.Input((4,)), layers.Dense(3)], seed=first.seed))


def test_set_random_seed_decides_the_seeds_that_follow() -> None:
    seeds = []
    for _ in range(2):
        nnfast.utils.set_random_seed(5)
        seeds.append([Sequential().seed, Sequential().seed])
    assert seeds[0] == seeds[1]
    assert len(set(seeds[0])) == 2


def test_summary(capsys) -> None:
    trained = model()
    trained.summary()
    assert capsys.readouterr().out.splitlines() == [
        'Model "sequential", seed 1',
        "Layer (type)      Output shape   Weights",
        "----------------------------------------",
        "dense (Dense)     (None, 5)           25",
        "dense_1 (Dense)   (None, 3)           18",
        "Total weights: 43",
    ]
    Sequential([layers.Flatten(), layers.Dense(1)]).summary()
    assert "unknown until the model is built" in capsys.readouterr().out


def test_configuration() -> None:
    trained = model()
    config = json.loads(json.dumps(trained.get_config()))
    again = Sequential.from_config(config)
    assert again.get_config() == config
    assert_same_weights(trained, again)
    again.compile(**json.loads(json.dumps(trained.trainer.get_config())))
    for either in (trained, again):
        either.fit(X, LABELS, verbose=0)
    assert_same_weights(trained, again)
    unbuilt = Sequential([layers.Flatten(), layers.Dense(3)], seed=1)
    assert not Sequential.from_config(unbuilt.get_config()).built


COPIES = {"pickle": lambda m: pickle.loads(pickle.dumps(m)), "deepcopy": copy.deepcopy}


@pytest.mark.parametrize("duplicate", COPIES.values(), ids=COPIES)
@pytest.mark.parametrize("optimizer", ["sgd", "adam", nnfast.optimizers.SGD(0.1, momentum=0.9)], ids=str)
def test_copies_go_on_training_on_the_same_path(duplicate, optimizer) -> None:
    trained = model()
    trained.compile(copy.deepcopy(optimizer), "sparse_categorical_crossentropy", metrics=["accuracy"])
    trained.fit(X, LABELS, batch_size=7, epochs=2, verbose=0)
    twin = duplicate(trained)
    assert twin.optimizer.iterations == trained.optimizer.iterations == 10
    histories = [
        m.fit(X, LABELS, batch_size=7, epochs=3, verbose=0, initial_epoch=1).history for m in (trained, twin)
    ]
    assert histories[0] == histories[1]
    assert_same_weights(trained, twin)
    twin.set_weights([np.zeros_like(weight) for weight in twin.weights])
    assert trained.get_weights()[0].any()


@pytest.mark.parametrize("duplicate", COPIES.values(), ids=COPIES)
def test_copies_of_models_at_every_stage(duplicate) -> None:
    empty = duplicate(Sequential(seed=3))
    assert empty.seed == 3
    unbuilt = duplicate(Sequential([layers.Flatten(), layers.Dense(3, "softmax")], seed=1))
    assert not unbuilt.built
    compiled = Sequential([layers.Flatten(), layers.Dense(3, "softmax")], seed=1)
    compiled.compile("adam", "sparse_categorical_crossentropy", metrics=["acc"])
    twin = duplicate(compiled)
    for either in (compiled, twin):
        either.fit(X, LABELS, verbose=0)
    assert_same_weights(compiled, twin)
    trainer = duplicate(twin.trainer)
    assert isinstance(trainer, Trainer)
    assert trainer.fit(X, LABELS, verbose=0).history == compiled.fit(X, LABELS, verbose=0).history


def test_a_dropped_model_is_freed_at_once() -> None:
    gc.disable()
    try:
        trained = model()
        trained.fit(X, LABELS, verbose=0, callbacks=[nnfast.callbacks.EarlyStopping("loss")])
        gone = weakref.ref(trained)
        del trained
        assert gone() is None
    finally:
        gc.enable()


def test_a_trainer_of_ones_own_keeps_its_model() -> None:
    trainer = Trainer(
        Sequential([layers.Input((4,)), layers.Dense(3, "softmax")], seed=1),
        "sgd",
        "sparse_categorical_crossentropy",
    )
    trainer.fit(X, LABELS, verbose=0, callbacks=[nnfast.callbacks.EarlyStopping("loss")])
    assert trainer.model.trainer is trainer


def test_predict_from_many_threads() -> None:
    trained = model()
    expected = trained.predict(X)
    wrong: list[object] = []

    def work() -> None:
        for _ in range(50):
            if not np.array_equal(trained.predict(X), expected):
                wrong.append(True)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_predict_builds_once_from_many_threads() -> None:
    late = Sequential([layers.Dense(3)], seed=1)
    outputs: list[np.ndarray] = []
    threads = [threading.Thread(target=lambda: outputs.append(late.predict(X))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(outputs) == 8
    assert all(np.array_equal(output, outputs[0]) for output in outputs)
    assert np.shares_memory(late.layers[0].kernel, late._network().params)


@pytest.mark.parametrize(
    ("method", "arguments"),
    {
        "fit": "x y batch_size epochs verbose callbacks validation_split validation_data shuffle "
        "class_weight sample_weight initial_epoch steps_per_epoch validation_steps "
        "validation_batch_size validation_freq",
        "evaluate": "x y batch_size verbose sample_weight steps callbacks return_dict",
        "predict": "x batch_size verbose steps callbacks",
        "train_on_batch": "x y sample_weight class_weight return_dict",
        "test_on_batch": "x y sample_weight return_dict",
        "compile": "optimizer loss loss_weights metrics",
    }.items(),
)
def test_arguments_are_those_of_keras_in_its_order(method: str, arguments: str) -> None:
    names = list(inspect.signature(getattr(Sequential, method)).parameters)[1:]
    assert names[: len(arguments.split())] == arguments.split()


@pytest.mark.parametrize(
    "module",
    [
        nnfast,
        models,
        layers,
        nnfast.activations,
        nnfast.losses,
        nnfast.optimizers,
        nnfast.metrics,
        nnfast.callbacks,
        nnfast.initializers,
    ],
    ids=lambda module: module.__name__,
)
def test_names_of_keras_that_dense_nets_do_not_need(module) -> None:
    with pytest.raises(
        AttributeError,
        match=f"module '{module.__name__}' has no attribute 'Conv2D'.*as nnfast trains dense networks",
    ):
        module.Conv2D  # noqa: B018
    assert not hasattr(module, "__wrapped__")


def test_the_package_runs_as_keras() -> None:
    keras = nnfast
    result = keras.models.Sequential(
        [keras.Input(shape=(4,)), keras.layers.Dense(1, activation=keras.activations.relu)]
    )
    result.compile(
        optimizer=keras.optimizers.Adam(learning_rate=0.01),
        loss=keras.losses.MeanSquaredError(),
        metrics=["mae"],
    )
    history = result.fit(
        X, LABELS, epochs=1, verbose=0, callbacks=[keras.callbacks.EarlyStopping(monitor="loss")]
    )
    assert set(history.history) == {"loss", "mae"}
    assert set(dir(nnfast)) >= {"Sequential", "datasets", "__version__"}
