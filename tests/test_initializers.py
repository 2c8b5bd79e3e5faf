"""Each initializer draws from its distribution, and the same numbers for the same seed and stream."""

from __future__ import annotations

import math

import numpy as np
import pytest

from nnfast import Sequential, initializers, layers
from nnfast.names import serialize

INPUTS, UNITS = 400, 600
NAMES = list(initializers._KNOWN)
FAN = {"glorot": (INPUTS + UNITS) / 2, "he": INPUTS / 2, "lecun": INPUTS}


@pytest.mark.parametrize("family", FAN)
def test_variance_of_the_scaled_families(family: str) -> None:
    stddev = math.sqrt(1 / FAN[family])
    uniform = initializers.get(f"{family}_uniform")((INPUTS, UNITS), 3, 0)
    assert abs(uniform).max() <= np.float32(math.sqrt(3) * stddev)
    assert abs(uniform).max() > 0.999 * math.sqrt(3) * stddev
    normal = initializers.get(f"{family}_normal")((INPUTS, UNITS), 3, 0)
    assert abs(normal).max() <= np.float32(2 * stddev / initializers.TRUNCATED_STDDEV)
    for drawn in (uniform, normal):
        # Five standard errors of 240,000 draws.
        assert abs(drawn.mean()) < 5 * stddev / math.sqrt(drawn.size)
        assert drawn.std() == pytest.approx(stddev, rel=5 / math.sqrt(drawn.size))


def test_unscaled_families() -> None:
    shape = (INPUTS, UNITS)
    uniform = initializers.RandomUniform(2.0, 3.0)(shape, 1, 0)
    assert uniform.min() >= 2
    assert uniform.max() <= 3
    assert uniform.mean() == pytest.approx(2.5, abs=0.003)
    normal = initializers.RandomNormal(1.0, 0.5)(shape, 1, 0)
    assert normal.std() == pytest.approx(0.5, rel=5 / math.sqrt(normal.size))
    assert abs(normal - 1).max() > 1.5
    truncated = initializers.TruncatedNormal(1.0, 0.5)(shape, 1, 0)
    assert abs(truncated - 1).max() <= 1
    assert truncated.std() == pytest.approx(
        0.5 * initializers.TRUNCATED_STDDEV, rel=5 / math.sqrt(truncated.size)
    )


def test_constants() -> None:
    assert initializers.get("zeros")((3,)).tolist() == [0, 0, 0]
    assert initializers.get("ones")((2, 1)).tolist() == [[1], [1]]
    assert initializers.Constant(0.5)((2,)).tolist() == [0.5, 0.5]


@pytest.mark.parametrize("name", NAMES)
def test_seed_and_stream_decide(name: str) -> None:
    initializer = initializers.get(name)
    first = initializer((5, 4), 1, 2)
    assert first.dtype == np.float32
    assert first.shape == (5, 4)
    np.testing.assert_array_equal(first, initializer((5, 4), 1, 2))
    if name not in ("zeros", "ones", "constant"):
        assert (first != initializer((5, 4), 1, 3)).all()
        assert (first != initializer((5, 4), 2, 2)).all()
        own = type(initializer)(seed=9)
        np.testing.assert_array_equal(own((5, 4), 1, 2), initializer((5, 4), 9, 2))


@pytest.mark.parametrize("name", NAMES)
def test_by_name_class_object_and_configuration(name: str) -> None:
    initializer = initializers.get(name)
    cls = type(initializer)
    expected = initializer((5, 4), 1, 2)
    for identifier in (cls, cls.__name__, initializer, serialize(initializer)):
        np.testing.assert_array_equal(initializers.get(identifier)((5, 4), 1, 2), expected)
    assert getattr(initializers, name) is cls


def test_weights_of_a_model_follow_from_its_seed() -> None:
    def weights(seed: int) -> list[np.ndarray]:
        stack = [
            layers.Input((5,)),
            layers.Dense(4, "relu", bias_initializer="random_normal"),
            layers.Dense(4),
        ]
        return Sequential(stack, seed=seed).get_weights()

    first = weights(7)
    for a, b in zip(first, weights(7), strict=True):
        np.testing.assert_array_equal(a, b)
    assert (first[0] != weights(8)[0]).all()
    assert (first[0][:4] != first[2]).all()


def test_how_the_model_is_built_does_not_change_its_weights() -> None:
    early = Sequential([layers.Input((5,)), layers.Dense(4), layers.Dense(3)], seed=7)
    late = Sequential([layers.Dense(4)], seed=7)
    late.build((None, 5))
    late.add(layers.Dense(3))
    for a, b in zip(early.get_weights(), late.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
