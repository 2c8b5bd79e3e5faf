"""Each message, one row: it names the argument, what was expected, what came, and the remedy.

Nothing has changed after it.
"""
# ruff: noqa: E501 (a row stays on one line)

from __future__ import annotations

import pickle
import re

import numpy as np
import pytest

import nnfast as nn
from nnfast import activations, callbacks, initializers, layers, losses, metrics, optimizers

pandas = pytest.importorskip("pandas")

X = np.zeros((6, 4), np.float32)
LABELS = np.array([0, 1, 2, 0, 1, 2])
ONE_HOT = np.eye(3)[LABELS]


def classifier() -> nn.Sequential:
    model = nn.Sequential([layers.Input((4,)), layers.Dense(3, "softmax")], seed=0)
    model.compile("sgd", "sparse_categorical_crossentropy")
    return model


def categorical() -> nn.Sequential:
    model = nn.Sequential([layers.Input((4,)), layers.Dense(3, "softmax")], seed=0)
    model.compile("sgd", "categorical_crossentropy")
    return model


def regression(loss: str = "mse") -> nn.Sequential:
    model = nn.Sequential([layers.Input((4,)), layers.Dense(1)], seed=0)
    model.compile("sgd", loss)
    return model


def images() -> nn.Sequential:
    model = nn.Sequential([layers.Input((2, 3)), layers.Flatten(), layers.Dense(3)], seed=0)
    model.compile("sgd", "sparse_categorical_crossentropy")
    return model


def uncompiled() -> nn.Sequential:
    return nn.Sequential([layers.Input((4,)), layers.Dense(3)], seed=0)


def poisoned(value: float, dtype: type = np.float32) -> np.ndarray:
    x = np.zeros((6, 4), dtype)
    x[2, 3] = value
    return x


class Sparse:
    def toarray(self) -> np.ndarray:
        return X


FRAME = pandas.DataFrame({"age": [1.0] * 6, "city": list("abcdef")})

# What data may be wrong: (model, x, y, error, message); each is raised by fit, evaluate and train_on_batch alike.
DATA = [
    (classifier, None, LABELS, TypeError, "x must hold real numbers, got None. Pass an array"),
    (classifier, X, None, ValueError, "y must be given"),
    (classifier, (row for row in X), LABELS, TypeError, "a generator"),
    (classifier, X.astype(object), LABELS, TypeError, "x must hold real numbers, got dtype object with numbers in it. Convert it: x.astype(float)"),
    (classifier, X.astype(complex), LABELS, TypeError, "got dtype complex128. Use its real part"),
    (classifier, X.astype(str), LABELS, TypeError, "got dtype <U32, numbers written as text. Convert it: x.astype(float)"),
    (classifier, FRAME, LABELS, TypeError, "got text in column 'city'. Encode text: pandas.get_dummies(x, columns=['city']), or leave it out"),
    (classifier, Sparse(), LABELS, TypeError, "x must be a dense array, got Sparse. Convert it: x.toarray()"),
    (classifier, np.ma.masked_equal(X, 0), LABELS, ValueError, "got a masked array, masked in row 0, column 0. Fill it: x.filled(0)"),
    (classifier, [[1, 2, 3, 4], [1]], [0, 1], ValueError, "got rows of unequal length"),
    (classifier, X[:0], LABELS[:0], ValueError, "x must have at least one row, got shape (0, 4)"),
    (classifier, X[:, :0], LABELS, ValueError, "x must have at least one column, got shape (6, 0)"),
    (classifier, X[:, :3], LABELS, ValueError, "x must have shape (N, 4), got (6, 3). The model was built for this"),
    (classifier, np.broadcast_to(X[0], (2**32, 4)), LABELS, ValueError, "x must have at most 4294967295 rows, got 4294967296. Train on parts"),
    (classifier, X[0], LABELS, ValueError, "x must have shape (N, 4), got (4,). For one sample pass x[None]"),
    (classifier, X.reshape(6, 2, 2), LABELS, ValueError, "got (6, 2, 2). Reshape it: x.reshape(-1, 4)"),
    (images, np.zeros((6, 6)), LABELS, ValueError, "x must have shape (N, 2, 3), got (6, 6). Reshape it: x.reshape(-1, 2, 3)"),
    (classifier, np.float32(1), LABELS, ValueError, "x must have shape (N, 4), got ()"),
    (classifier, poisoned(np.nan), LABELS, ValueError, "x must be finite, got nan in row 2, column 3. Remove such rows"),
    (classifier, poisoned(-np.inf), LABELS, ValueError, "x must be finite, got -inf in row 2, column 3"),
    (classifier, poisoned(1e39, np.float64), LABELS, ValueError, "x must fit into float32 (up to 3.4e38), got 1e+39 in row 2, column 3"),
    (classifier, X, LABELS[:5], ValueError, "y must have as many rows as x, 6, got 5"),
    (classifier, X, LABELS + 1, ValueError, "y must hold labels from 0 to 2, as the model has 3 outputs, got 3 in row 2. Give the last layer"),
    (classifier, X, LABELS - 1, ValueError, "got -1 in row 0"),
    (classifier, X, LABELS / 2, ValueError, "got 0.5 in row 1"),
    (classifier, X, ONE_HOT, ValueError, "y must hold labels of shape (N,) or (N, 1), got (6, 3). For one-hot rows use loss 'categorical"),
    (classifier, X, ONE_HOT[:, :2], ValueError, "got (6, 2). Take the index of the class"),
    (classifier, X, list("abcabc"), TypeError, "y must hold real numbers, got dtype <U1. Encode it: numpy.unique"),
    (categorical, X, LABELS, ValueError, "y must have shape (N, 3), as the model has 3 outputs, got (6,). For class labels use loss 'sparse"),
    (categorical, X, ONE_HOT[:, :2], ValueError, "got (6, 2). Give the last layer as many units as there are targets"),
    (categorical, X, ONE_HOT[:4], ValueError, "y must have as many rows as x, 6, got 4"),
    (categorical, X, poisoned(np.nan)[:, 1:], ValueError, "y must be finite, got nan in row 2, column 2"),
    (regression, X, ONE_HOT, ValueError, "y must have shape (N, 1), as the model has 1 outputs, got (6, 3)"),
    (lambda: regression("binary_crossentropy"), X, LABELS, ValueError, "y must hold probabilities (0 and 1 for two classes) for loss 'binary"),
]  # fmt: skip


@pytest.mark.parametrize("method", ["fit", "evaluate", "train_on_batch", "test_on_batch"])
@pytest.mark.parametrize(("make", "x", "y", "error", "message"), DATA, ids=[row[-1][:60] for row in DATA])
def test_data(method: str, make, x, y, error, message: str) -> None:
    model = make()
    before = model.get_weights()
    with pytest.raises(error, match=re.escape(message)):
        getattr(model, method)(x, y)
    for a, b in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    assert model.optimizer.iterations == 0


@pytest.mark.parametrize(
    ("x", "error", "message"),
    [(x, error, message) for _, x, _, error, message in DATA if message.startswith("x ")],
)
def test_data_of_predict(x, error, message: str) -> None:
    model = images() if "(N, 2, 3)" in message else classifier()
    with pytest.raises(error, match=re.escape(message)):
        model.predict(x)


# What else may be wrong: (call, error, message).
CALLS = [
    # fit
    (lambda: classifier().fit(X, LABELS, batch_size=0), ValueError, "batch_size must be a whole number >= 1, got 0"),
    (lambda: classifier().fit(X, LABELS, batch_size=2.5), ValueError, "batch_size must be a whole number >= 1, got 2.5"),
    (lambda: classifier().fit(X, LABELS, epochs=-1), ValueError, "epochs must be a whole number >= 0, got -1"),
    (lambda: classifier().fit(X, LABELS, epochs=True), ValueError, "epochs must be a whole number >= 0, got True"),
    (lambda: classifier().fit(X, LABELS, initial_epoch=None), ValueError, "initial_epoch must be a whole number >= 0, got None"),
    (lambda: classifier().fit(X, LABELS, verbose=3), ValueError, "verbose must be 'auto', 0 (silent), 1 (bar) or 2 (one line per epoch), got 3"),
    (lambda: classifier().fit(X, LABELS, validation_split=1.0), ValueError, "validation_split must be between 0 and 1, got 1.0"),
    (lambda: classifier().fit(X, LABELS, validation_split=0.9), ValueError, "validation_split=0.9 leaves no row of 6 to train on"),
    (lambda: classifier().fit(X, LABELS, validation_split=1e-20), ValueError, "leaves no row of 6 to validate on. Pass a larger share"),
    (lambda: classifier().fit(X, LABELS, validation_data=X), ValueError, "validation_data must be (x, y) or (x, y, sample_weight), got ndarray"),
    (lambda: classifier().fit(X, LABELS, validation_data=(X[:, :2], LABELS)), ValueError, "validation x must have shape (N, 4), got (6, 2)"),
    (lambda: classifier().fit(X, LABELS, validation_data=(X, LABELS + 9)), ValueError, "validation y must hold labels from 0 to 2"),
    (lambda: classifier().fit(X, LABELS, validation_freq=0), ValueError, "validation_freq must be a whole number >= 1, got 0"),
    (lambda: classifier().fit(X, LABELS, steps_per_epoch=5), ValueError, "steps_per_epoch and validation_steps must be None"),
    (lambda: classifier().fit(X, LABELS, callbacks=[print]), TypeError, "callbacks must be nnfast.callbacks.Callback objects, got <built-in"),
    (lambda: classifier().fit(X, LABELS, callbacks=[callbacks.EarlyStopping]), TypeError, "Make an object of the class first"),
    (lambda: classifier().fit(X, LABELS, sample_weight=[1, 2]), ValueError, "sample_weight must have as many rows as x, 6, got 2"),
    (lambda: classifier().fit(X, LABELS, sample_weight=X), ValueError, "sample_weight must have shape (N,), one weight per row of x, got (6, 4)"),
    (lambda: classifier().fit(X, LABELS, sample_weight=[np.nan] * 6), ValueError, "sample_weight must be finite, got nan in row 0"),
    (lambda: classifier().fit(X, LABELS, class_weight=[1, 2, 3]), TypeError, "class_weight must be a dict from class to weight, got list"),
    (lambda: classifier().fit(X, LABELS, class_weight={3: 1.0}), ValueError, "class_weight must have keys from 0 to 2, got 3"),
    (lambda: classifier().fit(X, LABELS, class_weight={1: np.nan}), ValueError, "class_weight[1] must be one finite number >= 0, got nan"),
    (lambda: regression().fit(X, LABELS, class_weight={1: 2.0}), ValueError, "class_weight needs targets y that are one class a row"),
    (lambda: classifier().evaluate(X, LABELS, steps=3), ValueError, "steps must be None: all rows are evaluated"),
    (lambda: classifier().predict(X, steps=3), ValueError, "steps must be None: all rows are predicted"),
    (lambda: uncompiled().fit(X, LABELS), RuntimeError, "fit needs a compiled model. Call model.compile(optimizer, loss) first"),
    (lambda: uncompiled().evaluate(X, LABELS), RuntimeError, "evaluate needs a compiled model"),
    (lambda: classifier().recover(), RuntimeError, "there are no weights to recover: no fit has begun since compile"),
    # compile
    (lambda: uncompiled().compile("adma", "mse"), ValueError, "Unknown optimizer 'adma'. Did you mean 'adam'? Known: sgd, rmsprop, adam, adamw, adagrad,"),
    (lambda: uncompiled().compile("sgd", "mean_squared"), ValueError, "Unknown loss 'mean_squared'. Did you mean 'mean_squared_error'? Known: "),
    (lambda: uncompiled().compile("sgd", None), TypeError, "loss must be a name, or an object or subclass of Loss, got None. Known names: "),
    (lambda: uncompiled().compile(0.1, "mse"), TypeError, "optimizer must be a name, or an object or subclass of Optimizer, got 0.1"),
    (lambda: uncompiled().compile("sgd", "mse", metrics=["acuracy"]), ValueError, "Unknown metric 'acuracy'. Did you mean 'accuracy'?"),
    (lambda: uncompiled().compile("sgd", "mse", metrics=[0.5]), TypeError, "metric must be a name, or an object or subclass of Metric, got 0.5"),
    (lambda: uncompiled().compile("sgd", "mse", metrics=[metrics.BinaryAccuracy(name="loss")]), ValueError, "got 'loss' twice"),
    (lambda: uncompiled().compile("sgd", "sparse_categorical_crossentropy", metrics=["mse"]), ValueError, "metric 'mse' does not fit loss 'sparse_categorical_crossentropy', which takes labels (N,)"),
    (lambda: uncompiled().compile("sgd", "mse", metrics=["sparse_categorical_accuracy"]), ValueError, "which takes targets (N, 3). Use 'accuracy'"),
    (lambda: uncompiled().compile("sgd", "mse", ["mae"]), ValueError, "loss_weights must be None, as there is one output, got ['mae']. Pass metrics by name"),
    (lambda: uncompiled().compile("sgd", "mse", backend="numpy"), ValueError, "Unknown backend 'numpy'. Known: native, reference"),
    (lambda: uncompiled().compile(classifier.shared_optimizer, "mse"), ValueError, "optimizer Adam already serves the model 'sequential'. Make one for each: Adam.from_config("),
    (lambda: stale_trainer().fit(X, X[:, :3]), RuntimeError, "the model was compiled again, or its layers were changed. Use model.trainer"),
    (lambda: changed_rule(), AttributeError, "the update rule would change from 'sgd' to 'momentum', which keeps another state. Make a new optimizer and call compile"),
    (lambda: classifier().trainer.set_slots({"velocity": []}), RuntimeError, "the model of this trainer is gone. Keep a reference"),
    (lambda: with_slots().trainer.set_slots({"speed": []}), ValueError, "slots must be ['velocity'], those of rule 'momentum', got ['speed']"),
    (lambda: with_slots().trainer.set_slots({"velocity": []}), ValueError, "optimizer rule 'momentum' needs weights of shapes [(4, 3), (3,)], got []"),
    # models
    (lambda: nn.Sequential([layers.Dense(3)]).get_weights(), ValueError, "the model 'sequential' has no weights yet. Begin it with layers.Input(shape)"),
    (lambda: nn.Sequential([layers.Dense(3)]).layers[0].kernel, ValueError, "layer 'dense' has no weights before its model is built"),
    (lambda: nn.Sequential([layers.Flatten()]).predict(X), ValueError, "has no layer with weights. Add layers.Dense(units)"),
    (lambda: nn.Sequential().pop(), ValueError, "the model has no layers to pop"),
    (lambda: nn.Sequential([layers.Dense]), TypeError, "a layer must be an object such as layers.Dense(10), got <class"),
    (lambda: nn.Sequential(["dense"]), TypeError, "a layer must be an object such as layers.Dense(10), got 'dense'"),
    (lambda: nn.Sequential([object()]), TypeError, "a layer must be an object such as layers.Dense(10), got <object"),
    (lambda: nn.Sequential([layers.Dense(3), layers.Input((4,))]), ValueError, "Input must be the first of a model, and once"),
    (lambda: nn.Sequential([layers.Input((4,)), layers.Input((4,))]), ValueError, "Input must be the first of a model, and once"),
    (lambda: nn.Sequential([layers.Dense(3, name="a"), layers.Dense(3, name="a")]), ValueError, "layers of a model must have different names, got 'a' twice"),
    (lambda: nn.Sequential([classifier.used_layer]), ValueError, "layer 'dense' already belongs to the model 'sequential'. Make a new one, Dense.from_config("),
    (lambda: nn.Sequential([layers.Input((2, 3)), layers.Dense(3)]).build(), ValueError, "layer 'dense' takes rows of shape (features,), got samples of shape (2, 3). Add layers.Flatten()"),
    (lambda: nn.Sequential(seed=-1), ValueError, "seed must be a whole number from 0 to 2**64 - 1, got -1"),
    (lambda: nn.Sequential(seed=1.5), ValueError, "seed must be a whole number from 0 to 2**64 - 1, got 1.5"),
    (lambda: uncompiled().set_weights([X]), ValueError, "model 'sequential' needs weights of shapes [(4, 3), (3,)], got [(6, 4)]. Take them from"),
    (lambda: classifier.used_layer.set_weights([X]), ValueError, "layer 'dense' needs weights of shapes [(4, 3), (3,)], got [(6, 4)]"),
    (lambda: layers.Dense(0), ValueError, "units must be a whole number > 0, got 0"),
    (lambda: layers.Dense(2.0), ValueError, "units must be a whole number > 0, got 2.0"),
    (lambda: layers.Input(()), ValueError, "input shape must be a tuple of sizes > 0, that of one sample without the batch, got ()"),
    (lambda: layers.Input((None, 4)), ValueError, "without the batch, got (None, 4)"),
    (lambda: layers.Input(4), ValueError, "without the batch, got 4"),
    (lambda: layers.InputLayer(), ValueError, "InputLayer needs a shape"),
    # names and numbers
    (lambda: layers.Dense(1, "sigmoyd"), ValueError, "Unknown activation 'sigmoyd'. Did you mean 'sigmoid'? Known: linear, "),
    (lambda: layers.Dense(1, len), TypeError, "activation must be a name or an object of nnfast.activations, got <built-in"),
    (lambda: activations.Sigmoid(0.0), ValueError, "the parameter of activation 'sigmoid' must be finite and > 0, got 0.0"),
    (lambda: activations.Activation("relu", 1.0), ValueError, "activation 'relu' takes no parameter, got 1.0. Leave it out"),
    (lambda: layers.Dense(1, kernel_initializer="he"), ValueError, "Unknown initializer 'he'."),
    (lambda: initializers.get([3]), TypeError, "initializer must be a name, or an object or subclass of Initializer, got [3]"),
    (lambda: optimizers.SGD(-1.0), ValueError, "learning_rate must be at least 0 and finite, got -1.0"),
    (lambda: optimizers.SGD(float("nan")), ValueError, "learning_rate must be at least 0 and finite, got nan"),
    (lambda: optimizers.SGD(lambda a, b: 0.1), TypeError, "learning_rate must be a function of nothing or of the step alone"),
    (lambda: optimizers.SGD(momentum=1.5), ValueError, "momentum must be at least 0 and below 1, got 1.5"),
    (lambda: optimizers.Adam(beta_1=1.0), ValueError, "beta_1 must be at least 0 and below 1, got 1.0"),
    (lambda: optimizers.Adam(epsilon_form="hat"), ValueError, "epsilon_form must be 'uncorrected' or 'corrected', got 'hat'"),
    (lambda: setattr(optimizers.Adam(), "iterations", 3), RuntimeError, "optimizer Adam has no steps to count yet. Give it to compile first"),
    (lambda: losses.mse([1.0], []), ValueError, "y_pred must have shape (N, K) with at least one row, got (0,)"),
    (lambda: callbacks.ReduceLROnPlateau(factor=1.0), ValueError, "factor must be at least 0 and below 1, got 1.0"),
    (lambda: callbacks.LambdaCallback(on_epoch_finish=print), TypeError, "LambdaCallback got an unknown hook 'on_epoch_finish'. Known: on_train_begin"),
    (lambda: nn.applications, AttributeError, "module 'nnfast' has no attribute 'applications'."),
    (lambda: nn.layer, AttributeError, "Did you mean 'layers'?"),
]  # fmt: skip


def stale_trainer() -> nn.Trainer:
    model = uncompiled()
    trainer = nn.Trainer(model, "sgd", "mse")
    model.compile("sgd", "mse")
    stale_trainer.model = model
    return trainer


def changed_rule() -> nn.Sequential:
    model = uncompiled()
    model.compile("sgd", "mse")
    model.optimizer.momentum = 0.5
    return model


def with_slots() -> nn.Sequential:
    model = uncompiled()
    model.compile(optimizers.SGD(momentum=0.5), "mse")
    with_slots.model = model
    return model


@pytest.fixture(autouse=True)
def used_parts():
    """An optimizer and a layer that serve a model which is alive."""
    model = uncompiled()
    classifier.shared_optimizer = optimizers.Adam()
    model.compile(classifier.shared_optimizer, "mse")
    classifier.used_layer = model.layers[0]
    yield
    del model


@pytest.mark.parametrize(("call", "error", "message"), CALLS, ids=[row[-1][:60] for row in CALLS])
def test_calls(call, error, message: str) -> None:
    with pytest.raises(error, match=re.escape(message)):
        call()


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (
            nn.NonFiniteError(3),
            "The loss became NaN or infinite in batch 3 (counted from 0). Lower the learning rate",
        ),
        (nn.NonFiniteError(3, 1), "in epoch 1, batch 3 (counted from 0)"),
        (
            nn.NonFiniteError(None, 1, "weight dense/bias"),
            "The weight dense/bias became NaN or infinite in epoch 1 (counted from 0)",
        ),
        (nn.NonFiniteError(None), "The loss became NaN or infinite. Lower"),
    ],
)
def test_non_finite_error(error: nn.NonFiniteError, message: str) -> None:
    assert message in str(error)
    again = pickle.loads(pickle.dumps(error))
    assert (again.batch, again.epoch, again.subject, str(again)) == (
        error.batch,
        error.epoch,
        error.subject,
        str(error),
    )
    assert isinstance(error, ArithmeticError)
    assert issubclass(nn.ModelFileError, ValueError)
