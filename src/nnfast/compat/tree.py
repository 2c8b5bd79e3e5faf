"""Which modules of Keras there are, in all its eras, and which module of nnfast has what they have."""

from __future__ import annotations

from collections.abc import Mapping

KERAS_ROOTS = (
    "keras",
    "tf_keras",
    "keras_core",
    "keras.api",
    "keras.src",
    "keras.legacy",
    "tensorflow.keras",
    "tensorflow.python.keras",
    "tensorflow.compat.v1.keras",
    "tensorflow.compat.v2.keras",
    "tensorflow.contrib.keras",
)
"""Where the tree of Keras' modules hangs."""

ROOTS = ("keras", "tf_keras", "keras_core", "tensorflow", "scikeras")
"""Packages that nnfast stands in for."""

REFUSED_ROOTS = (
    "tensorflow_hub",
    "tensorflow_datasets",
    "tensorflow_addons",
    "tensorflow_probability",
    "tensorflow_text",
    "tensorflow_io",
    "tensorflow_federated",
    "tensorflow_model_optimization",
    "tensorflow_decision_forests",
    "tensorflow_estimator",
    "keras_tuner",
    "kerastuner",
    "keras_contrib",
    "keras_nlp",
    "keras_cv",
    "keras_hub",
    "keras_applications",
    "keras_preprocessing",
)
"""Packages on top of TensorFlow itself, which cannot work on what stands in for it."""

_LAYERS = "nnfast.layers"
_MODELS = "nnfast.models"
_UTILS = "nnfast.utils"

MODULES: Mapping[str, tuple[str, ...]] = {
    "": ("nnfast",),
    "activations": ("nnfast.activations",),
    "backend": ("nnfast.backend",),
    "backend.tensorflow_backend": ("nnfast.backend",),
    "callbacks": ("nnfast.callbacks",),
    "callbacks.callbacks": ("nnfast.callbacks",),
    "config": ("nnfast.backend", "nnfast.utils"),
    "constraints": ("nnfast.constraints",),
    "datasets": ("nnfast.datasets",),
    "datasets.fashion_mnist": ("nnfast.datasets.fashion_mnist",),
    "datasets.mnist": ("nnfast.datasets.mnist",),
    "engine": (_LAYERS, _MODELS),
    "engine.base_layer": (_LAYERS,),
    "engine.input_layer": (_LAYERS,),
    "engine.sequential": (_MODELS,),
    "engine.topology": (_LAYERS, _MODELS),
    "engine.training": (_MODELS,),
    "initializers": ("nnfast.initializers",),
    "initializations": ("nnfast.initializers",),
    "initializers.initializers_v2": ("nnfast.initializers",),
    "layers": (_LAYERS,),
    "layers.activation": (_LAYERS,),
    "layers.advanced_activations": (_LAYERS,),
    "layers.core": (_LAYERS,),
    "layers.core.dense": (_LAYERS,),
    "layers.embeddings": (_LAYERS,),
    "layers.experimental": (_LAYERS,),
    "layers.experimental.preprocessing": (_LAYERS,),
    "layers.merge": (_LAYERS,),
    "layers.noise": (_LAYERS,),
    "layers.normalization": (_LAYERS,),
    "layers.preprocessing": (_LAYERS,),
    "layers.regularization": (_LAYERS,),
    "layers.reshaping": (_LAYERS,),
    "losses": ("nnfast.losses",),
    "metrics": ("nnfast.metrics",),
    "models": (_MODELS,),
    "objectives": ("nnfast.losses",),
    "ops": ("nnfast.ops",),
    "optimizers": ("nnfast.optimizers",),
    "optimizers.experimental": ("nnfast.optimizers",),
    "optimizers.legacy": ("nnfast.optimizers",),
    "optimizers.schedules": ("nnfast.optimizers.schedules", "nnfast.schedules"),
    "random": ("nnfast.utils",),
    "regularizers": ("nnfast.regularizers",),
    "saving": (_MODELS,),
    "utils": (_UTILS,),
    "utils.generic_utils": (_UTILS,),
    "utils.layer_utils": (_UTILS,),
    "utils.np_utils": (_UTILS,),
    "utils.vis_utils": (_UTILS,),
    "utils.visualize_util": (_UTILS,),
    "wrappers": (),
    "wrappers.scikit_learn": ("nnfast.wrappers.scikit_learn",),
}
"""Each module of Keras and those of nnfast that have its names, the first that does. What nnfast does not have
is refused when it is asked for."""

OTHERS: Mapping[str, tuple[str, ...]] = {
    "scikeras": (),
    "scikeras.wrappers": ("nnfast.wrappers.scikeras",),
}
"""Modules of packages on top of Keras that nnfast stands in for."""

OLDER: Mapping[str, str] = {
    "backend.tensorflow_backend": "backend",
    "callbacks.callbacks": "callbacks",
    "engine": "layers or models",
    "engine.base_layer": "layers",
    "engine.input_layer": "layers",
    "engine.sequential": "models",
    "engine.topology": "layers",
    "engine.training": "models",
    "initializations": "initializers",
    "layers.advanced_activations": "layers",
    "layers.core": "layers",
    "layers.embeddings": "layers",
    "layers.merge": "layers",
    "layers.noise": "layers",
    "layers.normalization": "layers",
    "objectives": "losses",
    "utils.generic_utils": "utils",
    "utils.layer_utils": "utils",
    "utils.np_utils": "utils",
    "utils.vis_utils": "utils",
    "utils.visualize_util": "utils",
}
"""Modules of older Keras, and where their names are today."""

RENAMED_CLASSES: Mapping[str, str] = {
    "merge": "concatenate",
    "maxnorm": "MaxNorm",
    "max_norm": "MaxNorm",
    "nonneg": "NonNeg",
    "non_neg": "NonNeg",
    "unitnorm": "UnitNorm",
    "unit_norm": "UnitNorm",
    "l1l2": "l1_l2",
    "plot": "plot_model",
    "set_seed": "set_random_seed",
}
"""Names of older Keras to what they are called here, where a module lacks the old one."""


def split(name: str) -> tuple[str, str] | None:
    """A full name as root of Keras and the rest, None where it is no module of Keras.

    Examples
    --------
    >>> split("tensorflow.keras.layers"), split("keras"), split("tensorflow.nn")
    (('tensorflow.keras', 'layers'), ('keras', ''), None)
    """
    for root in sorted(KERAS_ROOTS, key=len, reverse=True):
        if name == root:
            return root, ""
        if name.startswith(root + "."):
            return root, name[len(root) + 1 :]
    return None
