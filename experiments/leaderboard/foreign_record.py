"""A record that a stranger sent: read as a `RunRecord`, if all of it is as a run writes it."""

import dataclasses
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, TypeVar, get_args, get_origin, get_type_hints

import numpy as np
import pyarrow.parquet as pq
from pyarrow.types import is_floating, is_integer

from experiments.audit.granularity import EVALUATION_EXAMPLES
from experiments.leaderboard.names import is_plain, is_printable
from tfew_pl.conversion import convert
from tfew_pl.errors import UserError
from tfew_pl.record import SCHEMA_VERSION, Costs, RunRecord
from tfew_pl.spec import RunSpec
from tfew_pl.store import ADAPTATION, LOSSES, PREDICTIONS, RECORD, content_digest
from tfew_pl.tasks import TASKS
from tfew_pl.tasks.data import POCKET, load_data

FILES = {RECORD, PREDICTIONS, LOSSES}
"""Of a record, beside its adaptation."""
_KEYS = {"version", "digest", "spec", "accuracy", "costs", "environment"}
_DIGESTS = "files"
_PREDICTION_COLUMNS = ["template", "example", "gold", "predicted"]
_LOSS_COLUMNS = ["step", "lm", "unlikelihood", "length_norm"]
_LARGEST_JSON = 1_000_000
_MOST_ROWS = 1_000_000
_MOST = Costs(
    parameters=10**15,
    trained_parameters=10**15,
    input_tokens=1e9,
    shots=10**6,
    inference_flops=1e27,
    training_flops=1e30,
    stored_bytes=10**16,
    measured_inference_flops=1e27,
    measured_training_flops=1e30,
    measured_stored_bytes=10**16,
    training_seconds=1e10,
    evaluation_seconds=1e10,
    peak_memory_bytes=10**16,
)
"""More than any run costs, and little enough for the tables and figures of a page."""
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
    if not (spec.method and spec.backbone):
        raise InvalidRecordError("spec: the method or the backbone has no name")
    if not folder.name == values["digest"] == spec.digest:
        raise InvalidRecordError(f"the digest of its spec is {spec.digest}, its folder and file say otherwise")
    if spec.task not in TASKS:
        raise InvalidRecordError(f"task {spec.task!r} is none of the leaderboard's: {', '.join(TASKS)}")
    costs = _typed(Costs, values["costs"], "costs")
    _check_costs(costs)
    if not isinstance(values["environment"], dict):
        raise InvalidRecordError("environment: expected an object")
    texts = {name: text for name, text in values["environment"].items() if isinstance(text, str)}
    environment = {name: text for name, text in texts.items() if is_printable(name) and is_printable(text)}
    predictions = _table(folder / PREDICTIONS, _PREDICTION_COLUMNS, whole=True)
    losses = _table(folder / LOSSES, _LOSS_COLUMNS, whole=False)
    accuracy = _accuracy(spec, values["accuracy"], predictions)
    _check_gold(spec, predictions)
    return RunRecord(spec, accuracy, predictions, losses, costs, environment)


def _check_files(folder: Path) -> None:
    if folder.is_symlink() or not folder.is_dir():
        raise InvalidRecordError("not a record's folder")
    found = {path.name for path in folder.iterdir()}
    if missing := sorted(FILES - found):
        raise InvalidRecordError(f"{', '.join(missing)} missing")
    if foreign := sorted(found - FILES - {ADAPTATION}):
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


def _check_costs(costs: Costs) -> None:
    for field in dataclasses.fields(Costs):
        cost, most = getattr(costs, field.name), getattr(_MOST, field.name)
        if not 0 <= cost <= most:
            raise InvalidRecordError(f"costs.{field.name}: {quoted(cost)} is not between 0 and {most:g}")


def _refuse_constant(name: str) -> float:
    raise ValueError(f"{name} is no number")


def _typed(kind: type[T], values: Any, place: str) -> T:
    """The dataclass that `dataclasses.asdict` wrote, of this version or an older one, if every field is of its type."""
    if not isinstance(values, dict):
        raise InvalidRecordError(f"{place}: expected an object")
    hints = get_type_hints(kind)
    if unknown := sorted(values.keys() - hints.keys()):
        raise InvalidRecordError(f"{place}: unknown: {', '.join(map(quoted, unknown))}")
    given: dict[str, Any] = {}
    for key, value in values.items():
        if dataclasses.is_dataclass(hints[key]):
            given[key] = _typed(hints[key], value, f"{place}.{key}")
        elif _fits(value, hints[key]):
            given[key] = value
        else:
            raise InvalidRecordError(f"{place}.{key}: {quoted(value)} is not valid")
    try:
        return kind(**given)
    except (UserError, TypeError) as error:  # a field that has no default is missing
        raise InvalidRecordError(f"{place}: {error}") from error


def _fits(value: Any, hint: Any) -> bool:
    if get_origin(hint) is Literal:
        return value in get_args(hint)
    if not all(is_plain(str(part)) for part in ([*value, *value.values()] if isinstance(value, Mapping) else [value])):
        return False
    try:
        return bool(convert(value, hint) == value)
    except ValueError:
        return False


def quoted(value: object) -> str:
    """A value of any kind, in a message."""
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:60]}…"


def _table(path: Path, columns: Sequence[str], *, whole: bool) -> Any:
    """A parquet file as a data frame, if it has exactly these columns, of whole numbers or of any but infinite ones.

    Their types and lengths are checked before they are read: a few bytes may stand for any number of long texts.
    """
    expected = f"{path.name}: expected {'whole ' if whole else 'finite '}numbers only"
    try:
        with pq.ParquetFile(path) as file:
            schema, rows = file.schema_arrow, _rows(file)
            if rows > _MOST_ROWS or schema.names != list(columns):
                raise InvalidRecordError(
                    f"{path.name}: expected the columns {', '.join(columns)}, {_MOST_ROWS} rows at most"
                )
            if not rows:  # as a run that trains nothing leaves its losses: columns of no type
                return schema.empty_table().replace_schema_metadata().to_pandas()
            if not all(is_integer(kind) or (is_floating(kind) and not whole) for kind in schema.types):
                raise InvalidRecordError(expected)
            table = file.read().replace_schema_metadata().to_pandas()
    except (OSError, ValueError) as error:  # pyarrow's errors are among these
        raise InvalidRecordError(f"{path.name} cannot be read ({str(error).splitlines()[0]})") from error
    numbers = table.to_numpy(float)
    if np.isinf(numbers).any() or (whole and np.isnan(numbers).any()):
        raise InvalidRecordError(expected)
    return table


def _rows(file: pq.ParquetFile) -> int:
    """How many rows will be read; the file's own number of them need not be true."""
    groups = [file.metadata.row_group(number) for number in range(file.metadata.num_row_groups)]
    return sum(max((g.column(i).num_values for i in range(g.num_columns)), default=0) for g in groups)


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
                f"accuracy through {name!r} is {quoted(claimed[name])}; its predictions give {share:.6f}"
            )
    return shares


def _check_gold(spec: RunSpec, predictions: Any) -> None:
    """Whether the correct choices are the data's, where the data is at hand."""
    task = TASKS[spec.task]
    for name in ("gold", "predicted"):
        if not predictions[name].between(0, task.choices - 1).all():
            raise InvalidRecordError(f"{PREDICTIONS}: {name} is not among the {task.choices} choices of {spec.task}")
    gold = predictions["gold"].to_numpy().reshape(predictions["template"].nunique(), -1)  # (templates, examples)
    if (gold != gold[0]).any():
        raise InvalidRecordError(f"{PREDICTIONS}: an example's correct choice is not the same through all templates")
    if spec.data != POCKET:
        given, whole = gold.shape[1], EVALUATION_EXAMPLES[spec.task]
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
    correct = [task.label(row) for row in data.evaluation[: spec.evaluation.examples]]
    if not np.array_equal(gold[0], correct):
        raise InvalidRecordError(
            f"{PREDICTIONS}: not all examples of {spec.task}, or other correct choices than theirs"
        )
