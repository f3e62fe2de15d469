"""A record that a stranger sent: read as a `RunRecord`, if all of it is as a run writes it."""

import dataclasses
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, TypeVar, get_args, get_origin, get_type_hints

import numpy as np
import pyarrow.parquet as pq

from experiments.audit.granularity import EVALUATION_EXAMPLES
from tfew_pl.archive import read_archive
from tfew_pl.conversion import convert
from tfew_pl.errors import UserError
from tfew_pl.record import SCHEMA_VERSION, Costs, RunRecord
from tfew_pl.spec import RunSpec
from tfew_pl.store import ADAPTATION, LOSSES, PREDICTIONS, RECORD, content_digest
from tfew_pl.tasks import TASKS
from tfew_pl.tasks.data import POCKET, load_data

_FILES = {RECORD, PREDICTIONS, LOSSES}
_KEYS = {"version", "digest", "spec", "accuracy", "costs", "environment"}
_DIGESTS = "files"
_PREDICTION_COLUMNS = ["template", "example", "gold", "predicted"]
_LOSS_COLUMNS = ["step", "lm", "unlikelihood", "length_norm"]
_LONGEST_TEXT = 320
_LARGEST_JSON = 1_000_000
_MOST_ROWS = 10_000_000
_LARGEST_ARCHIVE = 1 << 30
"""Bytes of an archive's content."""
_DIGEST = re.compile("[0-9a-f]{16}")
T = TypeVar("T")


class InvalidRecordError(Exception):
    """What is wrong with a record, in one line."""


def read(folder: Path) -> RunRecord:
    """The record in a folder, without its adaptation; of its environment, the short texts.

    Checked are the files, the schema and types of `record.json`, the digest, that the predictions are whole and give
    the accuracies, and, for pocket data, that the correct choices are the data's; for the hub's, their number.

    Raises:
        InvalidRecordError: anything of this is wrong.
    """
    _check_files(folder)
    try:
        values = json.loads((folder / RECORD).read_text(encoding="utf-8"), parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise InvalidRecordError(f"{RECORD} is not valid JSON ({error})") from error
    if not isinstance(values, dict) or values.keys() - {_DIGESTS} != _KEYS:
        raise InvalidRecordError(f"{RECORD} must have exactly the keys {', '.join(sorted(_KEYS))} and {_DIGESTS}")
    if values["version"] != SCHEMA_VERSION:
        raise InvalidRecordError(f"schema version {values['version']!r}, expected {SCHEMA_VERSION}")
    _check_digests(folder, values.get(_DIGESTS, {}))
    spec = _typed(RunSpec, values["spec"], "spec")
    if not folder.name == values["digest"] == spec.digest:
        raise InvalidRecordError(f"the digest of its spec is {spec.digest}, its folder and file say otherwise")
    if spec.task not in TASKS:
        raise InvalidRecordError(f"task {spec.task!r} is none of the leaderboard's: {', '.join(TASKS)}")
    costs = _typed(Costs, values["costs"], "costs")
    if min(dataclasses.astuple(costs)) < 0:
        raise InvalidRecordError("a cost is negative")
    if not isinstance(values["environment"], dict):
        raise InvalidRecordError("environment: expected an object")
    environment = {k: v for k, v in values["environment"].items() if isinstance(v, str) and _plain(k) and _plain(v)}
    predictions = _table(folder / PREDICTIONS, _PREDICTION_COLUMNS, whole=True)
    losses = _table(folder / LOSSES, _LOSS_COLUMNS, whole=False)
    accuracy = _accuracy(spec, values["accuracy"], predictions)
    _check_gold(spec, predictions)
    return RunRecord(spec, accuracy, predictions, losses, costs, environment)


def unpack(archive: Path, into: Path) -> list[Path]:
    """Writes the records of an archive (`tfew store pack`) as folders, to be read; returns them.

    Raises:
        InvalidRecordError: it is none, or one so large or with such names as no archive of records has.
    """
    if archive.is_symlink() or not archive.is_file():
        raise InvalidRecordError("not a plain file")
    try:
        with pq.ParquetFile(archive) as file:
            groups = [file.metadata.row_group(number) for number in range(file.metadata.num_row_groups)]
    except (OSError, ValueError) as error:  # pyarrow's errors are among these
        raise InvalidRecordError(f"cannot be read ({str(error).splitlines()[0]})") from error
    if sum(group.total_byte_size for group in groups) > _LARGEST_ARCHIVE:
        raise InvalidRecordError(f"holds more than {_LARGEST_ARCHIVE} bytes")
    try:
        contents: Mapping[Any, Mapping[Any, Any]] = read_archive(archive)  # of any types, as nobody has checked them
    except UserError as error:
        raise InvalidRecordError("has not the columns of an archive of records") from error
    folders = []
    for digest, files in contents.items():
        if not isinstance(digest, str) or not _DIGEST.fullmatch(digest):
            raise InvalidRecordError(f"{_quoted(digest)} is no digest of a run")
        if foreign := [name for name in files if name not in _FILES | {ADAPTATION}]:
            raise InvalidRecordError(f"{', '.join(map(_quoted, foreign))} is no part of a record")
        folder = into / digest
        folder.mkdir()
        for name, content in files.items():
            if not isinstance(content, bytes):
                raise InvalidRecordError(f"{name} of {digest} is not a file's content")
            (folder / name).write_bytes(content)
        folders.append(folder)
    return folders


def _check_files(folder: Path) -> None:
    if folder.is_symlink() or not folder.is_dir():
        raise InvalidRecordError("not a record's folder")
    found = {path.name for path in folder.iterdir()}
    if missing := sorted(_FILES - found):
        raise InvalidRecordError(f"{', '.join(missing)} missing")
    if foreign := sorted(found - _FILES - {ADAPTATION}):
        raise InvalidRecordError(f"{', '.join(map(repr, foreign))} is no part of a record")
    if any(path.is_symlink() or not path.is_file() for path in folder.iterdir()):
        raise InvalidRecordError("holds something that is not a plain file")
    if (folder / RECORD).stat().st_size > _LARGEST_JSON:
        raise InvalidRecordError(f"{RECORD} is larger than {_LARGEST_JSON} bytes")


def _check_digests(folder: Path, digests: Any) -> None:
    """Whether the files are those that the record was saved with; older records do not say."""
    if not isinstance(digests, dict) or not digests.keys() <= {PREDICTIONS, LOSSES, ADAPTATION}:
        raise InvalidRecordError(f"{_DIGESTS}: expected digests of {PREDICTIONS}, {LOSSES} and {ADAPTATION}")
    for name, digest in digests.items():
        path = folder / name
        if path.is_file() and content_digest(path.read_bytes()) != digest:
            raise InvalidRecordError(f"{name} has changed since the record was saved")


def _refuse_constant(name: str) -> float:
    raise ValueError(f"{name} is no number")


def _typed(kind: type[T], values: Any, place: str) -> T:
    """The dataclass that `dataclasses.asdict` wrote, of this version or an older one, if every field is of its type."""
    if not isinstance(values, dict):
        raise InvalidRecordError(f"{place}: expected an object")
    hints = get_type_hints(kind)
    if unknown := sorted(values.keys() - hints.keys()):
        raise InvalidRecordError(f"{place}: unknown: {', '.join(map(_quoted, unknown))}")
    given: dict[str, Any] = {}
    for key, value in values.items():
        if dataclasses.is_dataclass(hints[key]):
            given[key] = _typed(hints[key], value, f"{place}.{key}")
        elif _fits(value, hints[key]):
            given[key] = value
        else:
            raise InvalidRecordError(f"{place}.{key}: {_quoted(value)} is not valid")
    try:
        return kind(**given)
    except (UserError, TypeError) as error:  # a field that has no default is missing
        raise InvalidRecordError(f"{place}: {error}") from error


def _fits(value: Any, hint: Any) -> bool:
    if get_origin(hint) is Literal:
        return value in get_args(hint)
    if isinstance(value, str) and not _plain(value):
        return False
    try:
        fits = convert(value, hint) == value
    except ValueError:
        return False
    return fits and (not isinstance(value, Mapping) or all(map(_plain, [*value, *value.values()])))


def _plain(value: object) -> bool:
    return not isinstance(value, str) or (len(value) <= _LONGEST_TEXT and value.isprintable())


def _quoted(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:60]}…"


def _table(path: Path, columns: Sequence[str], *, whole: bool) -> Any:
    """A parquet file as a data frame, if it has exactly these columns, of whole numbers or of any but infinite ones."""
    try:
        with pq.ParquetFile(path) as file:
            if file.metadata.num_rows > _MOST_ROWS or file.schema_arrow.names != list(columns):
                raise InvalidRecordError(
                    f"{path.name}: expected the columns {', '.join(columns)}, {_MOST_ROWS} rows at most"
                )
            table = file.read().replace_schema_metadata().to_pandas()
    except (OSError, ValueError) as error:  # pyarrow's errors are among these
        raise InvalidRecordError(f"{path.name} cannot be read ({str(error).splitlines()[0]})") from error
    kinds = "iu" if whole else "iuf"
    if table.empty:
        return table  # as a run that trains nothing leaves its losses: columns of no type
    if any(table[name].dtype.kind not in kinds for name in columns) or np.isinf(table.to_numpy(float)).any():
        raise InvalidRecordError(f"{path.name}: expected {'whole ' if whole else 'finite '}numbers only")
    return table


def _accuracy(spec: RunSpec, claimed: Any, predictions: Any) -> dict[str, float]:
    """The accuracy by template, if the predictions are complete and give just that."""
    templates = [template.name for template in TASKS[spec.task].templates()][: spec.evaluation.templates]
    if not isinstance(claimed, dict) or list(claimed) != templates:
        raise InvalidRecordError(f"accuracy: expected the templates of {spec.task} in their order")
    examples = len(predictions) // len(templates)
    if not 0 < examples <= (spec.evaluation.examples or examples):
        raise InvalidRecordError(
            f"{PREDICTIONS}: {examples} examples for each template, expected {spec.evaluation.examples}"
        )
    pairs = np.indices((len(templates), examples)).reshape(2, -1).T
    if not np.array_equal(predictions[["template", "example"]].to_numpy(), pairs):
        raise InvalidRecordError(
            f"{PREDICTIONS}: not one row for each of {len(templates)} templates and each example, in order"
        )
    correct = (predictions["gold"] == predictions["predicted"]).to_numpy().reshape(len(templates), examples)
    shares = dict(zip(templates, correct.mean(axis=1).tolist(), strict=True))
    for name, share in shares.items():
        if not _fits(claimed[name], float) or abs(claimed[name] - share) > 1e-9:
            raise InvalidRecordError(
                f"accuracy through {name!r} is {_quoted(claimed[name])}; its predictions give {share:.6f}"
            )
    return shares


def _check_gold(spec: RunSpec, predictions: Any) -> None:
    """Whether the correct choices are the data's, where the data is at hand."""
    task = TASKS[spec.task]
    for name in ("gold", "predicted"):
        if not predictions[name].between(0, task.choices - 1).all():
            raise InvalidRecordError(f"{PREDICTIONS}: {name} is not among the {task.choices} choices of {spec.task}")
    templates = predictions["template"].nunique()
    if spec.data != POCKET:
        given, whole = len(predictions) // templates, EVALUATION_EXAMPLES[spec.task]
        asked = min(whole, spec.evaluation.examples or whole)
        if given != asked:
            raise InvalidRecordError(f"{PREDICTIONS}: {given} examples of {spec.task}, expected {asked} of its {whole}")
        return
    data = load_data(spec.task, POCKET)
    if spec.revisions.data != data.fingerprint:
        raise InvalidRecordError(
            f"made on another version of the data of {spec.task}: {spec.revisions.data or 'none'}, "
            f"here {data.fingerprint}"
        )
    gold = np.array([task.label(row) for row in data.evaluation[: spec.evaluation.examples]])
    if not np.array_equal(predictions["gold"].to_numpy(), np.tile(gold, templates)):
        raise InvalidRecordError(
            f"{PREDICTIONS}: not all examples of {spec.task}, or other correct choices than theirs"
        )
