"""Learning rates that are functions of the step: the rates of Keras 3.15.1, and their effect on each step."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import nnfast as nn
from nnfast import callbacks, descent, layers, optimizers
from nnfast.optimizers import schedules
from tests.tolerances import SCHEDULE_ATOL

STEPS = [0, 1, 9, 10, 21, 30, 69, 101, 150]
OF_KERAS: list[tuple[str, tuple[Any, ...], dict[str, Any], list[float]]] = [
    (
        "ExponentialDecay",
        (0.1, 20, 0.9),
        {},
        [
            0.1,
            0.099474587,
            0.095369421,
            0.094868325,
            0.089527123,
            0.0853815,
            0.069524303,
            0.058738738,
            0.04537522,
        ],
    ),
    (
        "ExponentialDecay",
        (0.1, 20, 0.5),
        {"staircase": True},
        [0.1, 0.1, 0.1, 0.1, 0.050000001, 0.050000001, 0.0125, 0.003125, 0.00078125001],
    ),
    (
        "InverseTimeDecay",
        (0.01, 10, 1.0),
        {},
        [
            0.0099999998,
            0.0090909088,
            0.0052631577,
            0.0049999999,
            0.0032258064,
            0.0024999999,
            0.0012658228,
            0.00090090086,
            0.00062499999,
        ],
    ),
    (
        "InverseTimeDecay",
        (0.01, 10, 0.5, True),
        {},
        [
            0.0099999998,
            0.0099999998,
            0.0099999998,
            0.0066666664,
            0.0049999999,
            0.0039999997,
            0.0024999999,
            0.0016666666,
            0.0011764705,
        ],
    ),
    (
        "PiecewiseConstantDecay",
        ([10, 20, 100], [0.1, 0.05, 0.01, 0.001]),
        {},
        [0.1, 0.1, 0.1, 0.1, 0.0099999998, 0.0099999998, 0.0099999998, 0.001, 0.001],
    ),
    (
        "PiecewiseConstantDecay",
        ([50], [0.1, 0.05]),
        {},
        [0.1, 0.1, 0.1, 0.1, 0.1, 0.1, 0.050000001, 0.050000001, 0.050000001],
    ),
    (
        "PolynomialDecay",
        (0.1, 100),
        {},
        [
            0.1,
            0.099001005,
            0.091008998,
            0.090010002,
            0.079021007,
            0.070030004,
            0.031068999,
            9.9999997e-05,
            9.9999997e-05,
        ],
    ),
    (
        "PolynomialDecay",
        (0.1, 30, 0.001, 2.0, True),
        {},
        [0.1, 0.093509994, 0.049509995, 0.044999994, 0.0099100005, 0.001, 0.0063900007, 0.0034818756, 0.001],
    ),
    (
        "PolynomialDecay",
        (0.1, 30, 0.01, 0.5),
        {},
        [
            0.1,
            0.098487288,
            0.085299402,
            0.083484687,
            0.059295036,
            0.0099999998,
            0.0099999998,
            0.0099999998,
            0.0099999998,
        ],
    ),
    (
        "CosineDecay",
        (0.1, 100),
        {},
        [0.1, 0.099975325, 0.09801469, 0.097552828, 0.089507751, 0.079389267, 0.021895824, 0.0, 0.0],
    ),
    (
        "CosineDecay",
        (0.1, 50, 0.1),
        {},
        [
            0.1,
            0.099911205,
            0.092994757,
            0.091405764,
            0.066191047,
            0.041094225,
            0.010000001,
            0.010000001,
            0.010000001,
        ],
    ),
    (
        "CosineDecay",
        (0.0, 100),
        {"warmup_target": 0.1, "warmup_steps": 20},
        [
            0.0,
            0.0050000004,
            0.044999998,
            0.050000001,
            0.099975325,
            0.097552828,
            0.051570535,
            0.0086459694,
            0.0,
        ],
    ),
    (
        "CosineDecay",
        (0.02, 50),
        {"alpha": 0.01, "warmup_target": 0.1, "warmup_steps": 10},
        [0.02, 0.028000001, 0.091999993, 0.1, 0.088640414, 0.065796338, 0.001, 0.001, 0.001],
    ),
    (
        "CosineDecay",
        (0.02, 50),
        {"alpha": 0.01, "warmup_target": 0.1, "warmup_steps": 0},
        [0.1, 0.099902324, 0.092294239, 0.09054634, 0.062810145, 0.035203647, 0.001, 0.001, 0.001],
    ),
    (
        "CosineDecayRestarts",
        (0.1, 10),
        {},
        [0.1, 0.097552828, 0.002447176, 0.1, 0.042178284, 0.1, 0.00015413463, 0.067305848, 0.1],
    ),
    (
        "CosineDecayRestarts",
        (0.1, 20),
        {"t_mul": 1.0, "m_mul": 0.9},
        [
            0.1,
            0.09938442,
            0.057821728,
            0.049999997,
            0.089445971,
            0.044999998,
            0.042152029,
            0.058685493,
            0.02391484,
        ],
    ),
    (
        "CosineDecayRestarts",
        (0.1, 15, 1.5, 0.8, 0.1),
        {},
        [
            0.1,
            0.099016644,
            0.041094225,
            0.032499995,
            0.070088707,
            0.027999997,
            0.01062935,
            0.026775269,
            0.035732545,
        ],
    ),
]
"""Class, arguments, and what Keras 3.15.1 gives at STEPS in float32."""

RNG = np.random.default_rng(0)
X = RNG.normal(size=(22, 3)).astype(np.float32)
Y = RNG.normal(size=(22, 2)).astype(np.float32)


@pytest.mark.parametrize(("name", "arguments", "more", "expected"), OF_KERAS)
def test_rates_of_keras(name: str, arguments: Any, more: Any, expected: list[float]) -> None:
    schedule = getattr(schedules, name)(*arguments, **more)
    np.testing.assert_allclose(schedule(STEPS), expected, rtol=0, atol=SCHEDULE_ATOL)
    assert [schedule(step) for step in STEPS] == schedule(np.array(STEPS)).tolist()
    twin = type(schedule).from_config(schedule.get_config())
    assert twin(STEPS).tolist() == schedule(STEPS).tolist()
    assert repr(eval(repr(schedule), vars(schedules))) == repr(schedule)


def test_restarts_begin_where_they_must() -> None:
    schedule = schedules.CosineDecayRestarts(1.0, 7, t_mul=3.0)
    begins = np.cumsum([0, *(7 * 3**k for k in range(8))])
    assert schedule(begins).tolist() == [1.0] * len(begins)


class Noam(schedules.LearningRateSchedule):
    """As in tutorials: it divides by a power of the step, and branches."""

    def __call__(self, step: Any) -> Any:
        if step < 2:
            return 0.01
        return 0.1 * step**-0.5

    def get_config(self) -> dict[str, Any]:
        return {}


SCHEDULES: dict[str, Callable[[], Any]] = {
    "schedule": lambda: schedules.ExponentialDecay(0.1, 5, 0.7),
    "own": Noam,
    "of the step": lambda: lambda step: 0.1 / (1 + step),
}


def compiled(rate: Any, backend: str = "native", kind: Any = optimizers.SGD) -> nn.Sequential:
    model = nn.Sequential([layers.Input((3,)), layers.Dense(4, "relu"), layers.Dense(2)], seed=3)
    model.compile(kind(rate), "mse", backend=backend)
    return model


class ByHand(callbacks.Callback):
    """The same rates, set before each batch."""

    def __init__(self, rate: Any) -> None:
        self.rate = rate

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        self.model.optimizer.learning_rate = float(self.rate(np.int64(self.model.optimizer.iterations)))


@pytest.mark.parametrize("kind", SCHEDULES)
@pytest.mark.parametrize("optimizer", optimizers.KNOWN.values())
@pytest.mark.parametrize("backend", ["native", "reference"])
def test_each_step_has_its_rate(kind: str, optimizer: Any, backend: str) -> None:
    rate = SCHEDULES[kind]()
    by_hand = compiled(0.5, backend, optimizer)
    by_hand.fit(X, Y, batch_size=4, epochs=3, verbose=0, callbacks=[ByHand(rate)])
    for listener in ([], [callbacks.LambdaCallback(on_batch_end=lambda *_: None)]):
        model = compiled(rate, backend, optimizer)
        assert model.optimizer.learning_rate == pytest.approx(float(rate(0)))
        model.fit(X, Y, batch_size=4, epochs=1, verbose=0, callbacks=listener)
        model.fit(X, Y, batch_size=4, epochs=2, verbose=0, callbacks=listener)  # goes on
        assert model.optimizer.iterations == 18
        assert model.optimizer.learning_rate == pytest.approx(float(rate(18)))
        for a, b in zip(model.get_weights(), by_hand.get_weights(), strict=True):
            np.testing.assert_array_equal(a, b)


def test_train_on_batch_follows_too() -> None:
    rate = schedules.ExponentialDecay(0.1, 1, 0.5)
    model, by_hand = compiled(rate), compiled(0.5)
    for step in range(3):
        by_hand.optimizer.learning_rate = rate(step)
        assert model.train_on_batch(X, Y) == by_hand.train_on_batch(X, Y)


def test_a_function_of_nothing_is_called_once_before_each_step() -> None:
    asked: list[int] = []

    def rate() -> float:
        asked.append(model.optimizer.iterations)
        return 0.1 / (1 + asked[-1])

    model, by_hand = compiled(rate), compiled(0.5)
    model.fit(X, Y, batch_size=4, epochs=2, verbose=0)
    by_hand.fit(X, Y, batch_size=4, epochs=2, verbose=0, callbacks=[ByHand(lambda step: 0.1 / (1 + step))])
    assert asked == list(range(12))
    for a, b in zip(model.get_weights(), by_hand.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_saved_and_copied(tmp_path: Path) -> None:
    model = compiled(schedules.CosineDecay(0.1, 30, warmup_target=0.2, warmup_steps=4), kind=optimizers.Adam)
    model.fit(X, Y, batch_size=4, verbose=0)
    model.save(tmp_path / "m")
    for twin in (nn.load_model(tmp_path / "m"), copy.deepcopy(model)):
        assert twin.optimizer.learning_rate == model.optimizer.learning_rate
        assert twin.optimizer.get_config() == model.optimizer.get_config()
        more = copy.deepcopy(model)
        for each in (more, twin):
            each.fit(X, Y, batch_size=4, verbose=0)
        for a, b in zip(more.get_weights(), twin.get_weights(), strict=True):
            np.testing.assert_array_equal(a, b)


def test_a_schedule_is_not_overwritten_by_a_number() -> None:
    model = compiled(schedules.ExponentialDecay(0.1, 5, 0.7))
    with pytest.raises(TypeError, match="this optimizer follows ExponentialDecay"):
        model.optimizer.learning_rate = 0.1
    with pytest.raises(TypeError, match="follows ExponentialDecay"):
        model.fit(X, Y, verbose=0, callbacks=[callbacks.LearningRateScheduler(lambda epoch: 0.1)])
    model.optimizer.learning_rate = schedules.PiecewiseConstantDecay([1], [0.5, 0.25])
    assert model.optimizer.learning_rate == (0.5 if model.optimizer.iterations < 2 else 0.25)
    with pytest.raises(AttributeError, match=r"cannot be set\. Make a new schedule"):
        schedules.ExponentialDecay(0.1, 5, 0.7).decay_rate = 1.0


@pytest.mark.parametrize(
    ("rate", "error", "message"),
    [
        (lambda step: -1.0, ValueError, "gave -1.0 for step 0"),
        (lambda step: float("nan") if step == 2 else 0.1, ValueError, "gave nan for step 2"),
        (lambda: "fast", TypeError, "must be a number, got 'fast'"),
        (schedules.LearningRateSchedule(), TypeError, "LearningRateSchedule gives no rates"),
    ],
)
def test_rates_that_are_none(rate: Any, error: type[Exception], message: str) -> None:
    model = compiled(rate)
    before = model.get_weights()
    with pytest.raises(error, match=message):
        model.fit(X, Y, batch_size=4, verbose=0)
    assert all(np.array_equal(a, b) for a, b in zip(before, model.get_weights(), strict=True))
    assert model.trainer.epochs_shuffled == 0


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: optimizers.SGD(schedules.ExponentialDecay), TypeError, "got the class ExponentialDecay. Call it"),
        (lambda: optimizers.SGD(lambda a, b: 0.1), TypeError, "a function of nothing or of the step alone"),
        (lambda: schedules.ExponentialDecay(0.1, 0, 0.5), ValueError, "decay_steps must be above 0, got 0"),
        (lambda: schedules.CosineDecayRestarts(0.1, -1), ValueError, "first_decay_steps must be above 0"),
        (lambda: schedules.PiecewiseConstantDecay([1], [1.0]), ValueError, "values must be one more than boundaries"),
        (lambda: schedules.PiecewiseConstantDecay([2, 1], [1, 2, 3]), ValueError, "boundaries must ascend"),
        (lambda: schedules.PolynomialDecay("0.1", 3), ValueError, "initial_learning_rate must be a finite number"),
        (lambda: schedules.PolynomialDecay(10**5000, 3), ValueError, "got a number of thousands of digits"),
        (lambda: schedules.deserialize({"class_name": "Decay"}), ValueError, "Unknown learning rate schedule 'Decay'"),
        (lambda: schedules.Cosine, AttributeError, "no attribute 'Cosine'. Did you mean 'CosineDecay'"),
        (lambda: descent.minimize(lambda x: x @ x, [1.0], method=optimizers.SGD(schedules.ExponentialDecay(1, 2, 3))), ValueError, "must be a number"),
    ],
)  # fmt: skip
def test_refused(make: Callable[[], object], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message.replace(".", r"\.")):
        make()
