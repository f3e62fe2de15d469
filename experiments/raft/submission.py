"""The folder that is handed in to RAFT's leaderboard: `data/TASK/predictions.csv`, columns ID and Label."""

import csv
import io
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

from tfew_pl.errors import UserError
from tfew_pl.record import RunRecord
from tfew_pl.spec import HUB, POCKET, RunSpec
from tfew_pl.tasks import RAFT_TASKS, task_of
from tfew_pl.tasks.data import check_source, load_data
from tfew_pl.tasks.raft.task import ID, LABEL, SHOTS, RaftTask

FILE = "predictions.csv"
_MARK = "\ufeff"
_LONGEST = 20
"""Characters of an ID in a message."""


@dataclass(frozen=True)
class Expected:
    """What a task's file must hold."""

    ids: Sequence[int]
    """Of the test rows; each exactly once."""
    labels: Sequence[str]


def expected(data: str) -> dict[str, Expected]:
    """What the files of all tasks must hold.

    Args:
        data: `pocket` for the generated data; `hub` or a folder stands for the real test sets, whose ids follow those
            of the 50 training examples.

    Raises:
        UserError: it is none of these.
    """
    check_source(data)
    found = {}
    for name, task in RAFT_TASKS.items():
        labels = task.configured(data, {}).labels
        if data == POCKET:
            ids: Sequence[int] = [row[ID] for row in load_data(name, data).evaluation]
        else:
            ids = range(SHOTS, SHOTS + task.test_rows)
        found[name] = Expected(ids, labels)
    return found


def predictions_csv(record: RunRecord) -> str:
    """The content of a task's file.

    Raises:
        UserError: the run was not measured on all of the test set.
    """
    spec, task = record.spec, task_of(record.spec)
    rows = load_data(spec.task, spec.data).evaluation
    table = record.predictions.set_index("example")["predicted"]
    if spec.evaluation.fold is not None or len(table) != len(rows) or not isinstance(task, RaftTask):
        raise UserError(f"{spec.label()}: it was measured on {len(table)} examples, not on the {len(rows)} of the test")
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow([ID, LABEL])
    writer.writerows((row[ID], task.labels[table[example]]) for example, row in enumerate(rows))
    return out.getvalue()


def write_submission(records: Sequence[RunRecord], folder: Path) -> None:
    """Writes the folder, complete and valid or not at all.

    Args:
        records: a run on each task.
        folder: made if it is not there; it must not hold predictions yet.

    Raises:
        UserError: a record does not fit, its test set is not that of the leaderboard, or the folder cannot be written.
    """
    target = folder / "data"
    if target.exists():
        raise UserError(f"{target} is there already: give another --out, from which files can be copied into it")
    tasks = expected(records[0].spec.data)
    for record in records:
        _check_test_set(record.spec, tasks[record.spec.task])
    contents = {record.spec.task: predictions_csv(record) for record in records}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder, prefix=".unfinished-") as name:
            for task, content in contents.items():
                path = Path(name, "data", task, FILE)
                path.parent.mkdir(parents=True)
                path.write_text(content, encoding="utf-8")
            check_submission(Path(name), tasks)
            Path(name, "data").rename(target)
    except OSError as error:
        raise UserError(f"cannot write {target}: {error.strerror or error}") from error


def _check_test_set(spec: RunSpec, known: Expected) -> None:
    ids = [row[ID] for row in load_data(spec.task, spec.data).evaluation]
    if sorted(ids) != sorted(known.ids):
        raise UserError(
            f"task {spec.task}: the test set from {spec.data} has {len(ids):,} rows of IDs {min(ids)} to {max(ids)}, "
            f"the leaderboard's has {len(known.ids):,} of {min(known.ids)} to {max(known.ids)}"
        )


def validate(folder: Path, data: str) -> dict[str, Expected]:
    """Checks a folder as `check_submission` does, and returns what the files of all tasks hold.

    Args:
        folder: with a folder `data`.
        data: as for `expected`.

    Raises:
        UserError: as `check_submission`; of a folder that is valid for other data it says that alone.
    """
    tasks = expected(data)
    try:
        check_submission(folder, tasks)
    except UserError:
        other, what = (HUB, "the real test sets") if data == POCKET else (POCKET, "the generated tasks")
        if not any(_problems(folder, expected(other))):
            raise UserError(f"{folder}: valid, but for {what}: give --data {other}") from None
        raise
    return tasks


def check_submission(folder: Path, tasks: Mapping[str, Expected]) -> None:
    """Refuses a folder that the leaderboard could not score.

    Args:
        folder: with a folder `data`.
        tasks: what is expected of each task.

    Raises:
        UserError: the message names the first problem of every file, with its line.
    """
    problems = list(_problems(folder, tasks))
    if len(problems) == 1:
        raise UserError(problems[0])
    if problems:
        raise UserError(f"{folder}: {len(problems)} problems" + "".join(f"\n  {problem}" for problem in problems))


def _problems(folder: Path, tasks: Mapping[str, Expected]) -> Iterator[str]:
    data = folder / "data"
    if not data.is_dir():
        yield f"{folder}: it has no folder data, with a folder for every task"
        return
    places = {data / task / FILE: known for task, known in tasks.items()}
    for path in sorted(data.rglob("*.csv")):
        if path not in places:
            yield f"{path}: no file of a submission; those are data/TASK/{FILE} for {', '.join(tasks)}"
    for path, known in places.items():
        problem = _problem(path, known)
        if problem is not None:
            yield f"{path}{problem}"


def _problem(path: Path, known: Expected) -> str | None:
    """The file's first problem; None if it has none."""
    try:
        text = path.read_bytes().decode("utf-8")
    except FileNotFoundError:
        return ": missing"
    except OSError as error:
        return f": cannot be read ({error.strerror or error})"
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        return f", line {line}: not UTF-8"
    if text.startswith(_MARK):
        return ", line 1: a byte order mark before the first column; save it as UTF-8 without one"
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    ids, labels = {str(number) for number in known.ids}, set(known.labels)
    seen: dict[str, int] = {}
    try:
        header = next(reader, None)
        if header != [ID, LABEL]:
            return f", line 1: expected the columns {ID},{LABEL}, found {','.join(header or []) or 'nothing'}"
        for row in reader:
            problem = _row_problem(row, ids, labels, known, seen)
            if problem is not None:
                return f", line {reader.line_num}: {problem}"
            seen[row[0]] = reader.line_num
    except csv.Error as error:
        return f", line {reader.line_num}: not valid CSV ({error})"
    if len(seen) < len(ids):
        missing = next(number for number in known.ids if str(number) not in seen)
        return f", line {reader.line_num}: it ends after {len(seen)} rows, expected {len(ids)}; ID {missing} is missing"
    return None


def _row_problem(
    row: Sequence[str], ids: set[str], labels: set[str], known: Expected, seen: Mapping[str, int]
) -> str | None:
    if len(row) != 2:
        return f"expected an ID and a label, found {len(row)} cells"
    number, label = row
    if not (number.isascii() and number.isdigit()):
        return f"ID {number!r} is no whole number"
    if number not in ids:
        shown = number if len(number) <= _LONGEST else f"{number[:_LONGEST]}..."
        return f"ID {shown} is none of the test set's, {min(known.ids)} to {max(known.ids)}"
    if number in seen:
        return f"ID {number} is there already, in line {seen[number]}"
    if label not in labels:
        near = get_close_matches(label, known.labels, n=1, cutoff=0.5)
        hint = (
            f"did you mean {near[0]!r}?"
            if near
            else f"there are {', '.join(known.labels[:3])}" + (", ..." if len(known.labels) > 3 else "")
        )
        return f"label {label!r} is none of the task's; {hint}"
    return None
