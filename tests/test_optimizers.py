"""Public optimizers: which row of the table they choose, with which numbers; what may be set when."""

from __future__ import annotations

import copy
import itertools
import pickle

import numpy as np
import pytest

from nnfast import Sequential, _core, callbacks, layers, optimizers
from nnfast.names import serialize

from .hyper import BRISK
from .tolerances import TRAJECTORY_RTOL

# Every combination of settings that changes the rule.
OPTIMIZERS = [
    *(optimizers.SGD(momentum=m, nesterov=n) for m, n in itertools.product((0.0, 0.9), (False, True))),
    *(optimizers.RMSprop(momentum=m, centered=c) for m, c in itertools.product((0.0, 0.9), (False, True))),
    *(
        cls(epsilon_form=form, amsgrad=amsgrad)
        for cls in (optimizers.Adam, optimizers.AdamW)
        for form in ("uncorrected", "corrected")
        for amsgrad in (False, True)
    ),
    optimizers.Adagrad(initial_accumulator_value=0.2),
    optimizers.Adadelta(),
    optimizers.Adamax(),
    optimizers.Nadam(),
    optimizers.Lion(),
    optimizers.Ftrl(),
    optimizers.Ftrl(learning_rate_power=-0.4, initial_accumulator_value=0.3),
]


def model(optimizer: object) -> Sequential:
    result = Sequential([layers.Input((2,)), layers.Dense(1)], seed=0)
    result.compile(optimizer, "mse")
    return result


X = np.random.default_rng(0).normal(size=(10, 2)).astype(np.float32)
Y = X @ [1.0, -2.0]


def test_every_rule_of_the_table_is_reached_and_no_other() -> None:
    assert {optimizer.rule for optimizer in OPTIMIZERS} == set(_core.RULES)


@pytest.mark.parametrize("optimizer", OPTIMIZERS, ids=repr)
def test_hyperparameters_are_in_the_order_of_the_table(optimizer: optimizers.Optimizer) -> None:
    names = _core.RULES[optimizer.rule][0]
    assert optimizer.hyper() == tuple(getattr(optimizer, name) for name in names)
    optimizer = copy.deepcopy(optimizer)
    optimizer.learning_rate = 0.5
    assert optimizer.hyper()[names.index("learning_rate")] == 0.5


def test_defaults_are_those_of_keras() -> None:
    assert optimizers.SGD().get_config() == {"learning_rate": 0.01, "momentum": 0.0, "nesterov": False}
    assert optimizers.RMSprop().get_config() == {
        "learning_rate": 0.001, "rho": 0.9, "momentum": 0.0, "epsilon": 1e-7, "centered": False,
    }  # fmt: skip
    assert optimizers.Adam().get_config() == {
        "learning_rate": 0.001, "beta_1": 0.9, "beta_2": 0.999,
        "epsilon": 1e-7, "amsgrad": False, "epsilon_form": "uncorrected",
    }  # fmt: skip
    assert optimizers.AdamW().get_config() == {**optimizers.Adam().get_config(), "weight_decay": 0.004}
    assert optimizers.Adagrad().get_config() == {
        "learning_rate": 0.001, "initial_accumulator_value": 0.1, "epsilon": 1e-7,
    }  # fmt: skip
    assert optimizers.Adadelta().get_config() == {"learning_rate": 0.001, "rho": 0.95, "epsilon": 1e-7}
    for cls in (optimizers.Adamax, optimizers.Nadam):
        assert cls().get_config() == {
            "learning_rate": 0.001, "beta_1": 0.9, "beta_2": 0.999, "epsilon": 1e-7,
        }  # fmt: skip
    assert optimizers.Lion().get_config() == {"learning_rate": 0.001, "beta_1": 0.9, "beta_2": 0.99}
    assert optimizers.Ftrl().get_config() == {
        "learning_rate": 0.001, "learning_rate_power": -0.5, "initial_accumulator_value": 0.1,
        "l1_regularization_strength": 0.0, "l2_regularization_strength": 0.0,
        "l2_shrinkage_regularization_strength": 0.0, "beta": 0.0,
    }  # fmt: skip


@pytest.mark.parametrize("optimizer", OPTIMIZERS, ids=repr)
def test_by_name_class_object_and_configuration(optimizer: optimizers.Optimizer) -> None:
    cls = type(optimizer)
    for identifier in (cls, cls.__name__, cls.__name__.lower(), cls.__name__.upper(), optimizer):
        assert type(optimizers.get(identifier)) is cls
    for again in (
        optimizers.get(serialize(optimizer)),
        cls.from_config(optimizer.get_config()),
        pickle.loads(pickle.dumps(optimizer)),
    ):
        assert again is not optimizer
        assert again.get_config() == optimizer.get_config()
        assert again.rule == optimizer.rule


@pytest.mark.parametrize("optimizer", OPTIMIZERS, ids=repr)
def test_training_lowers_the_loss_and_counts_steps(optimizer: optimizers.Optimizer) -> None:
    optimizer = type(optimizer).from_config(optimizer.get_config())
    optimizer.learning_rate = BRISK.get(optimizer.rule, 0.02)
    trained = model(optimizer)
    history = trained.fit(X, Y, batch_size=4, epochs=40, verbose=0).history["loss"]
    assert history[-1] < history[0] / 2
    assert optimizer.iterations == trained.optimizer.iterations == 40 * 3


def test_one_step_of_gradient_descent() -> None:
    trained = model(optimizers.SGD(0.1))
    kernel, bias = (weight.astype(np.float64) for weight in trained.get_weights())
    error = X @ kernel[:, 0] + bias - Y
    trained.train_on_batch(X, Y)
    np.testing.assert_allclose(
        trained.get_weights()[0][:, 0], kernel[:, 0] - 0.1 * 2 * X.T @ error / 10, rtol=TRAJECTORY_RTOL
    )
    np.testing.assert_allclose(trained.get_weights()[1], bias - 0.1 * 2 * error.mean(), rtol=TRAJECTORY_RTOL)


def test_a_callback_may_set_the_learning_rate() -> None:
    class Stop(callbacks.Callback):
        def on_epoch_end(self, epoch: int, logs: object = None) -> None:
            self.model.optimizer.learning_rate = 0.0

    once, thrice = model("sgd"), model("sgd")
    once.fit(X, Y, epochs=1, verbose=0)
    thrice.fit(X, Y, epochs=3, verbose=0, callbacks=[Stop()])
    np.testing.assert_array_equal(once.get_weights()[0], thrice.get_weights()[0])


def test_numbers_of_any_kind() -> None:
    optimizer = optimizers.SGD(np.float32(0.5), momentum=1)
    assert isinstance(optimizer.learning_rate, float)
    assert optimizer.momentum == 1.0


def test_an_optimizer_is_free_again_when_its_model_is_gone() -> None:
    optimizer = optimizers.Adam()
    first = model(optimizer)
    first.fit(X, Y, verbose=0)
    assert optimizer.iterations == 1
    del first
    assert optimizer.iterations == 0
    model(optimizer).fit(X, Y, verbose=0)


def test_compile_begins_the_optimizer_afresh() -> None:
    trained = model("adam")
    trained.fit(X, Y, verbose=0)
    assert trained.optimizer.iterations == 1
    trained.compile(trained.optimizer, "mse")
    assert trained.optimizer.iterations == 0
    assert all((slot == 0).all() for slots in trained.trainer.slots.values() for slot in slots)


def test_slots_begin_with_the_accumulators_value_and_begin_so_again() -> None:
    for backend in ("native", "reference"):
        trained = Sequential([layers.Input((2,)), layers.Dense(1)], seed=0)
        trained.compile(optimizers.Adagrad(initial_accumulator_value=0.25), "mse", backend=backend)
        assert all((slot == 0.25).all() for slot in trained.trainer.slots["accumulator"])
        trained.fit(X, Y, verbose=0)
        assert not all((slot == 0.25).all() for slot in trained.trainer.slots["accumulator"])
        trained.trainer.recover()
        assert all((slot == 0.25).all() for slot in trained.trainer.slots["accumulator"])


def test_what_slots_begin_with_is_chosen_once() -> None:
    with pytest.raises(AttributeError, match="initial_accumulator_value cannot be set"):
        optimizers.Adagrad().initial_accumulator_value = 0.5


@pytest.mark.parametrize("cls", optimizers.KNOWN.values(), ids=lambda cls: cls.__name__)
@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("weight_decay", 0.01),
        ("clipnorm", 1.0),
        ("clipvalue", 0.5),
        ("global_clipnorm", 1.0),
        ("use_ema", True),
        ("loss_scale_factor", 2.0),
        ("gradient_accumulation_steps", 2),
        ("decay", 1e-6),
    ],
)
@pytest.mark.filterwarnings("ignore:.*decay is a schedule")
def test_what_would_change_the_steps_is_refused(
    cls: type[optimizers.Optimizer], option: str, value: object
) -> None:
    unset = {"use_ema": False, "decay": 0.0}.get(option)
    if option == "weight_decay" and cls is optimizers.AdamW:
        return  # its own argument
    with pytest.raises(
        ValueError, match=rf"{cls.__name__}: {option} must be .*not supported yet, got {value}"
    ):
        cls(**{option: value})
    assert cls(**{option: unset}).get_config() == cls().get_config()


def test_arguments_without_effect_are_those_of_keras() -> None:
    """A configuration of Keras itself, with all that it says."""
    config = {
        "name": "adam", "learning_rate": 0.01, "weight_decay": None, "clipnorm": None, "global_clipnorm": None,
        "clipvalue": None, "use_ema": False, "ema_momentum": 0.99, "ema_overwrite_frequency": None,
        "loss_scale_factor": None, "gradient_accumulation_steps": None, "beta_1": 0.9, "beta_2": 0.999,
        "epsilon": 1e-07, "amsgrad": True,
    }  # fmt: skip
    optimizer = optimizers.get({"class_name": "Adam", "config": config})
    assert (optimizer.name, optimizer.rule, optimizer.learning_rate) == ("adam", "adam_amsgrad", 0.01)


@pytest.mark.parametrize("cls", optimizers.KNOWN.values(), ids=lambda cls: cls.__name__)
def test_arguments_of_older_keras_are_taken_with_one_warning(cls: type[optimizers.Optimizer]) -> None:
    old = {"lr": 0.25, "decay": 0.0}
    if "epsilon" in cls().get_config():
        old["epsilon"] = None
    with pytest.warns(FutureWarning, match="lr is older Keras: it is called learning_rate now") as caught:
        optimizer = cls(**old)
    assert len(caught) == 1
    assert optimizer.get_config() == {**cls().get_config(), "learning_rate": 0.25}


def test_unknown_arguments_are_named() -> None:
    with pytest.raises(
        TypeError, match=r"Adam has no argument 'learning_rat'\. Did you mean 'learning_rate'\?"
    ):
        optimizers.Adam(learning_rat=0.1)
    with pytest.raises(TypeError, match=r"SGD has no argument 'clip_norm'\. Did you mean 'clipnorm'\?"):
        optimizers.SGD(clip_norm=0.1)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: optimizers.Ftrl(learning_rate_power=0.5), "learning_rate_power must be at most 0"),
        (
            lambda: optimizers.Ftrl(initial_accumulator_value=-1),
            "initial_accumulator_value must be at least 0",
        ),
        (
            lambda: optimizers.Ftrl(l1_regularization_strength=-1),
            "l1_regularization_strength must be at least 0",
        ),
        (
            lambda: optimizers.Adagrad(initial_accumulator_value=-0.1),
            "initial_accumulator_value must be at least 0",
        ),
        (lambda: optimizers.Lion(beta_1=0.0), "beta_1 must be above 0"),
        (lambda: optimizers.Lion(beta_1=1.5), "beta_1 must be at least 0"),
        (lambda: optimizers.AdamW(weight_decay=-1.0), "weight_decay must be at least 0"),
    ],
)
def test_ranges(make: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize(
    "rate",
    [0.0, lambda: 0.0, optimizers.schedules.PolynomialDecay(0.1, 1, 0.0)],
    ids=["number", "function", "schedule"],
)
def test_ftrl_divides_by_its_rate(rate: object) -> None:
    trained = model(optimizers.Ftrl(rate))
    with pytest.raises(ValueError, match="learning rate of Ftrl must be above 0 in every step"):
        trained.fit(X, Y, epochs=3, verbose=0)
    assert all(np.isfinite(weight).all() for weight in trained.get_weights())
