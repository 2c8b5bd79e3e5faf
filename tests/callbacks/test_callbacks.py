"""Order and arguments of the hooks; the rules of the callbacks that nnfast brings, from scripted values."""

from __future__ import annotations

import copy
import itertools
import math
import pickle
import time
from types import SimpleNamespace

import numpy as np
import pytest

from nnfast import NonFiniteError, Sequential, callbacks, layers, metrics, optimizers
from nnfast.callbacks import progress
from nnfast.callbacks.base import HOOKS

X = np.random.default_rng(0).normal(size=(10, 2)).astype(np.float32)
Y = X @ [1.0, -2.0]
NAN, INF = math.nan, math.inf


def model(**kwargs: object) -> Sequential:
    result = Sequential([layers.Input((2,)), layers.Dense(1)], seed=0)
    result.compile(optimizers.SGD(0.01), "mse", **kwargs)
    return result


class Script(callbacks.Callback):
    """Stands before the others and replaces a value of the logs; None leaves it out."""

    def __init__(self, values: list[float | None], key: str = "val_loss") -> None:
        self.values, self.key = values, key

    def on_epoch_end(self, epoch, logs=None):
        logs.pop(self.key, None)
        if self.values[epoch] is not None:
            logs[self.key] = self.values[epoch]


def run(
    values: list[float | None], *chosen: callbacks.Callback, key: str = "val_loss", **kwargs: object
) -> Sequential:
    trained = model()
    trained.fit(X, Y, epochs=len(values), verbose=0, callbacks=[Script(values, key), *chosen], **kwargs)
    return trained


@pytest.mark.parametrize(
    ("values", "settings", "epochs", "best_epoch"),
    [
        ([3, 2, 1, 0], {}, 4, 3),
        # patience 0 and 1 are the same, and epoch 0 never stops
        ([3, 2, 2, 1], {}, 3, 1),
        ([3, 2, 2, 1], {"patience": 1}, 3, 1),
        ([3, 4, 2], {}, 2, 0),
        ([3, 2, 2, 1, 1, 1], {"patience": 2}, 6, 3),
        ([3, 4, 4, 1], {"patience": 3}, 4, 3),
        # improvement is strict, and by more than |min_delta|
        ([3, 2.5, 2], {"min_delta": 0.5}, 2, 0),
        ([3, 2.25, 1.5], {"min_delta": -0.5}, 3, 2),
        ([1, 2, 3, 3], {"mode": "max"}, 4, 2),
        ([1, 1.5, 2], {"mode": "max", "min_delta": 0.5}, 2, 0),
        # values that are not finite never improve: neither at the start nor later
        ([NAN, NAN, 1], {}, 2, 0),
        ([NAN, 3, 2, 2], {}, 4, 2),
        ([NAN, 3, 2, 2, 2], {"patience": 2}, 5, 2),
        ([3, NAN, 2], {"patience": 2}, 3, 2),
        ([-INF, 3, 2, 2], {}, 4, 2),
        ([1, INF, 2], {"mode": "max", "patience": 2}, 3, 2),
        # the baseline: the best is remembered, the waiting goes on until it is beaten
        ([5, 4, 3, 2, 1], {"baseline": 0.5, "patience": 3}, 5, 4),
        ([5, 5, 3], {"baseline": 4.0}, 2, 0),
        ([5, 4, 4, 4], {"baseline": 4.5, "patience": 2}, 4, 1),
        ([5, 4.8, 4.8, 1], {"baseline": 4.5, "patience": 3}, 3, 1),
        # before start_from_epoch nothing is seen
        ([0, 3, 2, 2, 2], {"start_from_epoch": 2}, 4, 2),
        ([9, 9, 9, 9, 9], {"start_from_epoch": 3}, 5, 3),
    ],
)
def test_early_stopping(values, settings, epochs, best_epoch) -> None:
    stop = callbacks.EarlyStopping(**settings)
    trained = run(values, stop)
    assert len(trained.history.epoch) == epochs
    assert stop.best_epoch == best_epoch
    assert stop.stopped_epoch == (epochs - 1 if trained.stop_training else 0)


def test_early_stopping_without_its_value_warns_and_does_nothing() -> None:
    stop = callbacks.EarlyStopping()
    with pytest.warns(UserWarning, match="'val_loss', which is not there. Available: loss"):
        trained = run([None, None, None], stop)
    assert len(trained.history.epoch) == 3
    assert stop.wait == 0


@pytest.mark.parametrize("settings", [{}, {"patience": 100}], ids=["stopped", "to the end"])
def test_best_weights_are_restored_however_training_ended(settings) -> None:
    kept = []
    keep = callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: kept.append(trained.get_weights()))
    trained = model()
    stop = callbacks.EarlyStopping(restore_best_weights=True, **settings)
    trained.fit(X, Y, epochs=4, verbose=0, callbacks=[Script([3, 1, 2, 2]), keep, stop])
    np.testing.assert_array_equal(trained.get_weights()[0], kept[1][0])
    assert (trained.get_weights()[0] != kept[-1][0]).any()


def test_best_weights_are_restored_when_an_exception_ends_training() -> None:
    def interrupt(epoch: int, logs: object) -> None:
        if epoch == 2:
            raise KeyboardInterrupt

    kept = []
    keep = callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: kept.append(trained.get_weights()))
    trained = model()
    stop = callbacks.EarlyStopping(restore_best_weights=True, patience=5)
    with pytest.raises(KeyboardInterrupt):
        trained.fit(
            X, Y, epochs=9, verbose=0,
            callbacks=[Script([3, 1, 2]), keep, stop, callbacks.LambdaCallback(on_epoch_end=interrupt)],
        )  # fmt: skip
    np.testing.assert_array_equal(trained.get_weights()[0], kept[1][0])


def test_best_weights_are_left_alone_unless_asked_for() -> None:
    assert callbacks.EarlyStopping().restore_best_weights is False
    stop = callbacks.EarlyStopping()
    run([1, 2, 3], stop)
    assert stop.best_weights is None


def test_a_second_fit_starts_afresh() -> None:
    stop = callbacks.EarlyStopping(patience=2)
    run([1, 2, 2, 2], stop)
    assert stop.stopped_epoch == 2
    run([9, 8, 8, 8], stop)
    assert stop.best == 8
    assert stop.stopped_epoch == 3


@pytest.mark.parametrize(
    ("monitor", "direction"),
    [("loss", "min"), ("val_loss", "min"), ("accuracy", "max"), ("val_acc2", "max"), ("mae", "min")],
)
def test_mode_auto(monitor: str, direction: str) -> None:
    trained = Sequential([layers.Input((2,)), layers.Dense(1, "sigmoid")], seed=0)
    trained.compile("sgd", "mse", metrics=["accuracy", metrics.BinaryAccuracy(name="acc2"), "mae"])
    values = [2.0, 1.0, 1.0] if direction == "min" else [1.0, 2.0, 2.0]
    stop = callbacks.EarlyStopping(monitor)
    trained.fit(X, Y, epochs=3, verbose=0, callbacks=[Script(values, monitor), stop])
    assert stop.best_epoch == 1


def test_mode_auto_of_an_unknown_value_is_an_error() -> None:
    with pytest.raises(
        ValueError, match=r"EarlyStopping cannot tell whether 'f1' .* Pass mode='max' or mode='min'"
    ):
        run([1.0], callbacks.EarlyStopping("f1"), key="f1")
    run([1.0, 2.0], callbacks.EarlyStopping("f1", mode="max"), key="f1")


def test_an_unknown_mode_warns_and_is_auto() -> None:
    with pytest.warns(UserWarning, match="mode 'down' is unknown"):
        assert callbacks.EarlyStopping(mode="down").mode == "auto"


@pytest.mark.parametrize(
    ("values", "settings", "rates"),
    [
        ([3, 3, 3, 3], {"patience": 1}, [1, 0.5, 0.25, 0.125]),
        ([3, 3, 3, 3, 3], {"patience": 2}, [1, 1, 0.5, 0.5, 0.25]),
        ([3, 2, 2, 1, 1], {"patience": 1}, [1, 1, 0.5, 0.5, 0.25]),
        ([3, 2.99995, 2.9, 2.9], {"patience": 1}, [1, 0.5, 0.5, 0.25]),
        ([3, 3, 3, 3, 3, 3], {"patience": 1, "cooldown": 2}, [1, 0.5, 0.5, 0.25, 0.25, 0.125]),
        ([3, 3, 3, 3], {"patience": 1, "min_lr": 0.3e-9}, [1, 0.5, 0.3, 0.3]),
        ([NAN, 3, 3], {"patience": 1}, [0.5, 0.5, 0.25]),
    ],
)
def test_reduce_on_plateau(values, settings, rates) -> None:
    trained = model()
    trained.optimizer.learning_rate = 1e-9
    seen = []
    reduce = callbacks.ReduceLROnPlateau(factor=0.5, **settings)
    note = callbacks.LambdaCallback(
        on_epoch_end=lambda epoch, logs: seen.append(trained.optimizer.learning_rate)
    )
    trained.fit(X, Y, epochs=len(values), verbose=0, callbacks=[Script(values), reduce, note])
    assert seen == pytest.approx([rate * 1e-9 for rate in rates])
    assert len(trained.history.history["learning_rate"]) == len(values)


@pytest.mark.parametrize("schedule", [lambda epoch, rate: rate / 2, lambda epoch: 0.005 * 2.0**-epoch])
def test_learning_rate_scheduler(schedule) -> None:
    trained = model()
    trained.fit(X, Y, epochs=3, verbose=0, callbacks=[callbacks.LearningRateScheduler(schedule)])
    assert trained.history.history["learning_rate"] == [0.005, 0.0025, 0.00125]


class Record(callbacks.Callback):
    """Notes every hook with its arguments."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, tuple]] = []


def _recorder(name: str):
    # Arguments under names of their own: hooks are called positionally.
    def hook(self, *a):
        self.calls.append((name, a))

    return hook


for _name in HOOKS:
    if _name not in ("on_batch_begin", "on_batch_end"):
        setattr(Record, _name, _recorder(_name))


def test_order_of_the_hooks_in_fit() -> None:
    record = Record()
    model().fit(
        X,
        Y,
        batch_size=6,
        epochs=2,
        verbose=0,
        callbacks=[record],
        validation_data=(X, Y),
        validation_batch_size=5,
    )
    batches = ["on_train_batch_begin", "on_train_batch_end"] * 2
    validation = ["on_test_begin", *["on_test_batch_begin", "on_test_batch_end"] * 2, "on_test_end"]
    epoch = ["on_epoch_begin", *batches, *validation, "on_epoch_end"]
    assert [name for name, _ in record.calls] == ["on_train_begin", *epoch, *epoch, "on_train_end"]
    assert record.params == {"verbose": 0, "epochs": 2, "steps": 2}
    by_name = dict(record.calls)
    assert by_name["on_train_begin"] == ({},)
    assert by_name["on_epoch_begin"] == (1, {})
    assert by_name["on_train_batch_begin"] == (1, {})
    index, logs = by_name["on_epoch_end"]
    assert index == 1
    assert list(logs) == ["loss", "val_loss"]
    assert by_name["on_train_end"] == (logs,)
    assert by_name["on_train_batch_end"] == (1, {"loss": logs["loss"]})
    assert by_name["on_test_end"] == ({"loss": logs["val_loss"]},)


def test_order_of_the_hooks_in_evaluate_and_predict() -> None:
    trained = model()
    record = Record()
    trained.evaluate(X, Y, batch_size=5, verbose=0, callbacks=[record])
    trained.predict(X, batch_size=5, callbacks=[record])
    batches = [f"on_{{}}_batch_{end}" for end in ("begin", "end")] * 2
    assert [name for name, _ in record.calls] == [
        hook.format(kind) for kind in ("test", "predict") for hook in ("on_{}_begin", *batches, "on_{}_end")
    ]
    np.testing.assert_array_equal(record.calls[-2][1][1]["outputs"], trained.predict(X)[5:])


def test_listening_to_batches_changes_nothing() -> None:
    whole, by_batch = model(metrics=["mae"]), model(metrics=["mae"])
    for trained, chosen in ((whole, []), (by_batch, [Record()])):
        trained.fit(X, Y, batch_size=3, epochs=3, verbose=0, callbacks=chosen, validation_split=0.2)
        trained._evaluation = trained.evaluate(X, Y, batch_size=3, verbose=0, callbacks=chosen)
        trained._prediction = trained.predict(X, batch_size=3, callbacks=chosen)
    np.testing.assert_array_equal(whole.get_weights()[0], by_batch.get_weights()[0])
    assert whole.history.history == by_batch.history.history
    assert whole._evaluation == pytest.approx(by_batch._evaluation)
    np.testing.assert_array_equal(whole._prediction, by_batch._prediction)


@pytest.mark.parametrize(
    "callback",
    [
        callbacks.Callback(),
        callbacks.TerminateOnNaN(),
        callbacks.EarlyStopping("loss"),
        callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: None),
    ],
    ids=lambda callback: type(callback).__name__,
)
def test_whole_epochs_while_nobody_listens_to_batches(callback) -> None:
    assert not callbacks.CallbackList([callback], model()).listen_to_batches("train")


@pytest.mark.parametrize(
    "hook", ["on_batch_begin", "on_batch_end", "on_train_batch_begin", "on_train_batch_end"]
)
def test_each_spelling_of_a_batch_hook_is_heard(hook: str) -> None:
    seen: list[int] = []
    subclass = type(
        "Listener", (callbacks.Callback,), {hook: lambda self, batch, logs=None: seen.append(batch)}
    )
    model().fit(X, Y, batch_size=4, verbose=0, callbacks=[subclass()])
    model().fit(
        X,
        Y,
        batch_size=4,
        verbose=0,
        callbacks=[callbacks.LambdaCallback(**{hook: lambda batch, logs: seen.append(batch)})],
    )
    assert seen == [0, 1, 2] * 2


def test_stop_training_ends_after_the_epoch_or_the_batch() -> None:
    def stop(index: int, logs: object) -> None:
        trained.stop_training = True

    trained = model()
    assert trained.fit(
        X, Y, epochs=5, verbose=0, callbacks=callbacks.LambdaCallback(on_epoch_end=stop)
    ).epoch == [0]
    trained.fit(
        X, Y, epochs=5, batch_size=2, verbose=0, callbacks=[callbacks.LambdaCallback(on_train_batch_end=stop)]
    )
    assert trained.optimizer.iterations == 2
    assert trained.fit(X, Y, epochs=2, verbose=0).epoch == [0, 1]


def test_history() -> None:
    trained = model(metrics=["mae"])
    history = trained.fit(
        X, Y, epochs=5, initial_epoch=2, verbose=0, validation_data=(X, Y), validation_freq=2
    )
    assert history is trained.history
    assert history.epoch == [2, 3, 4]
    assert {key: len(values) for key, values in history.history.items()} == {
        "loss": 3,
        "mae": 3,
        "val_loss": 1,
        "val_mae": 1,
    }
    assert history.model is trained
    assert all(type(value) is float for values in history.history.values() for value in values)
    again = pickle.loads(pickle.dumps(history))
    assert again.history == history.history
    assert again.model is None


def test_what_callbacks_add_to_the_logs_is_kept() -> None:
    add = callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: logs.update(extra=epoch))
    assert model().fit(X, Y, epochs=2, verbose=0, callbacks=[add]).history["extra"] == [0, 1]


BAD_Y = np.where(np.arange(10) == 7, np.float32(3e38), 0).astype(np.float32)  # its squared error overflows


def test_a_loss_that_is_not_finite_raises() -> None:
    trained = model()
    before = trained.get_weights()
    with pytest.raises(NonFiniteError, match="loss became NaN or infinite in epoch 0, batch 3 ") as raised:
        trained.fit(X, BAD_Y, batch_size=2, shuffle=False, verbose=0)
    assert (raised.value.epoch, raised.value.batch) == (0, 3)
    assert trained.optimizer.iterations == 3
    assert (trained.get_weights()[0] != before[0]).any()
    trained.recover()
    np.testing.assert_array_equal(trained.get_weights()[0], before[0])
    assert trained.optimizer.iterations == 0
    assert trained.fit(X, Y, epochs=2, verbose=0).epoch == [0, 1]


@pytest.mark.parametrize("listener", [None, Record])
def test_terminate_on_nan_stops_quietly(listener) -> None:
    trained = model()
    chosen = [callbacks.TerminateOnNaN()] + ([listener()] if listener else [])
    history = trained.fit(X, BAD_Y, batch_size=2, epochs=3, shuffle=False, verbose=0, callbacks=chosen)
    assert history.epoch == [0]
    assert math.isnan(history.history["loss"][0])
    assert trained.stop_training
    assert trained.optimizer.iterations == 3
    if listener:
        ends = [arguments for name, arguments in chosen[1].calls if name == "on_train_batch_end"]
        assert len(ends) == 4
        assert math.isnan(ends[-1][1]["loss"])
        assert chosen[1].calls[-1][0] == "on_train_end"
    with pytest.raises(NonFiniteError):
        trained.fit(X, BAD_Y, verbose=0, callbacks=[callbacks.TerminateOnNaN(raise_error=True)])


def exploding() -> Sequential:
    """Finite loss, but a step that overflows the weights."""
    trained = Sequential([layers.Input((2,)), layers.Dense(1, name="top")], seed=0)
    trained.compile(optimizers.SGD(3e38), "mse")
    return trained


def test_weights_that_are_not_finite_are_named_at_the_end_of_the_epoch() -> None:
    trained = exploding()
    before = trained.get_weights()
    with pytest.raises(
        NonFiniteError, match=r"weight top/kernel became NaN or infinite in epoch 0 "
    ) as raised:
        trained.fit(X * 10, Y, batch_size=10, verbose=0)
    assert raised.value.batch is None
    with pytest.raises(NonFiniteError):
        trained.fit(X, Y, verbose=0)  # does not forget the finite weights
    trained.recover()
    np.testing.assert_array_equal(trained.get_weights()[0], before[0])
    quiet = exploding()
    assert quiet.fit(
        X * 10, Y, batch_size=10, epochs=3, verbose=0, callbacks=[callbacks.TerminateOnNaN()]
    ).epoch == [0]


def test_recover_gives_the_last_finite_epoch() -> None:
    trained = model()
    kept = []

    def end(epoch: int, logs: object) -> None:
        kept.append(trained.get_weights())
        if epoch == 2:
            trained.optimizer.learning_rate = 3e38

    with pytest.raises(NonFiniteError) as raised:
        trained.fit(
            X, Y, epochs=9, batch_size=2, verbose=0, callbacks=[callbacks.LambdaCallback(on_epoch_end=end)]
        )
    assert raised.value.epoch == 3
    trained.recover()
    np.testing.assert_array_equal(trained.get_weights()[0], kept[2][0])


def test_an_exception_in_a_callback_leaves_the_model_usable() -> None:
    def fail(epoch: int, logs: object) -> None:
        raise ZeroDivisionError

    trained = model()
    with pytest.raises(ZeroDivisionError):
        trained.fit(X, Y, verbose=0, callbacks=[callbacks.LambdaCallback(on_epoch_end=fail)])
    assert trained.history.epoch == []
    assert trained.fit(X, Y, verbose=0).epoch == [0]
    copy.deepcopy(trained).fit(X, Y, verbose=0)


def test_callbacks_may_evaluate_predict_and_train_but_not_fit() -> None:
    def use(epoch: int, logs: object) -> None:
        trained.evaluate(X, Y, verbose=0)
        trained.predict(X)
        trained.set_weights(trained.get_weights())

    trained, twin = model(), model()
    trained.fit(
        X,
        Y,
        epochs=3,
        verbose=0,
        callbacks=[callbacks.LambdaCallback(on_epoch_end=use, on_train_batch_end=use)],
    )
    twin.fit(X, Y, epochs=3, verbose=0)
    np.testing.assert_array_equal(trained.get_weights()[0], twin.get_weights()[0])
    for forbidden in (
        lambda *a: trained.fit(X, Y),
        lambda *a: trained.compile("sgd", "mse"),
        lambda *a: trained.add(layers.Dense(1)),
    ):
        with pytest.raises(RuntimeError, match="the model is being trained"):
            trained.fit(X, Y, verbose=0, callbacks=[callbacks.LambdaCallback(on_epoch_begin=forbidden)])


@pytest.mark.parametrize("verbose", [1, 2])
def test_lines_where_nothing_can_move(capsys, verbose: int) -> None:
    model(metrics=["mae"]).fit(X, Y, epochs=2, batch_size=4, verbose=verbose, validation_split=0.2)
    first, second, third, fourth = capsys.readouterr().out.splitlines()
    assert (first, third) == ("Epoch 1/2", "Epoch 2/2")
    for line in (second, fourth):
        assert line.startswith("2/2 - 0s ")
        assert [part.split(":")[0] for part in line.split(" - ")[2:]] == [
            "loss",
            "mae",
            "val_loss",
            "val_mae",
        ]


def test_silence(capsys) -> None:
    trained = model()
    trained.fit(X, Y, epochs=2, verbose=0)
    trained.evaluate(X, Y, verbose=0)
    trained.predict(X)
    assert capsys.readouterr() == ("", "")


@pytest.fixture
def terminal(monkeypatch):
    monkeypatch.setattr(progress, "_can_move", lambda: True)


def test_a_bar_on_a_terminal(capsys, terminal) -> None:
    trained = model()
    trained.fit(X, Y, epochs=2, batch_size=4)
    trained.evaluate(X, Y)
    lines = capsys.readouterr().out.split("\n")
    assert lines[0] == "Epoch 1/2"
    assert lines[2] == "Epoch 2/2"
    for line in (lines[1], lines[3], lines[4]):
        drawn = line.split("\r")[-1]
        assert drawn.startswith("1/1 " if line is lines[4] else "3/3 ")
        assert "- loss: " in drawn


def test_a_bar_moves_within_a_long_epoch(capsys, terminal, monkeypatch) -> None:
    monkeypatch.setattr(progress, "INTERVAL", 0.0)
    seen = []
    monkeypatch.setattr(progress.ProgressBar, "_draw", lambda self, rows, logs: seen.append((rows, logs)))
    bar = progress.ProgressBar(1, rows=10, batch_size=4, read=lambda rows: {"loss": rows / 10})
    trained = model()
    callbacks.CallbackList([bar], trained, epochs=1)
    bar.on_train_begin({})
    bar.on_epoch_begin(0, {})
    bar.progress(4)
    bar.progress(8)
    bar.on_epoch_end(0, {"loss": 2.0})
    assert seen == [(4, {"loss": 0.4}), (8, {"loss": 0.8}), (10, {"loss": 2.0})]


def test_lines_of_short_epochs_are_thinned_out_but_not_the_last(capsys, monkeypatch) -> None:
    ticks = itertools.count()
    monkeypatch.setattr(progress, "time", SimpleNamespace(perf_counter=lambda: next(ticks)))
    # An epoch takes one tick here, and two more if it is shown.
    monkeypatch.setattr(progress, "FREE_SECONDS", 20)
    model().fit(X, Y, epochs=2000, verbose=1)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "Epoch 1/2000"
    assert lines[-2] == "Epoch 2000/2000"
    assert len(lines) // 2 in range(20, 24)  # 20 / 2 of them free, and one per cent of 2000 ticks and some


def test_time_history_has_the_seconds_of_each_epoch() -> None:
    clock = callbacks.TimeHistory()
    slow = callbacks.LambdaCallback(on_test_end=lambda logs: time.sleep(0.01))
    trained = model()
    trained.fit(X, Y, epochs=3, verbose=0, callbacks=[clock, slow], validation_data=(X, Y))
    assert len(clock.times) == 3
    assert min(clock.times) >= 0.01  # validation included
    trained.fit(X, Y, epochs=2, verbose=0, callbacks=[clock])
    assert len(clock.times) == 2


def test_the_time_history_of_the_thesis() -> None:
    """Section 3.1: its arguments have names of their own, hooks are called positionally. In the place of the clock is a count of its readings, which
    shows that an epoch is begun and ended once, in this order."""
    clock = itertools.count()

    class TimeHistory(callbacks.Callback):
        def on_train_begin(self, logs={}):  # noqa: B006
            self.times = []

        def on_epoch_begin(self, batch, logs={}):  # noqa: B006
            self.epoch_time_start = next(clock)

        def on_epoch_end(self, batch, logs={}):  # noqa: B006
            self.times.append(next(clock) - self.epoch_time_start)

    time_callback = TimeHistory()
    model().fit(X, Y, epochs=4, verbose=0, callbacks=[callbacks.EarlyStopping("loss"), time_callback])
    assert time_callback.times == [1, 1, 1, 1]


@pytest.mark.parametrize("listeners", [1, 2])
def test_a_callback_may_listen_within_an_epoch_and_end_it(listeners: int) -> None:
    class Watch(callbacks.Callback):
        seen = 0

        @property
        def on_progress(self):
            return self._moved

        def _moved(self, rows: int) -> None:
            self.seen += 1
            assert 0 < rows < 300_000
            if self.seen == 3:
                raise TimeoutError("of the test")

    x = np.zeros((300_000, 64), np.float32)
    trained = Sequential([layers.Input((64,)), layers.Dense(64, "tanh"), layers.Dense(1)], seed=0)
    trained.compile("sgd", "mse")
    watches = [Watch() for _ in range(listeners)]
    with pytest.raises(TimeoutError, match="of the test"):
        trained.fit(x, np.ones(300_000), batch_size=8, verbose=0, callbacks=watches)
    assert [watch.seen for watch in watches] == [3, 2][:listeners]
    assert 0 < trained.optimizer.iterations < 300_000 // 8


@pytest.mark.parametrize("cls", [callbacks.EarlyStopping, callbacks.ReduceLROnPlateau])
@pytest.mark.parametrize("monitor", [None, "", 3, ["loss"]])
def test_what_is_monitored_must_be_a_name(cls, monitor: object) -> None:
    with pytest.raises(
        TypeError, match="monitor must be the name of a value in the logs, such as 'val_loss'"
    ):
        cls(monitor=monitor)


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: callbacks.EarlyStopping(patience=None), TypeError, "patience must be a number, got None"),
        (lambda: callbacks.EarlyStopping(patience="3"), TypeError, "patience must be a number, got '3'"),
        (
            lambda: callbacks.EarlyStopping(patience=-1),
            ValueError,
            "patience must be a finite number >= 0, got -1",
        ),
        (lambda: callbacks.EarlyStopping(min_delta=None), TypeError, "min_delta must be a number, got None"),
        (
            lambda: callbacks.EarlyStopping(min_delta=np.nan),
            ValueError,
            "min_delta must be a finite number, got nan",
        ),
        (lambda: callbacks.EarlyStopping(baseline="0.5"), TypeError, "baseline must be a number, got '0.5'"),
        (
            lambda: callbacks.EarlyStopping(start_from_epoch=None),
            TypeError,
            "start_from_epoch must be a number",
        ),
        (lambda: callbacks.ReduceLROnPlateau(factor=None), TypeError, "factor must be a number, got None"),
        (
            lambda: callbacks.ReduceLROnPlateau(factor=np.nan),
            ValueError,
            "factor must be a finite number, got nan",
        ),
        (
            lambda: callbacks.ReduceLROnPlateau(cooldown=None),
            TypeError,
            "cooldown must be a number, got None",
        ),
        (lambda: callbacks.ReduceLROnPlateau(min_lr=None), TypeError, "min_lr must be a number, got None"),
        (lambda: callbacks.LearningRateScheduler(0.1), TypeError, "schedule must be a function .* got 0.1"),
        (
            lambda: callbacks.LambdaCallback(on_epoch_end=3),
            TypeError,
            "on_epoch_end must be a function, got 3",
        ),
    ],
)
def test_arguments_are_checked_before_training(make, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        make()


def test_numbers_of_any_type_are_taken() -> None:
    stop = callbacks.EarlyStopping(patience=np.int64(2), min_delta=-0.5, baseline=np.float32(-1))
    assert (stop.patience, stop.min_delta, stop.baseline) == (2, 0.5, -1)
