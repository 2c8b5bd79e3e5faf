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
    if "seed" in initializer.get_config():
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


def test_orthogonal_identity_and_variance_scaling() -> None:
    for shape in ((6, 4), (4, 6), (5, 5)):
        drawn = initializers.Orthogonal(2.0, seed=1)(shape).astype(float)
        gram = drawn.T @ drawn if shape[0] >= shape[1] else drawn @ drawn.T
        np.testing.assert_allclose(gram, 4 * np.eye(min(shape)), atol=1e-6)
        np.testing.assert_array_equal(initializers.Identity(3.0)(shape), 3 * np.eye(*shape))
    for cls in (initializers.Orthogonal, initializers.Identity):
        with pytest.raises(ValueError, match="for kernels only"):
            cls()((3,))
    fans = {"fan_in": INPUTS, "fan_out": UNITS, "fan_avg": (INPUTS + UNITS) / 2}
    for mode, fan in fans.items():
        for distribution in ("truncated_normal", "untruncated_normal", "uniform", "normal"):
            drawn = initializers.VarianceScaling(3.0, mode, distribution)((INPUTS, UNITS), 3)
            assert drawn.std() == pytest.approx(math.sqrt(3 / fan), rel=5 / math.sqrt(drawn.size))
    with pytest.raises(ValueError, match="scale must be"):
        initializers.VarianceScaling(0)
    with pytest.raises(ValueError, match=r"Unknown mode 'fan_inn'\. Did you mean 'fan_in'"):
        initializers.VarianceScaling(mode="fan_inn")
    with pytest.raises(ValueError, match="Unknown distribution"):
        initializers.VarianceScaling(distribution="gamma")


KERAS_CONFIGS = {
    "Zeros": {}, "Ones": {}, "Constant": {"value": 0.0}, "Identity": {"gain": 1.0},
    "RandomUniform": {"minval": -0.05, "maxval": 0.05, "seed": None},
    "RandomNormal": {"mean": 0.0, "stddev": 0.05, "seed": None},
    "TruncatedNormal": {"mean": 0.0, "stddev": 0.05, "seed": None},
    "VarianceScaling": {"scale": 1.0, "mode": "fan_in", "distribution": "truncated_normal", "seed": None},
    "Orthogonal": {"gain": 1.0, "seed": None},
    **{name: {"seed": None} for name in ("GlorotUniform", "GlorotNormal", "HeUniform", "HeNormal", "LecunUniform")},
}  # fmt: skip


@pytest.mark.parametrize("name", KERAS_CONFIGS)
def test_names_arguments_and_defaults_of_keras(name: str) -> None:
    cls = getattr(initializers, name)
    assert cls().get_config() == KERAS_CONFIGS[name]
    assert cls(*KERAS_CONFIGS[name].values()).get_config() == KERAS_CONFIGS[name]


@pytest.mark.parametrize(
    "given", [0.25, 1, np.float32(0.25), np.float64(2), np.full((3, 4), 0.5), np.array(0.5)]
)
def test_a_number_or_an_array_is_a_constant(given: object) -> None:
    layer = layers.Dense(4, kernel_initializer=given, bias_initializer=0.125)
    kernel, bias = Sequential([layers.Input((3,)), layer]).get_weights()
    np.testing.assert_array_equal(kernel, np.broadcast_to(given, (3, 4)))
    assert bias.tolist() == [0.125] * 4
    twin = layers.Dense.from_config(layer.get_config())
    np.testing.assert_array_equal(twin.kernel_initializer((3, 4)), kernel)


def test_an_array_of_another_shape_is_refused() -> None:
    with pytest.raises(ValueError, match=r"values of shape \(2, 2\), and the weight has shape \(3, 4\)"):
        Sequential([layers.Input((3,)), layers.Dense(4, kernel_initializer=np.ones((2, 2)))]).build()


def ramp(shape, dtype=None):
    assert dtype == "float32"
    return np.arange(math.prod(shape)).reshape(shape)


class Ramp:
    def __call__(self, shape, dtype=None):
        return ramp(shape, dtype)


class RampOfKeras(initializers.Initializer):
    def __init__(self, first: float = 0.0) -> None:
        self.first = first

    def __call__(self, shape, dtype=None, **kwargs):
        return self.first + ramp(shape, dtype)


@pytest.mark.parametrize(
    "given",
    [ramp, lambda shape, dtype=None: ramp(shape, dtype), lambda shape: ramp(shape, "float32"), Ramp(), Ramp, RampOfKeras(),
     lambda shape, **more: ramp(shape, more["dtype"]), RampOfKeras],
)  # fmt: skip
def test_functions_and_classes_of_ones_own(given: object) -> None:
    model = Sequential([layers.Input((3,)), layers.Dense(4, kernel_initializer=given)])
    assert model.get_weights()[0].tolist() == np.arange(12).reshape(3, 4).tolist()


def test_what_a_function_gives_is_checked() -> None:
    for given, message in (
        (lambda shape: np.ones(3), "must give an array of the shape"),
        (lambda shape: "x", "initializer"),
    ):
        with pytest.raises((ValueError, TypeError), match=message):
            Sequential([layers.Input((3,)), layers.Dense(4, kernel_initializer=given)]).build()


def test_a_call_takes_dtype_where_keras_has_it() -> None:
    assert initializers.Ones()((2,), "float64").dtype == np.float64
    assert initializers.HeNormal(seed=1)((2, 2), dtype=np.float16).dtype == np.float16
    assert initializers.HeNormal()(shape=(2, 2)).dtype == np.float32


def test_nothing_else_is_taken() -> None:
    for given in (None, True, [1.0], 1j):
        with pytest.raises(TypeError, match="initializer must be a name"):
            initializers.get(given)
    with pytest.raises(ValueError, match="Unknown initializer 'glorot'"):
        initializers.get("glorot")


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
