"""Where a task's examples come from: the pocket world or the hub."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache

from tfew_pl.errors import UserError
from tfew_pl.hub import require_hub
from tfew_pl.tasks import get_task
from tfew_pl.tasks.task import UNLABELED, Row, Task

POCKET = "pocket"
HUB = "hub"


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


@lru_cache(maxsize=32)
def load_data(task: str, source: str) -> TaskData:
    """The examples of a task.

    Args:
        task: its name.
        source: `pocket` for the generated data that ships with the package, `hub` for the real dataset.

    Raises:
        UserError: the source is unknown or cannot be reached, or a field that the task needs is missing.
    """
    known = get_task(task)
    if source == POCKET:
        data = _from_pocket(known)
    elif source == HUB:
        data = _from_hub(known)
    else:
        raise UserError(f"--data {source}: give {POCKET!r} or {HUB!r}")
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


def _from_hub(task: Task) -> TaskData:
    if task.hub.by_hand:
        raise UserError(f"task {task.name}: the hub does not give this dataset out; {task.hub.by_hand}")
    require_hub("--data hub")
    import datasets

    try:
        loaded = [
            datasets.load_dataset(task.hub.id, task.hub.config, split=split)
            for split in (task.hub.train_split, task.hub.evaluation_split)
        ]
    except (OSError, ValueError, datasets.exceptions.DatasetsError) as error:
        reason = str(error).splitlines()[0]
        raise UserError(
            f"task {task.name}: cannot load {task.hub.id} from the hub ({reason}); "
            f"check the connection, or leave --data out to use the pocket data"
        ) from error
    return TaskData(*(list(split) for split in loaded))
