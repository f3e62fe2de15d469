"""The finished runs of a grid."""

from pathlib import Path
from typing import TYPE_CHECKING

from experiments import grid as grids
from tfew_pl.errors import UserError
from tfew_pl.store import RunStore

if TYPE_CHECKING:
    from tfew_pl.record import RunRecord


def finished_runs(name: str, store: Path | None) -> dict[str, list["RunRecord"]]:
    """The finished runs of a grid by variant, without the variants that have none.

    Raises:
        UserError: there is no such grid, or none of its runs is finished.
    """
    grid = grids.load_grid(grids.find_grid(name))
    records = RunStore(store or grid.store)
    found = {variant: [records.load(s) for s in specs if s in records] for variant, specs in grid.variants().items()}
    found = {variant: runs for variant, runs in found.items() if runs}
    if not found:
        raise UserError(f"no run of {name} is finished in {records.folder}; make them with: tfew grid {name}")
    return found
