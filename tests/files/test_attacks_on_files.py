"""Files, memory and processes that mean harm: an error that says why, or success; never a crash, a hang or a lie.

The short forms run with the suite; `make attack-files` (NNFAST_LONG=1) runs the long ones.
"""

from __future__ import annotations

import io
import json
import os
import random
import socket
import struct
import subprocess
import sys
import tempfile
import zipfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors
from safetensors.numpy import load, save

import nnfast as nn
from nnfast import cli
from nnfast.errors import ModelFileError
from nnfast.files import saving

LONG = bool(os.environ.get("NNFAST_LONG"))
LINUX = pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="memory limits are tried on Linux")


# Memory

LIMITED = """
import resource, sys
import nnfast as nn

what, path, extra = sys.argv[1], sys.argv[2], int(sys.argv[3])
if what == "save":
    model = nn.load_model(path)
with open("/proc/self/statm") as file:
    size = int(file.read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (size + extra * 2**20, size + extra * 2**20))
try:
    if what == "save":
        model.save(path + ".copy")
    else:
        nn.load_model(path)
except MemoryError:
    print("no memory")
else:
    print("done")
"""


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model file of 108 MB."""
    path = tmp_path_factory.mktemp("large") / "model"
    nn.Sequential([nn.layers.Input((5196,)), nn.layers.Dense(5196)], seed=0).save(path)
    assert path.stat().st_size > 108_000_000
    return path


def limited(what: str, path: Path, megabytes: int) -> str:
    process = subprocess.run(
        [sys.executable, "-c", LIMITED, what, str(path), str(megabytes)],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert process.returncode == 0, process.stderr
    return process.stdout.strip()


@LINUX
def test_saving_needs_no_copy_of_the_weights(large: Path) -> None:
    for megabytes in range(20, 461, 10) if LONG else (20,):
        assert limited("save", large, megabytes) == "done"
        assert Path(f"{large}.copy").read_bytes() == large.read_bytes()


@LINUX
def test_loading_in_little_memory_ends_in_a_memory_error(large: Path) -> None:
    outcomes = [
        limited("load", large, megabytes)
        for megabytes in (range(20, 461, 10) if LONG else (20, 90, 250, 460))
    ]
    assert set(outcomes) == {"no memory", "done"}
    assert outcomes == sorted(outcomes, reverse=True)  # once there is enough, there is
    assert outcomes[-1] == "done"


# Model files


def file_of(header: bytes, body: bytes = bytes(16)) -> bytes:
    return struct.pack("<Q", len(header)) + header + body


def entry(shape: Any = (2,), offsets: Any = (0, 8), dtype: Any = "F32") -> dict[str, Any]:
    return {"dtype": dtype, "shape": shape, "data_offsets": offsets}


def headers() -> Iterator[tuple[str, bytes]]:
    """Headers for 16 bytes of tensors that are wrong in one way each."""
    good = {"a": entry(), "b": entry((1, 2), (8, 16))}
    changes: dict[str, Any] = {
        "overlapping": {"a": entry(), "b": entry(offsets=(4, 12))},
        "the same bytes": {"a": entry((4,), (0, 16)), "b": entry((4,), (0, 16))},
        "out of order": {"a": entry(offsets=(8, 16)), "b": entry(offsets=(0, 8))},
        "a gap": {"a": entry((1,), (0, 4)), "b": entry((2,), (8, 16))},
        "bytes left over": {"a": entry()},
        "backwards": {"a": entry(offsets=(8, 0)), "b": entry(offsets=(8, 16))},
        "beyond the end": {"a": entry((2**20,), (0, 2**22))},
        "huge": {"a": entry((2**40, 2**40), (0, 16))},
        "wraps to 16 bytes": {"a": entry((2**62 + 4,), (0, 16))},
        "empty and endless": {"a": entry((0, 2**63), (0, 0)), "b": entry((4,), (0, 16))},
        "negative": {"a": entry((-2, -2), (0, 16))},
        "many axes": {"a": entry([1] * 5000 + [4], (0, 16))},
        "sizes as floats": {"a": entry((4.0,), (0, 16))},
        "sizes as truth": {"a": entry((True, 4), (0, 16))},
        "sizes as text": {"a": entry("4", (0, 16))},
        "float64": {"a": entry(dtype="F64"), "b": entry((1,), (8, 16), "F64")},
        "integers": {"a": entry((4,), (0, 16), "I32")},
        "no such type": {"a": entry((4,), (0, 16), "F31")},
        "type is a list": {"a": entry((4,), (0, 16), ["F32"])},
        "three offsets": {"a": entry((4,), (0, 8, 16))},
        "no offsets": {"a": {"dtype": "F32", "shape": [4]}},
        "more than is asked": {"a": entry((4,), (0, 16)) | {"more": 1}},
        "an entry is a number": {"a": 3},
        "no tensors": {},
        "metadata are a list": {"__metadata__": [], **good},
        "metadata of numbers": {"__metadata__": {"nnfast": 3}, **good},
    }
    for what, header in changes.items():
        yield what, json.dumps(header, separators=(",", ":")).encode()
    text = json.dumps(good, separators=(",", ":"))
    yield "twice", (text[:-1] + "," + text[1:]).encode()
    yield "not UTF-8", text.replace('"a"', '"\xff"').encode("latin-1")
    yield "half a sign", text.replace('"a"', '"\\ud800"').encode()
    yield "deep", b'{"a":' + b"[" * 200_000
    yield "deep and whole", b'{"a":' + b"[" * 200_000 + b"]" * 200_000 + b"}"
    yield "a list", b"[]"
    yield "nothing", b""
    yield "blanks before", b"  " + text.encode()
    yield "zeros behind", text.encode() + bytes(8)
    yield "not a number", text.replace("8", "NaN").encode()
    yield "endless number", text.replace("8", "8" * 10_000).encode()
    yield "UTF-16", text.encode("utf-16")
    yield "byte order mark", b"\xef\xbb\xbf" + text.encode()


HEADERS = dict(headers())


@pytest.mark.parametrize("what", HEADERS)
def test_hostile_headers_are_refused(what: str, tmp_path: Path) -> None:
    (tmp_path / "bad").write_bytes(file_of(HEADERS[what]))
    with pytest.raises(ModelFileError, match="bad: expected a model") as caught:
        nn.load_model(tmp_path / "bad")
    assert len(str(caught.value)) < 2000 + len(str(tmp_path))


@pytest.mark.parametrize("length", [0, 1, 15, 16, 17, 10**8, 10**8 + 1, 2**31, 2**32, 2**63, 2**64 - 1])
def test_the_length_of_a_header_is_held_against_the_file(length: int) -> None:
    content = struct.pack("<Q", length) + b'{"__metadata__":{}}'
    with pytest.raises(ModelFileError, match="expected a model"):
        saving._load(io.BytesIO(content), len(content), nn.Sequential.from_config)


def small() -> bytes:
    model = nn.Sequential([nn.layers.Input((2,)), nn.layers.Dense(2, name="é"), nn.layers.Dense(1)], seed=0)
    model.compile(nn.optimizers.SGD(0.1, momentum=0.5), "mse")
    description, tensors = saving._contents(model)
    return save(tensors, metadata={saving.KEY: saving._canonical(description)})


def test_mutated_headers_are_refused_whenever_the_safetensors_package_refuses_them() -> None:
    """The header alone, without the checksum that would hide it: what is accepted, the package reads as we do."""
    whole = small()
    length = struct.unpack("<Q", whole[:8])[0]
    random_ = random.Random(0)
    outcomes: Counter[tuple[bool, bool]] = Counter()
    for _ in range(300_000 if LONG else 3000):
        content = bytearray(whole)
        for _ in range(random_.choice((0, 1, 1, 1, 2, 5))):
            at = random_.choice(
                (random_.randrange(8), random_.randrange(8, 8 + length), random_.randrange(len(whole)))
            )
            how = random_.randrange(4)
            if how == 0:
                content[at : at + 1] = bytes([random_.randrange(256)])
            elif how == 1:
                content[at : at + 1] = bytes([random_.choice(b'0123456789-.,:[]{}" eE\\')])
            elif how == 2:
                del content[at : at + random_.choice((1, 4, 8))]
            else:
                content[at:at] = content[at : at + random_.choice((1, 4, 40))]
        data = bytes(content)
        try:
            _, shapes = nn.files.tensorfile.read_header(io.BytesIO(data), len(data))
        except ModelFileError:
            shapes = None
        try:
            tensors = load(data)
        except safetensors.SafetensorError:
            tensors = None
        outcomes[shapes is not None, tensors is not None] += 1
        if shapes is not None:
            assert tensors is not None
            assert shapes == {name: a.shape for name, a in tensors.items()}
    assert outcomes[True, True]
    assert outcomes[False, False]


def test_written_as_the_safetensors_package_writes_it(tmp_path: Path) -> None:
    for name in ("dense", "é", '"\\/\n\x01\x7f', "😀", "￿", "a" * 5000):
        model = nn.Sequential(
            [nn.layers.Input((3,)), nn.layers.Dense(2, name=name), nn.layers.Dense(4)], seed=0
        )
        model.compile("adam", "mse")
        model.save(tmp_path / "m")
        content = (tmp_path / "m").read_bytes()
        text = json.loads(content[8 : 8 + struct.unpack("<Q", content[:8])[0]])["__metadata__"]
        assert save(load(content), metadata=text) == content
        assert nn.load_model(tmp_path / "m").layers[0].name == name


def test_many_layers_are_named_and_loaded_in_linear_time(tmp_path: Path) -> None:
    """Lines of Python, not seconds: twice the layers are twice the work."""
    lines = []
    for count in (200, 400):
        model = nn.Sequential([nn.layers.Input((1,)), *(nn.layers.Dense(1) for _ in range(count))], seed=0)
        model.save(tmp_path / "m")
        lines.append(executed(lambda: nn.load_model(tmp_path / "m")))
        lines.append(
            executed(
                lambda n=count: nn.Sequential(
                    [nn.layers.Input((1,)), *(nn.layers.Dense(1) for _ in range(n))]
                )
            )
        )
    assert lines[2] < 2.2 * lines[0]
    assert lines[3] < 2.2 * lines[1]
    assert [layer.name for layer in model.layers[:3]] == ["dense", "dense_1", "dense_2"]


def executed(call: Any) -> int:
    count = 0

    def trace(*_: Any) -> Any:
        nonlocal count
        count += 1
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        call()
    finally:
        sys.settrace(before)
    return count


@pytest.mark.parametrize(
    "change",
    [
        lambda d, t: t.update({f"extra/{i}": np.zeros(1, np.float32) for i in range(5000)}),
        lambda d, t: d["trainer"]["compile"].update(loss="x" * 10**6),
        lambda d, t: d["model"].update(seed="y" * 10**6),
        lambda d, t: d["model"]["layers"][0]["config"].update(name=["z"] * 10**5),
        lambda d, t: d.update(format_version="1" * 10**6),
        lambda d, t: d["model"]["layers"][0]["config"].update({"a" * 10**6: 1}),
    ],
)
def test_an_error_can_be_read_however_long_the_file_is(change: Any, tmp_path: Path) -> None:
    model = nn.Sequential([nn.layers.Input((2,)), nn.layers.Dense(1)], seed=0)
    model.compile("sgd", "mse")
    description, tensors = saving._contents(model)
    description = json.loads(json.dumps(description))
    change(description, tensors)
    (tmp_path / "m").write_bytes(save(tensors, metadata={saving.KEY: saving._canonical(description)}))
    with pytest.raises(ModelFileError) as caught:
        nn.load_model(tmp_path / "m")
    assert len(str(caught.value)) < 2000 + len(str(tmp_path))
    assert caught.value.__cause__ is None


# What cannot be loaded is not saved


def compiled() -> nn.Sequential:
    model = nn.Sequential([nn.layers.Input((2,)), nn.layers.Dense(1), nn.layers.Dense(1)], seed=0)
    model.compile("adam", "mse")
    return model


UNLOADABLE: dict[str, tuple[Any, str]] = {
    "steps": (lambda m: setattr(m.trainer, "iterations", 2**60), "whole number from 0 to"),
    "epochs": (lambda m: setattr(m.trainer, "epoch", 2**60), "whole number from 0 to"),
    "shuffles": (lambda m: setattr(m.trainer, "epochs_shuffled", -1), "whole number from 0 to"),
    "one name twice": (lambda m: setattr(m.layers[1], "name", "dense"), "different names, got 'dense' twice"),
    "half a sign": (lambda m: setattr(m.layers[1], "name", "\ud800"), "must be Unicode"),
    "shape": (
        lambda m: m.layers[0].tensors.__setitem__(0, m.layers[0].kernel.reshape(1, 2)),
        "must have shape",
    ),
    "not finite": (lambda m: setattr(m.optimizer, "epsilon", float("nan")), "finite|epsilon"),
}


@pytest.mark.parametrize("what", UNLOADABLE)
def test_what_load_refuses_is_not_written(what: str, tmp_path: Path) -> None:
    change, message = UNLOADABLE[what]
    model = compiled()
    try:
        change(model)
    except (AttributeError, TypeError, ValueError, OverflowError):
        return  # the model itself does not take it
    with pytest.raises(ValueError, match=message):
        model.save(tmp_path / "m")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["m.h5", "m.keras", "m.weights.h5", "M.HDF5", "m.onnx", "m.pt"])
def test_other_formats_are_not_promised(name: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"is saved as a safetensors file, got a path ending in \."):
        compiled().save(tmp_path / name.lower())
    assert not list(tmp_path.iterdir())


# overwrite=False

RACE = """
import sys
import tempfile
import zipfile
import nnfast as nn

number, path = int(sys.argv[1]), sys.argv[2]
models = [nn.Sequential([nn.layers.Input((1,)), nn.layers.Dense(1)], seed=number) for _ in range(20)]
print("ready", flush=True)
sys.stdin.readline()
for turn, model in enumerate(models):
    try:
        model.save(f"{path}-{turn}", overwrite=False)
    except FileExistsError:
        continue
    print(turn, flush=True)
"""


@pytest.mark.parametrize("links", [True, False], ids=["links", "without links"])
def test_of_many_processes_one_makes_the_file(links: bool, tmp_path: Path) -> None:
    script = RACE if links else "import os\ndel os.link\n" + RACE
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", script, str(number), str(tmp_path / "m")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for number in range(16 if LONG else 4)
    ]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    made = {number: process.communicate(timeout=120)[0].split() for number, process in enumerate(processes)}
    assert sorted(int(turn) for turns in made.values() for turn in turns) == list(range(20))
    for number, turns in made.items():
        for turn in turns:
            assert nn.load_model(tmp_path / f"m-{turn}").seed == number
    assert len(list(tmp_path.iterdir())) == 20


def test_a_file_that_vanishes_does_not_fail_the_save(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "m"
    path.write_bytes(b"old")
    real = Path.stat

    def stat(self: Path, **options: Any) -> os.stat_result:
        status = real(self, **options)
        if self == path:
            os.unlink(self)
        return status

    with monkeypatch.context() as patch:
        patch.setattr(Path, "stat", stat)
        compiled().save(path)
    assert nn.load_model(path).seed == 0


def test_a_file_made_meanwhile_is_not_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "m"
    real = os.fsync
    monkeypatch.setattr(os, "fsync", lambda descriptor: (real(descriptor), path.write_bytes(b"another's"))[0])
    with pytest.raises(FileExistsError, match="overwrite is False"):
        compiled().save(path, overwrite=False)
    assert path.read_bytes() == b"another's"
    assert os.listdir(tmp_path) == ["m"]


# The journal of a grid


def grid(path: Path, **changes: Any) -> nn.compare.Comparison:
    model = nn.Sequential([nn.layers.Input((1,)), nn.layers.Dense(1)], seed=0)
    arguments: dict[str, Any] = {
        "optimizers": ["sgd", "adam"],
        "batch_sizes": [1, 2],
        "loss": "mse",
        "verbose": 0,
    }
    x = [[0.0], [1.0], [2.0]]
    return nn.compare.grid(model, x, x, epochs=2, path=path, **(arguments | changes))


def finished(path: Path) -> tuple[list[dict[str, Any]], list[bytes]]:
    """Records and lines of a finished grid."""
    records = grid(path).records
    return records, path.read_bytes().splitlines(keepends=True)


@pytest.fixture
def no_runs(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    monkeypatch.setattr(nn.Sequential, "fit", lambda *_, **__: pytest.fail("a run has begun"))
    return monkeypatch


def test_runs_behind_a_header_without_its_newline_are_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "runs"
    records, lines = finished(path)
    path.write_bytes(lines[0].rstrip())
    assert len(grid(path)) == 4
    assert len(path.read_bytes().splitlines()) == 5
    assert len(nn.compare.load(path)) == 4
    glued = b"".join([lines[0].rstrip(), *lines[1:]])
    monkeypatch.setattr(nn.Sequential, "fit", lambda *_, **__: pytest.fail("a run has begun"))
    path.write_bytes(glued)
    assert nn.compare.load(path).records == records
    assert grid(path).records == records
    assert path.read_bytes().splitlines()[0] + b"\n" == lines[0]
    assert sorted(path.read_bytes().splitlines(keepends=True)) == sorted(lines)
    assert os.listdir(tmp_path) == ["runs"]
    path.write_bytes(b"".join(lines).rstrip())  # the last line is whole but for its newline
    assert grid(path).records == records
    assert path.read_bytes() == b"".join(lines)


def test_a_header_that_was_cut_off_is_written_anew(tmp_path: Path) -> None:
    path = tmp_path / "runs"
    _, lines = finished(path)
    for length in range(30, len(lines[0]), 1 if LONG else 97):
        path.write_bytes(lines[0][:length])
        assert len(grid(path)) == 4
        assert path.read_bytes().startswith(lines[0])


def changed(lines: list[bytes], at: int, change: Any) -> bytes:
    values = [json.loads(line) for line in lines]
    change(values[at])
    return b"".join(json.dumps(value).encode() + b"\n" for value in values)


WRONG_LINES: dict[str, tuple[int, Any]] = {
    "beyond the grid": (2, lambda run: run.update(run=99)),
    "before the grid": (2, lambda run: run.update(run=-1)),
    "number as text": (2, lambda run: run.update(run="1")),
    "number as truth": (2, lambda run: run.update(run=True)),
    "number as float": (2, lambda run: run.update(run=1.0)),
    "a list for a number": (2, lambda run: run.update(run=[1])),
    "no record": (2, lambda run: run.pop("record")),
    "record is null": (2, lambda run: run.update(record=None)),
    "record is a list": (2, lambda run: run.update(record=[1])),
    "record of another run": (2, lambda run: run["record"].update(optimizer="adam" if run["run"] < 2 else "sgd")),
    "other batch size": (2, lambda run: run["record"].update(batch_size=3)),
    "other seed": (2, lambda run: run["record"].update(seed=3)),
    "other rows": (2, lambda run: run["record"].update(rows=2)),
    "more epochs": (2, lambda run: run["record"].update(epochs=3)),
    "epochs as text": (2, lambda run: run["record"].update(epochs="2")),
    "loss as text": (2, lambda run: run["record"].update(loss="low")),
    "seconds missing": (2, lambda run: run["record"].pop("seconds")),
    "seconds as null": (2, lambda run: run["record"].update(seconds=None)),
    "history is a list": (2, lambda run: run["record"].update(history=[])),
    "history is empty": (2, lambda run: run["record"].update(history={})),
    "history is short": (2, lambda run: run["record"]["history"].update(loss=[1.0])),
    "history of text": (2, lambda run: run["record"]["history"].update(loss=["a", "b"])),
    "history of more": (2, lambda run: run["record"].update(history=run["record"]["history"] | {"zeal": [1, 2]})),
    "dead units are a number": (2, lambda run: run["record"].update(dead_units=0.5)),
    "dead units as text": (2, lambda run: run["record"].update(dead_units={"dense": "all"})),
    "diverged as text": (2, lambda run: run["record"].update(diverged="no")),
    "axes are a list": (0, lambda header: header.update(axes=[])),
    "no axes": (0, lambda header: header.update(axes={})),
    "axis is a number": (0, lambda header: header["axes"].update(optimizer=3)),
    "cells as text": (0, lambda header: header.update(cells="4")),
    "identity is a list": (0, lambda header: header.update(identity=[])),
}  # fmt: skip


@pytest.mark.parametrize("what", WRONG_LINES)
def test_a_wrong_line_is_named_before_any_training(
    what: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "runs"
    at, change = WRONG_LINES[what]
    _, lines = finished(path)
    content = changed(lines[:4], at, change)
    path.write_bytes(content)
    monkeypatch.setattr(nn.Sequential, "fit", lambda *_, **__: pytest.fail("a run has begun"))
    with pytest.raises(
        ValueError, match=r"runs is not a file that compare\.grid .*(line|run) \d.*Pass another path"
    ):
        grid(path)
    assert path.read_bytes() == content


def test_a_run_that_comes_twice_is_taken_once(tmp_path: Path) -> None:
    path = tmp_path / "runs"
    records, lines = finished(path)
    path.write_bytes(b"".join(lines) + lines[2])
    assert grid(path).records == records
    first = json.loads(lines[1])["run"]
    path.write_bytes(changed([*lines, lines[1]], 5, lambda run: run["record"].update(loss=77.0)))
    with pytest.warns(UserWarning, match=f"line 6: run {first} comes again"):
        assert grid(path).records == records


@pytest.mark.parametrize(
    "content",
    [
        b'{"format":' + b"[" * 200_000,
        b'{"a":' * 100_000 + b"1" + b"}" * 100_000,
        b'{"format":"nnfast grid","format_version":1}\n',
        b'{"format":"nnfast grid","format_version":' + b"9" * 10_000 + b"}\n",
        b"\xff\xfe{\x00}\x00",
        b'"' + b"x" * 10**6,
        b"\n" * 1000,
    ],
)
def test_what_is_no_journal_is_refused_and_left_alone(content: bytes, tmp_path: Path, no_runs: Any) -> None:
    path = tmp_path / "file"
    path.write_bytes(content)
    for attempt in (grid, nn.compare.load):
        with pytest.raises(
            ValueError, match=r"is not a file that compare\.grid of this version wrote"
        ) as caught:
            attempt(path)
        assert len(str(caught.value)) < 2000
    assert path.read_bytes() == content


def test_a_deep_run_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "runs"
    _, lines = finished(path)
    path.write_bytes(lines[0] + b'{"run":0,"record":' + b"[" * 200_000 + b"]" * 200_000 + b"}\n")
    for attempt in (grid, nn.compare.load):
        with pytest.raises(ValueError, match="line 2: RecursionError"):
            attempt(path)


def not_files(folder: Path) -> Iterator[Path]:
    yield folder
    if hasattr(os, "mkfifo"):
        os.mkfifo(folder / "pipe")
        yield folder / "pipe"
    if Path("/dev/zero").exists():
        yield Path("/dev/zero")
    if hasattr(socket, "AF_UNIX"):
        with socket.socket(socket.AF_UNIX) as server:
            server.bind(str(folder / "socket"))
            yield folder / "socket"
            (folder / "link").symlink_to("socket")
            yield folder / "link"


def test_what_is_no_file_is_neither_read_nor_written(
    monkeypatch: pytest.MonkeyPatch, no_runs: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        monkeypatch.chdir(folder)
        for path in not_files(Path(folder)):
            for attempt in (grid, nn.compare.load, nn.load_model, compiled().save):
                with pytest.raises(OSError, match=r"regular file|Is a directory"):
                    attempt(path)
            for name in ("x.csv", "x.npz", "x.npy"):
                Path(name).symlink_to(path)
                assert cli.main(["train", name, "--target", "y"]) == 2
                assert capsys.readouterr().err.count("\n") == 1
                Path(name).unlink()


@LINUX
def test_a_file_of_a_terabyte_of_nothing_is_refused(tmp_path: Path) -> None:
    for name in ("x.csv", "x.npy", "x.npz", "x"):
        with open(tmp_path / name, "wb") as file:
            file.truncate(2**40)
    with pytest.raises(ModelFileError):
        nn.load_model(tmp_path / "x")
    with pytest.raises(ValueError, match="does not begin with a brace"):
        nn.compare.load(tmp_path / "x.csv")
    for name in ("x.csv", "x.npy", "x.npz"):
        assert cli.main(["train", str(tmp_path / name), "--target", "y"]) == 2


# The command line


def command(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str]:
    """Exit code, and what was said on standard error: nothing, or one line."""
    code = cli.main([str(argument) for argument in arguments])
    said = capsys.readouterr().err
    assert said.count("\n") == (code == 2), said
    assert len(said) < 2100
    return code, said


@pytest.fixture
def model_path(tmp_path: Path) -> Path:
    nn.Sequential([nn.layers.Input((2,)), nn.layers.Dense(1)], seed=0).save(tmp_path / "model.safetensors")
    return tmp_path / "model.safetensors"


def npy(array: Any, **options: Any) -> bytes:
    stream = io.BytesIO()
    np.save(stream, array, **options)
    return stream.getvalue()


def npy_header(text: str, body: bytes = b"", version: bytes = b"\x01\x00") -> bytes:
    return (
        b"\x93NUMPY"
        + version
        + struct.pack("<H" if version[0] == 1 else "<I", len(text))
        + text.encode()
        + body
    )


def archive(
    members: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED, change: Any = lambda content: content
) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", method) as file:
        for name, content in members.items():
            file.writestr(name, content)
    return change(stream.getvalue())


def encrypted(content: bytes) -> bytes:
    """The same with the flag of encryption set in each member."""
    data = bytearray(content)
    for signature, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        at = data.find(signature)
        while at >= 0:
            data[at + offset] |= 1
            at = data.find(signature, at + 1)
    return bytes(data)


X, Y = npy(np.ones((8, 2))), npy(np.arange(8.0))
SHAPE = "{'descr': '<f8', 'fortran_order': False, 'shape': (%s)}\n"
BAD_ARRAYS: dict[str, tuple[bytes, str]] = {
    "empty": (b"", "empty"),
    "no array": (b"hello", "no array"),
    "a pickle": (b"\x80\x04K\x01.", "no array"),
    "objects": (npy(np.array([{}, 1], object), allow_pickle=True), "Python objects"),
    "a structure": (npy(np.zeros(8, [("a", "f4"), ("b", "O")])[["a"]]), "Save numbers"),
    "dates": (npy(np.zeros((8, 2), "M8[s]")), "Save numbers"),
    "complex": (npy(np.zeros((8, 2), complex)), "Save numbers"),
    "cut in its header": (X[:40], "does not say"),
    "cut in its rows": (X[:-9], "damaged"),
    "two arrays": (X + X, "holds more"),
    "deep header": (npy_header("(" * 9000), "does not say"),
    "long header": (npy_header(SHAPE % "8," + " " * 20_000), "form"),
    "endless header": (npy_header("{", version=b"\x02\x00").replace(b"{", b""), "does not say"),
    "header of four gigabytes": (b"\x93NUMPY\x02\x00\xff\xff\xff\xff" + b" " * 50_000, "form"),
    "unknown version": (npy_header(SHAPE % "8,", version=b"\x09\x09"), "form"),
    "not UTF-8": (npy_header(SHAPE % "8,", version=b"\x03\x00"), "form"),
    "shape of text": (npy_header(SHAPE % "'a',"), "does not say"),
    "shape below 0": (npy_header(SHAPE % "-8, -2", bytes(128)), "shape"),
    "shape of many axes": (npy_header(SHAPE % ("1, " * 200), bytes(8)), "shape"),
    "shape without end": (npy_header(SHAPE % (str(2**62) + ", 4")), "available"),
    "shape that wraps": (npy_header(SHAPE % (str(2**63 + 8) + ", 2"), bytes(128)), "available"),
    "type without size": (npy_header(SHAPE.replace("<f8", "V0") % "8,"), "Save numbers"),
    "type without end": (npy_header(SHAPE.replace("<f8", "S99999999999") % "8,"), ""),
    "a number for a header": (npy_header("1\n"), "does not say"),
}


@pytest.mark.parametrize("what", BAD_ARRAYS)
def test_bad_arrays_are_one_line(
    what: str, tmp_path: Path, model_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    content, message = BAD_ARRAYS[what]
    (tmp_path / "x.npy").write_bytes(content)
    (tmp_path / "x.npz").write_bytes(archive({"x.npy": content, "y.npy": Y}))
    for arguments in (
        ["predict", model_path, tmp_path / "x.npy"],
        ["predict", model_path, tmp_path / "x.npz"],
        ["train", tmp_path / "x.npz"],
    ):
        code, said = command(capsys, *arguments)
        assert code == 2
        assert message in said


WHOLE = {"x.npy": X, "y.npy": Y}
BAD_ARCHIVES: dict[str, tuple[bytes, str]] = {
    "empty": (b"", "not a zip file"),
    "no archive": (b"PK\x03\x04" + bytes(100), "not a zip file"),
    "an array": (X, "not a zip file"),
    "cut off": (archive(WHOLE)[:-30], "zip"),
    "damaged": (
        archive(WHOLE, zipfile.ZIP_STORED, lambda c: c.replace(npy(np.ones((8, 2)))[-16:], bytes(16), 1)),
        "CRC",
    ),
    "damaged and packed": (
        archive(WHOLE, change=lambda c: c[:60] + bytes([c[60] ^ 255]) * 9 + c[69:]),
        "received",
    ),
    "encrypted": (archive(WHOLE, change=encrypted), "encrypted"),
    "LZMA": (archive(WHOLE, zipfile.ZIP_LZMA), "lzma"),
    "bzip2": (archive(WHOLE, zipfile.ZIP_BZIP2), "bzip2"),
    "unknown method": (archive(WHOLE, change=lambda c: c.replace(b"\x08\x00", b"\x63\x00")), "received"),
    "no arrays": (archive({}), "expected arrays x"),
    "without x": (archive({"y.npy": Y, "z.npy": X}), "received y, z"),
    "many others": (archive({f"{i}.npy": b"" for i in range(3000)}), "received 0, 1"),
    "x is a folder": (archive({"x/": b"", "x/x.npy": X, "y.npy": Y}), "expected arrays x"),
    "x as text": (archive({"x": b"1,2,3", "y": Y}), "no array"),
    "x twice": (archive({"x": X, "x.npy": X, "y.npy": Y}), "x twice"),
    "a single value": (archive({"x.npy": npy(1.0), "y.npy": npy(1.0)}), "x"),
}


@pytest.mark.parametrize("what", BAD_ARCHIVES)
def test_bad_archives_are_one_line(
    what: str, tmp_path: Path, model_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    content, message = BAD_ARCHIVES[what]
    (tmp_path / "t.npz").write_bytes(content)
    for arguments in (["predict", model_path, tmp_path / "t.npz"], ["train", tmp_path / "t.npz"]):
        code, said = command(capsys, *arguments)
        assert code == 2
        assert message in said


@LINUX
def test_what_expands_beyond_the_memory_is_not_expanded(tmp_path: Path, model_path: Path) -> None:
    """8.8 GB of zeros in 8.6 MB: the declared size is looked at, and no more than that is inflated."""
    block = bytes(2**20)
    header = npy_header(SHAPE % f"{2**40}, 2")
    lying = npy_header(SHAPE % "8, 2")
    for name, start in (("told", header), ("untold", lying)):
        with zipfile.ZipFile(tmp_path / f"{name}.npz", "w", zipfile.ZIP_DEFLATED, compresslevel=1) as file:
            with file.open("x.npy", "w", force_zip64=True) as stream:
                stream.write(start)
                for _ in range(8800 if LONG else 200 * (name == "untold")):
                    stream.write(block)
            file.writestr("y.npy", Y)
        for arguments in (["train"], ["predict", str(model_path)]):
            script = (
                "import sys\nfrom nnfast import cli\ncode = cli.main(sys.argv[1:])\n"
                "print(code, open('/proc/self/status').read().split('VmHWM:')[1].split()[0])"  # most memory, in KB
            )
            run = subprocess.run(
                [sys.executable, "-c", script, *arguments, str(tmp_path / f"{name}.npz")],
                capture_output=True,
                text=True,
                timeout=300,
                check=False,
            )
            code, kilobytes = map(int, run.stdout.split())
            assert code == 2
            assert run.stderr.count("\n") == 1
            assert kilobytes < 200_000


NOTES: dict[str, Any] = {
    "scaling": "standard",
    "shift": [0, 0],
    "spread": [1, 1],
    "classes": None,
    "target": None,
    "task": None,
}
BAD_NOTES: dict[str, bytes] = {
    what: json.dumps(NOTES | change).encode()
    for what, change in {
        "scaling of another kind": {"scaling": ["standard"]},
        "unknown scaling": {"scaling": "cubic"},
        "shift as text": {"shift": "far"},
        "shift of another length": {"shift": [1, 2, 3]},
        "shift is deep": {"shift": [[[[1]]], 2]},
        "shift is an object": {"shift": {"a": 1}},
        "spread of zero": {"spread": [0, 1]},
        "spread is null": {"spread": None},
        "shift is not finite": {"shift": [float("nan"), 1]},
        "huge": {"shift": [10**400, 1]},
        "classes are a number": {"classes": 3, "task": "classification"},
        "classes are numbers": {"classes": [1], "task": "classification"},
        "fewer classes": {"classes": [], "task": "classification"},
        "target is a list": {"target": ["a"]},
        "unknown task": {"task": 1},
    }.items()
} | {
    "deep": b"[" * 200_000 + b"]" * 200_000,
    "a list": b"[]",
    "a number": b"1",
    "null": b"null",
    "nothing": b"",
    "not JSON": b"{",
    "not UTF-8": b'{"scaling": "\xff"}',
    "no shift": b'{"scaling": "standard"}',
    "digits": b'{"scaling": "max", "spread": ' + b"9" * 10_000 + b"}",
}


@pytest.mark.parametrize("what", BAD_NOTES)
def test_bad_notes_are_one_line(
    what: str, tmp_path: Path, model_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "x.npy").write_bytes(X)
    notes = tmp_path / "model.json"
    notes.write_bytes(json.dumps(NOTES).encode())
    assert command(capsys, "predict", model_path, tmp_path / "x.npy") == (0, "")
    notes.write_bytes(BAD_NOTES[what])
    code, said = command(capsys, "predict", model_path, tmp_path / "x.npy")
    assert code == 2
    assert "notes" in said or "as the model was trained on" in said


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"a,y\n1,2\n" + b"9" * 140_000 + b",2\n", "line 3: field larger than field limit"),
        (b"a,y\n1,2\n" + b'"' + b"9" * 140_000 + b"\n", "field larger"),
        (b"a" * 200_000 + b",y\n1,2\n", "line 1: field larger"),
        (b"\xff\xfea\x00,\x00y\x00", "CSV"),
        (b"a,y\n\x00,1\n1,2\n3,4\n5,6\n", ""),
        (b"\x00" * 1000, ""),
        (b"a,y\n" + b"1,2\n" * 9 + b"inf,2\n", "not finite"),
        (b"a,y\n" + b"1,2\n" * 9 + b"nan,2\n", "not finite"),
        (b"a,y\n" + b"1,2\n" * 9 + b"1e999,2\n", "not finite"),
        (b"a,y\n" + b"1,2\n" * 9 + b"-1e308,2\n1e308,2\n", "too far apart"),
        (b"\n" * 1000, "CSV"),
    ],
)
def test_bad_tables_are_one_line(
    content: bytes, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "t.csv").write_bytes(content)
    code, said = command(capsys, "train", tmp_path / "t.csv", "--target", "y")
    assert code == 2
    assert message in said


def mutated(content: bytes, random_: random.Random) -> bytes:
    data = bytearray(content)
    for _ in range(random_.choice((1, 1, 2, 8))):
        at = random_.randrange(len(data) + 1)
        how = random_.randrange(5)
        if how == 0:
            data[at : at + 1] = bytes([random_.randrange(256)])
        elif how == 1:
            del data[at : at + random_.choice((1, 2, 100))]
        elif how == 2:
            data[at:at] = data[at : at + random_.choice((1, 4, 100))]
        elif how == 3:
            data[at : at + 4] = struct.pack("<I", random_.choice((0, 1, 2**31 - 1, 2**31, 2**32 - 1)))
        else:
            data[at : at + 1] = random_.choice((b"\0", b'"', b",", b"\n", b"9" * 400, b"-", b"e", b"[", b"{"))
        if not data:
            break
    return bytes(data)


@pytest.mark.parametrize(
    "kind", ["stored.npz", "packed.npz", "x.npy", "t.csv", "model.safetensors", "model.json"]
)
def test_mutated_files_give_a_result_or_one_line(
    kind: str, tmp_path: Path, model_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    random_ = random.Random(kind)
    rows = "\n".join(f"{i},{i % 3},{i * 2.5}" for i in range(12))
    contents = {
        "stored.npz": archive(WHOLE, zipfile.ZIP_STORED),
        "packed.npz": archive(WHOLE),
        "x.npy": X,
        "t.csv": f"a,b,y\n{rows}\n".encode(),
        "model.safetensors": model_path.read_bytes(),
        "model.json": json.dumps(NOTES).encode(),
    }
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
    runs = {
        "t.csv": ["train", tmp_path / kind, "--target", "y", "--epochs", 1, "--hidden", 2, "--verbose", 0],
        "x.npy": ["predict", model_path, tmp_path / kind],
    }
    arguments = runs.get(kind, ["predict", model_path, tmp_path / "x.npy"])
    if kind.endswith("npz"):
        arguments = ["train", tmp_path / kind, "--epochs", 1, "--hidden", 2, "--verbose", 0]
    codes: Counter[int] = Counter()
    for _ in range(20_000 if LONG else 150):
        (tmp_path / kind).write_bytes(mutated(contents[kind], random_))
        codes[command(capsys, *arguments)[0]] += 1
    assert set(codes) <= {0, 2}
    assert codes[2]


# Without standard streams


SILENT = """
import os, sys
import numpy as np
import nnfast as nn

model = nn.Sequential([nn.layers.Input((2,)), nn.layers.Dense(1)], seed=0)
model.compile("sgd", "mse", metrics=["mae"])
x = np.ones((4, 2))
if sys.argv[1] == "none":
    sys.stdout = sys.stderr = None
elif sys.argv[1] == "closed":
    sys.stdout.close()
    sys.stderr.close()
for verbose in ("auto", 1, 2):
    history = model.fit(x, x[:, :1], epochs=2, validation_data=(x, x[:, :1]), verbose=verbose)
    model.evaluate(x, x[:, :1], verbose=verbose)
    model.predict(x, verbose=verbose)
    nn.compare.grid(model, x, x[:, :1], optimizers=["sgd"], batch_sizes=[2], verbose=verbose)
assert len(history.history["loss"]) == 2
os._exit(7)
"""


@pytest.mark.parametrize("how", ["none", "closed", "from the start"])
def test_without_standard_streams_everything_is_silent(how: str) -> None:
    if how == "from the start" and os.name != "posix":
        pytest.skip("streams are closed by the shell")
    command = [sys.executable, "-c", SILENT, how]
    if how == "from the start":
        command = ["sh", "-c", 'exec "$@" >&- 2>&-', "sh", *command]
    run = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert (run.returncode, run.stdout, run.stderr) == (7, "", "")


def test_a_stream_that_can_only_be_written_to(monkeypatch: pytest.MonkeyPatch) -> None:
    class Log:
        text = ""

        def write(self, text: str) -> None:
            self.text += text

    log = Log()
    monkeypatch.setattr(sys, "stdout", log)
    model = compiled()
    model.fit([[0.0, 1.0]], [1.0])
    assert "loss" in log.text


# Paths that cannot be written are refused before the training


@pytest.fixture
def places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder.png").mkdir()
    (tmp_path / "file").write_bytes(b"kept")
    if hasattr(os, "mkfifo"):
        os.mkfifo(tmp_path / "pipe.png")
    monkeypatch.setattr(nn.Sequential, "fit", lambda *_, **__: pytest.fail("a run has begun"))


UNWRITABLE = {
    "--save": ["no/where/m", "folder.png", "pipe.png", "file/m", "m" * 300, "m.h5", "/proc/m", ""],
    "--plot": [
        "no/where/c.png",
        "folder.png",
        "pipe.png",
        "file/c.png",
        "c" * 300 + ".png",
        "c.xyz",
        "/proc/c.png",
    ],
    "--out": ["file", "file/x", "/proc/x", "pipe.png"],
}


@pytest.mark.parametrize(
    ("option", "path"), [(option, path) for option in UNWRITABLE for path in UNWRITABLE[option]]
)
def test_paths_are_tried_before_the_training(
    option: str, path: str, places: None, capsys: pytest.CaptureFixture[str]
) -> None:
    before = sorted(os.listdir())
    for name in ("train", "compare", "thesis"):
        if (option == "--out") == (name != "train"):
            code, said = command(capsys, name, option, path)
            assert code == 2
            assert (
                "out" in said if name == "thesis" else option in said or "saved as a safetensors file" in said
            )
    assert sorted(os.listdir()) == before
    assert Path("file").read_bytes() == b"kept"


@pytest.mark.parametrize(
    "path", ["no/where/runs", "folder.png", "pipe.png", "file/runs", "r" * 300, "/proc/runs"]
)
def test_the_path_of_a_grid_is_tried_before_the_first_run(path: str, places: None) -> None:
    before = sorted(os.listdir())
    with pytest.raises(OSError, match=r"path|regular|directory"):
        grid(Path(path))
    assert sorted(os.listdir()) == before


def test_what_may_not_be_written_is_refused(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="--save: it cannot be written"):
        nn.files.paths.require_writable(tmp_path / "none" / "m", "--save")
    nn.files.paths.require_writable(tmp_path / "m", "--save")
    (tmp_path / "link").symlink_to("elsewhere")
    nn.files.paths.require_writable(tmp_path / "link", "--save")
    assert os.listdir(tmp_path) == ["link"]
