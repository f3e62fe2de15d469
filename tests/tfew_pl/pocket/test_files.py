"""The generated held-out tasks as files: what `--data` reads is what was written."""

from pathlib import Path

import pytest

from tfew_pl.pocket import files, heldout
from tfew_pl.tasks import get_task
from tfew_pl.tasks.data import load_data


@pytest.mark.parametrize("split", ["development", "evaluation"])
def test_what_is_written_is_what_is_read(tmp_path: Path, split: heldout.Split) -> None:
    for name, lines in files.contents(split).items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(lines)
    for task in heldout.TASKS:
        data, fields = load_data(task, str(tmp_path)), get_task(task).fields
        for read, source in ((data.train, "train"), (data.evaluation, split)):
            rows = heldout.rows(task, source)
            assert [[row[field] for field in fields] for row in read] == [
                [row[field] for field in fields] for row in rows
            ]
