"""All records of a store as one flat table, for other tools."""

import os
import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tfew_pl.errors import UserError
from tfew_pl.store import RunStore

if TYPE_CHECKING:
    import pandas as pd

FORMATS = (".csv", ".parquet", ".jsonl")
"""Endings of the files that can be written."""


def table(store: RunStore) -> "pd.DataFrame":
    """A row a run and template: `digest`, `template`, `accuracy` (a share), fields, costs and environment.

    A run whose evaluation examples have no labels has one row, without template and accuracy.
    Nested fields are named by their path, such as `spec.recipe.steps`.
    """
    import pandas as pd

    return pd.DataFrame([row for digest in sorted(store.digests()) for row in _rows(store.read(digest))])


def _rows(record: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    common = {path: value for part in ("spec", "costs", "environment") for path, value in _flat(record.get(part), part)}
    for template, accuracy in record["accuracy"].items() or [(None, None)]:
        yield {"digest": record["digest"], "template": template, "accuracy": accuracy, **common}


def _flat(values: Any, path: str) -> Iterator[tuple[str, Any]]:
    if isinstance(values, Mapping):
        for key, value in values.items():
            yield from _flat(value, f"{path}.{key}")
    else:
        yield path, str(values) if isinstance(values, list) else values


def write(content: "pd.DataFrame", path: Path) -> None:
    """Writes a table in the format that the file's ending says, whole or not at all.

    Raises:
        UserError: it cannot be written.
    """
    beside = path.with_name(f".{uuid.uuid4().hex}{path.suffix}")
    try:
        if path.suffix == ".csv":
            content.to_csv(beside, index=False)
        elif path.suffix == ".parquet":
            content.to_parquet(beside, index=False)
        else:
            content.to_json(beside, orient="records", lines=True)
        os.replace(beside, path)
    except OSError as error:
        raise UserError(f"cannot write {path}: {error.strerror or error}") from error
    finally:
        beside.unlink(missing_ok=True)
