"""The three products of a dense layer against float64 NumPy, over sizes around the tiles, on every instruction set."""

from __future__ import annotations

import numpy as np
import pytest

from nnfast import _core, kernels

from ..hyper import hyper
from ..tolerances import KERNEL_RTOL
from .helpers import COLUMNS, ROWS, Guarded, floats, same_bits

SHAPES = sorted(
    {(b, i, o) for b in ROWS for i, o in ((5, 17), (33, 10))}
    | {(7, i, o) for i in (1, 16, 49) for o in COLUMNS}
    | {(13, i, 1) for i in COLUMNS}
)


def close(actual: np.ndarray, expected: np.ndarray, magnitude: np.ndarray) -> None:
    """Within a few roundings of the sum of the magnitudes of what was added."""
    assert np.isfinite(actual).all()
    assert (np.abs(actual - expected) <= KERNEL_RTOL * (magnitude + 1e-30)).all()


@pytest.mark.parametrize(("B", "I", "O"), SHAPES)
def test_forward(isa: str, rng: np.random.Generator, B: int, I: int, O: int) -> None:
    room = Guarded()
    x, w, b, out = (room.copy(floats(rng, *shape)) for shape in ((B, I), (I, O), (O,), (B, O)))
    _core.dense_forward(out, x, w, b, "linear", 0.0)
    room.check()
    exact = x.astype(np.float64) @ w + b
    close(out, exact, np.abs(x).astype(np.float64) @ np.abs(w) + np.abs(b))
    relu = kernels.dense_forward(x, w, b, "relu")
    assert (relu == np.maximum(out, 0)).all()
    assert (kernels.dense_forward(x, w) == kernels.dense_forward(x, w, np.zeros(O, np.float32))).all()


@pytest.mark.parametrize(("B", "I", "O"), SHAPES)
def test_backward(isa: str, rng: np.random.Generator, B: int, I: int, O: int) -> None:
    room = Guarded()
    dw, db, dx, wt = room(I, O), room(O), room(B, I), room(O, I)
    dz, x, w = (room.copy(floats(rng, *shape)) for shape in ((B, O), (B, I), (I, O)))
    _core.dense_backward(dw, db, dx, dz, x, w, wt)
    room.check()
    close(dw, x.T.astype(np.float64) @ dz, np.abs(x.T).astype(np.float64) @ np.abs(dz))
    close(db, dz.sum(0, dtype=np.float64), np.abs(dz).sum(0, dtype=np.float64))
    close(dx, dz.astype(np.float64) @ w.T, np.abs(dz).astype(np.float64) @ np.abs(w.T))


@pytest.mark.parametrize("rule", _core.RULES)
@pytest.mark.parametrize(
    ("B", "I", "O"),
    [
        *((1, 1, 1), (5, 37, 1), (3, 7, 5), (8, 12, 32), (9, 50, 33), (2, 13, 401), (4, 4099, 1)),
        *((48, 5, 512), (50, 18, 530), (61, 207, 519)),  # wide layers, which go in blocks
    ],
)
def test_fused_update_is_the_composed_one(
    isa: str, rng: np.random.Generator, rule: str, B: int, I: int, O: int
) -> None:
    values = hyper(rule)
    room = Guarded()
    dz, x = floats(rng, B, O), floats(rng, B, I)
    w, b = room.copy(floats(rng, I, O)), room.copy(floats(rng, O))
    slots = [
        (room.copy(np.abs(floats(rng, I, O))), room.copy(np.abs(floats(rng, O))))
        for _ in _core.RULES[rule][1]
    ]
    if "centered" in rule:  # the running mean of the gradient cannot exceed the root of that of its square
        for a in slots[1]:
            a[...] = 0.0
    expected_w, expected_b = w.copy(), b.copy()
    expected_slots = [(sw.copy(), sb.copy()) for sw, sb in slots]
    dw, db, expected_dx = kernels.dense_backward(dz, x, w)
    kernels.update(expected_w, dw, [s[0] for s in expected_slots], rule, values, 3)
    kernels.update(expected_b, db, [s[1] for s in expected_slots], rule, values, 3)
    dx = kernels.dense_backward_update(w, b, dz, x, rule, values, slots, 3)
    room.check()
    assert np.isfinite(w).all()
    assert same_bits([(w, b, slots, dx), (expected_w, expected_b, expected_slots, expected_dx)])


@pytest.mark.parametrize(
    ("B", "I", "O"), [(1, 784, 128), (13, 129, 33), (7, 61, 1), (12, 40, 10), (32, 100, 129)]
)
def test_same_bits_on_every_set(on_each_set, rng: np.random.Generator, B: int, I: int, O: int) -> None:
    x, w, b, dz = floats(rng, B, I), floats(rng, I, O), floats(rng, O), floats(rng, B, O)
    for activation in _core.ACTIVATIONS:
        assert same_bits(
            on_each_set(lambda activation=activation: kernels.dense_forward(x, w, b, activation))
        )
    assert same_bits(on_each_set(lambda: kernels.dense_backward(dz, x, w)))


def test_a_row_does_not_depend_on_its_place(isa: str, rng: np.random.Generator) -> None:
    for O in (1, 10, 33, 128):
        x, w, b = floats(rng, 37, 50), floats(rng, 50, O), floats(rng, O)
        whole = kernels.dense_forward(x, w, b, "tanh")
        for r in range(37):
            assert same_bits([kernels.dense_forward(x[r : r + 1], w, b, "tanh"), whole[r : r + 1]])


@pytest.mark.parametrize(("B", "size"), [(30, 1024), (97, 128), (200, 256), (300, 128)])
def test_panels_that_are_copied_first(isa: str, rng: np.random.Generator, B: int, size: int) -> None:
    """Rows at a multiple of 512 bytes, and the same with another column, which is in nobody's way: the same bits, of forward, dw and dx."""
    x, w, dz = floats(rng, B, 301), floats(rng, 301, size + 1), floats(rng, B, size + 1)
    b = floats(rng, size + 1)
    packed = kernels.dense_forward(x, w[:, :size].copy(), b[:size].copy(), "relu")
    assert same_bits([packed, kernels.dense_forward(x, w, b, "relu")[:, :size]])
    packed, *_ = kernels.dense_backward(dz[:, :size].copy(), x, w[:, :size].copy())
    assert same_bits([packed, kernels.dense_backward(dz, x, w)[0][:, :size]])
    *_, packed = kernels.dense_backward(x, dz[:, :size].copy(), w[:, :size].T.copy())
    assert same_bits([packed, kernels.dense_backward(x, dz, w.T.copy())[2][:, :size]])


def test_alignment_does_not_matter(isa: str, rng: np.random.Generator) -> None:
    x, w = floats(rng, 9, 33), floats(rng, 33, 35)
    expected = kernels.dense_forward(x, w)
    for shift in range(16):
        room = np.empty(x.size + 16, dtype=np.float32)
        moved = room[shift : shift + x.size].reshape(x.shape)
        moved[...] = x
        assert same_bits([kernels.dense_forward(moved, w), expected])


def test_zeros_cannot_be_told_from_absent_inputs(isa: str, rng: np.random.Generator) -> None:
    """What skipping zeros rests on: a zero input leaves every bit as it is, and no output is -0."""
    x, w, dz = floats(rng, 5, 40), floats(rng, 40, 18), floats(rng, 5, 18)
    x[:, ::3] = 0.0
    x[2] = 0.0
    x[3, ::2] = -0.0
    keep = np.flatnonzero(np.abs(x).any(axis=0))
    dense, skipped = (
        kernels.dense_forward(x, -np.abs(w)),
        kernels.dense_forward(np.ascontiguousarray(x[:, keep]), -np.abs(w)[keep].copy()),
    )
    assert same_bits([dense, skipped])
    assert not np.signbit(dense[2]).any()
    dw, _, _ = kernels.dense_backward(-dz, np.abs(x), w)
    assert same_bits(
        [dw[keep], kernels.dense_backward(-dz, np.ascontiguousarray(np.abs(x[:, keep])), w[keep].copy())[0]]
    )
    assert not np.signbit(dw[::3][~x[:, ::3].any(axis=0)]).any()


def test_nan_and_infinity_pass(isa: str) -> None:
    x = np.ones((3, 4), dtype=np.float32)
    x[1, 2] = np.nan
    x[2, 0] = np.inf
    for activation in ("linear", "relu", "tanh", "sigmoid", "softmax"):
        a = kernels.dense_forward(x, np.eye(4, dtype=np.float32), None, activation)
        assert np.isfinite(a[0]).all()
        assert np.isnan(a[1]).any()


def test_empty_arrays_are_refused() -> None:
    some, none = np.ones((2, 3), np.float32), np.ones((0, 3), np.float32)
    w = np.ones((3, 4), np.float32)
    for call in (
        lambda: kernels.dense_forward(none, w),
        lambda: kernels.dense_backward(np.ones((0, 4), np.float32), none, w),
        lambda: kernels.dense_forward(some, np.ones((3, 0), np.float32)),
        lambda: kernels.activation_forward(none),
        lambda: kernels.loss_value_and_gradient(none, none, "mean_squared_error"),
    ):
        with pytest.raises(ValueError, match="expected at least one row and one column, received shape"):
            call()
