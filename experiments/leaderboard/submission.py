"""Somebody else's records: checked, then kept in a store of their own."""

import itertools
import re
import tempfile
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

from experiments.leaderboard.board import OURS
from experiments.leaderboard.correct_choices import contradiction, data, witnesses
from experiments.leaderboard.describe import variant
from experiments.leaderboard.foreign_archive import unpack
from experiments.leaderboard.foreign_record import InvalidRecordError, read
from experiments.leaderboard.names import alike, is_plain
from experiments.leaderboard.versions import mixed_versions, specs_of
from tfew_pl.archive import ENDING
from tfew_pl.errors import UserError
from tfew_pl.record import RunRecord
from tfew_pl.spec import ZERO_SHOT
from tfew_pl.store import CHECKPOINTS, FAILURES, LEASES, LOGS, RunStore
from tfew_pl.tasks import TASKS
from tfew_pl.tasks.splits import OFFICIAL_SEEDS

_LONGEST_NAME = 80
_SHOWN = 12
"""Problems that a message lists; of more it gives the number."""
_BESIDE_RECORDS = {CHECKPOINTS, FAILURES, LEASES, LOGS}
"""What runners leave in a store for each other."""


def submissions(folder: Path) -> dict[str, RunStore]:
    """The stores of all submissions by the name of who made them."""
    if not folder.is_dir():
        return {}
    return {path.name: RunStore(path) for path in sorted(folder.iterdir()) if path.is_dir() and _is_name(path.name)}


def submit(folder: Path, name: str, into: Path, ours: RunStore | None = None) -> tuple[Path, int]:
    """Checks a folder of records and copies them, without adaptations, to `into/name`.

    Args:
        folder: a store as `tfew grid` and `tfew store pack` write it.
        name: of who made them, as the leaderboard shows it.
        into: folder of the submissions.
        ours: the records that it will stand beside, with those of the other submissions.

    Returns:
        The new store's folder and the number of records.

    Raises:
        UserError: the name cannot be used, anything is wrong with the records, or they were made on other data than
            those that they would stand beside; nothing is written.
    """
    if not _is_name(name) or alike(name, OURS):
        raise UserError(
            f"--name {name!r}: give 1 to {_LONGEST_NAME} printable characters, without slashes, not starting with a "
            f"dot, with single spaces between words only, and other than {OURS!r}"
        )
    target = into / name
    there = submissions(into)
    if known := next((other for other in there if alike(name, other)), None):
        raise UserError(f"there is a submission {known!r} already; choose another --name, or remove {into / known}")
    if target.exists():
        raise UserError(f"there is something else at {target}; choose another --name, or remove it")
    records = [(name, record) for record in checked(folder)]
    stores = {**({} if ours is None else {OURS: ours}), **there}
    runs = itertools.chain.from_iterable(itertools.starmap(specs_of, stores.items()))
    theirs = ((name, record.spec) for _, record in records)
    mixed = mixed_versions(itertools.chain(runs, theirs)) or contradiction(
        itertools.chain(witnesses(stores, {data(record.spec) for _, record in records}), records)
    )
    if mixed:
        raise UserError(f"{folder}: nothing was added: {mixed}; only runs on the same data can stand side by side")
    try:
        into.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=into, prefix=".unfinished-") as temporary:
            store = RunStore(Path(temporary) / "records")
            for _, record in records:
                store.save(record)
            store.folder.rename(target)
    except OSError as error:
        raise UserError(f"cannot write to {into}: {error.strerror or error}") from error
    return target, len(records)


def checked(folder: Path) -> list[RunRecord]:
    """The records of a folder, if all of them are as `tfew grid` writes them and no run is missing.

    Raises:
        UserError: there is none, or something is wrong; the message lists the problems.
    """
    try:
        entries = sorted(folder.iterdir())
    except OSError as error:
        raise UserError(f"cannot read {folder}: {error.strerror or error}") from error
    records, problems = [], []
    with ExitStack() as scratch:
        folders = []
        for entry in entries:
            if entry.name.startswith(".") or entry.name in _BESIDE_RECORDS:
                continue  # the first is what a writer left behind
            if not entry.name.endswith(ENDING):
                folders.append((entry.name, entry))
                continue
            unpacked = Path(scratch.enter_context(tempfile.TemporaryDirectory()))
            try:
                folders += [(f"{entry.name}, {path.name}", path) for path in unpack(entry, unpacked)]
            except InvalidRecordError as problem:
                problems.append(f"{entry.name}: {problem}")
        for name, path in folders:
            try:
                records.append(read(path))
            except InvalidRecordError as problem:
                problems.append(f"{name}: {problem}")
    if not problems:
        problems = [*_repeated(records), *_missing_runs(records)]
    if not records and not problems:
        raise UserError(f"{folder} holds no record; give the folder that `tfew grid --store` wrote")
    if problems:
        count = "1 problem" if len(problems) == 1 else f"{len(problems)} problems"
        listed = "".join(f"\n  {problem}" for problem in problems[:_SHOWN])
        more = f"\n  and {len(problems) - _SHOWN} more" if len(problems) > _SHOWN else ""
        raise UserError(f"{folder}: {count}, nothing was added{listed}{more}")
    return records


def _is_name(name: str) -> bool:
    return 0 < len(name) <= _LONGEST_NAME and is_plain(name) and not re.search(r"^\.|[/\\]", name)


def _repeated(records: Sequence[RunRecord]) -> Iterator[str]:
    """A run must be there once, in a folder or in an archive."""
    for digest, times in Counter(record.spec.digest for record in records).items():
        if times > 1:
            yield f"{digest}: {times} records of one run"


def _missing_runs(records: Sequence[RunRecord]) -> Iterator[str]:
    """Every method must have been run on every task, with every official seed and no other."""
    seeds: dict[str, dict[str, set[int]]] = defaultdict(lambda: defaultdict(set))
    labels: dict[str, str] = {}
    for record in records:
        key = variant(record.spec)
        labels[key] = f"{record.spec.method} ({record.spec.backbone})"
        seeds[key][record.spec.task].add(record.spec.seed)
        if record.spec.method == ZERO_SHOT:
            seeds[key][record.spec.task] = set(OFFICIAL_SEEDS)  # it sees no split
    for key, by_task in seeds.items():
        if absent := [task for task in TASKS if task not in by_task]:
            yield f"{labels[key]}: no run on {', '.join(absent)}"
        for task, found in by_task.items():
            if found != set(OFFICIAL_SEEDS):
                yield (
                    f"{labels[key]} on {task}: seeds {', '.join(map(str, sorted(found)))}, "
                    f"expected {', '.join(map(str, OFFICIAL_SEEDS))}"
                )
