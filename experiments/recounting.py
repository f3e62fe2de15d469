"""Having the FLOPs of a store's records counted by one version of the code."""

from collections.abc import Callable

from experiments.store_care import misplaced
from tfew_pl.environment import commit, package_versions
from tfew_pl.errors import UserError
from tfew_pl.recount import recount
from tfew_pl.store import RunStore
from tfew_pl.store_archives import Changes, amend

_AT_A_TIME = 200
"""Records that are counted before they are written: a process that is killed loses no more."""


def recount_store(store: RunStore, progress: Callable[[float], None]) -> tuple[int, int]:
    """Counts the FLOPs of all records of a store anew; of those that differ, their environment says by which code.

    Args:
        store: of the records.
        progress: told the share that is done.

    Returns:
        How many were counted, all but those of classifiers; and how many of them otherwise than before.

    Raises:
        UserError: a record cannot be read or its run's inputs have changed since, before anything is counted; or the
            store cannot be written.
    """
    specs = {digest: store.spec(digest) for digest in sorted(store.digests())}
    for digest, spec in specs.items():
        if problem := misplaced(digest, spec):
            raise UserError(f"{store.folder / digest}: {problem}; remove it")
    by = {"recounted": {"commit": commit(), "packages": package_versions()}}
    changes: dict[str, Changes] = {}
    counted = changed = 0
    try:
        for spec, inference, training in recount(list(specs.values())):
            costs = store.read(spec.digest)["costs"]
            found = {"measured_inference_flops": inference, "measured_training_flops": training}
            counted += 1
            if any(costs[name] != value for name, value in found.items()):
                changed += 1
                changes[spec.digest] = {"costs": found, "environment": by}
            if len(changes) == _AT_A_TIME:
                amend(store, changes)
                changes.clear()
            progress(counted / len(specs))
    finally:
        amend(store, changes)
    return counted, changed
