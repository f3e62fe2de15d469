"""Where a task's examples come from: the pocket world, the hub, or a folder of files."""

import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path

from tfew_pl.errors import UserError
from tfew_pl.hub import fetch
from tfew_pl.spec import HUB, POCKET
from tfew_pl.tasks import get_task
from tfew_pl.tasks.files import FORMATS, read_rows
from tfew_pl.tasks.schema import TEXT, conform
from tfew_pl.tasks.task import UNLABELED, Row, Task

__all__ = ["HUB", "POCKET", "TaskData", "load_data"]

_SHARD = re.compile(r"-\d+-of-\d+$")
"""How the name of one of several files of a split ends."""


@dataclass(frozen=True)
class TaskData:
    """A task's training and evaluation examples."""

    train: Sequence[Row]
    """The whole training list, from which the few-shot examples are drawn."""
    evaluation: Sequence[Row]
    """What accuracy is reported on."""

    @cached_property
    def fingerprint(self) -> str:
        """Digest of every example of both splits."""
        digest = hashlib.sha256()
        for rows in (self.train, self.evaluation):
            for row in rows:
                digest.update(json.dumps(row, sort_keys=True, default=str).encode())
            digest.update(b"\0")
        return digest.hexdigest()[:16]


def check_source(source: str) -> None:
    """Returns if examples may come from there.

    Raises:
        UserError: it is neither `pocket` nor `hub` nor a folder.
    """
    if source not in (POCKET, HUB) and not Path(source).is_dir():
        raise UserError(f"--data {source}: give {POCKET!r}, {HUB!r} or a folder with the datasets' files")


@lru_cache(maxsize=32)
def load_data(task: str, source: str) -> TaskData:
    """The examples of a task.

    Args:
        task: its name.
        source: `pocket` for the generated data that ships with the package, `hub` for the real dataset, or a folder
            with files of the real dataset, where what it lacks comes from the hub.

    Raises:
        UserError: the source is unknown or cannot be reached, or its fields are not those that the task needs.
    """
    known = get_task(task)
    check_source(source)
    if source == POCKET:
        data = _from_pocket(known)
    else:
        folder = None if source == HUB else Path(source)
        splits = (known.hub.train_split, known.hub.evaluation_split)
        data = TaskData(*(_real_rows(known, split, folder) for split in splits))
    for split, rows in (("training", data.train), ("evaluation", data.evaluation)):
        if not rows:
            raise UserError(f"task {task}: the {split} split from {source} is empty")
        missing = [field for field in known.fields if field not in rows[0]]
        if missing:
            raise UserError(
                f"task {task}: the {split} split from {source} lacks {', '.join(missing)}; it has {', '.join(rows[0])}"
            )
    unlabeled = next((index for index, row in enumerate(data.train) if known.label(row) == UNLABELED), None)
    if unlabeled is not None:
        raise UserError(f"task {task}: training example {unlabeled} from {source} has no label")
    return data


def _from_pocket(task: Task) -> TaskData:
    from tfew_pl.pocket import heldout, raft

    rows = raft.rows if task.name in raft.TASKS else heldout.rows
    return TaskData(rows(task.name, "train"), rows(task.name, "evaluation"))


def _real_rows(task: Task, split: str, folder: Path | None) -> list[Row]:
    files = _files_in(task, split, folder) if folder is not None else []
    files = files or _files_from_hub(task, split, folder)
    headings = task.hub.columns
    absent = task.hub.absent if split == task.hub.evaluation_split else {}
    types = {field: task.types.get(field, TEXT) for field in task.fields}
    rows: list[Row] = []
    for file in files:
        read = ({headings.get(name, name): value for name, value in row.items()} for row in read_rows(file))
        rows += conform(({**absent, **row} for row in read), types, f"task {task.name}: {file}")
    return rows


def _files_in(task: Task, split: str, folder: Path) -> list[Path]:
    """A split's files in a user's folder: under the dataset's id as on the hub, or under the task's name.

    Raises:
        UserError: there are several, and they are no numbered shards: a copy would count twice.
    """
    patterns = [f"{task.hub.id}/{pattern}" for pattern in task.hub.patterns(split)]
    patterns += [f"{task.name}/{task.hub.by_hand_files[split]}"] if split in task.hub.by_hand_files else []
    patterns += [f"{task.name}/{split}{shard}.{ending}" for ending in FORMATS for shard in ("", "-*")]
    found = next((found for pattern in patterns if (found := sorted(folder.glob(pattern)))), [])
    if len(found) > 1 and not all(_SHARD.search(path.stem) for path in found):
        names = ", ".join(path.name for path in found)
        raise UserError(f"task {task.name}: {found[0].parent} has several files of one split, {names}: leave one there")
    return found


def _files_from_hub(task: Task, split: str, folder: Path | None) -> list[Path]:
    source = task.hub
    looked = f" (nothing is in {folder / task.name})" if folder else ""
    if source.by_hand:
        raise UserError(f"task {task.name}: the hub does not give this dataset out{looked}; {source.by_hand}")
    patterns = source.patterns(split)
    snapshot = fetch(source.id, patterns, source.revision, what=f"task {task.name}{looked}", kind="dataset")
    files = sorted(path for pattern in patterns for path in snapshot.glob(pattern))
    if not files:
        raise UserError(
            f"task {task.name}: {source.id} at {source.revision or 'main'} has no file {' or '.join(patterns)} here; "
            f"`tfew data fetch {task.name}` downloads it"
        )
    return files
