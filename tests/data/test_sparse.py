"""Inputs in SciPy's sparse formats: the same bits as their dense form, and never made dense."""

from __future__ import annotations

import numpy as np
import pytest

import nnfast as nn
from nnfast import _core
from nnfast.data import arrays

from ..ops import dense

sparse = pytest.importorskip("scipy.sparse")


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(7)


def matrix(rows: int, inputs: int, density: float, seed: int = 0):
    return sparse.random(rows, inputs, density, format="csr", dtype=np.float32, random_state=seed)


def classifier(backend: str = "native") -> nn.Sequential:
    model = nn.Sequential(
        [nn.layers.Dense(70, activation="tanh"), nn.layers.Dense(3, activation="softmax")], seed=1
    )
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"], backend=backend)
    return model


@pytest.mark.parametrize(("inputs", "density"), [(1, 0.5), (15, 0.3), (113, 0.2), (784, 0.19), (5000, 0.01)])
def test_same_bits_as_dense(rng: np.random.Generator, inputs: int, density: float) -> None:
    x = matrix(301, inputs, density)
    y = rng.integers(0, 3, 301)
    lean, full = classifier(), classifier()
    for batch_size in (1, 7, 32, 150, 301):
        lean.fit(x, y, batch_size=batch_size, verbose=0, validation_split=0.2)
        full.fit(x.toarray(), y, batch_size=batch_size, verbose=0, validation_split=0.2)
    assert all((a == b).all() for a, b in zip(lean.get_weights(), full.get_weights(), strict=True))
    assert lean.history.history == full.history.history
    assert (lean.predict(x) == full.predict(x.toarray())).all()
    assert lean.evaluate(x, y, verbose=0) == full.evaluate(x.toarray(), y, verbose=0)
    assert (lean.predict(x, callbacks=[nn.callbacks.Callback()]) == full.predict(x.toarray())).all()


@pytest.mark.parametrize("activation", ["linear", "relu", "sigmoid"])
def test_one_output(rng: np.random.Generator, activation: str) -> None:
    x = matrix(100, 333, 0.1)
    y = rng.random(100)
    models = []
    for inputs in (x, x.toarray()):
        model = nn.Sequential([nn.layers.Dense(1, activation=activation)], seed=0)
        model.compile(nn.optimizers.SGD(momentum=0.9), "mse")
        model.fit(inputs, y, epochs=3, batch_size=9, verbose=0)
        models.append((model.get_weights()[0].tobytes(), model.predict(inputs).tobytes()))
    assert models[0] == models[1]


def test_reference_takes_it(rng: np.random.Generator) -> None:
    x, y = matrix(60, 40, 0.2), rng.integers(0, 3, 60)
    lean, full = classifier("reference"), classifier("reference")
    lean.fit(x, y, epochs=2, verbose=0)
    full.fit(x.toarray(), y, epochs=2, verbose=0)
    assert lean.history.history == full.history.history
    assert (lean.predict(x) == full.predict(x.toarray())).all()


def test_nothing_is_copied_that_fits() -> None:
    x = matrix(50, 30, 0.3)
    rows = arrays.to_rows(x)
    assert isinstance(rows, _core.SparseRows)
    assert np.shares_memory(rows.value, x.data)
    assert np.shares_memory(rows.index, x.indices)


@pytest.mark.parametrize("form", ["csc", "coo", "lil", "dok"])
def test_other_formats_and_kinds(form: str) -> None:
    dense = matrix(20, 12, 0.4).toarray()
    for wrapper in (getattr(sparse, f"{form}_matrix"), getattr(sparse, f"{form}_array")):
        assert (arrays.to_rows(wrapper(dense)).toarray() == dense).all()
    assert (
        arrays.to_rows(sparse.csr_array((dense * 3).astype(np.int64))).toarray() == (dense * 3).astype(int)
    ).all()


def test_unsorted_and_repeated_entries_are_put_in_order() -> None:
    x = sparse.csr_matrix((np.float32([1, 2, 3]), np.int32([4, 1, 1]), np.int32([0, 3])), shape=(1, 5))
    assert arrays.to_rows(x).toarray().tolist() == [[0, 5, 0, 0, 1]]
    assert x.indices.tolist() == [4, 1, 1]  # the caller's stays as it was


def test_wrong_values_are_named() -> None:
    x = matrix(10, 8, 0.5)
    x.data[3] = np.nan
    row = int(np.searchsorted(x.indptr, 3, side="right")) - 1
    with pytest.raises(
        ValueError,
        match=f"x must be finite and fit into float32, got nan in row {row}, column {x.indices[3]}",
    ):
        classifier().fit(x, np.zeros(10), verbose=0)
    with pytest.raises(TypeError, match="x must hold real numbers"):
        classifier().fit(matrix(10, 8, 0.5).astype(complex), np.zeros(10), verbose=0)
    with pytest.raises(TypeError, match="y must be a dense array, got csr_matrix"):
        classifier().fit(np.ones((10, 8)), sparse.csr_matrix(np.ones((10, 1))), verbose=0)
    model = classifier()
    model.fit(np.ones((10, 8)), np.zeros(10), verbose=0)
    with pytest.raises(ValueError, match="x must have shape"):
        model.predict(matrix(10, 9, 0.5))


@pytest.mark.parametrize(
    ("start", "index", "message"),
    [
        (
            [0, 2],
            [1, 1],
            "index: expected ascending numbers from 0 to 3 in each row, received others in row 0",
        ),
        ([0, 2], [1, 4], "in row 0"),
        ([0, 2], [-1, 1], "in row 0"),
        ([0, 3], [0, 1], "start: expected places from 0 to 2 that do not descend"),
        ([2, 0], [0, 1], "start: expected places"),
    ],
)
def test_the_seam_checks(start: list[int], index: list[int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        _core.SparseRows(np.array(start), np.array(index, np.int32), np.ones(len(index), np.float32), 4)


def test_slices_share_entries() -> None:
    x = arrays.to_rows(matrix(20, 12, 0.4))
    assert (x[5:9].toarray() == x.toarray()[5:9]).all()
    assert x[5:9].value is x.value
    assert len(x[9:5]) == 0
    with pytest.raises(TypeError, match="expected a slice without step"):
        x[::2]


@pytest.mark.parametrize("threads", range(1, 6))
def test_bits_do_not_depend_on_threads(rng: np.random.Generator, threads: int) -> None:
    x, y = matrix(700, 300, 0.15), rng.integers(0, 3, 700)
    before = nn.get_num_threads()
    weights = []
    try:
        for count in (1, threads):
            nn.set_num_threads(count)
            model = nn.Sequential(
                [nn.layers.Dense(200, activation="relu"), nn.layers.Dense(3, activation="softmax")], seed=1
            )
            model.compile("adam", "sparse_categorical_crossentropy")
            model.fit(x, y, batch_size=10, epochs=3, verbose=0)
            model.fit(x, y, batch_size=300, epochs=2, verbose=0)
            weights.append(b"".join(w.tobytes() for w in model.get_weights()) + model.predict(x).tobytes())
    finally:
        nn.set_num_threads(before)
    assert weights[0] == weights[1]


def test_dead_units_are_seen() -> None:
    x = matrix(50, 20, 0.3)
    model = nn.Sequential([nn.layers.Dense(4, "relu", name="dead"), nn.layers.Dense(1)], seed=0)
    model.compile("sgd", "mse")
    model.build((None, 20))
    weights = model.get_weights()
    weights[1][...] = -100.0
    weights[3][...] = 1.0
    model.set_weights(weights)
    assert (
        nn.utils.dead_units(model, x)
        == nn.utils.dead_units(model, x.toarray())
        == {"dead": 1.0, "dense": 0.0}
    )
    with pytest.warns(nn.errors.DeadUnits, match="'dead'"):
        model.fit(x, np.ones(50), epochs=3, verbose=0)


@pytest.mark.parametrize("units", [1, 3])
def test_more_workers_than_outputs(rng: np.random.Generator, units: int) -> None:
    """Evaluating so many rows is shared out, although the first layer has too few outputs for all workers."""
    x, y = matrix(3000, 9000, 0.002), rng.random((3000, units))
    model = nn.Sequential([nn.layers.Dense(units), nn.layers.Dense(units, activation="tanh")], seed=0)
    model.compile("sgd", "mse")
    before = nn.get_num_threads()
    results = []
    try:
        for threads in (1, 2, 5):
            nn.set_num_threads(threads)
            results.append((model.evaluate(x, y, verbose=0), model.predict(x).tobytes()))
    finally:
        nn.set_num_threads(before)
    assert len(set(results)) == 1


@pytest.mark.parametrize("damage", [2**31 - 1, -(2**31), 400, 299, 0])
def test_entries_changed_after_the_check_stay_inside(rng: np.random.Generator, damage: int) -> None:
    """Index arrays are the caller's: changed while training goes on they give wrong numbers, but touch no memory that is not theirs."""
    x, y = matrix(200, 300, 0.2), rng.integers(0, 3, 200)
    rows = arrays.to_rows(x)
    net = _core.Net(300, [dense(64, "relu"), dense(3, "softmax")])
    net.compile("sparse_categorical_crossentropy", False, "adam", ())
    x.indices[:] = damage  # all of them, in all rows
    assert (rows.index == damage).all()
    for batch_size in (1, 7, 64, 200):
        net.train(
            rows,
            y.astype(np.int32),
            None,
            None,
            0,
            200,
            batch_size,
            (1e-3, 0.9, 0.999, 1e-7),
            np.zeros(1),
            None,
        )
    out = np.empty((200, 3), np.float32)
    net.predict(rows, out, None)
    assert np.isfinite(out).all()
    x.indptr[:] = 2**31 - 1  # where rows begin was copied
    net.predict(rows, out, None)
