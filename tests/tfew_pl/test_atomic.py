"""Files and folders that appear complete or not at all."""

from pathlib import Path

import pytest

from tfew_pl import atomic
from tfew_pl.atomic import new_file, new_folder
from tfew_pl.errors import UserError


def entries(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_file_is_replaced_whole(tmp_path: Path) -> None:
    path, other = tmp_path / "file", tmp_path / "other"
    other.mkdir()
    for content, beside in (("first", None), ("second", other)):
        with new_file(path, beside) as unfinished:
            assert unfinished.parent == tmp_path
            unfinished.write_text(content)
        assert path.read_text() == content

    def fail() -> None:
        with new_file(path) as unfinished:
            unfinished.write_text("third")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert path.read_text() == "second"
    assert entries(tmp_path) == ["file", "other"]


def test_a_folder_is_replaced_whole(tmp_path: Path) -> None:
    path = tmp_path / "folder"
    for content in ("first", "second"):
        with new_folder(path, overwrite=True) as unfinished:
            (unfinished / "file").write_text(content)
        assert (path / "file").read_text() == content
    assert entries(tmp_path) == ["folder"]
    with (
        pytest.raises(UserError, match=r"cannot write .*folder: .*; nothing was left behind"),
        new_folder(path) as again,
    ):
        (again / "file").write_text("third")
    assert (path / "file").read_text() == "second"


def test_an_interruption_between_the_old_folder_and_the_new_keeps_the_old(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "folder"
    path.mkdir()
    (path / "file").write_text("old")

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(atomic.os, "rename", interrupted)
    with pytest.raises(KeyboardInterrupt), new_folder(path, overwrite=True) as unfinished:
        (unfinished / "file").write_text("new")
    assert (path / "file").read_text() == "old"
    assert entries(tmp_path) == ["folder"]
    assert entries(path) == ["file"]
