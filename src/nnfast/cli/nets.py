"""The net that a command line describes."""

from __future__ import annotations

import argparse
from typing import Any

from .. import layers
from ..models import Sequential
from .tables import Table


def compiled(arguments: argparse.Namespace, table: Table, optimizer: object) -> Sequential:
    """The net for a scaled table."""
    classification = table.task == "classification"
    if classification:
        outputs = int(max(table.y.max(), table.y_test.max())) + 1
    else:
        outputs = table.y.shape[1] if table.y.ndim == 2 else 1
    stack: list[Any] = [layers.Input(table.x.shape[1:]), layers.Flatten()]
    stack += [layers.Dense(units, activation=arguments.activation) for units in arguments.hidden]
    stack.append(layers.Dense(outputs, activation="softmax" if classification else None))
    model = Sequential(stack, seed=arguments.seed)
    loss, metrics = (
        ("sparse_categorical_crossentropy", ["accuracy"])
        if classification
        else ("mean_squared_error", ["mae"])
    )
    model.compile(optimizer, loss, metrics=metrics, backend=arguments.backend)
    return model


def describe(arguments: argparse.Namespace, model: Sequential, table: Table) -> None:
    """Print the net, and on how many rows it is trained and tested."""
    model.summary()
    print(
        f"{arguments.data}: {len(table.x)} rows to train on, {len(table.x_test)} to test on, {table.task}, "
        f"inputs scaled by {table.scaling}"
    )
