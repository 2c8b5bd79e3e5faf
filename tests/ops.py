"""Ops for nets of the tests, as short as a layer."""

from __future__ import annotations

from nnfast.graph import Op


def dense(units: int, activation: str = "linear", parameter: float = 0.0, use_bias: bool = True) -> Op:
    return Op("dense", units, activation=activation, parameter=parameter, use_bias=use_bias)


def activation(units: int, name: str, parameter: float = 0.0) -> Op:
    return Op("activation", units, activation=name, parameter=parameter)


def dropout(units: int, rate: float = 0.5, seed: int = 0) -> Op:
    return Op("dropout", units, rate=rate, seed=seed)
