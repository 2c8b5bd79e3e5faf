"""Public optimizers: which row of the table they choose, with which numbers; what may be set when."""

from __future__ import annotations

import copy
import itertools
import pickle

import numpy as np
import pytest

from nnfast import Sequential, _core, callbacks, layers, optimizers
from nnfast.names import serialize

from .tolerances import TRAJECTORY_RTOL

# Every combination of settings that changes the rule.
OPTIMIZERS = [
    *(optimizers.SGD(momentum=m, nesterov=n) for m, n in itertools.product((0.0, 0.9), (False, True))),
    *(optimizers.RMSprop(momentum=m, centered=c) for m, c in itertools.product((0.0, 0.9), (False, True))),
    *(optimizers.Adam(epsilon_form=form) for form in ("uncorrected", "corrected")),
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
    names, _ = _core.RULES[optimizer.rule]
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
        "epsilon": 1e-7, "epsilon_form": "uncorrected",
    }  # fmt: skip


@pytest.mark.parametrize("optimizer", OPTIMIZERS, ids=repr)
def test_by_name_class_object_and_configuration(optimizer: optimizers.Optimizer) -> None:
    cls = type(optimizer)
    for identifier in (cls, cls.__name__, cls.__name__.lower(), optimizer):
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
    optimizer.learning_rate = 0.02
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
    assert type(optimizer.learning_rate) is float
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
