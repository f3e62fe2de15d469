"""Archives of records: byte for byte, compact, whole or not at all."""

from pathlib import Path
from typing import Any

import pyarrow.parquet
import pytest

from tfew_pl.archive import ENDING, read_archive, write_archive
from tfew_pl.errors import UserError

CONTENTS = {
    "0" * 16: {"record.json": b"{}", "losses.parquet": bytes(range(256))},
    "f" * 16: {"record.json": b"", "adaptation.safetensors": b"x" * 10},
}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / f"table4{ENDING}"


def test_round_trip(path: Path) -> None:
    write_archive(path, CONTENTS)
    assert read_archive(path) == CONTENTS
    assert list(path.parent.iterdir()) == [path]


def test_the_same_contents_give_the_same_bytes(path: Path, tmp_path: Path) -> None:
    write_archive(path, CONTENTS)
    reordered = {digest: dict(reversed(files.items())) for digest, files in reversed(CONTENTS.items())}
    write_archive(tmp_path / "other", reordered)
    assert path.read_bytes() == (tmp_path / "other").read_bytes()


def test_what_runs_share_costs_next_to_nothing(path: Path) -> None:
    shared = bytes(i * i % 251 for i in range(20_000))
    write_archive(path, {f"{i:016x}": {"predictions.parquet": shared + bytes([i])} for i in range(50)})
    assert path.stat().st_size < 2 * len(shared)


def test_a_changed_archive_is_read_anew(path: Path) -> None:
    write_archive(path, CONTENTS)
    assert len(read_archive(path)) == 2
    write_archive(path, {"0" * 16: {"record.json": b"another"}})
    assert read_archive(path) == {"0" * 16: {"record.json": b"another"}}


def test_what_is_no_archive_is_one_message(path: Path) -> None:
    path.write_bytes(b"PAR1 not really")
    with pytest.raises(UserError, match=r"table4\.archive\.parquet: not a readable archive of records"):
        read_archive(path)


def test_a_failure_leaves_the_old_archive_and_nothing_else(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_archive(path, CONTENTS)

    def full(table: Any, where: Path, **_: Any) -> None:
        where.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(pyarrow.parquet, "write_table", full)
    with pytest.raises(UserError, match=r"cannot write .*table4.*: No space left on device"):
        write_archive(path, {})
    assert list(path.parent.iterdir()) == [path]
    assert read_archive(path) == CONTENTS
