"""Keeping a store in order: what is wrong with a record, and what may be thrown away."""

import math
import os
import shutil
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from experiments.failures import Failures
from tfew_pl.errors import UserError
from tfew_pl.leases import abandoned, holders
from tfew_pl.record import RunRecord
from tfew_pl.spec import RunSpec
from tfew_pl.store import ADAPTATION, CHECKPOINTS, FAILURES, LEASES, LOGS, RunStore, content_digest
from tfew_pl.tasks.task import UNLABELED


def problems(store: RunStore, digest: str) -> Iterator[str]:
    """What is wrong with a record, one line each: it is read whole, and what it says is computed anew."""
    try:
        known = store.read(digest).get("files", {})
        contents = {name: store.file(digest, name) for name in known}
        missing = [name for name, content in contents.items() if content is None]
        if missing:
            yield from (f"{name} is missing" for name in missing)
            return
        changed = (name for name, content in contents.items() if content and content_digest(content) != known[name])
        yield from (f"{name} has changed since" for name in changed)
        record = store.load(digest)
    except UserError as error:
        yield str(error)
        return
    if wrong := misplaced(digest, record.spec):
        yield wrong
    yield from _contradictions(record)
    yield from _adaptation(record)


def misplaced(digest: str, spec: RunSpec) -> str | None:
    """What is wrong with the record of a spec in the place of a digest; None if it belongs there."""
    return None if spec.digest == digest else f"it is the record of {spec.digest}: {spec.label()}"


def _contradictions(record: RunRecord) -> Iterator[str]:
    predictions = record.predictions[record.predictions["gold"] != UNLABELED]
    shares = (predictions["gold"] == predictions["predicted"]).groupby(predictions["template"]).mean().sort_index()
    if len(shares) != len(record.accuracy):
        yield f"it has accuracies of {len(record.accuracy)} templates and predictions through {len(shares)}"
    for (template, said), found in zip(record.accuracy.items(), shares, strict=False):
        if not math.isclose(said, found, abs_tol=1e-9):
            yield f"its accuracy through {template} is {said:.4f}, by its predictions {found:.4f}"
    columns = record.losses.drop(columns="step")
    if not all(math.isfinite(value) for column in columns for value in columns[column].dropna()):
        yield "a loss is not a number"


def _adaptation(record: RunRecord) -> Iterator[str]:
    if record.adaptation is None:
        return
    from safetensors import SafetensorError
    from safetensors.numpy import load

    try:
        load(record.adaptation)
    except SafetensorError as error:
        yield f"{ADAPTATION} cannot be read ({error})"


def rubbish(store: RunStore) -> list[Path]:
    """What a store no longer needs: all that is not a record, and of no run that is underway, failed or was killed."""
    from tfew_pl.resume import runs_of

    finished, underway = store.digests(), set(holders(store.folder / LEASES))
    needed = underway | (set(Failures(store.folder).digests()) - finished)
    found = [*store.abandoned(), *abandoned(store.folder / LEASES)]
    for folder in (LOGS, FAILURES):
        found += [path for path in sorted((store.folder / folder).glob("*")) if path.stem not in needed]
    for path in sorted((store.folder / CHECKPOINTS).glob("*")):
        runs = set(runs_of(path))
        if runs <= finished and (not underway if not runs else not runs & underway):
            found.append(path)
    return found


def disk_usage(folder: Path) -> int:
    """Bytes of all files under a folder, of which some may go meanwhile."""
    total = 0
    with suppress(FileNotFoundError), os.scandir(folder) as entries:
        for entry in entries:
            with suppress(FileNotFoundError):
                is_folder = entry.is_dir(follow_symlinks=False)
                total += disk_usage(Path(entry.path)) if is_folder else entry.stat(follow_symlinks=False).st_size
    return total


def remove(path: Path) -> None:
    """Removes a file or a folder; one that is gone already is no error."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
