"""The command line: what it prints, what it writes, and one line for each mistake."""

from __future__ import annotations

import csv
import sys
from pathlib import Path

import numpy as np
import pytest

import nnfast as nn
from nnfast import cli
from nnfast.compare import display


def run(*arguments: object) -> int:
    return cli.main([str(argument) for argument in arguments])


def test_no_arguments_train_the_digits(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("train", "--epochs", 2) == 0
    out = capsys.readouterr().out
    assert "Total weights: 9,610" in out
    assert "digits: 1352 rows to train on, 445 to test on" in out
    assert "test   loss" in out
    assert "accuracy" in out
    assert "rows per second" in out


@pytest.mark.parametrize("backend", ["native", "reference"])
def test_all_options(backend: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("matplotlib").use("Agg")
    model, curve = tmp_path / "m.safetensors", tmp_path / "c.png"
    options = "--hidden 16 8 --activation tanh --optimizer sgd --learning-rate 0.1 --batch-size 50 --epochs 3 --seed 5"
    options += f" --validation-split 0.2 --normalize l2 --verbose 0 --backend {backend} --save {model} --plot {curve}"
    assert run("train", "digits", *options.split()) == 0
    assert "Epoch" not in capsys.readouterr().out
    loaded = nn.load_model(model)
    assert [w.shape for w in loaded.get_weights()] == [(64, 16), (16,), (16, 8), (8,), (8, 10), (10,)]
    assert loaded.seed == 5
    assert loaded.trainer.backend == backend
    assert float(loaded.optimizer.learning_rate) == pytest.approx(0.1)
    assert curve.read_bytes().startswith(b"\x89PNG")


def write_csv(path: Path, rows: list[list[object]], delimiter: str = ",") -> Path:
    with path.open("w", newline="") as file:
        csv.writer(file, delimiter=delimiter).writerows(rows)
    return path


def flowers(named: bool) -> list[list[object]]:
    rng = np.random.default_rng(0)
    rows: list[list[object]] = [["width", "kind", "height"]]
    for i in range(200):
        kind = i % 2
        rows.append(
            [rng.normal(3 * kind), ["setosa", "virginica"][kind] if named else kind, rng.normal(-2 * kind)]
        )
    return rows


def test_csv_with_class_names_and_predict(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table = write_csv(tmp_path / "flowers.csv", flowers(named=True), ";")
    model = tmp_path / "m.safetensors"
    assert run("train", table, "--target", "kind", "--epochs", 20, "--verbose", 0, "--save", model) == 0
    assert "classification" in capsys.readouterr().out
    assert run("predict", model, table) == 0
    predicted = capsys.readouterr().out.split()
    right = [row[1] for row in flowers(named=True)[1:]]
    assert np.mean([a == b for a, b in zip(predicted, right, strict=True)]) > 0.9


def test_csv_regression_and_npz(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rng = np.random.default_rng(0)
    x = rng.standard_normal((300, 3))
    y = x @ [1.0, -2.0, 0.5] + 3
    table = write_csv(tmp_path / "t.csv", [["a", "b", "c", "y"], *np.column_stack([x, y]).tolist()])
    assert run("train", table, "--target", "y", "--epochs", 60, "--verbose", 0) == 0
    out = capsys.readouterr().out
    assert "regression" in out
    assert float(out.split("test   loss ")[1].split()[0]) < 0.2
    np.savez(tmp_path / "t.npz", x=x, y=(y > 3).astype(int))
    model = tmp_path / "m"
    assert run("train", tmp_path / "t.npz", "--epochs", 30, "--verbose", 0, "--save", model) == 0
    assert "classification" in capsys.readouterr().out
    assert run("predict", model, tmp_path / "t.npz") == 0
    assert np.mean(np.array(capsys.readouterr().out.split(), int) == (y > 3)) > 0.9


def test_info(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("info") == 0
    out = capsys.readouterr().out
    for part in ("nnfast", nn.__version__, "instruction set", "cores", "compiler"):
        assert part in out


MISTAKES = {
    "no such data set": (["train", "mnits"], "data: expected digits, mnist"),
    "no such file": (["train", "absent.csv", "--target", "y"], "absent.csv"),
    "no target": (["train", "t.csv"], "--target: expected the column to be predicted, one of a, y"),
    "wrong target": (["train", "t.csv", "--target", "z"], "--target: expected one of a, y, received 'z'"),
    "text in a column": (
        ["train", "text.csv", "--target", "y"],
        "row 3, column 'a': expected a number, received 'x'",
    ),
    "ragged": (
        ["train", "ragged.csv", "--target", "y"],
        "row 3: expected 2 columns as in the header, received 1",
    ),
    "header only": (["train", "header.csv", "--target", "y"], "expected rows below the header"),
    "empty": (["train", "empty.csv", "--target", "y"], "expected a CSV file with a header line"),
    "few rows": (["train", "few.csv", "--target", "y"], "expected at least 4 rows"),
    "optimizer": (["train", "--optimizer", "adma"], "adam"),
    "no npz": (["train", "no.npz"], "expected an .npz file"),
    "npz without y": (["train", "x.npz"], "expected arrays x and y, received x"),
    "no model": (["predict", "absent", "t.csv"], "absent"),
    "not a model": (["predict", "t.csv", "t.csv"], "expected a"),
    "save into nowhere": (["train", "--epochs", "1", "--verbose", "0", "--save", "no/where/m"], "no/where"),
    "labels as values": (["train", "float.npz", "--task", "classification"], "expected labels 0, 1, 2"),
    "no mnist": (["train", "mnist", "--data-dir", "."], "mnist"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_mistakes_end_in_one_line(
    mistake: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("NNFAST_DATA_DIR", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    for variable in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.setenv(variable, "http://127.0.0.1:9")  # no network
    write_csv(tmp_path / "t.csv", [["a", "y"], *[[i, i] for i in range(9)]])
    write_csv(tmp_path / "text.csv", [["a", "y"], [1, 2], ["x", 3]])
    write_csv(tmp_path / "ragged.csv", [["a", "y"], [1, 2], [3]])
    write_csv(tmp_path / "header.csv", [["a", "y"]])
    write_csv(tmp_path / "few.csv", [["a", "y"], [1, 2]])
    (tmp_path / "empty.csv").touch()
    (tmp_path / "no.npz").write_bytes(b"PK?")
    np.savez(tmp_path / "x.npz", x=np.zeros(3))
    np.savez(tmp_path / "float.npz", x=np.zeros((9, 2)), y=np.linspace(0, 1, 9))
    arguments, message = MISTAKES[mistake]
    assert run(*arguments) == 2
    captured = capsys.readouterr()
    assert captured.err.startswith("nnfast: ")
    assert message in captured.err
    assert captured.err.count("\n") == 1


@pytest.mark.parametrize(
    "arguments",
    [
        ["compare", "--batch-sizes", "all"],
        ["train", "--epochs", "0"],
        ["train", "--validation-split", "1"],
        ["fly"],
        [],
    ],
)
def test_wrong_options(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as exit_code:
        run(*arguments)
    assert exit_code.value.code == 2
    assert "error:" in capsys.readouterr().err


def test_compare(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("matplotlib").use("Agg")
    out = tmp_path / "a" / "b"
    options = "--hidden 8 --epochs 2 --batch-sizes 64 full --optimizers sgd adam --learning-rates 0.01 0.1 --repeats 2"
    assert run("compare", "digits", *options.split(), "--seed", 3, "--out", out) == 0
    printed = capsys.readouterr().out
    assert "digits: 1352 rows to train on, 445 to test on" in printed
    assert "16/16 - " in printed
    assert "test_accuracy" in printed
    assert sorted(path.name for path in out.iterdir()) == [
        "comparison.csv",
        "comparison.json",
        "comparison.png",
        "runs.jsonl",
    ]
    with (out / "comparison.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 16
    assert {row["learning_rate"] for row in rows} == {"0.01", "0.1"}
    assert {row["seed"] for row in rows} == {"3", "4"}
    assert [row["batch_size"] for row in rows[:5]] == ["64"] * 4 + ["1352"]
    # once more: nothing is left to do, also where there is no matplotlib
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)
    assert run("compare", "digits", *options.split(), "--seed", 3, "--out", out) == 0
    printed = capsys.readouterr().out
    assert "16 of 16 runs were finished before." in printed
    assert "drew nothing. plot: expected matplotlib" in printed
    assert run("compare", "digits", *options.split(), "--seed", 4, "--out", out) == 2
    assert "holds the runs of another grid" in capsys.readouterr().err


def test_compare_without_options_is_a_regression_where_the_target_is(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = write_csv(tmp_path / "flowers.csv", flowers(named=False))
    assert run("compare", file, "--target", "height", "--epochs", 1, "--verbose", 0) == 0
    table = capsys.readouterr().out.splitlines()[-9:]
    assert "test_mean_absolute_error" in table[0] or "test_mae" in table[0]
    assert [line.split()[:2] for line in table[1:]] == [
        [optimizer, size] for optimizer in ("sgd", "adam") for size in ("8", "32", "128", "150")
    ]


def test_ctrl_c_in_a_comparison(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupt(*args: object, **kwargs: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(display.Display, "finished", interrupt)
    assert run("compare", "--epochs", 1, "--out", tmp_path, "--verbose", 0) == 130
    assert "interrupted. " in (err := capsys.readouterr().err)
    assert "the same call goes on" in err


def test_ctrl_c(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def interrupt(*args: object, **kwargs: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(nn.Sequential, "fit", interrupt)
    assert run("train") == 130
    assert "interrupted" in capsys.readouterr().err


def test_help_is_complete(capsys: pytest.CaptureFixture[str]) -> None:
    for arguments in (
        ["--help"],
        ["train", "--help"],
        ["compare", "--help"],
        ["predict", "--help"],
        ["info", "--help"],
    ):
        with pytest.raises(SystemExit) as exit_code:
            run(*arguments)
        assert exit_code.value.code == 0
    out = capsys.readouterr().out
    for option in ("--target", "--hidden", "--allow-pip", "--plot", "--batch-sizes", "--out", "MODEL"):
        assert option in out
