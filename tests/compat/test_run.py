"""`nnfast run`: a script finds what Python would give it, with nnfast in the place of Keras."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = """\
import sys
import beside
from tensorflow.keras.layers import Dense

def build(units):
    return Dense(units, activatoin="relu")

print(sys.argv, __name__, sys.path[0], __file__)
import __main__
assert __main__.Dense is Dense
{}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "beside.py").write_text("")
    return tmp_path


def run(
    folder: Path, line: str, *arguments: str, how: str = "script", stdin: str = ""
) -> subprocess.CompletedProcess[str]:
    script = folder / "in" / "script.py"
    script.write_text(SCRIPT.format(line))
    given = {"script": ["in/script.py"], "module": ["-m", "script"], "code": ["-c", line], "stdin": ["-"]}[
        how
    ]
    return subprocess.run(
        [sys.executable, "-m", "nnfast", "run", *given, *arguments],
        cwd=folder / "in" if how == "module" else folder,
        input=stdin,
        capture_output=True,
        text=True,
        check=False,
    )


def test_arguments_path_and_name(folder: Path) -> None:
    done = run(folder, "", "--epochs", "3", "-h")
    script = folder / "in" / "script.py"
    assert done.stdout == f"{['in/script.py', '--epochs', '3', '-h']} __main__ {folder / 'in'} {script}\n"
    assert (done.returncode, done.stderr) == (0, "")


def test_module_code_and_standard_input(folder: Path) -> None:
    assert " __main__ " in run(folder, "", "x", how="module").stdout
    assert run(folder, "import keras, sys; print(sys.argv)", "x", how="code").stdout == "['-c', 'x']\n"
    assert (
        run(folder, "", "x", how="stdin", stdin="import keras, sys; print(sys.argv)").stdout == "['-', 'x']\n"
    )
    assert run(folder, "print(sys.stdin.read())", stdin="typed").stdout.endswith("typed\n")


@pytest.mark.parametrize(
    ("line", "code"), [("sys.exit(7)", 7), ("sys.exit('no')", 1), ("raise SystemExit", 0), ("1 / 0", 1)]
)
def test_exit_codes(folder: Path, line: str, code: int) -> None:
    assert run(folder, line).returncode == code


@pytest.mark.skipif(sys.platform == "win32", reason="Ctrl-C ends a process by a signal")
def test_an_interrupt_ends_the_process_as_python_does(folder: Path) -> None:
    assert run(folder, "raise KeyboardInterrupt").returncode == -2


@pytest.mark.parametrize("how", ["script", "module"])
def test_a_traceback_shows_the_lines_of_the_script_only(folder: Path, how: str) -> None:
    error = run(folder, "try:\n    {}['a']\nexcept KeyError:\n    build(3)", how=how).stderr
    files = [line.split('"')[1] for line in error.splitlines() if line.startswith("  File ")]
    assert files == [str(folder / "in" / "script.py")] * 3
    assert "During handling of the above exception" in error
    assert error.splitlines()[-1].startswith(
        "TypeError: Dense() has no argument 'activatoin'. Did you mean 'activation'?"
    )


def test_errors_before_the_script_begins(folder: Path) -> None:
    command = [sys.executable, "-m", "nnfast", "run"]
    missing = subprocess.run([*command, "nope.py"], cwd=folder, capture_output=True, text=True, check=False)
    assert missing.returncode == 2
    assert (
        missing.stderr
        == f"nnfast: can't open file {str(folder / 'nope.py')!r}: [Errno 2] No such file or directory\n"
    )
    assert subprocess.run(command, capture_output=True, check=False).returncode == 2
    (folder / "bad.py").write_text("x = (\n")
    wrong = subprocess.run([*command, "bad.py"], cwd=folder, capture_output=True, text=True, check=False)
    assert wrong.returncode == 1
    assert wrong.stderr.startswith(f'  File "{folder / "bad.py"}", line 1')


def test_a_whole_script_of_keras(folder: Path) -> None:
    (folder / "train.py").write_text(
        """\
import numpy as np
import tensorflow as tf
from keras.layers.core import Dense
from keras.models import Sequential
from keras.utils import np_utils

np.random.seed(0)
tf.random.set_seed(0)
x = np.random.rand(60, 3)
y = np_utils.to_categorical((x.sum(1) > 1.5).astype(int), 2)
model = Sequential()
model.add(Dense(8, input_dim=3, init="he_normal", activation=tf.nn.tanh))
model.add(Dense(2, activation="softmax"))
model.compile(loss="categorical_crossentropy", optimizer="adam", metrics=["accuracy"])
history = model.fit(x, y, nb_epoch=4, batch_size=10, verbose=0)
print(len(history.epoch), model.predict_classes(x).shape)
"""
    )
    done = subprocess.run(
        [sys.executable, "-m", "nnfast", "run", "train.py"],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout == "4 (60,)\n", done.stderr
    assert [
        line.partition("FutureWarning: ")[2].partition(" ")[0]
        for line in done.stderr.splitlines()
        if "FutureWarning" in line
    ] == [
        "keras.layers.core",
        "keras.utils.np_utils",
        "Dense(init=...)",
        "fit(nb_epoch=...)",
        "predict_classes",
    ]
