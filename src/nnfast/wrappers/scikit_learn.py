"""`KerasClassifier` and `KerasRegressor`: a function that builds a model, as an estimator of scikit-learn.

They take what two packages of the same class names take. With `build_fn` they are the wrappers of Keras 2
(`keras.wrappers.scikit_learn`), with `model` those of SciKeras; the differences are in the result of `predict` for
one-hot targets and in that of a regression's `score`.
"""

from __future__ import annotations

import copy
import inspect
import warnings
from collections.abc import Callable, Mapping
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .. import losses, optimizers
from ..models import Sequential
from ..names import nearest
from ..utils import set_random_seed, to_categorical

try:
    from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
    from sklearn.metrics import accuracy_score, r2_score
except ImportError as error:
    raise ImportError(
        f"the wrappers need scikit-learn, which cannot be imported ({error}). "
        "Install it: pip install 'nnfast[sklearn]'."
    ) from error


def _arguments_of(function: Callable[..., Any]) -> dict[str, inspect.Parameter]:
    parameters = dict(inspect.signature(function).parameters)
    parameters.pop("self", None)
    return parameters


_FIT = set(_arguments_of(Sequential.fit)) - {"x", "y"}
_PREDICT = set(_arguments_of(Sequential.predict)) - {"x"}
_COMPILE = set(_arguments_of(Sequential.compile))
_OWN = {"warm_start", "random_state"}
_ROUTES = ("model", "fit", "predict", "compile", "optimizer", "loss", "metrics", "callbacks")
_OLD_NAMES = {"nb_epoch": "epochs"}  # of Keras 1


class _Wrapper(BaseEstimator):  # type: ignore[misc]
    """Base of the two."""

    def __init__(self, build_fn: Any = None, *, model: Any = None, **sk_params: Any) -> None:
        if build_fn is not None and model is not None:
            raise ValueError("build_fn and model cannot both be given: they are two names of one thing.")
        self.build_fn = build_fn
        self._given_model = model
        if model is not None:
            self.model = model
        self.sk_params = self._checked(sk_params)

    # Parameters

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """What the constructor was given, and `set_params` since."""
        which = {"build_fn": self.build_fn} if self._given_model is None else {"model": self._given_model}
        return {**which, **self.sk_params}

    def set_params(self, **params: Any) -> Self:
        """Change parameters.

        Raises
        ------
        ValueError
            A name that nothing takes; nothing has changed.
        """
        params = dict(params)
        build_fn, model = params.pop("build_fn", self.build_fn), params.pop("model", self._given_model)
        checked = self._checked(params, build_fn or model)
        self.build_fn, self._given_model = build_fn, model
        if model is not None:
            self.model = model
        self.sk_params |= checked
        return self

    def _checked(self, params: Mapping[str, Any], build: Any = None) -> dict[str, Any]:
        build = build or self._builder()
        takes = {} if isinstance(build, Sequential) else _arguments_of(build)
        any_name = any(one.kind is one.VAR_KEYWORD for one in takes.values())
        known = _FIT | _PREDICT | _COMPILE | _OWN | set(takes) - {"meta", "params", "compile_kwargs"}
        checked = {}
        for name, value in params.items():
            if name in _OLD_NAMES and name not in known:
                now = _OLD_NAMES[name]
                warnings.warn(f"{name} is called {now} since Keras 2.", FutureWarning, stacklevel=4)
                checked[now] = value
                continue
            route, routed, _ = name.partition("__")
            if not (any_name or name in known or (routed and route in _ROUTES)):
                raise ValueError(
                    f"{name!r} is no argument of fit, predict, compile or of what builds the model."
                    f"{nearest(name, known)} Known: {', '.join(sorted(known))}, and names after "
                    f"{', '.join(route + '__' for route in _ROUTES)}."
                )
            checked[name] = value
        return checked

    def _builder(self) -> Any:
        """What builds the model."""
        given = self.build_fn if self._given_model is None else self._given_model
        if given is not None:
            return given
        if callable(self):
            return self
        raise ValueError(
            "build_fn must be given: a function that builds and compiles a model; "
            "or derive a class that defines __call__."
        )

    def _of(self, route: str, names: set[str] = frozenset()) -> dict[str, Any]:  # type: ignore[assignment]
        """Parameters of these names, and those with the prefix, which come first."""
        prefix = f"{route}__"
        found = {name: value for name, value in self.sk_params.items() if name in names}
        return found | {
            name.removeprefix(prefix): value
            for name, value in self.sk_params.items()
            if name.startswith(prefix)
        }

    # The model

    def _build(self) -> Sequential:
        build = self._builder()
        seed = self.sk_params.get("random_state")
        if seed is not None:
            set_random_seed(int(seed if isinstance(seed, int | np.integer) else seed.randint(2**31)))
        if isinstance(build, Sequential):
            model = copy.deepcopy(build)
        else:
            takes = _arguments_of(build)
            arguments = self._of("model", set(takes))
            offered = {
                "meta": self._meta,
                "params": self.get_params,
                "compile_kwargs": self._compile_arguments,
            }
            arguments |= {name: make() for name, make in offered.items() if name in takes}
            model = build(**arguments)
        if model.optimizer is None:
            model.compile(**self._compile_arguments())
        return model

    def _compile_arguments(self) -> dict[str, Any]:
        arguments = {"optimizer": "rmsprop", **self._of("compile", _COMPILE)}
        optimizer = optimizers.get(arguments["optimizer"])
        arguments["optimizer"] = type(optimizer)(**optimizer.get_config() | self._of("optimizer"))
        if arguments.get("loss") is None:
            raise ValueError(
                "the model is not compiled, and no loss is given. Compile it where it is built, or pass loss=."
            )
        if self._of("loss"):
            loss = losses.get(arguments["loss"])
            arguments["loss"] = type(loss)(**loss.get_config() | self._of("loss"))
        return arguments

    def _meta(self) -> dict[str, Any]:
        """What SciKeras tells a function that builds a model."""
        return {
            name: value
            for name, value in vars(self).items()
            if name.endswith("_") and name not in ("model_", "history_")
        }

    def fit(self, X: Any, y: ArrayLike, sample_weight: ArrayLike | None = None, **kwargs: Any) -> Self:
        """Build a model and train it.

        Parameters
        ----------
        X : array_like, shape (N, I)
        y : array_like, shape (N,) or (N, K)
        sample_weight : array_like, shape (N,), optional
        **kwargs
            Arguments of `Sequential.fit`, in place of those that were given before.

        Returns
        -------
        The estimator, whose `history` and `epoch` are those of the `History` that Keras 2 gives back.
        """
        return self._fit(X, y, sample_weight, not self.sk_params.get("warm_start", False), kwargs)

    def partial_fit(self, X: Any, y: ArrayLike, sample_weight: ArrayLike | None = None) -> Self:
        """One more epoch of the model there is."""
        return self._fit(X, y, sample_weight, False, {"epochs": 1})

    def _fit(self, X: Any, y: Any, sample_weight: Any, anew: bool, kwargs: Mapping[str, Any]) -> Self:
        shape = np.shape(X)
        self.n_features_in_ = shape[1] if len(shape) > 1 else 1
        self.X_shape_ = shape
        anew = anew or not hasattr(self, "model_")
        targets = self._learn_targets(np.asarray(y), anew)
        if anew:
            self.model_ = self._build()
            self.history_: dict[str, list[Any]] = {}
            self.epoch: list[int] = []
        if self._given_model is None:
            self.model = self.model_
        arguments = {**self._of("fit", _FIT), **kwargs}
        callbacks = arguments.get("callbacks")
        if callbacks is not None:
            chosen = callbacks if isinstance(callbacks, list | tuple) else [callbacks]
            arguments["callbacks"] = [
                one(**self._of("callbacks")) if isinstance(one, type) else one for one in chosen
            ]
        if sample_weight is not None:
            arguments["sample_weight"] = sample_weight
        if arguments.get("validation_data"):
            held_x, held_y, *weight = arguments["validation_data"]
            arguments["validation_data"] = (held_x, self._for_loss(np.asarray(held_y)), *weight)
        seen = len(self.epoch)
        history = self.model_.fit(X, self._for_loss(targets), **arguments)
        for name, values in history.history.items():
            self.history_.setdefault(name, []).extend(values)
        self.epoch.extend(seen + number for number in range(len(history.epoch)))
        return self

    @property
    def history(self) -> dict[str, list[Any]]:
        return self.history_

    def _outputs(self, X: Any, kwargs: Mapping[str, Any]) -> NDArray[np.float32]:
        if not hasattr(self, "model_"):
            from sklearn.exceptions import NotFittedError

            raise NotFittedError(f"this {type(self).__name__} is not fitted yet. Call fit first.")
        return self.model_.predict(X, **{**self._of("predict", _PREDICT - {"callbacks"}), **kwargs})

    def _learn_targets(self, y: NDArray[Any], anew: bool) -> NDArray[Any]:
        """Targets as they came, once it is known what they are."""
        self.y_shape_ = y.shape
        self.n_outputs_ = 1 if y.ndim == 1 else y.shape[1]
        self.n_outputs_expected_ = 1
        return y

    def _for_loss(self, y: NDArray[Any]) -> NDArray[Any]:
        """Targets as the model's loss takes them."""
        return y


class KerasClassifier(ClassifierMixin, _Wrapper):  # type: ignore[misc]
    """A classifier for scikit-learn.

    Labels may be of any type, strings too: the model sees their places in `classes_`, one-hot where its loss needs
    that. One-hot targets are taken as they are; `predict` then gives places with `build_fn`, one-hot rows with
    `model`.

    Parameters
    ----------
    build_fn : callable, optional
        Builds and compiles a model: a function, or an object that is called. Left out, the class itself defines
        `__call__`.
    model : callable or Sequential, optional
        The same, as SciKeras has it: it may leave the compiling to the wrapper. Of a model a copy is trained.
    **sk_params
        Arguments of `fit`, `predict` and `compile` (`epochs`, `batch_size`, `optimizer`, ...) and of the function,
        by their names; with a prefix for one of these: `model__units`, `optimizer__learning_rate`, `fit__epochs`.
        `warm_start=True` goes on with the model there is; `random_state` seeds it.

    Attributes
    ----------
    model_ : Sequential
        The fitted model; with `build_fn` also called `model`.
    history_ : dict
        Values of each epoch; also called `history`, with their indices in `epoch`.
    n_features_in_ : int

    Raises
    ------
    ValueError
        A name that nothing takes.

    Examples
    --------
    >>> from nnfast import Sequential, layers
    >>> def build(units=4):
    ...     model = Sequential([layers.Dense(units, "relu"), layers.Dense(1, "sigmoid")], seed=0)
    ...     model.compile("adam", "binary_crossentropy")
    ...     return model
    >>> classifier = KerasClassifier(build, units=2, epochs=2, verbose=0)
    >>> classifier.fit([[0.0], [1.0]], ["no", "yes"]).predict([[0.0]]).shape
    (1,)
    """

    def _learn_targets(self, y: NDArray[Any], anew: bool) -> NDArray[Any]:
        super()._learn_targets(y, anew)
        one_hot = y.ndim == 2 and y.shape[1] > 1
        found = np.arange(y.shape[1]) if one_hot else np.unique(y)
        if anew:
            self.classes_ = found
            self.n_classes_ = len(found)
            self.one_hot_ = one_hot
            binary = "binary" if len(found) <= 2 else "multiclass"
            self.target_type_ = "multilabel-indicator" if one_hot else binary
        return y

    def _for_loss(self, y: NDArray[Any]) -> NDArray[Any]:
        """Places of the classes, or one-hot rows."""
        if self.one_hot_ and y.ndim == 2:
            return y
        places = self._places(y)
        loss = self.model_.loss
        if getattr(loss, "name", loss) == "categorical_crossentropy":
            return to_categorical(places, len(self.classes_))
        return places

    def _places(self, y: NDArray[Any]) -> NDArray[np.intp]:
        """Of each label in `classes_`."""
        labels = y.argmax(axis=1) if self.one_hot_ and y.ndim == 2 else y.reshape(-1)
        places: NDArray[np.intp] = np.minimum(np.searchsorted(self.classes_, labels), len(self.classes_) - 1)
        wrong = self.classes_[places] != labels
        if wrong.any():
            row = int(wrong.argmax())
            raise ValueError(
                f"y must hold the classes {list(self.classes_)}, got {labels[row]!r} in row {row}."
            )
        return places

    def _predicted(self, outputs: NDArray[np.float32]) -> NDArray[np.intp]:
        if outputs.shape[1] == 1:
            return (outputs[:, 0] > 0.5).astype(np.intp)
        places: NDArray[np.intp] = outputs.argmax(axis=1)
        return places

    def predict(self, X: Any, **kwargs: Any) -> NDArray[Any]:
        """The likeliest class of each row.

        Parameters
        ----------
        X : array_like, shape (N, I)
        **kwargs
            Arguments of `Sequential.predict`.

        Returns
        -------
        ndarray, shape (N,); or one-hot (N, K), for one-hot targets and a `model`
        """
        places = self._predicted(self._outputs(X, kwargs))
        if self.one_hot_ and self._given_model is not None:
            return to_categorical(places, len(self.classes_))
        labels: NDArray[Any] = self.classes_[places]
        return labels

    def predict_proba(self, X: Any, **kwargs: Any) -> NDArray[np.float32]:
        """Probability of each class, shape (N, K), also of two classes and a model of one output."""
        outputs = self._outputs(X, kwargs)
        return np.hstack([1 - outputs, outputs]) if outputs.shape[1] == 1 else outputs

    def score(self, X: Any, y: ArrayLike, sample_weight: ArrayLike | None = None, **kwargs: Any) -> float:
        """Share of the rows whose class is predicted."""
        found = self._predicted(self._outputs(X, kwargs))
        return float(accuracy_score(self._places(np.asarray(y)), found, sample_weight=sample_weight))


class KerasRegressor(RegressorMixin, _Wrapper):  # type: ignore[misc]
    """A regression for scikit-learn.

    Parameters
    ----------
    build_fn : callable, optional
        Builds and compiles a model: a function, or an object that is called. Left out, the class itself defines
        `__call__`.
    model : callable or Sequential, optional
        The same, as SciKeras has it: it may leave the compiling to the wrapper. Of a model a copy is trained.
    **sk_params
        Arguments of `fit`, `predict` and `compile` (`epochs`, `batch_size`, `optimizer`, ...) and of the function,
        by their names; with a prefix for one of these: `model__units`, `optimizer__learning_rate`, `fit__epochs`.
        `warm_start=True` goes on with the model there is; `random_state` seeds it.

    Attributes
    ----------
    model_ : Sequential
        The fitted model; with `build_fn` also called `model`.
    history_ : dict
        Values of each epoch; also called `history`, with their indices in `epoch`.
    n_features_in_ : int

    Raises
    ------
    ValueError
        A name that nothing takes.
    """

    def predict(self, X: Any, **kwargs: Any) -> NDArray[np.float32]:
        """Outputs for each row.

        Returns
        -------
        ndarray of float32, shape (N,) for one output, else (N, K)
        """
        outputs = self._outputs(X, kwargs)
        return outputs[:, 0] if outputs.shape[1] == 1 else outputs

    def score(self, X: Any, y: ArrayLike, sample_weight: ArrayLike | None = None, **kwargs: Any) -> float:
        """The larger, the better: with `build_fn` the negative loss, with `model` R^2."""
        if self._given_model is not None:
            found = self._outputs(X, kwargs)
            targets = np.asarray(y).reshape(len(found), -1)
            return float(r2_score(targets, found, sample_weight=sample_weight))
        self._outputs(X[:1], {"verbose": 0})
        arguments = {"verbose": self.sk_params.get("verbose", 0)} | kwargs
        logs: Any = self.model_.evaluate(X, y, sample_weight=sample_weight, return_dict=True, **arguments)
        return -float(logs["loss"])
