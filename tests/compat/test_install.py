"""`nnfast.install`: the modules that stand in for Keras and TensorFlow, each case in a process of its own."""

from __future__ import annotations

import subprocess
import sys

import pytest

from nnfast.compat.tree import KERAS_ROOTS, MODULES, OLDER

KEPT = "import warnings; warnings.simplefilter('ignore', FutureWarning); import nnfast, numpy as np; nnfast.install()\n"


def python(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)


def said(code: str) -> str:
    """What code prints after `install`."""
    run = python(KEPT + code)
    assert run.returncode == 0, run.stderr
    return run.stdout


def test_every_module_can_be_imported() -> None:
    names = [root + ("." + module if module else "") for root in KERAS_ROOTS for module in MODULES]
    said("import importlib\n" + "\n".join(f"importlib.import_module({name!r})" for name in names))


def test_all_eras_hand_out_the_same_objects() -> None:
    said(
        """
import keras, tensorflow as tf, tensorflow.keras.backend as K
from keras.layers import Dense as a
from keras.layers.core import Dense as b
from tensorflow.keras.layers import Dense as c
from tensorflow.python.keras.layers.core import Dense as d
from tf_keras.layers import Dense as e
from tensorflow.compat.v1.keras.layers import Dense as f
from keras.utils.np_utils import to_categorical
from keras.utils import np_utils
from tensorflow import keras as k2
from keras import Sequential, models, layers
assert {a, b, c, d, e, f, keras.layers.Dense, tf.keras.layers.Dense, k2.layers.Dense} == {nnfast.layers.Dense}
assert np_utils.to_categorical is to_categorical is tf.keras.utils.to_categorical
assert Sequential is nnfast.Sequential is tf.keras.models.Sequential
assert tf.optimizers.Adam is keras.optimizers.legacy.Adam is nnfast.optimizers.Adam
assert keras.objectives.mse is keras.losses.mse and K.epsilon() == 1e-7
tf.keras.backend.clear_session()
import scikeras.wrappers
exec("from keras.layers import *"); exec("from tensorflow.keras.models import *")
assert keras.__version__ >= "3" and tf.__version__ >= "2"
"""
    )


@pytest.mark.parametrize(
    ("code", "kind", "message"),
    [
        ("from keras.layers import Conv2D", "ImportError", "convolutions and pooling are out"),
        ("from keras.layers.recurrent import LSTM", "ModuleNotFoundError", "recurrent layers are out"),
        ("from tensorflow.keras.preprocessing.image import load_img", "ModuleNotFoundError", "preprocessing"),
        ("import tensorflow_hub as hub", "ModuleNotFoundError", "needs TensorFlow itself"),
        ("import keras.applications.vgg16", "ModuleNotFoundError", "pretrained"),
        ("import tensorflow as tf; tf.GradientTape()", "AttributeError", "tapes are out"),
        ("import tensorflow as tf; tf.Session()", "AttributeError", "sessions"),
        ("from keras.datasets import cifar10", "ImportError", "cannot be fetched"),
        ("from keras.layer import Dense", "ModuleNotFoundError", "Did you mean 'layers'"),
        ("from keras.layers import Dens", "ImportError", "Did you mean 'Dense'"),
        ("import tensorflow as tf; tf.reduce_men(1)", "AttributeError", "Did you mean 'reduce_mean'"),
    ],
)
def test_what_is_out_says_why(code: str, kind: str, message: str) -> None:
    run = python(KEPT + code)
    last = run.stderr.splitlines()[-1]
    assert run.returncode == 1
    assert last.startswith(f"{kind}: ")
    assert message in last


def test_modules_of_older_keras_say_so_once() -> None:
    code = "import nnfast; nnfast.install()\n" + "\n".join(
        f"import keras.{module}; import keras.{module}" for module in OLDER
    )
    warnings = [line for line in python(code).stderr.splitlines() if "FutureWarning" in line]
    assert len(warnings) == len(OLDER)
    assert "<string>:" in warnings[0]


def test_install_is_idempotent_and_refuses_what_is_imported_already() -> None:
    assert (
        said(
            "nnfast.install(); import sys; print(sum('compat' in type(f).__module__ for f in sys.meta_path))"
        )
        == "1\n"
    )
    assert said("import sys; print('keras' in sys.modules, 'tensorflow' in sys.modules)") == "True True\n"
    run = python(
        "import sys, types; sys.modules['keras'] = types.ModuleType('keras'); import nnfast; nnfast.install()"
    )
    assert "RuntimeError: keras has been imported already" in run.stderr


def test_nothing_is_installed_by_itself() -> None:
    run = python(
        "import nnfast, sys; print([m for m in sys.modules if m.startswith('nnfast.compat') or m.startswith(('keras', 'tensorflow'))])"
    )
    assert run.stdout == "[]\n"


def test_other_packages_are_found_as_before_and_modules_travel() -> None:
    said(
        """
import importlib.util, json, pickle, keras, copy
assert importlib.util.find_spec("kerasx") is None
assert pickle.loads(pickle.dumps(keras.layers)) is keras.layers
assert not hasattr(keras, "__wrapped__") and not hasattr(keras.layers, "LSTM")
import numpy, inspect; inspect.getmodule(keras.layers.Dense)
"""
    )


def test_names_of_tensorflow() -> None:
    said(
        """
import tensorflow as tf, logging
from tensorflow.keras.layers import Dense
assert tf.constant([1.0, 2.0]).dtype == tf.float32 and tf.constant([1, 2]).dtype == tf.int32
assert tf.reduce_mean([1.0, 3.0]).numpy() == 2 and tf.math.square(3.0).numpy() == 9
assert tf.cast([1.7], tf.int32).numpy().tolist() == [1]
assert tf.range(3).numpy().tolist() == [0, 1, 2] and tf.linspace(0.0, 1.0, 3).numpy().tolist() == [0, 0.5, 1]
assert tf.argmax([[1, 3], [2, 0]]).numpy().tolist() == [1, 0] and tf.argmax([[1, 3]], axis=1).numpy() == 1
assert tf.zeros((2, 2)).shape == (2, 2) and tf.ones([2]).dtype == tf.float32
assert tf.one_hot([1], 3).numpy().tolist() == [[0, 1, 0]]
v = tf.Variable([1.0, 2.0]); v.assign([3.0, 4.0]); assert v.numpy().tolist() == [3, 4]
assert tf.config.list_physical_devices("GPU") == [] and tf.executing_eagerly() and tf.test.gpu_device_name() == ""
tf.get_logger().setLevel("ERROR"); tf.compat.v1.logging.set_verbosity(tf.compat.v1.logging.ERROR)
tf.random.set_seed(1); a = tf.random.normal((3,)); tf.random.set_seed(1); assert (tf.random.normal((3,)) == a).all()
with tf.device("/CPU:0"):
    model = tf.keras.Sequential([Dense(2, activation=tf.nn.relu, input_shape=(2,)), Dense(2, activation=tf.nn.softmax)])
assert model.layers[0].activation == nnfast.activations.relu
assert abs(model(np.ones((3, 2))).numpy().sum() - 3) < 1e-6
"""
    )


def test_modules_list_what_they_define() -> None:
    said(
        """
import importlib
for name in ("losses", "initializers", "activations", "models"):
    assert not {"Any", "np", "Mapping", "P"} & set(dir(importlib.import_module("keras." + name))), name
from keras.losses import *
assert "MeanSquaredError" in globals() and "Any" not in globals()
"""
    )


def test_functions_of_tensorflow_take_its_keywords() -> None:
    said(
        """
import tensorflow as tf
assert tf.clip_by_value([1.0, 5.0], clip_value_min=0, clip_value_max=2).tolist() == [1, 2]
assert tf.concat(values=[[1], [2]], axis=0, name="both").tolist() == [1, 2]
assert tf.concat([[[1]], [[2]]], 1).tolist() == [[1, 2]]
assert tf.reduce_sum(input_tensor=[[1.0, 2.0]], axis=1, keepdims=True).tolist() == [[3]]
assert tf.one_hot(indices=[1], depth=2).tolist() == [[0, 1]]
assert tf.math.maximum(x=1.0, y=2.0) == 2 and tf.matmul(a=[[2.0]], b=[[3.0]]).tolist() == [[6]]
assert tf.where(tf.constant([True, False]), x=[1, 2], y=[3, 4]).tolist() == [1, 4]
assert tf.transpose([[1, 2]], perm=[1, 0]).shape == (2, 1) and tf.cast(x=[1.5], dtype=tf.int32).tolist() == [1]
assert tf.tanh is tf.keras.activations.tanh
tf.config.threading.set_intra_op_parallelism_threads(1)
tf.config.threading.set_intra_op_parallelism_threads(0)
assert nnfast.get_num_threads() == nnfast.threads.default_threads()
"""
    )
