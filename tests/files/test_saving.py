"""Model files: exact round trips, every damage detected, old file or new one whatever happens."""

from __future__ import annotations

import errno
import hashlib
import io
import json
import os
import struct
import subprocess
import sys
import tempfile
import threading
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import save

import nnfast as nn
from nnfast.errors import ModelFileError
from nnfast.files import saving

OPTIMIZERS = {
    "sgd": lambda: nn.optimizers.SGD(0.05),
    "momentum": lambda: nn.optimizers.SGD(0.05, momentum=0.9),
    "nesterov": lambda: nn.optimizers.SGD(0.05, momentum=0.9, nesterov=True),
    "rmsprop": lambda: nn.optimizers.RMSprop(0.01),
    "rmsprop_centered_momentum": lambda: nn.optimizers.RMSprop(0.01, momentum=0.5, centered=True),
    "adam": lambda: nn.optimizers.Adam(0.01),
    "adam_corrected": lambda: nn.optimizers.Adam(0.01, epsilon_form="corrected"),
}


def make(optimizer: object = "adam", hidden: int = 5, backend: str = "native") -> nn.Sequential:
    model = nn.Sequential(
        [
            nn.layers.Input((3, 2)),
            nn.layers.Flatten(),
            nn.layers.Dense(hidden, activation=nn.activations.Sigmoid(slope=2.0), use_bias=False),
            nn.layers.Dense(3, activation="softmax"),
        ],
        seed=4,
    )
    model.compile(optimizer, "sparse_categorical_crossentropy", metrics=["accuracy"], backend=backend)
    return model


def data(n: int = 40) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    return rng.standard_normal((n, 3, 2)).astype(np.float32), rng.integers(0, 3, n)


def same(a: nn.Sequential, b: nn.Sequential) -> bool:
    return all(np.array_equal(v, w) for v, w in zip(a.get_weights(), b.get_weights(), strict=True))


@pytest.mark.parametrize("backend", ["native", "reference"])
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_training_goes_on_where_it_stopped(optimizer: str, backend: str, tmp_path: Path) -> None:
    x, y = data()
    straight = make(OPTIMIZERS[optimizer](), backend=backend)
    whole = straight.fit(x, y, epochs=4, batch_size=7, verbose=0).history
    stopped = make(OPTIMIZERS[optimizer](), backend=backend)
    stopped.fit(x, y, epochs=2, batch_size=7, verbose=0)
    stopped.save(tmp_path / "model.safetensors")
    loaded = nn.load_model(tmp_path / "model.safetensors")
    assert same(loaded, stopped)
    assert loaded.trainer.get_config() == stopped.trainer.get_config()
    assert loaded.trainer.state() == stopped.trainer.state()
    assert loaded.optimizer.iterations == stopped.optimizer.iterations == 12
    assert loaded.seed == 4
    rest = loaded.fit(x, y, epochs=2, batch_size=7, verbose=0).history
    assert same(loaded, straight)
    assert rest["loss"] == whole["loss"][2:]
    assert rest["accuracy"] == whole["accuracy"][2:]
    assert np.array_equal(loaded.predict(x), straight.predict(x))


def test_what_a_callback_saves_goes_on_from_the_end_of_that_epoch(tmp_path: Path) -> None:
    x, y = data()
    model = make()
    save = nn.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: model.save(tmp_path / str(epoch)))
    model.fit(x, y, epochs=3, batch_size=7, verbose=0, callbacks=[save])
    loaded = nn.load_model(tmp_path / "0")
    loaded.fit(x, y, epochs=2, batch_size=7, verbose=0)
    assert same(loaded, model)


def test_another_thread_does_not_save_a_model_in_training(tmp_path: Path) -> None:
    x, y = data()
    model = make()
    errors: list[BaseException] = []

    def attempt() -> None:
        try:
            model.save(tmp_path / "m")
        except RuntimeError as error:
            errors.append(error)

    def on_epoch_end(epoch: int, logs: Any) -> None:
        thread = threading.Thread(target=attempt)
        thread.start()
        thread.join()

    model.fit(x, y, verbose=0, callbacks=[nn.callbacks.LambdaCallback(on_epoch_end=on_epoch_end)])
    assert "trained by another thread" in str(errors[0])
    assert not list(tmp_path.iterdir())


def test_files_of_equal_models_are_equal(tmp_path: Path) -> None:
    for name in "ab":
        make().save(tmp_path / name)
    nn.load_model(tmp_path / "a").save(tmp_path / "c")
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes() == (tmp_path / "c").read_bytes()


@pytest.mark.parametrize(
    "name", ["optimizer/velocity/dense", "optimizer/dense", "[" * 50, '"\\', "é", "a/kernel"]
)
def test_any_name_of_a_layer(name: str, tmp_path: Path) -> None:
    model = nn.Sequential([nn.layers.Input((2,)), nn.layers.Dense(2, name="dense")], seed=1)
    model.add(nn.layers.Dense(1, name=name, kernel_initializer=nn.initializers.HeNormal(seed=np.int64(3))))
    model.compile(nn.optimizers.SGD(0.1, momentum=0.9), "mse")
    model.fit([[0, 1], [1, 0]], [1, 2], verbose=0)
    model.save(tmp_path / "m")
    loaded = nn.load_model(tmp_path / "m")
    for each in (model, loaded):
        each.fit([[0, 1], [1, 0]], [1, 2], verbose=0)
    assert same(model, loaded)


def test_classes_of_ones_own_are_refused(tmp_path: Path) -> None:
    class Mine(nn.layers.Dense):
        pass

    class MySGD(nn.optimizers.SGD):
        pass

    class MyLoss(nn.losses.MeanSquaredError):
        pass

    MyLoss.name = nn.losses.MeanSquaredError.name  # so that it trains

    with pytest.raises(ValueError, match=r"Unknown layer 'Mine'.*Known: .*dense"):
        nn.Sequential([nn.layers.Input((2,)), Mine(1)]).save(tmp_path / "m")
    with pytest.raises(ValueError, match=r"Unknown optimizer 'MySGD'.*Known: sgd"):
        make(MySGD()).save(tmp_path / "m")
    model = nn.Sequential([nn.layers.Input((2,)), nn.layers.Dense(1)])
    model.compile("sgd", MyLoss(), metrics=["mae"])
    with pytest.raises(ValueError, match=r"Unknown loss 'MyLoss'.*Known: "):
        model.save(tmp_path / "m")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("whose", ["Sequential", "Dense", "MeanSquaredError"])
def test_names_that_are_not_strings_are_refused(whose: str, tmp_path: Path) -> None:
    layer, metric = nn.layers.Dense(1), nn.metrics.MeanSquaredError()
    model = nn.Sequential([nn.layers.Input((2,)), layer])
    model.compile("sgd", "mse", metrics=[metric])
    named: dict[str, Any] = {"Sequential": model, "Dense": layer, "MeanSquaredError": metric}
    vars(named[whose]).update({"name" if whose == "MeanSquaredError" else "_name": 3})  # past the checks
    with pytest.raises(ValueError, match=f"name of a {whose} must be a string, got 3"):
        model.save(tmp_path / "m")
    assert not list(tmp_path.iterdir())


def test_uncompiled_and_path_without_suffix(tmp_path: Path) -> None:
    model = nn.Sequential(
        [nn.layers.Input((2,)), nn.layers.Dense(3, "relu"), nn.layers.Activation("tanh")], seed=1
    )
    model.save(tmp_path / "plain")
    loaded = nn.load_model(tmp_path / "plain")
    assert same(model, loaded)
    assert loaded.trainer is None


def test_unbuilt_model_is_refused(tmp_path: Path) -> None:
    model = nn.Sequential([nn.layers.Dense(3)])
    with pytest.raises(ValueError, match=r"no weights to save yet.*Input\(shape\)"):
        model.save(tmp_path / "m")
    assert not list(tmp_path.iterdir())


def test_the_longest_name_of_a_file(tmp_path: Path) -> None:
    make().save(tmp_path / ("m" * 255))
    assert same(nn.load_model(tmp_path / ("m" * 255)), make())


def test_what_is_not_a_file_is_neither_read_nor_replaced(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in ("/dev/zero", tmp_path / "pipe"):
        with pytest.raises(OSError, match="regular file"):
            nn.load_model(path)
    with pytest.raises(OSError, match="regular file"):
        make().save(tmp_path / "pipe")
    with pytest.raises(IsADirectoryError):
        nn.load_model(tmp_path)
    (tmp_path / "folder").mkdir()
    with pytest.raises(IsADirectoryError):
        make().save(tmp_path / "folder")
    with pytest.raises(FileNotFoundError):
        nn.load_model(tmp_path / "none")
    with pytest.raises(FileNotFoundError):
        make().save(tmp_path / "none" / "m")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["folder", "pipe"]


def test_a_folder_that_may_not_be_written() -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "m"
        make().save(path)
        old = path.read_bytes()
        os.chmod(folder, 0o555)
        child = os.fork()
        if not child:
            try:
                if os.geteuid() == 0:
                    os.setuid(65534)  # root may write everywhere
                make(hidden=6).save(path)
            except PermissionError:
                os._exit(7)
            finally:
                os._exit(1)
        _, status = os.waitpid(child, 0)
        os.chmod(folder, 0o755)
        assert os.waitstatus_to_exitcode(status) == 7
        assert path.read_bytes() == old
        assert os.listdir(folder) == ["m"]


def test_overwrite_false(tmp_path: Path) -> None:
    make().save(tmp_path / "m")
    with pytest.raises(FileExistsError, match="overwrite is False"):
        make().save(tmp_path / "m", overwrite=False)


def test_mode_and_link_are_kept(tmp_path: Path) -> None:
    make().save(tmp_path / "m")
    (tmp_path / "m").chmod(0o640)
    (tmp_path / "link").symlink_to("m")
    make(hidden=6).save(tmp_path / "link")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "m").stat().st_mode & 0o777 == 0o640
    assert nn.load_model(tmp_path / "m").get_weights()[0].shape == (6, 6)


def test_the_safetensors_package_reads_it(tmp_path: Path) -> None:
    model = make()
    model.save(tmp_path / "m")
    with safe_open(tmp_path / "m", framework="numpy") as file:
        assert set(model.weight_names) <= set(file.keys())
        for name, weight in zip(model.weight_names, model.get_weights(), strict=True):
            assert np.array_equal(file.get_tensor(name), weight)
        description = json.loads(file.metadata()[saving.KEY])
    assert description["nnfast_version"] == nn.__version__
    assert description["trainer"]["state"] == {"epoch": 0, "epochs_shuffled": 0}


def parse(content: bytes) -> nn.Sequential:
    return saving._load(io.BytesIO(content), len(content), nn.Sequential.from_config)


def small_file(tmp_path: Path) -> bytes:
    model = nn.Sequential([nn.layers.Input((1,)), nn.layers.Dense(1)], seed=0)
    model.compile("adam", "mse")
    model.save(tmp_path / "small")
    return (tmp_path / "small").read_bytes()


def test_every_truncation_is_refused(tmp_path: Path) -> None:
    whole = small_file(tmp_path)
    for length in range(len(whole)):
        with pytest.raises(ModelFileError):
            parse(whole[:length])
    with pytest.raises(ModelFileError):
        parse(whole + b"\0")


def test_every_bit_flip_is_refused(tmp_path: Path) -> None:
    whole = bytearray(small_file(tmp_path))
    for at in range(8 * len(whole)):
        whole[at // 8] ^= 1 << at % 8
        with pytest.raises(ModelFileError):
            parse(bytes(whole))
        whole[at // 8] ^= 1 << at % 8
    parse(bytes(whole))


def forged(change: Any) -> bytes:
    """A file with a valid checksum and a changed description."""
    description, tensors = saving._contents(make())
    description = json.loads(json.dumps(description))
    change(description, tensors)
    return serialized(description, tensors)


def serialized(description: dict[str, Any], tensors: dict[str, np.ndarray]) -> bytes:
    """The file as the safetensors package writes it."""
    digest = hashlib.sha256(canonical(description).encode())
    for name, a in sorted(tensors.items()):
        digest.update(f"{name}:{a.dtype.str}:{a.shape}\n".encode() + a.tobytes())
    return save(tensors, metadata={saving.KEY: canonical({**description, "checksum": digest.hexdigest()})})


def canonical(description: dict[str, Any]) -> str:
    return json.dumps(description, sort_keys=True, separators=(",", ":"))


def layers_of(description: dict[str, Any]) -> list[dict[str, Any]]:
    return description["model"]["layers"]


HOSTILE = {
    "huge layer": lambda d, t: layers_of(d)[-1]["config"].update(units=2**40),
    "negative layer": lambda d, t: layers_of(d)[-1]["config"].update(units=-3),
    "units as text": lambda d, t: layers_of(d)[-1]["config"].update(units="3"),
    "layer wider than its tensor": lambda d, t: layers_of(d)[-1]["config"].update(units=4),
    "name of a layer is a number": lambda d, t: layers_of(d)[-1]["config"].update(name=3),
    "name of the model is a number": lambda d, t: d["model"].update(name=3),
    "name of a metric is a list": lambda d, t: d["trainer"]["compile"]["metrics"][0]["config"].update(
        name=[1]
    ),
    "seed left open": lambda d, t: d["model"].update(seed=None),
    "negative seed": lambda d, t: d["model"].update(seed=-1),
    "unknown initializer": lambda d, t: layers_of(d)[-1]["config"].update(kernel_initializer="eval"),
    "unknown loss": lambda d, t: d["trainer"]["compile"].update(loss="eval"),
    "unknown metric": lambda d, t: d["trainer"]["compile"].update(metrics=["eval"]),
    "unknown backend": lambda d, t: d["trainer"]["compile"].update(backend="gpu"),
    "unknown argument": lambda d, t: d["trainer"]["compile"].update(colour=True),
    "negative rate": lambda d, t: d["trainer"]["compile"]["optimizer"]["config"].update(learning_rate=-1),
    "trainer is a list": lambda d, t: d.update(trainer=[1]),
    "negative epoch": lambda d, t: d["trainer"]["state"].update(epoch=-1),
    "no place in the stream": lambda d, t: d["trainer"]["state"].pop("epochs_shuffled"),
    "sample of 0": lambda d, t: d["model"].update(sample_shape=[0]),
    "sample of no axes": lambda d, t: d["model"].update(sample_shape=[]),
    "sample of many axes": lambda d, t: d["model"].update(sample_shape=[2**60] * 10_000),
    "no sample": lambda d, t: d["model"].update(sample_shape=None),
    "unknown layer": lambda d, t: layers_of(d)[-1].update(class_name="Lambda"),
    "unknown activation": lambda d, t: layers_of(d)[-1]["config"].update(activation="os.system"),
    "no layers": lambda d, t: d["model"].pop("layers"),
    "layers are a number": lambda d, t: d["model"].update(layers=3),
    "huge sample": lambda d, t: d["model"].update(sample_shape=[2**40]),
    "unknown optimizer": lambda d, t: d["trainer"]["compile"]["optimizer"].update(class_name="Popen"),
    "negative step": lambda d, t: d["trainer"].update(iterations=-1),
    "step as float": lambda d, t: d["trainer"].update(iterations=1.5),
    "huge step": lambda d, t: d["trainer"].update(iterations=2**70),
    "missing weight": lambda d, t: t.pop("dense_1/bias"),
    "missing slot": lambda d, t: t.pop("optimizer/dense_1/bias/velocity"),
    "one tensor more": lambda d, t: t.update(extra=np.zeros(3, np.float32)),
    "weight of another shape": lambda d, t: t.update({"dense_1/bias": np.zeros(4, np.float32)}),
    "float64": lambda d, t: t.update({"dense_1/bias": np.zeros(3)}),
    "later version": lambda d, t: d.update(format_version=2),
    "another stream": lambda d, t: d.update(random_stream=2),
    "another format": lambda d, t: d.update(format="pickle"),
}


@pytest.mark.parametrize("what", HOSTILE)
def test_hostile_descriptions_are_refused(what: str, tmp_path: Path) -> None:
    (tmp_path / "bad").write_bytes(forged(HOSTILE[what]))
    tracemalloc.start()
    try:
        with pytest.raises(ModelFileError, match="bad: ") as caught:
            nn.load_model(tmp_path / "bad")
        size = (tmp_path / "bad").stat().st_size
        assert tracemalloc.get_traced_memory()[1] < 1_000_000 + 20 * size
    finally:
        tracemalloc.stop()
    if what.startswith("unknown ") and what != "unknown argument":
        assert "Known: " in str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        "[" * 100_000,
        '{"a":' * 50 + "1" + "}" * 50,
        '{"format":"nnfast model","a":NaN}',
        '{"format":"nnfast model","a":-Infinity}',
        '{"format":"nnfast model","format_version":1,"random_stream":1,"a":1e999}',
        '{"format":"nnfast model","format_version":1,"random_stream":1,"a":' + "9" * 5000 + "}",
        '{"format":"nnfast model","format_version":1,"random_stream":1,"a":"\\ud800"}',
        '{"a":1,"a":2}',
        "3",
        "",
    ],
)
def test_hostile_json_is_refused(text: str) -> None:
    with pytest.raises(ModelFileError):
        parse(save({"w": np.zeros(1, np.float32)}, metadata={saving.KEY: text}))


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"not a model",
        struct.pack("<Q", 2**63) + b"{}",
        struct.pack("<Q", 100_000_000) + b"{}",
        struct.pack("<Q", 2) + b"{}",
        save({"w": np.zeros(1, np.float32)}),
        b"\x80\x04K\x01." + bytes(20),
    ],
)
def test_other_files_are_refused(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "other").write_bytes(content)
    with pytest.raises(ModelFileError, match="other: expected a model"):
        nn.load_model(tmp_path / "other")


CALLS = ("open", "chmod", "write", "fsync", "close", "replace")


def test_any_failing_system_call_leaves_the_old_file_or_the_new_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "m"
    make(hidden=6).save(path)
    new = path.read_bytes()
    make().save(path)
    old = path.read_bytes()
    real_write = os.write
    count = fatal = 0
    failed: list[str] = []
    errors: set[int | None] = set()

    def counted(name: str, real: Any) -> Any:
        def call(*args: Any, **kwargs: Any) -> Any:
            nonlocal count
            count += 1
            if count != fatal:
                return real(*args, **kwargs)
            if name == "close":
                real(*args, **kwargs)
            failed.append(name)
            raise OSError(errno.ENOSPC, "No space left on device")

        return call

    in_three = lambda descriptor, part: real_write(descriptor, part[: -(-len(new) // 3)])  # noqa: E731
    for name in CALLS:
        monkeypatch.setattr(os, name, counted(name, in_three if name == "write" else getattr(os, name)))
    model = make(hidden=6)
    replaced = False
    while True:
        fatal, count = fatal + 1, 0
        try:
            model.save(path)
            break
        except OSError as error:
            errors.add(error.errno)
        replaced = replaced or (failed[-1] == "open" and len(failed) > 1)  # the folder's
        assert path.read_bytes() == (new if replaced else old)
        assert [p.name for p in tmp_path.iterdir()] == ["m"]
    writes = failed.count("write")
    assert writes > 3
    assert failed == [
        "open", "chmod", *["write"] * writes, "fsync", "close", "replace", "open", "fsync", "close"
    ]  # fmt: skip
    assert errors == {errno.ENOSPC}


def test_short_writes_are_continued(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.write
    monkeypatch.setattr(os, "write", lambda descriptor, data: real(descriptor, data[:100]))
    model = make()
    model.save(tmp_path / "m")
    assert same(nn.load_model(tmp_path / "m"), model)


DYING = """
import os, sys
import nnfast as nn
path, fatal = sys.argv[1], int(sys.argv[2])
count = 0

def counted(real):
    def call(*args, **kwargs):
        global count
        count += 1
        if count == fatal:
            os._exit(9)
        return real(*args, **kwargs)
    return call

model = nn.load_model(path)
model.set_weights([w + 1 for w in model.get_weights()])
real_write = os.write
os.write = lambda d, data: real_write(d, data[: max(1, len(data) // 3)])  # a death between two writes
for name in ("open", "chmod", "write", "fsync", "close", "replace"):
    setattr(os, name, counted(getattr(os, name)))
model.save(path)
os._exit(0)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="deaths are tried on POSIX")
def test_a_process_that_dies_leaves_the_old_file_or_the_new_one(tmp_path: Path) -> None:
    path = tmp_path / "m"
    model = make()
    model.save(path)
    old = path.read_bytes()
    outcomes = []
    for fatal in range(1, 60):
        path.write_bytes(old)
        code = subprocess.run([sys.executable, "-c", DYING, str(path), str(fatal)], check=False).returncode
        now = path.read_bytes()
        loaded = nn.load_model(path)
        moved = [
            np.array_equal(v, w + 1) for v, w in zip(loaded.get_weights(), model.get_weights(), strict=True)
        ]
        assert now == old or all(moved)
        outcomes.append(now == old)
        if code == 0:
            break
    assert code == 0
    assert outcomes == sorted(outcomes, reverse=True)  # first the old file, then the new one
    assert not all(outcomes)
    assert len(outcomes) > 8
