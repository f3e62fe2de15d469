"""The finished runs of a grid, by variant."""

from pathlib import Path
from typing import TYPE_CHECKING

from experiments.finished import Selection, find_finished
from tfew_pl.errors import UserError

if TYPE_CHECKING:
    from tfew_pl.record import RunRecord

Variants = dict[str, list["RunRecord"]]


def runs_of(name: str, selection: Selection) -> Variants:
    """The finished runs, without the variants that have none.

    Args:
        name: of the grid file, or of a grid that ships with the package.
        selection: what takes the place of the grid's store, backbone and data.

    Raises:
        UserError: there is no such grid, or a record cannot be read.
    """
    found = find_finished(name, selection)
    return {variant.name: list(variant.records) for variant in found.variants if variant.records}


def finished_runs(name: str, store: Path | None) -> Variants:
    """The same, of a grid that has at least one.

    Raises:
        UserError: it has none; the message names the command that makes them.
    """
    found = runs_of(name, Selection(store))
    if not found:
        where = f" in {store}" if store is not None else ""
        raise UserError(f"no run of {name} is finished{where}; make them with: tfew grid {name}")
    return found
