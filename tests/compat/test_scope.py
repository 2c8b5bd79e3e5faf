"""What is out is refused with a sentence that says what and why, by `from ... import` too."""

from __future__ import annotations

import importlib

import pytest

from nnfast.scope import OUT, out_of_scope

MODULES = (
    "nnfast",
    "nnfast.layers",
    "nnfast.models",
    "nnfast.losses",
    "nnfast.metrics",
    "nnfast.callbacks",
    "nnfast.utils",
)


@pytest.mark.parametrize("module", MODULES)
@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("LSTM", "recurrent layers"),
        ("Conv2D", "convolutions"),
        ("MultiHeadAttention", "attention"),
        ("applications", "pretrained"),
    ],
)
def test_import_and_attribute_say_why(module: str, name: str, why: str) -> None:
    with pytest.raises(
        ImportError, match=f"cannot import name '{name}' from '{module}'. {name}: {why}.* (is|are) out"
    ):
        exec(f"from {module} import {name}")
    with pytest.raises(AttributeError, match=f"{name}: {why}"):
        getattr(importlib.import_module(module), name)
    assert not hasattr(importlib.import_module(module), name)


@pytest.mark.parametrize("module", MODULES)
def test_a_misspelt_name_names_the_nearest(module: str) -> None:
    known = next(name for name in dir(importlib.import_module(module)) if len(name) > 5 and name[0] != "_")
    with pytest.raises(ImportError, match="cannot import name"):
        exec(f"from {module} import {known}x")


def test_many_names_in_one_import() -> None:
    with pytest.raises(ImportError, match="GRU: recurrent"):
        exec("from nnfast.layers import (" + ", ".join(["Dense"] * 300 + ["GRU"]) + ")")


@pytest.mark.parametrize(
    "name",
    [
        "Dense",
        "Dropout",
        "Flatten",
        "Embedding",
        "Softmax",
        "Model",
        "Adam",
        "Reshape",
        "mnist",
        "Normalization",
    ],
)
def test_what_dense_networks_need_is_in_no_group(name: str) -> None:
    assert out_of_scope(name) == ""


def test_each_group_says_what_to_do() -> None:
    for group in OUT:
        assert (
            " out" in group.why
            or "cannot" in group.why
            or "needs" in group.why
            or "nnfast has only" in group.why
        )
        assert group.remedy.endswith(".")
