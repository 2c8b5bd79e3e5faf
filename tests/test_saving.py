"""Model files: exact round trips, every damage detected, old file or new one whatever happens."""

from __future__ import annotations

import errno
import json
import os
import struct
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import save

import nnfast as nn
from nnfast import saving
from nnfast.errors import ModelFileError

OPTIMIZERS = {
    "sgd": lambda: nn.optimizers.SGD(0.05),
    "momentum": lambda: nn.optimizers.SGD(0.05, momentum=0.9),
    "nesterov": lambda: nn.optimizers.SGD(0.05, momentum=0.9, nesterov=True),
    "rmsprop": lambda: nn.optimizers.RMSprop(0.01, momentum=0.5, centered=True),
    "adam": lambda: nn.optimizers.Adam(0.01, epsilon_form="corrected"),
}


def make(optimizer: object = "adam", hidden: int = 5) -> nn.Sequential:
    model = nn.Sequential(
        [
            nn.layers.Input((3, 2)),
            nn.layers.Flatten(),
            nn.layers.Dense(hidden, activation=nn.activations.Sigmoid(slope=2.0), use_bias=False),
            nn.layers.Dense(3, activation="softmax"),
        ],
        seed=4,
    )
    model.compile(optimizer, "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def data(n: int = 40) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    return rng.standard_normal((n, 3, 2)).astype(np.float32), rng.integers(0, 3, n)


def same(a: nn.Sequential, b: nn.Sequential) -> bool:
    return all(np.array_equal(v, w) for v, w in zip(a.get_weights(), b.get_weights(), strict=True))


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_training_goes_on_where_it_stopped(optimizer: str, tmp_path: Path) -> None:
    x, y = data()
    straight = make(OPTIMIZERS[optimizer]())
    whole = straight.fit(x, y, epochs=4, batch_size=7, verbose=0).history
    stopped = make(OPTIMIZERS[optimizer]())
    stopped.fit(x, y, epochs=2, batch_size=7, verbose=0)
    stopped.save(tmp_path / "model.safetensors")
    loaded = nn.load_model(tmp_path / "model.safetensors")
    assert same(loaded, stopped)
    assert loaded.optimizer.iterations == stopped.optimizer.iterations == 12
    assert loaded.seed == 4
    rest = loaded.fit(x, y, epochs=2, batch_size=7, verbose=0).history
    assert same(loaded, straight)
    assert rest["loss"] == whole["loss"][2:]
    assert rest["accuracy"] == whole["accuracy"][2:]
    assert np.array_equal(loaded.predict(x), straight.predict(x))


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
    with pytest.raises(ValueError, match=r"save: expected a model with weights.*Input\(shape\)"):
        model.save(tmp_path / "m")
    assert not list(tmp_path.iterdir())


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


def small_file(tmp_path: Path) -> bytes:
    model = nn.Sequential([nn.layers.Input((1,)), nn.layers.Dense(1)], seed=0)
    model.save(tmp_path / "small")
    return (tmp_path / "small").read_bytes()


def test_every_truncation_is_refused(tmp_path: Path) -> None:
    whole = small_file(tmp_path)
    for length in range(len(whole)):
        with pytest.raises(ModelFileError):
            saving._model(*saving._parse(whole[:length]))
    with pytest.raises(ModelFileError):
        saving._parse(whole + b"\0")


def test_every_bit_flip_is_refused(tmp_path: Path) -> None:
    whole = bytearray(small_file(tmp_path))
    for at in range(8 * len(whole)):
        whole[at // 8] ^= 1 << at % 8
        with pytest.raises(ModelFileError):
            saving._model(*saving._parse(bytes(whole)))
        whole[at // 8] ^= 1 << at % 8
    saving._model(*saving._parse(bytes(whole)))


def forged(change: Any) -> bytes:
    """A file with a valid checksum and a changed description."""
    description, tensors = saving._contents(make())
    description = json.loads(json.dumps(description))
    change(description, tensors)
    return saving._serialize(description, tensors)


def layers_of(description: dict[str, Any]) -> list[dict[str, Any]]:
    return description["model"]["layers"]


HOSTILE = {
    "huge layer": lambda d, t: layers_of(d)[-1]["config"].update(units=2**40),
    "negative layer": lambda d, t: layers_of(d)[-1]["config"].update(units=-3),
    "units as text": lambda d, t: layers_of(d)[-1]["config"].update(units="3"),
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
    "missing slot": lambda d, t: t.pop("optimizer/velocity/dense_1/bias"),
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
    with pytest.raises(ModelFileError, match="bad: "):
        nn.load_model(tmp_path / "bad")


@pytest.mark.parametrize(
    "text",
    [
        "[" * 100_000,
        '{"a":' * 50 + "1" + "}" * 50,
        '{"format":"nnfast model","a":NaN}',
        '{"a":1,"a":2}',
        "3",
        "",
    ],
)
def test_hostile_json_is_refused(text: str) -> None:
    with pytest.raises(ModelFileError):
        saving._parse(save({"w": np.zeros(1, np.float32)}, metadata={saving.KEY: text}))


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
    with pytest.raises(ModelFileError, match="other: expected a"):
        nn.load_model(tmp_path / "other")


CALLS = ("open", "chmod", "write", "fsync", "close", "replace")


@pytest.mark.parametrize("call", CALLS)
def test_a_failing_system_call_leaves_the_old_file(
    call: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "m"
    make().save(path)
    old = path.read_bytes()
    real = getattr(os, call)
    calls = 0

    def failing(*args: Any, **kwargs: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == 1:
            if call == "close":
                real(*args, **kwargs)
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(*args, **kwargs)

    monkeypatch.setattr(os, call, failing)
    with pytest.raises(OSError, match="No space left"):
        make(hidden=6).save(path)
    monkeypatch.undo()
    assert path.read_bytes() == old
    assert [p.name for p in tmp_path.iterdir()] == ["m"]


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
