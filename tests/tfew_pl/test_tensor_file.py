import os
from pathlib import Path

import pytest
import torch
from safetensors import SafetensorError
from safetensors.torch import save

from tfew_pl.tensor_file import read_tensor_file


def content(step: int, note: str = "") -> bytes:
    return save({"x": torch.full((64,), float(step))}, {"step": str(step), "note": note})


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "state.safetensors"
    path.write_bytes(content(1))
    return path


@pytest.mark.parametrize("note", ["", "longer" * 20])
def test_a_file_that_is_replaced_while_it_is_read_is_read_whole(
    path: Path, note: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between header and tensors: with the same size they would be of two files, with a longer header shifted."""
    waiting = [content(2, note)]
    _before_the_tensors(monkeypatch, lambda: waiting and _replace(path, waiting.pop()))
    metadata, tensors = read_tensor_file(path)
    assert not waiting
    assert metadata["step"] == "2"
    assert tensors["x"].tolist() == [2.0] * 64


def test_a_file_that_is_removed_while_it_is_read_was_not_there(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _before_the_tensors(monkeypatch, lambda: path.unlink(missing_ok=True))
    with pytest.raises(FileNotFoundError, match=r"state\.safetensors"):
        read_tensor_file(path)


def test_what_it_cannot_read_stays_an_error(path: Path) -> None:
    path.write_bytes(b"no tensors at all")
    with pytest.raises(SafetensorError):
        read_tensor_file(path)
    path.unlink()
    with pytest.raises(FileNotFoundError):
        read_tensor_file(path)


def _replace(path: Path, content: bytes) -> None:
    beside = path.with_name("beside")
    beside.write_bytes(content)
    os.replace(beside, path)


def _before_the_tensors(monkeypatch: pytest.MonkeyPatch, action: object) -> None:
    """safetensors opens the file again by this, once it has the header."""
    opened = torch.UntypedStorage.from_file

    def from_file(*arguments: object, **named: object) -> object:
        action()  # type: ignore[operator]
        return opened(*arguments, **named)

    monkeypatch.setattr(torch.UntypedStorage, "from_file", from_file)
