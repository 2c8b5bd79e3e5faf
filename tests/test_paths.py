"""A path that cannot be written is refused before any work, and nothing is left behind."""

from __future__ import annotations

import os

import pytest

from nnfast.paths import check_writable


def test_what_can_be_written_stays_as_it_is(tmp_path) -> None:
    file = tmp_path / "old.txt"
    file.write_text("kept")
    (tmp_path / "link.txt").symlink_to(file)
    (tmp_path / "dangling.txt").symlink_to(tmp_path / "new.txt")
    for name in ("old.txt", "link.txt", "dangling.txt", "new.txt", "ä b.safetensors"):
        check_writable(tmp_path / name)
        check_writable(str(tmp_path / name), "filepath", replace=False)
    assert file.read_text() == "kept"
    assert sorted(os.listdir(tmp_path)) == ["dangling.txt", "link.txt", "old.txt"]


def test_a_name_alone_is_in_the_working_folder(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    check_writable("model.safetensors")
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize(
    ("path", "error", "message"),
    [
        ("", ValueError, "save must name a file, got ''"),
        ("a\0b", ValueError, "save must name a file"),
        (None, TypeError, "save must be a str or a path, got None"),
        (3, TypeError, "save must be a str or a path, got 3"),
        (b"model", TypeError, "save must be a str or a path, got b'model'"),
        ("{}", IsADirectoryError, "save must be a file, this is a folder"),
        ("{}/new/", IsADirectoryError, "save must be a file, this is a folder"),
        ("{}/missing/model", FileNotFoundError, "save cannot be written, its folder does not exist"),
        ("{}/file/model", NotADirectoryError, "save cannot be written, Not a directory"),
        ("{}/" + 300 * "n", OSError, "save cannot be written, File name too long"),
    ],
    ids=str,
)
def test_what_cannot(tmp_path, path, error: type[Exception], message: str) -> None:
    (tmp_path / "file").write_text("")
    if isinstance(path, str):
        path = path.format(tmp_path)
    for replace in (True, False):
        with pytest.raises(error, match=message):
            check_writable(path, "save", replace)
    assert os.listdir(tmp_path) == ["file"]


@pytest.mark.skipif(not os.path.isdir("/proc/self"), reason="needs a file system that takes no files")
def test_a_file_system_that_takes_no_files() -> None:
    with pytest.raises(OSError, match="path cannot be written"):
        check_writable("/proc/self/model.safetensors")


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write everywhere")
def test_no_permission(tmp_path) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "file").chmod(0o400)
    with pytest.raises(PermissionError, match="path cannot be written, Permission denied"):
        check_writable(tmp_path / "file")
    tmp_path.chmod(0o500)
    with pytest.raises(PermissionError, match="path cannot be written, Permission denied"):
        check_writable(tmp_path / "new")
    tmp_path.chmod(0o700)
