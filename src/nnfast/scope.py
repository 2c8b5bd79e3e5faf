"""What of Keras and TensorFlow is out of nnfast, why, and what to do instead: one table for every message that
refuses a name.

nnfast trains dense networks. A name is looked up here when a module does not have it.
"""

from __future__ import annotations

import re
from typing import NamedTuple


class Out(NamedTuple):
    """A group of names that are out."""

    names: str
    """A regular expression that the whole name matches."""
    why: str
    """What they are, as subject of a sentence: "convolutions are out"."""
    remedy: str


_KERAS = "Run a script that needs them with Keras itself."

OUT: tuple[Out, ...] = (
    Out(
        r"(CuDNN|Conv)?(LSTM|GRU)(1D|2D|3D)?(V1|V2|Cell)?|(Simple)?RNN(Cell)?|StackedRNNCells|Bidirectional|AbstractRNNCell"
        r"|TimeDistributed\w*|recurrent|rnn|RepeatVector|Masking",
        "recurrent layers are out, as nnfast trains dense networks",
        "Give the last steps of a series as features, layers.Flatten() and layers.Dense, or run the script with Keras itself.",
    ),
    Out(
        r"((Separable|Depthwise|Locally)\w*|Convolution|Atrous\w*|Deconvolution|Conv)\w*|LocallyConnected\w*"
        r"|(Global)?(Max|Average|Avg)Pool(ing)?\w*|Adaptive\w*Pooling\w*|UpSampling\w*|ZeroPadding\w*|Cropping\w*"
        r"|SpatialDropout\w*|convolutional|pooling|local|conv_utils|max_pool\w*|conv[123]d\w*|avg_pool\w*",
        "convolutions and pooling are out, as nnfast trains dense networks",
        "Use layers.Flatten() and layers.Dense, or run the script with Keras itself.",
    ),
    Out(
        r"(Multi|Group\w*|Additive)?\w*Attention|Attention|TransformerEncoder|TransformerDecoder|nlp|keras_nlp|keras_hub|keras_cv|transformers",
        "attention is out, as nnfast trains dense networks",
        _KERAS,
    ),
    Out(
        r"applications|(ResNet|VGG|Inception|Xception|MobileNet|DenseNet|EfficientNet|NASNet|ConvNeXt)\w*|vgg\w+|resnet\w*|inception\w*|xception|mobilenet\w*",
        "pretrained convolutional networks are out, as nnfast trains dense networks",
        "Take their outputs as features of a dense network, or run the script with Keras itself.",
    ),
    Out(
        r"Random(Flip|Rotation|Zoom|Crop|Translation|Contrast|Brightness|Height|Width)|CenterCrop|Resizing|ImageDataGenerator|image\w*"
        r"|load_img|img_to_array|array_to_img|save_img|DirectoryIterator",
        "the loading and augmentation of images are out",
        "Load the pictures into one array by Pillow or imageio; layers.Flatten() makes rows of them.",
    ),
    Out(
        r"Tokenizer|TextVectorization|text|text_\w+|sequence|pad_sequences|TimeseriesGenerator|timeseries_dataset_from_array|one_hot_text|strings",
        "text and sequences are out",
        "Make arrays of numbers of them first, by scikit-learn's CountVectorizer or by NumPy.",
    ),
    Out(
        r"preprocessing",
        "the preprocessing of images, text and sequences is out",
        "Make arrays of numbers first, by NumPy, Pillow or scikit-learn.",
    ),
    Out(
        r"imdb|reuters|cifar10|cifar100|boston_housing|california_housing",
        "this data set cannot be fetched by nnfast",
        "Load its file by NumPy or scikit-learn; nnfast.datasets has digits, mnist, fashion_mnist and wine_quality.",
    ),
    Out(
        r"GradientTape|gradients|function|AutoGraph|autograph|custom_gradient|stop_gradient",
        "TensorFlow's graphs and tapes are out, as there is no TensorFlow below",
        "Train by model.fit or model.train_on_batch, or run the script with TensorFlow itself.",
    ),
    Out(
        r"Session|InteractiveSession|placeholder|get_default_session|global_variables_initializer|ConfigProto|Graph|get_default_graph"
        r"|variable_scope|contrib|get_session|set_session|disable_v2_behavior|disable_eager_execution|estimator\w*|feature_column",
        "sessions and graphs of TensorFlow 1 are out, as there is no TensorFlow below",
        "Leave these lines out, or run the script with TensorFlow itself.",
    ),
    Out(
        r"distribute|tpu|saved_model|lite|train|io|image|signal|sparse|ragged|RaggedTensor|SparseTensor|queue|lookup|summary"
        r"|quantization|mixed_precision|mlir|xla|raw_ops|py_function|while_loop|cond|TensorArray|estimator|hub",
        "of TensorFlow itself nnfast has only what scripts of dense networks use",
        "Use NumPy in its place, or run the script with TensorFlow itself.",
    ),
    Out(
        r"tensorflow_\w+|keras_tuner|kerastuner|keras_contrib|tensorboard_plugin_\w+",
        "this package needs TensorFlow itself, and nnfast stands in its place",
        "Run the script with TensorFlow, or leave the package out; data sets come as arrays, grids by nnfast.compare.",
    ),
    Out(
        r"multi_gpu_model|OrbaxCheckpoint|RemoteMonitor|SidecarEvaluator|BackupAndRestore_v2",
        "this is out, as nnfast runs on the CPU of one machine",
        "Leave the line out.",
    ),
)


def out_of_scope(name: str) -> str:
    """Why a name is out and what to do, or nothing where it is in no group.

    Examples
    --------
    >>> out_of_scope("Conv2D")
    'Conv2D: convolutions and pooling are out, as nnfast trains dense networks. Use layers.Flatten() and \
layers.Dense, or run the script with Keras itself.'
    """
    last = name.rpartition(".")[2]
    for group in OUT:
        if re.fullmatch(group.names, last):
            return f"{last}: {group.why}. {group.remedy}"
    return ""
