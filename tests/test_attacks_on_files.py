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
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors
from safetensors.numpy import load, save

import nnfast as nn
from nnfast import cli, saving
from nnfast.errors import ModelFileError

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
        saving._load(io.BytesIO(content), len(content))


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
                content[at] = random_.randrange(256)
            elif how == 1:
                content[at] = random_.choice(b'0123456789-.,:[]{}" eE\\')
            elif how == 2:
                del content[at : at + random_.choice((1, 4, 8))]
            else:
                content[at:at] = content[at : at + random_.choice((1, 4, 40))]
            length = max(1, min(length, len(content) - 9))
        data = bytes(content)
        try:
            _, shapes = nn.tensorfile.read_header(io.BytesIO(data), len(data))
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
    with pytest.raises(
        ValueError, match=r"path: expected a name such as model\.safetensors, got .*m\."
    ) as caught:
        compiled().save(tmp_path / name.lower())
    assert "safetensors only" in str(caught.value)
    assert not list(tmp_path.iterdir())


# overwrite=False

RACE = """
import sys
import tempfile
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
