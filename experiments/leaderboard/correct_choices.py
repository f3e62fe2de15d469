"""Records that call other choices correct cannot be compared: which do."""

from collections.abc import Container, Iterable, Iterator, Mapping

import numpy as np

from experiments.leaderboard.describe import data_of
from experiments.leaderboard.versions import specs_of
from tfew_pl.record import RunRecord
from tfew_pl.spec import RunSpec
from tfew_pl.store import RunStore

Sourced = tuple[str, RunRecord]
"""A record, behind who made it."""
Data = tuple[str, str]
"""`pocket` or `hub`, and a task."""


def data(spec: RunSpec) -> Data:
    """On which data a run was made."""
    return data_of(spec), spec.task


def witnesses(stores: Mapping[str, RunStore], asked: Container[Data]) -> Iterator[Sourced]:
    """A record for each of the data, of the most examples that there are, by the stores' sources."""
    found: dict[Data, tuple[str, RunSpec]] = {}
    for source, store in stores.items():
        for _, spec in specs_of(source, store):
            known = found.get(data(spec))
            if data(spec) in asked and (known is None or _examples(spec) > _examples(known[1])):
                found[data(spec)] = source, spec
    return ((source, stores[source].load(spec)) for source, spec in found.values())


def contradiction(records: Iterable[Sourced]) -> str | None:
    """A sentence on the first record that contradicts one of its data before it; None if there is none."""
    first: dict[Data, tuple[Sourced, np.ndarray]] = {}
    for source, record in records:
        gold = record.predictions.loc[record.predictions["template"] == 0, "gold"].to_numpy()
        (other_source, other), known = first.setdefault(data(record.spec), ((source, record), gold))
        length = min(len(gold), len(known))
        if not np.array_equal(gold[:length], known[:length]):
            return (
                f"records {other.spec.digest} ({other_source}) and {record.spec.digest} ({source}) have different "
                f"correct choices for the data of {record.spec.task}"
            )
    return None


def _examples(spec: RunSpec) -> float:
    return spec.evaluation.examples or float("inf")
