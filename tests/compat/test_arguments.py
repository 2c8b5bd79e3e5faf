"""Arguments of older Keras are taken with a warning, unknown ones name the nearest, and no message speaks of the trainer."""

from __future__ import annotations

import inspect
import warnings

import numpy as np
import pytest

import nnfast as nn
from nnfast import arguments
from nnfast.layers import Dense, Dropout

X, Y = np.ones((8, 2)), np.ones((8, 1))


def compiled() -> nn.Sequential:
    model = nn.Sequential([Dense(1, input_dim=2)], seed=0)
    model.compile("sgd", "mse", metrics=["mae"])
    return model


@pytest.mark.parametrize(
    ("make", "new", "value"),
    [
        (lambda: Dense(output_dim=3), "units", 3),
        (lambda: Dense(3, init="zeros"), "kernel_initializer", nn.initializers.Zeros),
        (lambda: Dense(3, bias=False), "use_bias", False),
        (lambda: Dense(3, batch_input_shape=(None, 4)), "input_shape", (4,)),
        (lambda: Dropout(p=0.25), "rate", 0.25),
        (lambda: nn.optimizers.Adam(lr=0.5), "learning_rate", 0.5),
        (lambda: nn.callbacks.ReduceLROnPlateau("loss", epsilon=0.5), "min_delta", 0.5),
    ],
)
def test_older_arguments_are_taken(make: object, new: str, value: object) -> None:
    with pytest.warns(FutureWarning, match=rf"older Keras: it is called {new} now") as seen:
        made = make()
    assert len(seen) == 1
    assert seen[0].filename == __file__
    got = getattr(made, new)
    assert type(got) is value if isinstance(value, type) else got == value


def test_older_arguments_of_fit() -> None:
    model = compiled()
    with pytest.warns(FutureWarning) as seen:
        history = model.fit(X, Y, nb_epoch=3, show_accuracy=True, verbose=0)
    assert len(history.epoch) == 3
    assert [str(warning.message).partition("(")[2].partition("=")[0] for warning in seen] == [
        "nb_epoch",
        "show_accuracy",
    ]
    with pytest.warns(FutureWarning, match="class_mode"):
        model.compile("sgd", "mse", class_mode="binary")
    with pytest.warns(FutureWarning, match="called num_classes"):
        assert nn.utils.to_categorical([0, 1], nb_classes=3).shape == (2, 3)


def test_values_that_ask_for_what_is_done_anyway() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        Dense(3, dtype="float32")
        compiled().compile("sgd", "mse", run_eagerly=True, jit_compile=False)
    with pytest.raises(TypeError, match=r"Dense\(\) takes 'dtype' only as None or 'float32', got 'float16'"):
        Dense(3, dtype="float16")


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: Dense(3, unit=4), r"Dense\(\) has no argument 'unit'. Did you mean 'units'\?"),
        (lambda: Dense(), r"Dense\(\): missing a required argument: 'units'"),
        (lambda: Dense(units=3, output_dim=4), "older Keras' name for 'units', and 'units' too"),
        (lambda: nn.optimizers.SGD(learn_rate=1), "Did you mean 'learning_rate'"),
        (lambda: nn.callbacks.EarlyStopping(patient=1), "Did you mean 'patience'"),
        (lambda: compiled().fit(X, Y, epoch=1), r"fit\(\) has no argument 'epoch'. Did you mean 'epochs'"),
        (lambda: compiled().fit(X, Y, *range(20)), r"fit\(\): too many positional arguments"),
        (lambda: compiled().evaluate(X, Y, batchsize=1), r"evaluate\(\) has no argument 'batchsize'"),
        (lambda: compiled().predict(), r"predict\(\): missing a required argument: 'x'"),
        (lambda: compiled().compile("sgd", "mse", metric=[]), "Did you mean 'metrics'"),
    ],
)
def test_wrong_arguments_name_what_is_wrong(call: object, message: str) -> None:
    with pytest.raises(TypeError, match=message) as error:
        call()
    assert "Trainer" not in str(error.value)


def test_errors_of_the_body_are_left_alone() -> None:
    @arguments.accepting
    def fails(units: int) -> None:
        raise TypeError("mine")

    with pytest.raises(TypeError, match=r"^mine$"):
        fails(units=1)
    assert str(inspect.signature(Dense)).startswith("(units: ")


def batches(rows: int = 4):
    while True:
        for start in range(0, 8, rows):
            yield X[start : start + rows], Y[start : start + rows]


@pytest.mark.parametrize("method", ["fit", "evaluate", "predict"])
def test_a_generator_is_named_as_such(method: str) -> None:
    with pytest.raises(TypeError, match="x is a generator, which gives batches"):
        getattr(compiled(), method)(batches())


class Numbered:
    """Like Keras' Sequence."""

    def __len__(self) -> int:
        return 2

    def __getitem__(self, number: int):
        return X[4 * number : 4 * number + 4], Y[4 * number : 4 * number + 4]

    def on_epoch_end(self) -> None:
        pass


def test_an_object_of_batches_is_named_as_such() -> None:
    with pytest.raises(TypeError, match="x is a Numbered, which gives batches"):
        compiled().fit(Numbered())


@pytest.mark.parametrize("source", [batches, Numbered])
def test_fit_generator_is_a_fit_over_the_same_batches(source: object) -> None:
    calls: list[str] = []

    class Note(nn.callbacks.Callback):
        def on_train_begin(self, logs=None):
            calls.append(f"begin {self.params['epochs']}")

        def on_epoch_end(self, epoch, logs=None):
            calls.append(f"epoch {epoch}")

        def on_train_end(self, logs=None):
            calls.append(f"end {sorted(logs)}")

    one, other = compiled(), compiled()
    with pytest.warns(FutureWarning, match="fit_generator is older Keras"):
        history = one.fit_generator(source(), 2, 3, verbose=0, callbacks=[Note()], validation_data=(X, Y))
    expected = other.fit(X, Y, batch_size=4, epochs=3, shuffle=False, verbose=0, validation_data=(X, Y))
    assert history.history == expected.history
    assert history.epoch == [0, 1, 2]
    assert calls == ["begin 3", "epoch 0", "epoch 1", "epoch 2", "end ['loss', 'mae', 'val_loss', 'val_mae']"]
    with pytest.warns(FutureWarning):
        assert one.evaluate_generator(source(), 2) == other.evaluate(X, Y, verbose=0)
    with pytest.warns(FutureWarning):
        assert (one.predict_generator(source(), 2) == other.predict(X)).all()


def test_generators_that_cannot_be_drawn_from() -> None:
    with pytest.warns(FutureWarning), pytest.raises(TypeError, match="steps_per_epoch must say"):
        compiled().fit_generator(batches())
    with pytest.warns(FutureWarning), pytest.raises(ValueError, match="must give 3 batches, got 1"):
        compiled().fit_generator(iter([(X, Y)]), 3)
    with pytest.warns(FutureWarning), pytest.raises(ValueError, match="batches of one size"):
        compiled().fit_generator(iter([(X[:2], Y[:2]), (X, Y)]), 2)
    with pytest.warns(FutureWarning), pytest.raises(TypeError, match="generator must be a generator"):
        compiled().fit_generator(3)


def test_predict_classes_and_predict_proba() -> None:
    model = compiled()
    with pytest.warns(FutureWarning):
        classes = model.predict_classes(X)
    assert classes.shape == (8, 1)
    assert (classes == (model.predict(X) > 0.5)).all()
    with pytest.warns(FutureWarning):
        assert (model.predict_proba(X) == model.predict(X)).all()
    wide = nn.Sequential([Dense(3, input_dim=2)], seed=0)
    with pytest.warns(FutureWarning):
        assert (wide.predict_classes(X) == wide.predict(X).argmax(1)).all()
