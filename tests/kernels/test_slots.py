"""What slots begin with, and inputs that never had a gradient: the same bits whether they are passed over or updated."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from nnfast import _core, reference

from ..hyper import calm
from ..ops import dense
from ..tolerances import TRAJECTORY_RTOL
from .helpers import same_bits

INPUTS, ROWS = 200, 80


@pytest.fixture(autouse=True)
def all_paths() -> Iterator[None]:
    yield
    _core.set_paths("")


def rows() -> tuple[np.ndarray, np.ndarray]:
    """Inputs that are mostly zero, a third of them in every row."""
    rng = np.random.default_rng(5)
    x = rng.random((ROWS, INPUTS), dtype=np.float32)
    x[rng.random(x.shape) < 0.9] = 0.0
    x[:, ::3] = 0.0
    return x, rng.standard_normal((ROWS, 3), dtype=np.float32)


def trained(
    rule: str,
    hyper: list[float],
    initial: tuple[float, ...] | None,
    rates: np.ndarray | None,
    passes_idle: bool = True,
) -> list[np.ndarray]:
    x, y = rows()
    net = _core.Net(INPUTS, [dense(40, "relu"), dense(3, "linear")])
    for tensor in net.tensors:
        tensor[...] = np.random.default_rng(1).standard_normal(tensor.shape, dtype=np.float32) / 10
    net.compile("mean_squared_error", False, rule, (), initial)
    net.skip_zeros = True
    run = net.prepare(x, y, None, 2)
    assert ("+ idle_inputs" in run.explain()) == (passes_idle and bool(net.slots))
    totals = np.zeros(1)
    for _ in range(3):
        run.step(None, 0, ROWS, hyper, totals, None, rates)
    return [*(tensor.copy() for tensor in net.tensors), *(slot.copy() for slot in net.slots), totals]


@pytest.mark.parametrize("rule", _core.RULES)
def test_idle_inputs_are_those_that_an_update_leaves_alone(isa: str, rule: str) -> None:
    """At the slots' own values and at others; where the rate of the call is zero and those of its steps are not, too."""
    constants = calm(rule)
    zero = [
        0.0 if name == "learning_rate" else value
        for name, value in zip(_core.RULES[rule][0], constants, strict=True)
    ]
    rates = np.full(ROWS // 2, constants[0])
    for initial in (None, tuple(0.25 for _ in _core.RULES[rule][1])):
        for hyper, of_steps in ((constants, None), (zero, rates)):
            results = []
            for paths in ("", "-idle_inputs"):
                _core.set_paths(paths)
                results.append(trained(rule, hyper, initial, of_steps, passes_idle=not paths))
            assert np.isfinite(results[0][0]).all()
            assert same_bits(results)


def test_weights_of_inputs_without_gradient_decay() -> None:
    hyper = calm("adamw")
    plain, decayed = trained("adam", hyper[:-1], None, None), trained("adamw", hyper, None, None)
    steps = 3 * ROWS // 2
    left = plain[0][0] * (1 - hyper[0] * hyper[-1]) ** steps  # input 0 is always zero
    np.testing.assert_allclose(decayed[0][0], left, rtol=TRAJECTORY_RTOL)
    assert (decayed[0][0] != plain[0][0]).all()


@pytest.mark.parametrize("module", [_core, reference])
def test_what_slots_begin_with(module: object) -> None:
    net = module.Net(3, [dense(5, "relu"), dense(1, "linear")])
    for initial, first in ((None, 0.1), ((0.5, 0.0), 0.5), ((0.0, 2.0), 0.0)):
        net.compile("mean_squared_error", False, "ftrl", (), initial)
        accumulator, linear = net.slots
        assert (accumulator == np.float32(first)).all()
        assert (linear == (initial or (0.0, 0.0))[1]).all()
    before = net.slots
    for wrong in ((), (0.1,), (0.1, 0.0, 0.0), (np.nan, 0.0), (1e300, 0.0)):
        with (
            pytest.raises(ValueError, match="initial: expected None or a finite float32 for each slot"),
            np.errstate(over="ignore"),
        ):
            net.compile("mean_squared_error", False, "ftrl", (), wrong)
    assert all(
        slot is old or np.shares_memory(slot, old) for slot, old in zip(net.slots, before, strict=True)
    )
