"""Runs on different versions of a task's data cannot be compared: which records are."""

from collections.abc import Iterable, Iterator

from experiments.leaderboard.describe import data_of
from tfew_pl.spec import RunSpec
from tfew_pl.store import RunStore

Sourced = tuple[str, RunSpec]
"""A run, behind who made it."""


def specs_of(source: str, store: RunStore) -> Iterator[Sourced]:
    """The runs of a store, without reading what they found."""
    for digest in sorted(store.digests()):
        yield source, store.spec(digest)


def mixed_versions(runs: Iterable[Sourced]) -> str | None:
    """A sentence on the first run that was made on other data than one of its task before it; None if there is none."""
    first: dict[tuple[str, str], Sourced] = {}
    for source, spec in runs:
        of, other = first.setdefault((data_of(spec), spec.task), (source, spec))
        if spec.revisions.data != other.revisions.data:
            return (
                f"records {other.digest} ({of}) and {spec.digest} ({source}) were made on different "
                f"versions of the data of {spec.task}"
            )
    return None
