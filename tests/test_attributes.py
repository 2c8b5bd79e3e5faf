"""What is set on an object takes effect everywhere (predictions, training, files, copies) or is refused at once,
with what to do, and changes nothing."""

from __future__ import annotations

import copy
import inspect
import itertools
import pickle
import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import nnfast as nn
from nnfast import activations, attributes, callbacks, initializers, layers, losses, metrics, optimizers

RNG = np.random.default_rng(0)
X = RNG.normal(size=(12, 3)).astype(np.float32)
Y = np.eye(2, dtype=np.float32)[RNG.integers(0, 2, 12)]


def make(optimizer: object = "adam", seed: int = 1, dropout: float = 0.0, **kwargs) -> nn.Sequential:
    model = nn.Sequential(
        [
            layers.Input((3,)),
            layers.Dense(4, "relu"),
            layers.Flatten(),
            layers.Activation("tanh"),
            *([layers.Dropout(dropout)] if dropout else []),
            layers.Dense(2, "softmax"),
        ],
        seed=seed,
    )
    model.compile(optimizer, "categorical_crossentropy", metrics=["accuracy"], **kwargs)
    model.fit(X, Y, batch_size=5, verbose=0)
    return model


def everything(model: nn.Sequential) -> list[np.ndarray]:
    """What a user can see of a model, as bits: weights, predictions, scores, slots."""
    slots = [] if model.trainer is None else [slot for own in model.trainer.slots.values() for slot in own]
    scores = [] if model.trainer is None else [np.asarray(model.evaluate(X, Y, verbose=0))]
    return [*model.get_weights(), model.predict(X), *scores, *(slot.copy() for slot in slots)]


def same(first: nn.Sequential, second: nn.Sequential) -> bool:
    return first.get_config() == second.get_config() and all(
        np.array_equal(a, b) for a, b in zip(everything(first), everything(second), strict=True)
    )


def assert_agrees(model: nn.Sequential, path: Path) -> None:
    """The model, its file, its copies: equal, and equal after more training."""
    model.save(path)
    others = [nn.load_model(path), copy.deepcopy(model), pickle.loads(pickle.dumps(model))]
    assert all(same(model, other) for other in others)
    if model.trainer is None:
        return
    for each in (model, *others):
        each.fit(X, Y, batch_size=5, epochs=2, verbose=0)
    assert all(same(model, other) for other in others)


def public_classes() -> list[type]:
    modules = (nn, layers, nn.models, optimizers, losses, metrics, callbacks, initializers, nn.training)
    found = {
        value
        for module in modules
        for name, value in vars(module).items()
        if inspect.isclass(value) and name[0] != "_" and attributes.is_own(value)
    }
    return sorted(
        (cls for cls in found if issubclass(cls, attributes.Guarded)), key=lambda cls: cls.__qualname__
    )


SPECIAL: dict[str, Callable[[nn.Sequential], object]] = {
    "Sequential": lambda model: model,
    "Trainer": lambda model: model.trainer,
    "Dense": lambda model: model.layers[0],
    "Flatten": lambda model: model.layers[1],
    "Activation": lambda model: model.layers[2],
    "Dropout": lambda model: model.layers[3],
    "Adam": lambda model: model.optimizer,
    "SGD": lambda model: recompiled(model, optimizers.SGD(0.1, momentum=0.5)).optimizer,
    "RMSprop": lambda model: recompiled(model, optimizers.RMSprop(momentum=0.5)).optimizer,
    **{
        cls.__name__: lambda model, cls=cls: recompiled(model, cls()).optimizer
        for cls in optimizers.KNOWN.values()
        if cls not in (optimizers.Adam, optimizers.SGD, optimizers.RMSprop)
    },
    "InputLayer": lambda model: layers.Input((3,)),
    "Layer": lambda model: layers.Layer(),
    "LearningRateScheduler": lambda model: callbacks.LearningRateScheduler(lambda epoch: 0.1),
    "ModelCheckpoint": lambda model: callbacks.ModelCheckpoint("m"),
    "BackupAndRestore": lambda model: callbacks.BackupAndRestore("b"),
    "CSVLogger": lambda model: callbacks.CSVLogger("log.csv"),
    "Optimizer": lambda model: optimizers.SGD(),
    "MeanMetricWrapper": lambda model: metrics.MeanMetricWrapper(len),
    **{
        name: lambda model, name=name: getattr(metrics, name)(0.5)
        for name in (
            "SensitivityAtSpecificity",
            "SpecificityAtSensitivity",
            "PrecisionAtRecall",
            "RecallAtPrecision",
        )
    },
    **{name: lambda model, name=name: getattr(metrics, name)(3) for name in ("MeanIoU", "OneHotMeanIoU")},
    **{name: lambda model, name=name: getattr(metrics, name)(3, [0]) for name in ("IoU", "OneHotIoU")},
    "Guarded": lambda model: attributes.Guarded(),
}


def make_for(cls: type) -> nn.Sequential:
    """A model that has what is looked at."""
    return make(dropout=0.5 if cls is layers.Dropout else 0.0)


def recompiled(model: nn.Sequential, optimizer: object) -> nn.Sequential:
    model.compile(optimizer, "categorical_crossentropy", metrics=["accuracy"])
    model.fit(X, Y, batch_size=5, verbose=0)
    return model


UNKNOWN = ["kernel_regularizer", "lr", "clipnorm", "weight_decay", "dropout", "fitt", "loss_weights", "note"]
VALUES = [None, False, 3, 0.25, "linear", "other", [], np.zeros(2), len]
OF_OPTIMIZERS: dict[str, list[object]] = {  # others are refused by their range
    **{key: [0.25] for key in ("momentum", "rho", "epsilon", "beta_1", "beta_2", "learning_rate")},
    "learning_rate_power": [-0.25],
    "epsilon_form": ["uncorrected", "corrected"],
}


@pytest.mark.parametrize("cls", public_classes(), ids=lambda cls: cls.__name__)
def test_every_attribute_takes_effect_or_is_refused(cls: type, tmp_path: Path) -> None:
    def thing(model: nn.Sequential) -> object:
        return SPECIAL[cls.__name__](model) if cls.__name__ in SPECIAL else cls()

    model = make_for(cls)
    subject = thing(model)
    unknown = [name for name in UNKNOWN if not hasattr(cls, name)]
    names = [name for name in dir(subject) if name[0] != "_"] + unknown
    refused: list[str] = []
    for name in names:
        for value in OF_OPTIMIZERS.get(name, VALUES):
            before = everything(model), model.get_config()
            try:
                setattr(subject, name, value)
            except (AttributeError, ValueError, TypeError, RuntimeError) as error:
                refused.append(str(error))
                assert before[1] == model.get_config()
                assert all(np.array_equal(a, b) for a, b in zip(before[0], everything(model), strict=True))
                continue
            assert name not in unknown, f"{name} = {value!r} was accepted"
            if isinstance(subject, nn.Sequential | nn.Trainer | layers.Layer | optimizers.Optimizer):
                if name in OF_OPTIMIZERS:
                    assert getattr(subject, name) == value
                assert_agrees(model, tmp_path / "m")
                model = make_for(cls)
                subject = thing(model)
    assert all(len(message.split(". ")) > 1 or message.endswith(".") for message in refused)


@pytest.mark.parametrize(
    ("cls", "name"),
    [(cls, name) for cls in public_classes() for name in UNKNOWN if not hasattr(cls, name)],
    ids=lambda value: value if isinstance(value, str) else value.__name__,
)
def test_unknown_attributes_say_what_can_be_set(cls: type, name: str) -> None:
    subject = SPECIAL[cls.__name__](make_for(cls)) if cls.__name__ in SPECIAL else cls()
    with pytest.raises(
        AttributeError, match=rf"{name}.*begin the name with an underscore, or derive a class"
    ):
        setattr(subject, name, 1)
    subject._own = 1
    assert subject._own == 1


def test_lr_is_called_learning_rate() -> None:
    with pytest.raises(AttributeError, match="It is called 'learning_rate' here"):
        make().optimizer.lr = 0.0


def test_classes_of_ones_own_may_have_attributes() -> None:
    class Losses(callbacks.Callback):
        def on_train_begin(self, logs=None):
            self.losses = []

        def on_epoch_end(self, epoch, logs=None):
            self.losses.append(logs["loss"])

    class Mine(layers.Dense):
        pass

    record, layer = Losses(), Mine(2)
    layer.note = "mine"
    assert copy.deepcopy(layer).note == "mine"
    make().fit(X, Y, epochs=2, verbose=0, callbacks=[record])
    assert len(record.losses) == 2
    with pytest.raises(AttributeError, match=r"Mine\.kernel cannot be set"):
        layer.kernel = 1


def test_a_hook_set_on_a_callback_is_called() -> None:
    seen: list[int] = []
    callback = callbacks.Callback()
    callback.on_epoch_end = lambda epoch, logs: seen.append(epoch)
    make().fit(X, Y, epochs=2, verbose=0, callbacks=[callback])
    assert seen == [0, 1]


# trainable


@pytest.mark.parametrize("backend", ["native", "reference"])
@pytest.mark.parametrize("when", ["before compile", "after compile", "by the constructor", "of the model"])
def test_a_frozen_layer_stays(when: str, backend: str) -> None:
    layer = layers.Dense(1, use_bias=False, trainable=when != "by the constructor")
    model = nn.Sequential([layers.Input((2,)), layer])
    layer.set_weights([[[1.0], [10.0]]])
    if when == "before compile":
        layer.trainable = False
    model.compile(optimizers.SGD(1.0), "mse", backend=backend)
    if when == "after compile":
        layer.trainable = False
    if when == "of the model":
        model.trainable = False
    assert model.train_on_batch([[1, 0]], [3]) == 4.0
    assert layer.get_weights()[0].tolist() == [[1.0], [10.0]]
    assert not model.trainable
    assert not copy.deepcopy(model).layers[0].trainable
    layer.trainable = True
    model.fit([[1, 0]], [3], verbose=0)
    assert layer.get_weights()[0].tolist() == [[5.0], [10.0]]


@pytest.mark.parametrize("backend", ["native", "reference"])
def test_layers_frozen_and_thawed_within_a_fit(backend: str) -> None:
    def hook(model: nn.Sequential, frozen: bool) -> None:
        model.layers[0].trainable = not frozen
        seen.append(model.get_weights())

    seen: list[list[np.ndarray]] = []
    model = make(backend=backend)
    by_epoch = callbacks.LambdaCallback(on_epoch_begin=lambda epoch, logs: hook(model, epoch % 2 == 0))
    model.fit(X, Y, epochs=4, verbose=0, callbacks=[by_epoch])
    seen.append(model.get_weights())
    for epoch, (before, after) in enumerate(itertools.pairwise(seen)):
        stays = [np.array_equal(*pair) for pair in zip(before, after, strict=True)]
        assert stays == [epoch % 2 == 0] * 2 + [False] * 2

    seen.clear()
    by_batch = callbacks.LambdaCallback(on_train_batch_begin=lambda batch, logs: hook(model, batch == 1))
    model.fit(X, Y, batch_size=4, verbose=0, callbacks=[by_batch])
    seen.append(model.get_weights())
    stays = [np.array_equal(before[0], after[0]) for before, after in itertools.pairwise(seen)]
    assert stays == [False, True, False]


def test_frozen_layers_in_files_copies_and_summary(tmp_path: Path) -> None:
    model = make()
    model.layers[0].trainable = False
    lines: list[str] = []
    model.summary(print_fn=lines.append)
    assert lines[-2:] == ["Total weights: 26", "Trainable weights: 10"]
    frozen = model.layers[0].get_weights()
    assert_agrees(model, tmp_path / "m")
    assert [layer.trainable for layer in nn.load_model(tmp_path / "m").layers] == [False, True, True, True]
    assert np.array_equal(frozen[0], model.layers[0].kernel)


def test_frozen_kernels_are_no_sign_of_dead_units(recwarn: pytest.WarningsRecorder) -> None:
    model = make()
    model.layers[3].trainable = False
    model.fit(X, Y, epochs=3, verbose=0)
    assert model.trainer.warns_of_dead_units
    assert not recwarn.list


# Structure


@pytest.mark.parametrize("backend", ["native", "reference"])
@pytest.mark.parametrize("place", [0, 2, 3])
@pytest.mark.parametrize("activation", ["linear", "sigmoid", "softmax"])
def test_an_activation_set_later_is_that_of_a_model_made_with_it(
    place: int, activation: str, backend: str, tmp_path: Path
) -> None:
    loss = "mse" if activation == "linear" else "categorical_crossentropy"
    model = make(backend=backend)
    model.compile("adam", loss, metrics=["accuracy"], backend=backend)
    model.fit(X, Y, batch_size=5, verbose=0)
    weights, slots = model.get_weights(), model.trainer.slots
    model.layers[place].activation = activation
    chosen = ["relu", "", "tanh", "softmax"]
    chosen[place] = activation
    other = nn.Sequential(
        [
            layers.Input((3,)),
            layers.Dense(4, chosen[0]),
            layers.Activation(chosen[2]),
            layers.Dense(2, chosen[3]),
        ],
        seed=1,
    )
    other.compile("adam", loss, metrics=["accuracy"], backend=backend)
    other.fit(X, Y, batch_size=5, verbose=0)
    other.set_weights(weights)
    other.trainer.set_slots(slots)
    assert model.optimizer.iterations == 3
    for _ in range(2):
        assert np.array_equal(model.predict(X), other.predict(X))
        assert np.array_equal(model.evaluate(X, Y, verbose=0), other.evaluate(X, Y, verbose=0))
        assert_agrees(model, tmp_path / "m")
        other.fit(X, Y, batch_size=5, epochs=2, verbose=0)


def test_an_activation_that_is_refused_changes_nothing() -> None:
    model = make()
    before = everything(model)
    with pytest.raises(ValueError, match="Unknown activation"):
        model.layers[0].activation = "rellu"
    refusal = callbacks.LambdaCallback(on_epoch_end=lambda *_: setattr(model.layers[0], "activation", "tanh"))
    model.optimizer.learning_rate = 0.0
    with pytest.raises(RuntimeError, match="change of activation: the model is being trained"):
        model.fit(X, Y, verbose=0, callbacks=[refusal])
    assert model.layers[0].activation == activations.relu
    assert np.array_equal(before[0], model.get_weights()[0])


def test_structure_is_settable_until_there_are_weights() -> None:
    model = nn.Sequential([layers.Dense(5), layers.Dense(3, "softmax")], seed=1)
    model.layers[0].units = 7
    model.layers[0].use_bias = False
    model.layers[0].kernel_initializer = "ones"
    with pytest.raises(ValueError, match="units must be a whole number"):
        model.layers[0].units = 0
    model.build((None, 3))
    assert [weight.shape for weight in model.weights] == [(3, 7), (7, 3), (3,)]
    assert model.layers[0].kernel.min() == 1.0
    for name, value in {"units": 5, "use_bias": True, "kernel_initializer": "zeros"}.items():
        with pytest.raises(AttributeError, match=r"layer 'dense' has weights already\. Make a new layer"):
            setattr(model.layers[0], name, value)
    assert model.layers[0].units == 7


def test_layers_and_weights_are_handed_out_as_tuples(tmp_path: Path) -> None:
    model = make()
    before = everything(model)
    with pytest.raises(AttributeError):
        model.layers.pop()
    for sequence in (model.layers, model.weights, model.layers[0].weights, model.trainer.metrics):
        with pytest.raises(TypeError):
            sequence[0] = layers.Dense(1)
    model.trainer.slots["momentum"].pop()
    model.get_weights().pop()
    assert all(np.array_equal(a, b) for a, b in zip(before, everything(model), strict=True))
    assert_agrees(model, tmp_path / "m")


def test_names_stay_different(tmp_path: Path) -> None:
    model = make()
    model.layers[0].name = "a"
    with pytest.raises(ValueError, match="layers of a model must have different names, got 'a' twice"):
        model.layers[3].name = "a"
    for name in ("", None, 3):
        with pytest.raises(ValueError, match="name of a layer must be a string"):
            model.layers[3].name = name
    assert model.weight_names == ["a/kernel", "a/bias", "dense_1/kernel", "dense_1/bias"]
    assert_agrees(model, tmp_path / "m")


@pytest.mark.parametrize("name", ["a", "\ud800"])
def test_a_file_that_could_not_be_read_is_not_written(name: str, tmp_path: Path) -> None:
    model = make()
    model.layers[0]._name = "a"
    model.layers[3]._name = name
    with pytest.raises(ValueError, match=r"different names, got 'a' twice|must be Unicode, got '\\ud800'"):
        model.save(tmp_path / "m")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("suffix", [".h5", ".keras", ".H5", ".hdf5", ".onnx", ".pkl"])
def test_suffixes_of_other_formats_are_refused(suffix: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=rf"ending in {suffix.lower()} .*model\.safetensors"):
        make().save(tmp_path / f"model{suffix}")
    assert not list(tmp_path.iterdir())
    make().save(tmp_path / "model.v1")
    assert [path.name for path in tmp_path.iterdir()] == ["model.v1"]


def test_the_shape_of_a_first_layer_does_not_contradict_the_model() -> None:
    with pytest.raises(
        ValueError, match=r"takes samples of shape \(4,\), and layer 'dense' those of shape \(5,\)"
    ):
        nn.Sequential([layers.Input((4,)), layers.Dense(1, input_shape=(5,))])


def test_copy_copy_is_refused() -> None:
    model = make()
    for thing in (model, model.trainer):
        with pytest.raises(TypeError, match=r"Use copy\.deepcopy"):
            copy.copy(thing)
    layer = copy.copy(model.layers[0])
    layer.set_weights([weight * 0 for weight in layer.get_weights()])
    assert model.layers[0].kernel.any()


# Weights


def test_weights_of_the_model_itself_are_swapped() -> None:
    model = nn.Sequential([layers.Input((2,)), layers.Dense(2), layers.Dense(2)], seed=1)
    model.layers[0].bias[...] = 1.0
    before = model.get_weights()
    w = model.weights
    model.set_weights([w[2], w[3], w[0], w[1]])
    for now, then in zip(model.get_weights(), [before[2], before[3], before[0], before[1]], strict=True):
        assert np.array_equal(now, then)


def test_views_that_are_reshaped_or_read_only_are_only_views(tmp_path: Path) -> None:
    model = make()
    values = [weight + 1 for weight in model.get_weights()]
    for view in (model.layers[0].kernel, model.weights[0], model.layers[0].weights[0]):
        view.setflags(write=False)
        view.shape = (12,)
    for view in model.trainer.slots["momentum"]:
        view.setflags(write=False)
    model.set_weights(values)
    model.layers[0].set_weights(values[:2])
    model.trainer.set_slots(model.trainer.slots)
    assert model.layers[0].kernel.shape == (3, 4)
    assert all(np.array_equal(a, b) for a, b in zip(values, model.get_weights(), strict=True))
    assert_agrees(model, tmp_path / "m")


def test_what_another_thread_may_not_do_during_a_fit() -> None:
    model = make()
    inside, done = threading.Event(), threading.Event()

    def wait(epoch: int, logs: object) -> None:
        inside.set()
        done.wait(10)

    callback = callbacks.LambdaCallback(on_epoch_end=wait)
    thread = threading.Thread(target=lambda: model.fit(X, Y, verbose=0, callbacks=[callback]))
    thread.start()
    assert inside.wait(10)
    try:
        trainer, layer = model.trainer, model.layers[0]
        slots, state, weights = trainer.slots, trainer.state(), layer.get_weights()
        for refused in (
            lambda: copy.deepcopy(model),
            lambda: pickle.dumps(model),
            lambda: copy.deepcopy(layer),
            lambda: copy.deepcopy(trainer),
            lambda: layer.set_weights(weights),
            lambda: trainer.set_slots(slots),
            lambda: trainer.set_state(state),
            lambda: setattr(trainer, "iterations", 7),
            lambda: setattr(trainer, "epoch", 7),
            lambda: setattr(trainer, "epochs_shuffled", 7),
            lambda: setattr(model.optimizer, "iterations", 7),
            lambda: model._use_backend("reference"),
            lambda: setattr(layer, "trainable", False),
            lambda: setattr(layer, "name", "a"),
            lambda: setattr(layer, "activation", "tanh"),
            lambda: setattr(model, "seed", 3),
            lambda: setattr(model, "trainable", False),
            lambda: model.compile("sgd", "mse"),
            lambda: model.add(layers.Dense(1)),
            model.pop,
        ):
            with pytest.raises(RuntimeError, match="the model is being trained"):
                refused()
        assert model.predict(X).shape == (12, 2)
    finally:
        done.set()
        thread.join()
    assert (layer.trainable, layer.name, layer.activation, model.seed) == (True, "dense", activations.relu, 1)


# compile, and the first data


@pytest.mark.parametrize(
    "arguments",
    [
        ("adma", "mse"),
        ("sgd", "mean"),
        ("sgd", "mse", None, ["acuracy"]),
        ("sgd", "mse", None, ["sparse_categorical_accuracy"]),
        ("sgd", "mse", None, [metrics.BinaryAccuracy("loss")]),
        (optimizers.SGD, None),
        (3, "mse"),
        ("sgd", "mse", 3),
    ],
    ids=str,
)
@pytest.mark.parametrize("backend", ["native", "reference", "numpy"])
def test_a_compile_that_is_refused_changes_nothing(
    arguments: tuple[object, ...], backend: str, tmp_path: Path
) -> None:
    model = make()
    before, trainer, net = everything(model), model.trainer, model._network()
    with pytest.raises((ValueError, TypeError)):
        model.compile(*arguments, backend=backend)
    taken = make().optimizer
    other = make(taken_by := optimizers.Adam())
    with pytest.raises(ValueError, match="already serves"):
        model.compile(taken_by, "mse", backend="reference")
    assert other.optimizer is taken_by
    assert taken.iterations == 0  # its model is gone
    assert model.trainer is trainer
    assert model._network() is net
    assert model.optimizer.iterations == 3
    assert all(np.array_equal(a, b) for a, b in zip(before, everything(model), strict=True))
    assert_agrees(model, tmp_path / "m")


def test_no_memory_in_compile_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    model = make(backend="reference")
    before, optimizer = everything(model), optimizers.SGD()

    def no_memory(*_: object) -> None:
        raise MemoryError

    monkeypatch.setattr(type(model._network()), "compile", no_memory)
    with pytest.raises(MemoryError):
        model.compile(optimizer, "mse", backend="reference")
    monkeypatch.undo()
    assert all(np.array_equal(a, b) for a, b in zip(before, everything(model), strict=True))
    make(optimizer)  # it serves nobody


NAN = np.where(np.arange(36).reshape(12, 3) == 4, np.nan, X)
LABELS = np.arange(12) % 2
REFUSED = {
    "x.T": (X.T, LABELS),
    "NaN": (NAN[:, :2], LABELS),
    "labels": (X[:, :2], LABELS + 7),
    "length of y": (X[:, :2], LABELS[:5]),
    "no y": (X[:, :2], None),
    "shape of y": (X[:, :2], np.ones((12, 5))),
    "strings": (X[:, :2], list("ab" * 6)),
}


@pytest.mark.parametrize("backend", ["native", "reference"])
@pytest.mark.parametrize("method", ["fit", "evaluate", "train_on_batch", "test_on_batch"])
@pytest.mark.parametrize("data", REFUSED.values(), ids=REFUSED)
def test_first_data_that_are_refused_do_not_fix_the_width(data, method: str, backend: str) -> None:
    model = nn.Sequential([layers.Dense(2, "softmax")], seed=1)
    model.compile("sgd", "sparse_categorical_crossentropy", metrics=["accuracy"], backend=backend)
    with pytest.raises((ValueError, TypeError)):
        getattr(model, method)(*data)
    assert not model.built
    model.fit(X, LABELS, verbose=0)
    assert model.input_shape == (None, 3)


@pytest.mark.parametrize(
    "arguments",
    [
        {"batch_size": 0},
        {"epochs": -1},
        {"callbacks": [print]},
        {"sample_weight": [1.0]},
        {"class_weight": {9: 1.0}},
        {"validation_split": 0.99},
        {"validation_data": (X, LABELS)},
        {"validation_data": (X[:, :2], LABELS + 7)},
        {"validation_batch_size": 0},
        {"validation_freq": 0},
        {"verbose": 7},
    ],
    ids=str,
)
def test_first_arguments_that_are_refused_do_not_fix_the_width(arguments: dict[str, object]) -> None:
    model = nn.Sequential([layers.Dense(2, "softmax")], seed=1)
    model.compile("sgd", "sparse_categorical_crossentropy")
    with pytest.raises((ValueError, TypeError)):
        model.fit(X[:, :2], LABELS, **arguments)
    assert not model.built
    model.fit(X, LABELS, verbose=0)


@pytest.mark.parametrize(
    ("x", "arguments"), [(NAN[:, :2], {}), (X[:, :2], {"batch_size": 0}), (X[:, :2], {"callbacks": [print]})]
)
def test_first_predictions_that_are_refused_do_not_fix_the_width(x, arguments) -> None:
    model = nn.Sequential([layers.Dense(2)], seed=1)
    with pytest.raises((ValueError, TypeError)):
        model.predict(x, **arguments)
    assert not model.built
    assert model.predict(X).shape == (12, 2)


# Classes of one's own that the engine cannot run


class Scaled(layers.Layer):
    def call(self, inputs):
        return inputs * 2


class Step(optimizers.SGD):
    def update_step(self, gradient, variable, learning_rate):
        variable.assign_sub(gradient)


class Ruleless(optimizers.Optimizer):
    def __init__(self):
        super().__init__(0.1, {})


class Huber(losses.Loss):
    def call(self, y_true, y_pred):
        return 0.0


class Named(losses.Loss):
    pass


class MeanSquaredError(losses.Loss):
    def __call__(self, y_true, y_pred, sample_weight=None):
        return 0.0


class Counter(metrics.Metric):
    def result(self):
        return 0.0


class Nothing(metrics.Metric):
    pass


class Stepped(nn.Sequential):
    def train_step(self, data):
        return {}


@pytest.mark.parametrize(
    ("use", "message"),
    [
        (lambda model: model.add(Scaled()), r"Scaled defines call\(\), which nnfast would never call"),
        (lambda model: nn.Sequential([Scaled()]), r"Scaled defines call\(\)"),
        (lambda model: model.compile(Step(), "mse"), r"Step defines update_step\(\)"),
        (lambda model: model.compile(Step, "mse"), r"Step defines update_step\(\)"),
        (lambda model: model.compile(Ruleless(), "mse"), "Ruleless has no update rule that the engine knows"),
        (lambda model: model.compile("sgd", Huber()), r"Huber defines call\(\)"),
        (lambda model: model.compile("sgd", Named()), "Named is a loss of your own"),
        (lambda model: model.compile("sgd", MeanSquaredError()), r"defines __call__\(\)"),
        (
            lambda model: model.compile("sgd", "mse", metrics=[Counter()]),
            "Counter must define update_state, as",
        ),
        (lambda model: model.compile("sgd", "mse", metrics=[Nothing]), "must define update_state and result"),
        (lambda model: Stepped(), r"Stepped defines train_step\(\)"),
    ],
)
def test_classes_that_would_never_be_asked_are_refused(use, message: str) -> None:
    model = make()
    before, trainer = everything(model), model.trainer
    with pytest.raises(TypeError, match=message):
        use(model)
    assert model.trainer is trainer
    assert len(model.layers) == 4
    assert all(np.array_equal(a, b) for a, b in zip(before, everything(model), strict=True))


# Metrics


def test_a_metric_given_twice_is_numbered_as_in_keras(tmp_path: Path) -> None:
    model = make()
    model.compile("sgd", "mse", metrics=["mae", "mae", metrics.MeanAbsoluteError("mae"), "mse"])
    history = model.fit(X, Y, validation_split=0.5, verbose=0).history
    names = ["loss", "mae", "mae_1", "mae_2", "mse"]
    assert model.metrics_names == names
    assert list(history) == names + [f"val_{name}" for name in names]
    assert history["mae"] == history["mae_1"] == history["mae_2"]
    assert_agrees(model, tmp_path / "m")
    assert nn.load_model(tmp_path / "m").metrics_names == names


@pytest.mark.parametrize("backend", ["native", "reference"])
def test_any_number_of_metrics(backend: str) -> None:
    model = make()
    names = ["mae", "mse", "root_mean_squared_error", "accuracy", "binary_accuracy"]
    model.compile("sgd", "mse", metrics=names * 4, backend=backend)
    logs = model.evaluate(X, Y, verbose=0, return_dict=True)
    assert len(logs) == 21
    for name in names:
        single = make()
        single.compile("sgd", "mse", metrics=[name], backend=backend)
        assert {logs[name], logs[f"{name}_3"]} == {single.evaluate(X, Y, verbose=0, return_dict=True)[name]}
