"""What hostile but possible use of the engine must come to: memory that others change or keep, sizes at the end of their
range, signals, forks and threads at bad moments."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading

import numpy as np
import pytest
from scipy.sparse import csr_matrix

import nnfast as nn
from nnfast import _core, reference, threads

from .ops import activation, dense

RNG = np.random.default_rng(5)
X = RNG.standard_normal((64, 40)).astype(np.float32)
LABELS = RNG.integers(0, 3, 64).astype(np.int32)


def classifier(optimizer: object = "sgd", inputs: int = 40, hidden: int = 32, seed: int = 0) -> nn.Sequential:
    model = nn.Sequential(
        [nn.layers.Input((inputs,)), nn.layers.Dense(hidden, "relu"), nn.layers.Dense(3, "softmax")],
        seed=seed,
    )
    model.compile(optimizer, "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def weights(model: nn.Sequential) -> bytes:
    return b"".join(weight.tobytes() for weight in model.get_weights())


def run(script: str, timeout: float = 300, **env: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", script],
        env={**os.environ, **env},
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


# Memory


@pytest.mark.parametrize("batch_size", [7, 64])
def test_sparse_rows_after_dense_ones_in_the_same_memory(batch_size: int) -> None:
    model, expected = classifier(), classifier()
    model.fit(X, LABELS, batch_size=batch_size, verbose=0)
    expected.fit(X, LABELS, batch_size=batch_size, verbose=0)
    columns = np.tile(np.arange(40, dtype=np.int32), 64)
    lean = csr_matrix((X.ravel(), columns, np.arange(65) * 40), shape=X.shape)
    assert np.shares_memory(lean.data, X)
    model.fit(lean, LABELS, batch_size=batch_size, verbose=0)
    expected.fit(X, LABELS, batch_size=batch_size, verbose=0)
    assert weights(model) == weights(expected)


def test_other_data_in_the_same_memory_are_looked_at_anew() -> None:
    """The zeros of one data set say nothing about those of the next one, at whatever address it lies."""
    x = np.zeros_like(X)
    x[:, ::16] = 1.0
    model, expected = classifier(), classifier()
    model.fit(x, LABELS, verbose=0)
    expected.fit(x.copy(), LABELS, verbose=0)
    x[...] = X
    model.fit(x, LABELS, verbose=0)
    expected.fit(X, LABELS, verbose=0)
    assert weights(model) == weights(expected)


def test_what_workers_showed_survives_from_fit_to_fit() -> None:
    before = nn.get_num_threads()
    nn.set_num_threads(2)
    try:
        x = RNG.standard_normal((3000, 200)).astype(np.float32)
        y = RNG.integers(0, 3, 3000)
        model = classifier(inputs=200, hidden=300)
        model.fit(x, y, batch_size=100, epochs=30, verbose=0)
        net = model._network()

        def measured(batch_size: int) -> dict[str, float]:
            return net.prepare(x, y.astype(np.int32), None, batch_size).ns_per_row

        first = measured(100)
        assert any(first.values())
        model.fit(x[:300].copy(), y[:300], batch_size=100, verbose=0)
        again = measured(100)
        assert all(again[schedule] for schedule, ns in first.items() if ns)
        model.fit(x[:77], y[:77], batch_size=77, verbose=0)
        assert measured(77) != again  # other steps
    finally:
        nn.set_num_threads(before)


@pytest.mark.parametrize("optimizer", ["adam", "rmsprop", nn.optimizers.SGD(0.1, momentum=0.9)])
def test_slots_outlive_compile_and_model(optimizer: object) -> None:
    model = classifier(optimizer)
    model.fit(X, LABELS, verbose=0)
    kept = [slot for arrays in model.trainer.slots.values() for slot in arrays]
    copies = [slot.copy() for slot in kept]
    tensors = model.weights
    model.compile("adam", "sparse_categorical_crossentropy")
    model.fit(X, LABELS, verbose=0)
    for slot, copy in zip(kept, copies, strict=True):
        assert (slot == copy).all()
        slot[...] = 1.0
    trained = weights(model)
    for slots in model.trainer.slots.values():
        assert not any((slot == 1.0).all() for slot in slots)
    assert weights(model) == trained
    del model
    assert all(np.isfinite(slot).all() for slot in kept)
    assert all(np.isfinite(w).all() for w in tensors)


class Overwrites(nn.callbacks.Callback):
    """Changes the labels of its fit, in a callback and while the engine runs."""

    def __init__(self, y: np.ndarray, value: int) -> None:
        self.y, self.value = y, value

    def on_epoch_begin(self, epoch: int, logs: object = None) -> None:
        self.y[...] = self.value

    @property
    def on_progress(self):  # type: ignore[override]
        return lambda rows: self.y.fill(self.value)


@pytest.mark.parametrize("value", [-1, 3, 2**31 - 1, -(2**31)])
@pytest.mark.parametrize("backend", ["native", "reference"])
def test_labels_that_change_during_fit(value: int, backend: str) -> None:
    y = LABELS.copy()
    model, expected = classifier(), classifier()
    for trained in (model, expected):
        trained.compile("sgd", "sparse_categorical_crossentropy", backend=backend)
    model.fit(X, y, epochs=3, verbose=0, validation_data=(X, y), callbacks=[Overwrites(y, value)])
    expected.fit(X, LABELS, epochs=3, verbose=0)
    assert weights(model) == weights(expected)
    assert (y == value).all()


def test_labels_that_another_thread_changes() -> None:
    """Whenever they change, an index is either refused or right."""
    y = LABELS.copy()
    model = classifier()
    stop = threading.Event()

    def change() -> None:
        while not stop.is_set():
            y.fill(2_000_000_000)
            y[...] = LABELS

    thread = threading.Thread(target=change)
    thread.start()
    try:
        for _ in range(100):
            for use in (model.evaluate, model.fit):
                try:
                    use(X, y, verbose=0)
                except ValueError as error:
                    if "labels" not in str(error):
                        raise
    finally:
        stop.set()
        thread.join()


def test_prepared_rows() -> None:
    """Checked once, whatever the number of calls; not after another `compile`."""
    for make in (_core.Net, reference.Net):
        net = make(40, [dense(8, "relu"), dense(3, "softmax")])
        net.compile("sparse_categorical_crossentropy", False, "sgd", ["sparse_categorical_accuracy"])
        y = LABELS.copy()
        look = net.prepare(X, y, None, 64, train=False)
        step = net.prepare(X, y, None, 16)
        y.fill(77)
        found, again = np.zeros(2), np.zeros(2)
        look.step(None, 0, 64, (), found, None)
        net.evaluate(X, LABELS, None, again, None)
        assert found.tolist() == again.tolist()
        with pytest.raises(ValueError, match="y: expected labels from 0 to 2, received 77"):
            net.prepare(X, y, None, 64)
        expected = make(40, [dense(8, "relu"), dense(3, "softmax")])
        expected.compile("sparse_categorical_crossentropy", False, "sgd", ["sparse_categorical_accuracy"])
        for start, stop in ((0, 32), (32, 64)):
            step.step(None, start, stop, (0.1,), np.zeros(2), None)
            expected.train(X, LABELS, None, None, start, stop, 16, (0.1,), np.zeros(2), None)
        assert net.params.tobytes() == expected.params.tobytes()
        for loss in ("sparse_categorical_crossentropy", "categorical_crossentropy"):
            net.compile(loss, False, "sgd", ())
            before = net.params.copy()
            for run_of_before in (look, step):
                with pytest.raises(RuntimeError, match="compiled again after this run was prepared"):
                    run_of_before.step(None, 0, 64, (0.1,), np.zeros(1), None)
            assert (net.params == before).all()


# Sizes and numbers


@pytest.mark.parametrize(
    "batch_size", [65, 2**31, 2**55, 2**62 - 1, 2**62, sys.maxsize, 2**63, 2**64, 2**300]
)
@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_a_batch_size_above_the_rows_is_their_number(batch_size: int, optimizer: str) -> None:
    model, expected = (classifier(optimizer, hidden=600) for _ in range(2))
    model.fit(X, LABELS, batch_size=batch_size, epochs=2, verbose=0)
    expected.fit(X, LABELS, batch_size=64, epochs=2, verbose=0)
    assert weights(model) == weights(expected)
    assert model.evaluate(X, LABELS, batch_size=batch_size, verbose=0) == expected.evaluate(
        X, LABELS, verbose=0
    )
    assert (model.predict(X, batch_size=batch_size) == expected.predict(X)).all()
    model.fit(X, LABELS, validation_split=0.5, validation_batch_size=batch_size, verbose=0)
    model.predict(X, batch_size=batch_size, callbacks=[Batches()])


class Batches(nn.callbacks.Callback):
    """Listens to every batch."""

    def __init__(self) -> None:
        self.count = 0

    def on_train_batch_end(self, batch: int, logs: object = None) -> None:
        self.count += 1

    def on_predict_batch_end(self, batch: int, logs: object = None) -> None:
        self.count += 1


@pytest.mark.parametrize("batch_size", [2**55, 2**62, 2**63, 2**200])
def test_the_seam_takes_no_product_too_far(batch_size: int) -> None:
    results = []
    for size in (64, batch_size):
        net = _core.Net(
            40,
            [dense(700, "relu"), dense(600, "relu"), dense(3, "softmax")],
        )
        net.params[...] = _core.uniform(len(net.params), 1, 2) * 0.1 - 0.05
        net.compile("sparse_categorical_crossentropy", False, "sgd", ())
        net.train(X, LABELS, None, None, 0, 64, size, (0.1,), np.zeros(1), None)
        results.append(net.params.tobytes())
    assert results[0] == results[1]


LARGE = [2**62, 2**63 - 1, 2**63, 2**64, 1 << 1000]


@pytest.mark.parametrize("size", LARGE)
def test_sizes_that_no_memory_holds(size: int) -> None:
    ops = [dense(3, "softmax")]
    for make in (
        lambda: _core.Net(size, ops),
        lambda: _core.Net(size, [activation(size, "relu"), *ops]),
        lambda: _core.Net(4, [dense(size, "relu")]),
    ):
        with pytest.raises((ValueError, MemoryError), match=r"expected|no memory"):
            make()
    with pytest.raises(ValueError, match="n: expected"):
        _core.uniform(size, 0, 0)


@pytest.mark.parametrize("seed", [-1, 2**64, 2**70, 1 << 1000])
def test_seeds_out_of_range(seed: int) -> None:
    order = np.arange(5, dtype=np.uint32)
    for draw in (
        lambda: _core.uniform(3, seed, 0),
        lambda: _core.normal(3, seed, 0),
        lambda: _core.truncated_normal(3, 0, seed),
        lambda: _core.shuffle(order, seed, 0),
        lambda: _core.shuffle(order, 0, seed),
    ):
        with pytest.raises(
            ValueError, match=r"(seed|stream|epoch): expected a whole number from 0 to 18446744073709551615"
        ):
            draw()
    assert (order == np.arange(5)).all()


@pytest.mark.parametrize("count", [2**63, 2**64, 1 << 1000, -1])
def test_counts_of_steps_out_of_range(count: int) -> None:
    model = classifier("adam")
    with pytest.raises(ValueError, match="iterations must be"):
        model.trainer.iterations = count
    with pytest.raises(ValueError, match="step: expected"):
        model._network().step = count
    with pytest.raises(ValueError, match="step: expected"):
        _core.update(np.ones(1, np.float32), np.ones(1, np.float32), (), "sgd", (0.1,), count)
    assert model.trainer.iterations == 0


def test_training_stops_where_steps_cannot_be_counted() -> None:
    model = classifier("adam")
    model._network().step = 2**63 - 3
    before = weights(model)
    with pytest.raises(RuntimeError, match=r"9223372036854775805 updates.*Set optimizer.iterations"):
        model.fit(X, LABELS, batch_size=16, verbose=0)
    assert weights(model) == before
    assert model.trainer.iterations == 2**63 - 3
    model.fit(X, LABELS, batch_size=32, verbose=0)
    assert model.trainer.iterations == 2**63 - 1
    with pytest.raises(RuntimeError, match="updates have been made"):
        model.train_on_batch(X, LABELS)
    assert all(np.isfinite(weight).all() for weight in model.get_weights())


@pytest.mark.parametrize("value", [np.nan, np.inf, -0.5, 10**400, "much", None])
@pytest.mark.parametrize(
    ("optimizer", "name"),
    [
        (nn.optimizers.SGD, "learning_rate"),
        (nn.optimizers.SGD, "momentum"),
        (nn.optimizers.RMSprop, "rho"),
        (nn.optimizers.RMSprop, "momentum"),
        (nn.optimizers.RMSprop, "epsilon"),
        (nn.optimizers.Adam, "beta_1"),
        (nn.optimizers.Adam, "beta_2"),
        (nn.optimizers.Adam, "epsilon"),
    ],
)
def test_hyperparameters_are_checked_whenever_they_are_set(optimizer: type, name: str, value: object) -> None:
    made = optimizer()
    before = getattr(made, name)
    with pytest.raises((TypeError, ValueError), match=name):
        setattr(made, name, value)
    if name == "epsilon" and value is None:  # as in older Keras: the default
        with pytest.warns(FutureWarning, match="epsilon=None is 1e-07 now"):
            assert optimizer(epsilon=None).epsilon == 1e-7
    else:
        with pytest.raises((TypeError, ValueError), match=name):
            optimizer(**{name: value})
    assert getattr(made, name) == before
    setattr(made, name, 0.25)
    assert made.get_config()[name] == 0.25
    assert type(made).from_config(made.get_config()).hyper() == made.hyper()


def test_the_form_of_epsilon_is_checked_whenever_it_is_set() -> None:
    adam = nn.optimizers.Adam()
    with pytest.raises(ValueError, match="epsilon_form"):
        adam.epsilon_form = "best"
    assert adam.rule == "adam"


@pytest.mark.parametrize("value", [np.nan, np.inf, 10**400])
def test_the_seam_refuses_hyperparameters_that_are_not_finite(value: float) -> None:
    w = np.ones(1, np.float32)
    with pytest.raises(ValueError, match=r"hyper: expected finite numbers.* for learning_rate"):
        _core.update(w, w.copy(), (), "sgd", (value,), 1)
    assert w == 1


def test_small_numbers_under_a_strict_numpy() -> None:
    model = classifier()
    x = X.astype(np.float64)
    x[0, 0] = 1e-50
    with np.errstate(all="raise"):
        model.fit(x, LABELS, sample_weight=np.full(64, 1e-50), verbose=0)
        model.evaluate(x, LABELS, verbose=0)
        model.predict(x)
        model.evaluate(csr_matrix(x), LABELS, verbose=0)
        model.set_weights([np.full(weight.shape, 1e-50) for weight in model.weights])
        regression = nn.Sequential([nn.layers.Input((40,)), nn.layers.Dense(1)])
        regression.compile("adam", "mse")
        regression.fit(x, x[:, 0], verbose=0)


@pytest.mark.parametrize("name", ["OMP_NUM_THREADS", "NNFAST_NUM_THREADS"])
def test_numbers_of_threads_of_any_length(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NNFAST_NUM_THREADS", raising=False)
    for text, expected in (("9" * 5000, 64), ("0" * 5000 + "3", 3), ("12345678901", 64)):
        monkeypatch.setenv(name, text)
        assert threads.default_threads() == expected
    monkeypatch.setenv("NNFAST_NUM_THREADS", "0" * 5000)
    with pytest.raises(ValueError, match="NNFAST_NUM_THREADS"):
        threads.default_threads()


@pytest.mark.parametrize("name", [b"\xff\xfe", b"avx9", "größer".encode()])
def test_an_instruction_set_that_is_no_text(name: bytes) -> None:
    done = subprocess.run(
        [sys.executable, "-c", "import nnfast"],
        env={**os.environb, b"NNFAST_ISA": name},
        capture_output=True,
        check=False,
    )
    assert b"instruction set (NNFAST_ISA): expected one of" in done.stderr
    with pytest.raises(ValueError, match="expected one of"):
        _core.set_instruction_set(_core.instruction_set() + "\0more")


# Totals


@pytest.mark.parametrize("rows", [130, 256, 700])
def test_totals_do_not_depend_on_blocks_or_skipped_zeros(rows: int) -> None:
    rng = np.random.default_rng(rows)
    x = rng.standard_normal((rows, 40)).astype(np.float32)
    x[rng.random(x.shape) < 0.8] = 0.0
    y = rng.standard_normal((rows, 3)).astype(np.float32)
    found = set()
    for skip in (True, False):
        for used_before in (True, False):
            net = _core.Net(40, [dense(32, "relu"), dense(3)])
            net.params[...] = _core.uniform(len(net.params), 1, 2) - 0.5
            net.compile("mean_squared_error", False, "sgd", ["mean_absolute_error", "mean_squared_error"])
            net.skip_zeros = skip
            if used_before:  # another size of workspace
                net.train(x, y, None, None, 0, rows, 5, (0.0,), np.zeros(3), None)
            trained, evaluated = np.zeros(3), np.zeros(3)
            net.train(x, y, None, None, 0, rows, rows, (0.0,), trained, None)
            net.evaluate(x, y, None, evaluated, None)
            found.add((trained.tobytes(), evaluated.tobytes()))
    assert len(found) == 1


# Signals, forks, threads


def test_python_called_from_the_engine_has_its_own_floats() -> None:
    """Handlers, progress hooks and threads that they start see denormal numbers."""
    tiny = sys.float_info.min / 2
    seen: list[float] = []

    def halve(*_: object) -> None:
        seen.append(sys.float_info.min / float("2"))
        thread = threading.Thread(target=lambda: seen.append(sys.float_info.min / float("2")))
        thread.start()
        thread.join()

    x = np.tile(X, (300, 1))
    y = np.tile(LABELS, 300)
    model = classifier(hidden=200)
    net = model._network()
    before = nn.get_num_threads()
    try:
        for count in (1, 2):
            nn.set_num_threads(count)
            net.train(x, y, None, None, 0, len(x), 32, (0.01,), np.zeros(2), halve)
            net.evaluate(x, y, None, np.zeros(2), halve)
            net.predict(x, np.empty((len(x), 3), np.float32), halve)
    finally:
        nn.set_num_threads(before)
    assert len(seen) >= 12
    assert set(seen) == {tiny}


STORM = """
import itertools, os, signal, threading, time
import numpy as np
import nnfast as nn

x, y = np.ones((4, 2), np.float32), np.zeros(4, np.int32)
model = nn.Sequential([nn.layers.Input((2,)), nn.layers.Dense(2, "softmax")], seed=0)
model.compile("sgd", "sparse_categorical_crossentropy")
model.fit(x, y, verbose=0)
main, stop = threading.main_thread().ident, threading.Event()
calls = [
    lambda: model.train_on_batch(x, y),
    lambda: model.evaluate(x, y, verbose=0),
    lambda: model.fit(x, y, verbose=0),
    lambda: model.set_weights(model.get_weights()),
]
armed = threading.Semaphore(0)

def strike():
    for i in itertools.count():
        armed.acquire()
        if stop.is_set():
            return
        time.sleep(1e-6 * (i * 7 % 300))
        signal.pthread_kill(main, signal.SIGINT)

striker = threading.Thread(target=strike, daemon=True)
striker.start()
interrupted = 0
kept = []
for round in range(1500):
    call = calls[round % 4]
    try:
        armed.release()
        while True:
            call()
    except KeyboardInterrupt as error:
        interrupted += 1
        kept = [error]  # its traceback keeps the frames
        failures = []
        def use():
            try:
                calls[2]()
                calls[1]()
            except BaseException as failure:
                failures.append(failure)
        other = threading.Thread(target=use)
        other.start()
        other.join(20)
        assert not other.is_alive(), "the model stays locked"
        assert not failures, failures
stop.set()
armed.release()
striker.join()
print(interrupted)
"""


@pytest.mark.skipif(not hasattr(signal, "pthread_kill"), reason="no signals to threads on this system")
def test_interrupted_calls_never_leave_the_model_locked() -> None:
    assert int(run(STORM)) == 1500


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
@pytest.mark.parametrize("hook", ["on_epoch_end", "on_train_batch_end", "on_epoch_begin"])
def test_fork_in_a_callback(hook: str) -> None:
    """The fit of the child ends as that of its parent, and the model is free there."""
    children: list[int] = []
    parent = os.getpid()

    class Forks(nn.callbacks.Callback):
        pass

    def fork(self: object, step: int, logs: object = None) -> None:
        if step == 1 and os.getpid() == parent and not children:
            children.append(os.fork())

    setattr(Forks, hook, fork)
    model, expected = classifier(), classifier()
    status = 1
    before = nn.get_num_threads()
    nn.set_num_threads(2)
    try:
        model.fit(X, LABELS, batch_size=16, epochs=3, verbose=0, callbacks=[Forks()])
        model.fit(X, LABELS, batch_size=16, verbose=0)
        expected.fit(X, LABELS, batch_size=16, epochs=3, verbose=0)
        expected.fit(X, LABELS, batch_size=16, verbose=0)
        status = 0 if weights(model) == weights(expected) else 2
    finally:
        nn.set_num_threads(before)
        if os.getpid() != parent:
            os._exit(status)
    assert status == 0
    assert os.waitstatus_to_exitcode(os.waitpid(children[0], 0)[1]) == 0


FORK_INSIDE = """
import os, sys
import numpy as np
import nnfast as nn
from nnfast import _core
from nnfast.graph import Op

nn.set_num_threads(int(sys.argv[1]) if len(sys.argv) > 1 else THREADS)
rng = np.random.default_rng(0)
x, y = rng.standard_normal((20_000, 300)).astype(np.float32), rng.integers(0, 3, 20_000).astype(np.int32)
net = _core.Net(300, [Op("dense", 300, activation="relu"), Op("dense", 3, activation="softmax")])
net.params[...] = 0.01 * _core.normal(len(net.params), 1, 2)
net.compile("sparse_categorical_crossentropy", False, "adam", ())
net.schedule = "parallel"
parent, children = os.getpid(), []
def hook(rows):
    if not children and os.getpid() == parent:
        children.append(os.fork())
def call(what):
    children.clear()
    outcome = "done"
    try:
        if what == "predict":
            net.predict(x, np.empty((len(x), 3), np.float32), hook)
        elif what == "train":
            net.train(x, y, None, None, 0, len(x), 100, (0.001, 0.9, 0.999, 1e-7), np.zeros(1), hook)
        else:
            net.evaluate(x, y, None, np.zeros(1), hook)
    except RuntimeError as error:
        outcome = "forked inside" if "forked inside a native call" in str(error) else str(error)
    if os.getpid() != parent:
        net.evaluate(x[:100], y[:100], None, np.zeros(1), None)  # usable
        print(what, "child", outcome, flush=True)
        os._exit(0)
    assert children, "no poll"
    os.waitpid(children[0], 0)
    print(what, "parent", outcome, flush=True)
for what in ("train", "evaluate", "predict"):
    call(what)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
@pytest.mark.parametrize("count", [1, 2])
def test_fork_inside_a_native_call(count: int) -> None:
    """With one thread the child ends the call; without its workers it cannot, and says so in place of waiting for them."""
    child = "done" if count == 1 else "forked inside"
    expected = [
        f"{what} {who} {end}"
        for what in ("train", "evaluate", "predict")
        for who, end in (("child", child), ("parent", "done"))
    ]
    assert run(FORK_INSIDE.replace("THREADS", str(count)), timeout=120).splitlines() == expected


def test_predict_during_training_of_another_thread() -> None:
    """What is promised: every row is a prediction of finite weights, none is torn memory."""
    x = np.tile(X, (200, 1))
    y = np.tile(LABELS, 200)
    model = classifier("adam", hidden=256)
    before = nn.get_num_threads()
    nn.set_num_threads(2)
    stop = threading.Event()

    def train() -> None:
        while not stop.is_set():
            model.fit(x, y, epochs=2, verbose=0)

    thread = threading.Thread(target=train)
    thread.start()
    try:
        for _ in range(60):
            predicted = model.predict(x[:500])
            assert predicted.shape == (500, 3)
            assert np.allclose(predicted.sum(axis=1), 1.0, atol=1e-5)
    finally:
        stop.set()
        thread.join()
        nn.set_num_threads(before)
    assert (model.predict(x[:500]) == model.predict(x[:500])).all()


class NoMemory:
    """A network that finds no memory when a run is prepared, or in its first step."""

    def __init__(self, net: object, where: str) -> None:
        self.net, self.where = net, where

    def __getattr__(self, name: str) -> object:
        return getattr(self.net, name)

    def prepare(self, *arguments: object, **options: object) -> object:
        return self if self.where == "step" else self.step()

    def step(self, *arguments: object) -> object:
        raise MemoryError("no memory for the workspace of a block of rows")


@pytest.mark.parametrize("where", ["prepare", "step"])
def test_a_failure_before_the_first_step_uses_up_no_shuffle(
    monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    model, expected = classifier(), classifier()
    failing = NoMemory(model._network(), where)
    with monkeypatch.context() as patch:
        patch.setattr(model.trainer, "_network", lambda *_: failing)
        with pytest.raises(MemoryError):
            model.fit(X, LABELS, batch_size=8, verbose=0)
    assert model.trainer.epochs_shuffled == 0
    for trained in (model, expected):
        trained.fit(X, LABELS, batch_size=8, epochs=2, verbose=0)
    assert weights(model) == weights(expected)


class Stops(nn.callbacks.Callback):
    """An exception in the first batch, or later."""

    def __init__(self, batch: int) -> None:
        self.batch = batch

    def on_train_batch_begin(self, batch: int, logs: object = None) -> None:
        if batch == self.batch:
            raise KeyboardInterrupt


def test_a_shuffle_counts_from_its_first_step_on() -> None:
    for batch, shuffles in ((0, 0), (1, 1)):
        model = classifier()
        with pytest.raises(KeyboardInterrupt):
            model.fit(X, LABELS, batch_size=8, verbose=0, callbacks=[Stops(batch)])
        assert model.trainer.epochs_shuffled == shuffles


WIDE = """
import os, signal, time
import numpy as np
import nnfast as nn
from nnfast import _core
from nnfast.graph import Op
nn.set_num_threads(1)
wide = 3000
hidden = Op("dense", wide, activation="relu")
net = _core.Net(wide, [hidden, hidden, Op("dense", 10, activation="softmax")])
net.compile("sparse_categorical_crossentropy", False, "sgd", ())
x, y = np.ones((256, wide), np.float32), np.zeros(256, np.int32)
polls = []
net.train(x, y, None, None, 0, 256, 256, (0.01,), np.zeros(1), polls.append)
print(len(polls))
polls.clear()
net.evaluate(x, y, None, np.zeros(1), polls.append)
print(len(polls))
polls.clear()
net.predict(x, np.empty((256, 10), np.float32), polls.append)
print(len(polls))
"""


def test_polls_come_by_work_not_by_rows() -> None:
    """One batch of a wide net, of 1.4e10 multiply-adds, is interrupted between its blocks and layers."""
    train, evaluate, predict = map(int, run(WIDE).split())
    assert train >= 10
    assert evaluate >= 4
    assert predict >= 2


def test_blocks_of_a_wide_net_make_no_difference() -> None:
    """A batch that is cut because the net is wide gives the bits of the reference of one row at a time, in order."""
    wide = 1500
    x = RNG.standard_normal((150, wide)).astype(np.float32)
    y = RNG.integers(0, 3, 150).astype(np.int32)
    results = []
    for count in (1, 2):
        before = nn.get_num_threads()
        nn.set_num_threads(count)
        try:
            net = _core.Net(wide, [dense(wide, "relu"), dense(3, "softmax")])
            net.params[...] = 0.02 * _core.normal(len(net.params), 1, 2)
            net.compile("sparse_categorical_crossentropy", False, "adam", ())
            totals = np.zeros(1)
            net.train(x, y, None, None, 0, 150, 150, (0.001, 0.9, 0.999, 1e-7), totals, None)
            results.append((net.params.tobytes(), totals.tobytes()))
        finally:
            nn.set_num_threads(before)
    assert results[0] == results[1]


# Threads


def test_grids_that_run_at_once_give_back_all_threads() -> None:
    before = nn.get_num_threads()
    nn.set_num_threads(6)
    try:
        first, second = object(), object()
        threads.share_threads(first, 2)
        assert nn.get_num_threads() == 3
        threads.share_threads(second, 1)
        assert nn.get_num_threads() == 2
        threads.share_threads(first, 0)
        assert nn.get_num_threads() == 6
        threads.share_threads(second, 0)
        assert nn.get_num_threads() == 6
        threads.share_threads(first, 2)
        nn.set_num_threads(4)  # someone else's word holds
        threads.share_threads(first, 1)
        threads.share_threads(first, 0)
        assert nn.get_num_threads() == 4
    finally:
        nn.set_num_threads(before)


@pytest.mark.skipif(not os.path.isdir("/proc/self/task"), reason="no /proc on this system")
def test_a_task_wakes_the_workers_it_needs() -> None:
    """After a task of six workers those that one of two has no use for sleep on."""
    script = """
import os, time
import numpy as np
import nnfast as nn
from nnfast import _core
from nnfast.graph import Op

def switches(task):
    lines = open(f"/proc/self/task/{task}/status").read().splitlines()
    return sum(int(line.split()[1]) for line in lines if "ctxt_switches" in line)

others = set(os.listdir("/proc/self/task"))
net = _core.Net(300, [Op("dense", 500, activation="relu")])
x, out = np.ones((4000, 300), np.float32), np.empty((4000, 500), np.float32)
nn.set_num_threads(6)
net.predict(x, out, None)
workers = sorted(set(os.listdir("/proc/self/task")) - others, key=int)
assert len(workers) == 5, workers
nn.set_num_threads(2)
time.sleep(0.5)
before = [switches(worker) for worker in workers]
for _ in range(20):
    net.predict(x, out, None)
    time.sleep(0.005)
woken = [switches(worker) > count for worker, count in zip(workers, before)]
print(sum(woken))
"""
    assert int(run(script)) == 1


# The bar


def test_the_bar_shows_means_of_whole_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.modules["nnfast.callbacks.progress"], "INTERVAL", -1.0)
    monkeypatch.setattr(sys.modules["nnfast.callbacks.progress"], "_can_move", lambda: True)
    drawn: list[tuple[int, dict[str, float]]] = []
    bar = sys.modules["nnfast.callbacks.progress"].ProgressBar
    monkeypatch.setattr(bar, "_draw", lambda self, rows, logs: drawn.append((rows, dict(logs))))
    wide = 1200
    x = np.zeros((1500, wide), np.float32)
    x[:, 0] = 1.0
    model = nn.Sequential(
        [nn.layers.Input((wide,)), nn.layers.Dense(wide, "relu"), nn.layers.Dense(1)], seed=0
    )
    model.compile(nn.optimizers.SGD(0.0), "mse")
    model.fit(x, np.ones(1500), batch_size=600, verbose=1)
    inside = drawn[:-1]
    assert inside
    assert all(rows % 600 == 0 for rows, _ in inside)
    (loss,) = {round(logs["loss"], 5) for rows, logs in drawn if logs}
    assert loss == pytest.approx(model.evaluate(x, np.ones(1500), verbose=0), rel=1e-4)
