"""Having the FLOPs of a store's records counted by one version of the code."""

from collections.abc import Callable
from typing import Any

from tfew_pl.environment import commit, package_versions
from tfew_pl.recount import recount
from tfew_pl.store import RunStore

_AT_A_TIME = 200
"""Records that are counted before they are written: an interruption loses no more."""


def recount_store(store: RunStore, progress: Callable[[float], None]) -> tuple[int, int]:
    """Counts the FLOPs of all records of a store anew, and says in their environment by which code.

    Args:
        store: of the records.
        progress: told the share that is done.

    Returns:
        How many were counted, all but those of classifiers; and how many of them otherwise than before.

    Raises:
        UserError: a record cannot be read, its run's inputs have changed since, or the store cannot be written.
    """
    specs = [store.spec(digest) for digest in sorted(store.digests())]
    by = {"commit": commit(), "packages": package_versions()}
    amended: dict[str, dict[str, Any]] = {}
    counted = changed = 0
    for spec, inference, training in recount(specs):
        record = store.read(spec.digest)
        costs = record["costs"]
        found = {"measured_inference_flops": inference, "measured_training_flops": training}
        counted += 1
        if any(costs[name] != value for name, value in found.items()):
            changed += 1
            amended[spec.digest] = record | {
                "costs": costs | found,
                "environment": record["environment"] | {"recounted": by},
            }
        if len(amended) == _AT_A_TIME:
            store.amend(amended)
            amended.clear()
        progress(counted / len(specs))
    store.amend(amended)
    return counted, changed
