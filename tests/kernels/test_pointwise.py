"""Activations, losses and update rules of the engine against the reference in float64, every row of every table, on every instruction set."""

from __future__ import annotations

import inspect

import numpy as np
import pytest

from nnfast import _core, kernels, reference

from ..hyper import as_double, fresh_slots, hyper, outputs_for, targets_for
from ..tolerances import KERNEL_RTOL, POINTWISE_ATOL, POINTWISE_RTOL
from .helpers import Guarded, floats, same_bits

SIZES = [(1, 2), (3, 5), (7, 16), (4, 17), (5, 33), (33, 1), (260, 1)]


def test_kernels_and_reference_have_the_same_signatures() -> None:
    for name in kernels.__all__:
        ours, theirs = (inspect.signature(getattr(module, name)) for module in (kernels, reference))
        assert [(p.name, p.kind, p.default) for p in ours.parameters.values()] == [
            (p.name, p.kind, p.default) for p in theirs.parameters.values()
        ], name


@pytest.mark.parametrize("shape", SIZES)
@pytest.mark.parametrize("activation", _core.ACTIVATIONS)
def test_activation(isa: str, rng: np.random.Generator, activation: str, shape: tuple[int, int]) -> None:
    room = Guarded()
    z = rng.uniform(*reference.ACTIVATIONS[activation].sample, shape).astype(np.float32)
    da, dz = floats(rng, *shape), room(*shape)
    a = room.copy(z)
    _core.activation_forward(a, activation, _core.ACTIVATIONS[activation] or 0.0)
    _core.activation_backward(dz, da, a, activation, _core.ACTIVATIONS[activation] or 0.0)
    room.check()
    exact = reference.activation_forward(z.astype(np.float64), activation)
    assert np.allclose(a, exact, rtol=POINTWISE_RTOL, atol=POINTWISE_ATOL)
    exact_dz = reference.activation_backward(da.astype(np.float64), a.astype(np.float64), activation)
    assert np.allclose(dz, exact_dz, rtol=POINTWISE_RTOL, atol=POINTWISE_ATOL)
    in_place = da.copy()
    _core.activation_backward(in_place, in_place, a, activation, _core.ACTIVATIONS[activation] or 0.0)
    assert same_bits([in_place, dz])


def test_sigmoid_slope(isa: str, rng: np.random.Generator) -> None:
    class Steep:
        name, parameter = "sigmoid", 2.0

    z = floats(rng, 4, 9)
    a = kernels.activation_forward(z, Steep())
    assert np.allclose(a, 1 / (1 + np.exp(-2.0 * z)), rtol=POINTWISE_RTOL)
    assert np.allclose(
        kernels.activation_backward(np.ones_like(a), a, Steep()), 2 * a * (1 - a), rtol=POINTWISE_RTOL
    )


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("shape", SIZES)
@pytest.mark.parametrize(
    ("loss", "from_logits"),
    [(name, flag) for name, link in _core.LOSSES.items() for flag in ((False, True) if link else (False,))],
)
def test_loss(
    isa: str, rng: np.random.Generator, loss: str, from_logits: bool, shape: tuple[int, int], weighted: bool
) -> None:
    y = targets_for(loss, rng, *shape)
    outputs = 4 * floats(rng, *shape) if from_logits else outputs_for(loss, rng, shape)
    weight = rng.uniform(0, 3, shape[0]).astype(np.float32) if weighted else None
    value, gradient = kernels.loss_value_and_gradient(outputs, y, loss, weight, from_logits)
    exact_weight = None if weight is None else weight.astype(np.float64)
    exact, exact_gradient = reference.loss_value_and_gradient(
        outputs.astype(np.float64), as_double(y), loss, exact_weight, from_logits
    )
    assert value == pytest.approx(exact, rel=POINTWISE_RTOL, abs=POINTWISE_ATOL)
    assert np.allclose(gradient, exact_gradient, rtol=POINTWISE_RTOL, atol=POINTWISE_ATOL)


@pytest.mark.parametrize("loss", [name for name, link in _core.LOSSES.items() if link])
def test_probabilities_are_clipped(isa: str, loss: str) -> None:
    outputs = np.array([[1.0, 0.0, 0.0], [0.0, 0.5, 0.5]], dtype=np.float32)
    y = np.array([1, 0], dtype=np.int32)
    if not reference.LOSSES[loss].sparse:
        y = np.eye(3, dtype=np.float32)[y]
    value, gradient = kernels.loss_value_and_gradient(outputs, y, loss)
    exact, exact_gradient = reference.loss_value_and_gradient(outputs.astype(np.float64), as_double(y), loss)
    assert value == pytest.approx(exact, rel=1e-2)  # in float32, 1 - 1e-7 is 1 - 1.19e-7
    assert np.isfinite(gradient).all()
    assert np.allclose(gradient, exact_gradient, rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize(
    ("loss", "from_logits"),
    [(name, flag) for name, link in _core.LOSSES.items() for flag in ((False, True) if link else (False,))],
)
def test_loss_shows_nan(isa: str, rng: np.random.Generator, loss: str, from_logits: bool) -> None:
    y = targets_for(loss, rng, 3, 4)
    for bad in (np.nan, np.inf):
        outputs = rng.uniform(0.05, 0.95, (3, 4)).astype(np.float32)
        outputs[1, 2] = bad
        if bad == np.inf and _core.LOSSES[loss] and not from_logits:
            continue  # an infinite probability is clipped, as in Keras
        assert not np.isfinite(kernels.loss_value_and_gradient(outputs, y, loss, from_logits=from_logits)[0])


@pytest.mark.parametrize("n", [1, 15, 16, 17, 100])
@pytest.mark.parametrize("rule", _core.RULES)
def test_rule(isa: str, rng: np.random.Generator, rule: str, n: int) -> None:
    values = hyper(rule)
    room = Guarded()
    w = room.copy(floats(rng, n))
    slots = [room.copy(slot) for slot in fresh_slots(rule, w)]
    exact_w, exact_slots = w.astype(np.float64), [s.astype(np.float64) for s in slots]
    for step in range(1, 6):
        g = floats(rng, n)
        kernels.update(w, g, slots, rule, values, step)
        reference.update(exact_w, g.astype(np.float64), exact_slots, rule, values, step)
    room.check()
    assert np.allclose(w, exact_w, rtol=20 * KERNEL_RTOL, atol=POINTWISE_ATOL)
    for slot, exact_slot in zip(slots, exact_slots, strict=True):
        assert np.allclose(slot, exact_slot, rtol=20 * KERNEL_RTOL, atol=POINTWISE_ATOL)


def test_named_updates_are_rows_of_the_table(rng: np.random.Generator) -> None:
    w, g = floats(rng, 8), floats(rng, 8)

    def run(function, *args, **kwargs):
        copy, m, v = w.copy(), np.zeros(8, np.float32), np.zeros(8, np.float32)
        slots = {"sgd_update": (), "adam_update": (m, v)}.get(function, (m,))
        getattr(kernels, function)(copy, g, *slots, *args, **kwargs)
        return copy

    assert np.allclose(run("sgd_update"), w - 0.01 * g)
    assert np.allclose(run("momentum_update"), w - 0.01 * g)
    assert np.allclose(run("momentum_update", nesterov=True), w - 0.019 * g)
    assert np.allclose(run("rmsprop_update"), w - 0.001 * np.sign(g) / np.sqrt(0.1), atol=1e-5)
    assert np.allclose(run("adam_update", 1), w - 0.001 * np.sign(g), atol=1e-5)
    with pytest.raises(
        ValueError, match="epsilon_form: expected 'uncorrected' or 'corrected', received 'hat'"
    ):
        run("adam_update", 1, epsilon_form="hat")


def test_epsilon_forms_differ() -> None:
    """With a gradient as small as epsilon, the two forms are told apart (parity.md)."""
    results = {}
    for form, epsilon in (("uncorrected", 1e-3), ("corrected", 1e-3)):
        w, m, v = (np.zeros(1, dtype=np.float32) for _ in range(3))
        kernels.adam_update(
            w, np.full(1, 1e-3, np.float32), m, v, 1, learning_rate=1.0, epsilon=epsilon, epsilon_form=form
        )
        results[form] = float(w[0])
    g, c1, c2 = 1e-3, 0.1, 0.001
    assert results["uncorrected"] == pytest.approx(
        -(np.sqrt(c2) / c1) * (c1 * g) / (np.sqrt(c2) * g + 1e-3), rel=1e-4
    )
    assert results["corrected"] == pytest.approx(-g / (g + 1e-3), rel=1e-4)


def test_same_bits_on_every_set(on_each_set, rng: np.random.Generator) -> None:
    z, da = 3 * floats(rng, 9, 37), floats(rng, 9, 37)
    for activation in _core.ACTIVATIONS:
        assert same_bits(
            on_each_set(
                lambda activation=activation: kernels.activation_backward(
                    da, kernels.activation_forward(z, activation), activation
                )
            )
        )
    for loss, link in _core.LOSSES.items():
        y = targets_for(loss, rng, 9, 37)
        p = rng.uniform(0.01, 0.99, (9, 37)).astype(np.float32)
        for from_logits in (False, True) if link else (False,):
            assert same_bits(
                on_each_set(
                    lambda loss=loss, y=y, p=p, f=from_logits: kernels.loss_value_and_gradient(
                        p, y, loss, from_logits=f
                    )
                )
            )
    for rule in _core.RULES:

        def run(rule: str = rule) -> list[np.ndarray]:
            w, state = z.copy(), fresh_slots(rule, z)
            for step in (1, 2, 3):
                kernels.update(w, da, state, rule, hyper(rule), step)
            return [w, *state]

        assert same_bits(on_each_set(run))


@pytest.mark.parametrize("loss", ["mean_squared_error", "mean_absolute_error", "binary_crossentropy"])
def test_one_output_in_words_of_rows_is_row_by_row(isa: str, rng: np.random.Generator, loss: str) -> None:
    y = targets_for(loss, rng, 37, 1)
    outputs = rng.uniform(0.05, 0.95, (37, 1)).astype(np.float32)
    whole = kernels.loss_value_and_gradient(outputs, y, loss)
    weighted = kernels.loss_value_and_gradient(outputs, y, loss, np.ones(37, np.float32))
    assert same_bits([whole, weighted])


@pytest.mark.parametrize("rows", [8, 16, 64, 128])  # powers of two: their mean divides without rounding
@pytest.mark.parametrize("classes", [1, 2, 3, 10, 16, 31, 32, 33])
def test_a_row_of_cross_entropy_does_not_depend_on_its_neighbours(
    isa: str, rng: np.random.Generator, rows: int, classes: int
) -> None:
    """Many rows with few classes go by lanes, others one by one."""
    z, labels = 5 * floats(rng, rows, classes), rng.integers(0, classes, rows).astype(np.int32)
    z[2] = 80.0  # all alike, and far off
    z[3, 0] = np.nan
    z[4, classes - 1] = np.inf
    weight = rng.random(rows).astype(np.float32)

    def loss(at: slice, weighted: bool) -> tuple[np.ndarray, ...]:
        n = len(labels[at])
        room = Guarded()
        row_loss, gradient, scratch = room(n), room(n, classes), room(n, classes)
        given = weight[at] if weighted else None
        name = "sparse_categorical_crossentropy"
        _core.loss_rows(row_loss, gradient, scratch, z[at], labels[at], name, given, True)
        room.check()
        return row_loss, gradient * np.float32(n), scratch

    for weighted in (False, True):
        together = loss(slice(None), weighted)
        alone = [loss(slice(r, r + 1), weighted) for r in range(rows)]
        for whole, parts in zip(together, zip(*alone, strict=True), strict=True):
            assert np.array_equal(whole, np.concatenate(parts), equal_nan=True)
