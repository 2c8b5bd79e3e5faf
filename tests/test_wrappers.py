"""Models as estimators of scikit-learn, in the two ways of Keras 2 and SciKeras."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

pytest.importorskip("sklearn", reason="scikit-learn is an extra")

from sklearn.base import clone, is_classifier, is_regressor
from sklearn.exceptions import NotFittedError
from sklearn.metrics import r2_score
from sklearn.model_selection import GridSearchCV, KFold, cross_val_predict, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import nnfast as nn
from nnfast import Sequential, layers, wrappers
from nnfast.wrappers import scikeras
from nnfast.wrappers.scikit_learn import KerasClassifier, KerasRegressor

RNG = np.random.default_rng(5)
X = RNG.normal(size=(90, 3))
PLACES = X.argmax(axis=1)
NAMES = np.array(["ash", "birch", "cedar"])[PLACES]
ONE_HOT = np.eye(3)[PLACES]
BINARY = np.where(X[:, 0] > 0, "yes", "no")
VALUES = X @ [1.0, -2.0, 0.5]


def several(units: int = 12, loss: str = "categorical_crossentropy") -> Sequential:
    model = Sequential([layers.Dense(units, "relu"), layers.Dense(3, "softmax")], seed=1)
    model.compile(nn.optimizers.Adam(0.02), loss, metrics=["accuracy"])
    return model


def two() -> Sequential:
    model = Sequential([layers.Dense(1, "sigmoid")], seed=1)
    model.compile(nn.optimizers.Adam(0.1), "binary_crossentropy", metrics=["accuracy"])
    return model


def regression() -> Sequential:
    model = Sequential([layers.Dense(1)], seed=1)
    model.compile(nn.optimizers.Adam(0.1), "mse", metrics=["mae"])
    return model


def bare(meta: dict, units: int = 8) -> Sequential:
    return Sequential([layers.Dense(units, "relu"), layers.Dense(meta["n_classes_"], "softmax")])


OF_BARE = {"loss": "sparse_categorical_crossentropy", "epochs": 20, "verbose": 0, "random_state": 1}


@pytest.mark.parametrize("loss", ["categorical_crossentropy", "sparse_categorical_crossentropy"])
@pytest.mark.parametrize("y", [NAMES, list(NAMES), pd.Series(NAMES), PLACES[:, None], PLACES + 7.0])
def test_labels_of_any_kind(y: object, loss: str) -> None:
    classifier = KerasClassifier(build_fn=several, loss=loss, epochs=30, batch_size=5, verbose=0)
    fitted = classifier.fit(X, y)
    assert fitted is classifier
    flat = np.asarray(y).ravel()
    assert list(classifier.classes_) == sorted(set(flat))
    found = classifier.predict(X)
    assert found.shape == (90,)
    assert np.mean(found == flat) > 0.8
    assert classifier.score(X, y) == np.mean(found == flat)
    assert classifier.predict_proba(X).shape == (90, 3)
    accuracy = classifier.model.evaluate(
        X, ONE_HOT if loss.startswith("cat") else PLACES, verbose=0, return_dict=True
    )
    assert classifier.score(X, y) == pytest.approx(accuracy["accuracy"])


def test_two_classes_and_one_output() -> None:
    classifier = KerasClassifier(two, epochs=40, verbose=0).fit(X, BINARY)
    probabilities = classifier.predict_proba(X)
    assert probabilities.shape == (90, 2)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, rtol=1e-6)
    np.testing.assert_array_equal(classifier.predict(X), classifier.classes_[probabilities.argmax(axis=1)])
    assert classifier.score(X, BINARY) > 0.9
    with pytest.raises(ValueError, match=r"y must hold the classes .*got .*maybe"):
        classifier.score(X[:1], ["maybe"])


def test_one_hot_targets() -> None:
    old = KerasClassifier(build_fn=several, epochs=30, verbose=0).fit(X, ONE_HOT)
    new = KerasClassifier(model=several, epochs=30, verbose=0).fit(X, ONE_HOT)
    np.testing.assert_array_equal(np.eye(3)[old.predict(X)], new.predict(X))
    assert old.score(X, ONE_HOT) == new.score(X, ONE_HOT) == (old.predict(X) == PLACES).mean()


def test_history_is_where_either_package_has_it() -> None:
    classifier = KerasClassifier(build_fn=several, epochs=3, verbose=0)
    history = classifier.fit(X, NAMES, validation_split=0.2)
    assert list(history.history) == ["loss", "accuracy", "val_loss", "val_accuracy"]
    assert history.epoch == [0, 1, 2]
    assert history.history_["loss"] is history.history["loss"]
    classifier.partial_fit(X, NAMES)
    assert len(classifier.history_["loss"]) == 4
    assert len(classifier.fit(X, NAMES).history_["loss"]) == 3
    assert len(classifier.set_params(warm_start=True).fit(X, NAMES).history_["loss"]) == 6


def test_regression_scores() -> None:
    old = KerasRegressor(build_fn=regression, epochs=30, verbose=0).fit(X, VALUES)
    new = KerasRegressor(model=regression, epochs=30, verbose=0).fit(X, VALUES)
    assert old.predict(X).shape == (90,)
    assert old.score(X, VALUES) == pytest.approx(-np.mean((old.predict(X) - VALUES) ** 2), rel=1e-4)
    assert new.score(X, VALUES) == pytest.approx(r2_score(VALUES, new.predict(X)), rel=1e-6)


def test_what_scikit_learn_takes_them_for() -> None:
    classifier, regressor = KerasClassifier(two, verbose=0), KerasRegressor(regression, verbose=0)
    assert is_classifier(classifier)
    assert is_regressor(regressor)
    assert "epochs=3" in repr(KerasClassifier(two, epochs=3))
    with pytest.raises(NotFittedError, match="Call fit first"):
        classifier.predict(X)


@pytest.mark.parametrize("jobs", [1, 2])
def test_grid_search(jobs: int) -> None:
    classifier = KerasClassifier(build_fn=several, verbose=0)
    grid = {"units": [1, 12], "epochs": [1, 30], "batch_size": [5]}
    found = GridSearchCV(classifier, grid, cv=3, n_jobs=jobs).fit(X, NAMES)
    assert found.best_params_ == {"units": 12, "epochs": 30, "batch_size": 5}
    assert found.best_score_ > 0.8
    assert found.best_estimator_.model.layers[0].units == 12


def test_cross_validation_and_pipelines() -> None:
    classifier = KerasClassifier(build_fn=several, epochs=30, batch_size=5, verbose=0)
    for cv in (3, KFold(3, shuffle=True, random_state=1)):
        assert cross_val_score(make_pipeline(StandardScaler(), classifier), X, NAMES, cv=cv).mean() > 0.75
    assert cross_val_score(classifier, X, NAMES, cv=3, scoring="accuracy").mean() > 0.75
    assert cross_val_score(classifier, X, ONE_HOT, cv=KFold(3)).mean() > 0.75
    regressor = KerasRegressor(build_fn=regression, epochs=30, verbose=0)
    assert (cross_val_score(regressor, X, VALUES, cv=3) < 0).all()
    assert cross_val_predict(regressor, X, VALUES, cv=3).shape == (90,)


def test_parameters_with_a_prefix() -> None:
    classifier = scikeras.KerasClassifier(
        bare, optimizer="adam", optimizer__learning_rate=0.03, model__units=5, metrics=["accuracy"], **OF_BARE
    )
    fitted = classifier.fit(X, NAMES)
    assert fitted.model_.layers[0].units == 5
    assert fitted.model_.optimizer.learning_rate == pytest.approx(0.03)
    assert list(fitted.history_) == ["loss", "accuracy"]
    same = clone(classifier).fit(X, NAMES)
    np.testing.assert_array_equal(same.predict_proba(X), fitted.predict_proba(X))
    grid = {"optimizer": ["sgd", "adam"], "optimizer__learning_rate": [0.001, 0.1], "model__units": [4, 8]}
    assert GridSearchCV(classifier, grid, cv=2).fit(X, NAMES).best_params_["optimizer__learning_rate"] == 0.1
    with pytest.raises(ValueError, match="the model is not compiled, and no loss is given"):
        scikeras.KerasClassifier(bare, verbose=0).fit(X, NAMES)


def test_a_model_is_copied() -> None:
    model = several()
    model.build((None, 3))
    before = model.get_weights()
    KerasClassifier(model=model, epochs=2, verbose=0).fit(X, NAMES)
    assert all((a == b).all() for a, b in zip(before, model.get_weights(), strict=True))


def test_a_class_that_builds() -> None:
    class Own(KerasClassifier):
        def __call__(self, units=3):
            return several(units)

    assert Own(units=5, epochs=2, verbose=0).fit(X, NAMES).model.layers[0].units == 5
    with pytest.raises(ValueError, match="build_fn must be given"):
        KerasClassifier(epochs=2)


def test_callbacks_and_validation_data() -> None:
    stop = nn.callbacks.EarlyStopping("val_loss", patience=1)
    classifier = KerasClassifier(build_fn=several, epochs=500, batch_size=5, callbacks=[stop], verbose=0)
    history = classifier.fit(
        X[:60], NAMES[:60], validation_data=(X[60:], NAMES[60:]), sample_weight=np.ones(60)
    )
    assert "val_accuracy" in history.history
    assert len(history.epoch) < 500


def test_names_that_nothing_takes() -> None:
    with pytest.raises(ValueError, match=r"'unit' is no argument of .*Did you mean 'units'\?"):
        KerasClassifier(several, unit=3)
    classifier = KerasClassifier(several, units=3)
    with pytest.raises(ValueError, match="'epoch' is no argument"):
        classifier.set_params(units=4, epoch=3)
    assert classifier.get_params() == {"build_fn": several, "units": 3}
    with pytest.warns(FutureWarning, match="nb_epoch is called epochs"):
        assert KerasClassifier(several, nb_epoch=3).get_params()["epochs"] == 3
    with pytest.raises(ValueError, match="two names of one thing"):
        KerasClassifier(several, model=several)


def test_without_scikit_learn() -> None:
    code = (
        "import sys; sys.modules['sklearn.base'] = None; import nnfast.wrappers\n"
        "try: nnfast.wrappers.KerasClassifier\n"
        "except ImportError as error: print(error)"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "the wrappers need scikit-learn" in run.stdout
    assert "pip install 'nnfast[sklearn]'" in run.stdout


def test_unknown_name() -> None:
    with pytest.raises(AttributeError, match="Did you mean 'KerasClassifier'"):
        _ = wrappers.KerasClasifier
