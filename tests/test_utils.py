"""`normalize` and `to_categorical` give what Keras gives, and seeds are repeatable when asked for."""

from __future__ import annotations

import random
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

from nnfast import Sequential, layers, seeds, utils

from .tolerances import FORMULA_RTOL, POINTWISE_RTOL


@pytest.fixture(autouse=True)
def seeds_as_they_were(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(seeds._Seeds, "sequence", None)


# normalize


@pytest.mark.parametrize("order", [1, 2, 3, np.inf])
@pytest.mark.parametrize("axis", [0, 1, 2, -1, -3])
@pytest.mark.parametrize("dtype", ["float32", "float64", "uint8", "int64", ">f4"])
def test_normalize_divides_by_the_norm(dtype: str, axis: int, order: float) -> None:
    x = np.random.default_rng(0).integers(0, 100, (4, 5, 6)).astype(dtype)
    x[1] = 0
    before = x.copy()
    got = utils.normalize(x, axis=axis, order=order)
    assert got.dtype == (np.float32 if dtype in ("float32", ">f4") else np.float64)
    norm = np.max(abs(x.astype(float)), axis, keepdims=True)
    if order != np.inf:
        norm = np.sum(abs(x.astype(float)) ** order, axis, keepdims=True) ** (1 / order)
    rtol = POINTWISE_RTOL if got.dtype == np.float32 else FORMULA_RTOL
    np.testing.assert_allclose(got, x / np.where(norm == 0, 1, norm), rtol)
    assert np.array_equal(x, before)
    assert not np.shares_memory(x, got)


def test_normalize_of_images_by_pixel_columns() -> None:
    """The thesis' preparation: each column of each image has length 1, or is blank."""
    x = np.random.default_rng(0).integers(0, 256, (3, 28, 28), np.uint8)
    x[:, :, 5] = 0
    length = np.sqrt((utils.normalize(x, axis=1) ** 2).sum(axis=1))
    np.testing.assert_allclose(np.delete(length, 5, axis=1), 1, FORMULA_RTOL)
    assert (length[:, 5] == 0).all()


def test_normalize_takes_what_users_have() -> None:
    assert utils.normalize([3, 4]).tolist() == [0.6, 0.8]
    assert utils.normalize([[True, False]]).tolist() == [[1, 0]]
    pandas = pytest.importorskip("pandas")
    assert utils.normalize(pandas.DataFrame({"a": [3.0], "b": [4.0]})).tolist() == [[0.6, 0.8]]
    mixed = pandas.DataFrame({"a": pandas.array([3], "Int64"), "b": [4.0]})
    assert utils.normalize(mixed).tolist() == [[0.6, 0.8]]


def test_normalize_whatever_numpy_is_told_of_underflow() -> None:
    with np.errstate(all="raise"):
        assert utils.normalize([[1e-200, 1.0], [0.0, 0.0]]).tolist() == [[1e-200, 1.0], [0.0, 0.0]]


@pytest.mark.parametrize(
    ("x", "axis", "error", "message"),
    [
        ([[1, 2]], 2, ValueError, r"axis must be an axis of x, which has shape \(1, 2\), got 2"),
        (3.0, -1, ValueError, r"shape \(\), got -1"),
        ([[1, 2]], None, ValueError, r"axis must be an axis of x, which has shape \(1, 2\), got None"),
        (["a"], -1, TypeError, "x must hold real numbers, got dtype <U1"),
        ([1j], -1, TypeError, "real numbers, got dtype complex128"),
        ([None], -1, ValueError, "x must have a value everywhere, got None in row 0"),
        (["1.5"], -1, TypeError, r"numbers written as text. Convert it: numpy.asarray\(x\).astype\(float\)"),
        ([[1.0]], 2**63, ValueError, f"axis must be an axis of x, .* got {2**63}"),
        ([[1.0, np.inf]], -1, ValueError, "infinite in float64"),
        (np.float32([[1e30, 1.0]]), -1, ValueError, "infinite in float32: .* Remove or scale"),
    ],
)
def test_normalize_refuses(x: Any, axis: int, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        utils.normalize(x, axis=axis)


# to_categorical


@pytest.mark.parametrize("labels", [[0, 2, 1], [0.0, 2.0, 1.0], np.uint8([0, 2, 1]), [[0], [2], [1]]])
def test_to_categorical(labels: Any) -> None:
    got = utils.to_categorical(labels)
    assert got.dtype == np.float64
    assert got.tolist() == [[1, 0, 0], [0, 0, 1], [0, 1, 0]]
    assert utils.to_categorical(labels, 5).shape == (3, 5)


def test_to_categorical_keeps_other_axes() -> None:
    labels = np.arange(6).reshape(2, 3)
    assert np.array_equal(utils.to_categorical(labels), np.eye(6).reshape(2, 3, 6))
    assert utils.to_categorical([1]).tolist() == [[0, 1]]
    assert utils.to_categorical(1).tolist() == [0, 1]
    assert utils.to_categorical([True, False]).tolist() == [[0, 1], [1, 0]]
    assert utils.to_categorical([], 4).shape == (0, 4)
    pandas = pytest.importorskip("pandas")
    assert utils.to_categorical(pandas.Series([0, 1], dtype="Int64")).tolist() == [[1, 0], [0, 1]]


@pytest.mark.parametrize(
    ("x", "num_classes", "error", "message"),
    [
        ([0, 3], 3, ValueError, r"from 0 to num_classes - 1 = 2, got 3 at position 1"),
        ([0, -1], None, ValueError, "got -1 at position 1"),
        ([0, 1.5], None, ValueError, "got 1.5 at position 1"),
        ([0, np.nan], None, ValueError, "got nan at position 1"),
        ([0, np.inf], None, ValueError, "got inf at position 1"),
        ([np.nan], None, ValueError, "got nan at position 0"),
        ([], None, ValueError, "Give num_classes"),
        (["cat"], None, TypeError, "x must hold real numbers, got dtype <U3. Encode it: numpy.unique"),
        ([0, None], None, ValueError, "x must have a value everywhere, got None in row 1"),
        ([0], 2**63, ValueError, f"num_classes must be a whole number from 1 to 2147483647, got {2**63}"),
        ([0], 0, ValueError, "num_classes must be a whole number from 1 to 2147483647, got 0"),
        ([0], -1, ValueError, "num_classes must be a whole number from 1 to 2147483647, got -1"),
        ([0], 2.5, ValueError, "num_classes must be a whole number from 1 to 2147483647, got 2.5"),
        (np.uint64([0, 2**63]), None, ValueError, f"x must hold labels below 2147483647, got {2**63}"),
        ([0, 1e300], None, ValueError, r"x must hold labels below 2147483647, got 1e\+300"),
    ],
)
def test_to_categorical_refuses(
    x: Any, num_classes: int | None, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        utils.to_categorical(x, num_classes)


# seeds


def test_seeds_differ_unless_asked() -> None:
    seeds = {utils.next_seed() for _ in range(1000)}
    assert len(seeds) == 1000
    assert all(type(seed) is int and 0 <= seed < 2**63 for seed in seeds)
    # Both halves of the range: 2**-1000 to fail.
    assert min(seeds) < 2**62 <= max(seeds)


@pytest.mark.parametrize("seed", [0, 1, 2**32 - 1, 2**32, 2**63 - 1, np.int64(5)])
def test_set_random_seed_repeats(seed: int) -> None:
    def draw() -> list[float]:
        utils.set_random_seed(seed)
        return [*(utils.next_seed() for _ in range(100)), random.random(), np.random.random()]

    first = draw()
    assert first == draw()
    assert len(set(first[:100])) == 100
    assert all(type(value) is int and 0 <= value < 2**63 for value in first[:100])
    utils.set_random_seed((int(seed) + 1) % 2**63)
    assert utils.next_seed() not in first


def test_set_random_seed_seeds_as_keras_does() -> None:
    utils.set_random_seed(7)
    assert random.random() == random.Random(7).random()
    assert np.random.random() == np.random.RandomState(7).random_sample()


def test_seed_sequence_is_splitmix64() -> None:
    """The first outputs for 1234567, as published with the reference implementation in C."""
    expected = [6457827717110365317, 3203168211198807973, 9817491932198370423, 4593380528125082431]
    assert [seeds._splitmix64(1234567, draw) for draw in (1, 2, 3, 4)] == expected


def test_models_without_a_seed_are_repeatable() -> None:
    def weights() -> list[np.ndarray]:
        utils.set_random_seed(3)
        models = [Sequential([layers.Input((4,)), layers.Dense(3)]) for _ in range(2)]
        return [model.get_weights()[0] for model in models]

    first, second = weights()
    assert not np.array_equal(first, second)
    assert np.array_equal(np.stack(weights()), np.stack([first, second]))


def test_threads_draw_each_seed_once() -> None:
    utils.set_random_seed(1)
    with ThreadPoolExecutor(8) as pool:
        drawn = list(pool.map(lambda _: utils.next_seed(), range(2000)))
    utils.set_random_seed(1)
    assert sorted(drawn) == sorted(utils.next_seed() for _ in range(2000))


@pytest.mark.parametrize("seed", [-1, 2**63, 1.0, "1", None, True])
def test_set_random_seed_refuses(seed: Any) -> None:
    with pytest.raises(ValueError, match=r"seed must be a whole number from 0 to 2\*\*63 - 1, got"):
        utils.set_random_seed(seed)


def test_names_of_keras_that_are_not_here() -> None:
    with pytest.raises(AttributeError, match="normalize, plot_model, set_random_seed, to_categorical"):
        _ = utils.split_dataset  # type: ignore[attr-defined]


# dead_units


def test_dead_units_are_those_that_give_nothing_for_any_row() -> None:
    x = np.random.default_rng(0).standard_normal((3000, 4)).astype(np.float32)
    model = Sequential(
        [
            layers.Flatten(),
            layers.Dense(6),
            layers.Activation("relu"),
            layers.Dense(5, "tanh"),
            layers.Dense(2, "relu"),
        ],
        seed=1,
    )
    assert set(utils.dead_units(model, x.reshape(-1, 2, 2)).values()) == {0.0}  # builds it, as predict does
    assert list(utils.dead_units(model, x.reshape(-1, 2, 2))) == ["dense", "dense_1", "dense_2"]
    weights = model.get_weights()
    weights[1][[0, 2, 3]] = -100
    weights[-1][1] = -100
    model.set_weights(weights)
    assert utils.dead_units(model, x.reshape(-1, 2, 2)) == {"dense": 0.5, "dense_1": 0.0, "dense_2": 0.5}
    assert (model.predict(x.reshape(-1, 2, 2))[:, 1] == 0).all()


def test_a_unit_that_only_the_last_row_wakes_is_not_dead() -> None:
    x = np.full((5000, 1), -1.0, np.float32)
    model = Sequential([layers.Dense(1, "relu"), layers.Dense(1), layers.Dense(1, "relu")])
    model._network((1,))
    model.set_weights([[[1.0]], [0.0], [[1.0]], [1.0], [[1.0]], [0.0]])
    assert utils.dead_units(model, x) == {"dense": 1.0, "dense_1": 0.0, "dense_2": 0.0}
    x[-1] = 1
    assert utils.dead_units(model, x)["dense"] == 0


def test_dead_units_of_an_activation_on_its_own() -> None:
    model = Sequential([layers.Activation("relu"), layers.Dense(1)])
    assert utils.dead_units(model, [[-1.0, 1.0], [-2.0, -2.0]])["activation"] == 0.5


def test_dead_units_takes_what_predict_takes() -> None:
    model = Sequential([layers.Input((2,)), layers.Dense(1)])
    with pytest.raises(ValueError, match=r"x must have shape \(N, 2\)"):
        utils.dead_units(model, np.zeros((3, 4)))
