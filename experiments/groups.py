"""Which runs are trained together, as slots of one model.

Groups are formed from all runs of a grid, not from those that happen to be left: what a run is trained with, and so
every last digit of its result, does not depend on where a grid was interrupted.

They differ in the seed alone. Tasks can be trained together, too (`tfew_pl.run.run_group`), but ten or fifteen runs of
two or three tasks take 2 to 6 % less processor time at once than five by five (pocket-t0, (IA)3, RTE with CB, ANLI or
COPA; COPA with WSC; Winogrande with WiC), and groups of that size leave workers idle at the end of a grid.
"""

from collections.abc import Callable, Sequence

from experiments.grid import GridRun
from tfew_pl.spec import RunSpec

SLOTS = 8
"""Most runs that are trained together."""

Group = tuple[GridRun, ...]
"""Runs that are done by one worker at one time."""


def form_groups(
    runs: Sequence[GridRun], slots: int = SLOTS, key: Callable[[RunSpec], str | None] | None = None
) -> list[Group]:
    """Divides the runs of a grid into groups, in the order of their first runs.

    Args:
        runs: all of the grid, in order.
        slots: most runs of a group.
        key: what the runs of a group have in common; None for a run that is done alone. `group_key` if left out.
    """
    if slots == 1:
        return [(run,) for run in runs]
    if key is None:
        from tfew_pl.grouping import group_key

        key = group_key
    groups: list[list[GridRun]] = []
    open_groups: dict[str, list[GridRun]] = {}
    for run in runs:
        common = key(run.spec)
        group = None if common is None else open_groups.get(common)
        if group is None or len(group) == slots:
            group = []
            groups.append(group)
            if common is not None:
                open_groups[common] = group
        group.append(run)
    return [tuple(group) for group in groups]
