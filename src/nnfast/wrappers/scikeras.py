"""SciKeras' wrappers: those of `scikit_learn`, where what builds the model is called `model` and comes first."""

from __future__ import annotations

from typing import Any

from . import scikit_learn


class KerasClassifier(scikit_learn.KerasClassifier):
    """`scikit_learn.KerasClassifier`, with `model` in first place."""

    def __init__(self, model: Any = None, *, build_fn: Any = None, **sk_params: Any) -> None:
        super().__init__(model=build_fn if model is None else model, **sk_params)


class KerasRegressor(scikit_learn.KerasRegressor):
    """`scikit_learn.KerasRegressor`, with `model` in first place."""

    def __init__(self, model: Any = None, *, build_fn: Any = None, **sk_params: Any) -> None:
        super().__init__(model=build_fn if model is None else model, **sk_params)
