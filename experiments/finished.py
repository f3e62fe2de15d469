"""The finished runs of a grid, for tables, figures and comparisons."""

import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from experiments.replacements import NOTHING, Replaced
from tfew_pl.errors import UserError

if TYPE_CHECKING:
    from experiments.grid import Grid
    from experiments.tables.variants import Variant
    from tfew_pl.record import RunRecord
    from tfew_pl.store import RunStore

Records = dict[str, list["RunRecord"]]
"""By variant, without the variants that have none."""


@dataclass(frozen=True)
class Finished:
    """A grid's runs, as far as there are records of them."""

    variants: tuple["Variant", ...]
    store: Path
    """Where the records were looked for."""
    command: str
    """What makes the missing ones."""

    @property
    def found(self) -> int:
        """Number of records."""
        return sum(len(variant.records) for variant in self.variants)

    @property
    def asked(self) -> int:
        """Number of runs."""
        return sum(len(variant.specs) for variant in self.variants)

    def records(self) -> Records:
        """The records by variant, and by what a variant sweeps beside tasks and seeds."""
        from experiments.tables.variants import split

        rows = (row for variant in self.variants for row in split(variant))
        return {row.name: list(row.records) for row in rows if row.records}

    def warn(self) -> None:
        """Says on standard error how many runs are missing, if any are."""
        if self.found < self.asked:
            typer.echo(f"tfew: {self._missing(self.command)}", err=True)

    def require(self, command: str, variants: int | None = None) -> None:
        """Refuses to go on without the runs.

        Args:
            command: what makes them.
            variants: how many, at least, must have all of their runs; all if left out.

        Raises:
            UserError: runs are missing; the message names the command.
        """
        complete = sum(not variant.missing for variant in self.variants)
        if complete < (len(self.variants) if variants is None else variants):
            raise UserError(self._missing(command))

    def _missing(self, command: str) -> str:
        missing = self.asked - self.found
        return f"{missing} of {self.asked} runs are missing in {self.store}; make them with: {command}"


@dataclass(frozen=True)
class Selection:
    """Which runs of a grid are looked at: what takes the place of its store and inputs."""

    store: Path | None = None
    replaced: Replaced = NOTHING

    @property
    def folder(self) -> Path:
        """Where files go: beside a store of one's own, so that nothing takes the place of other results."""
        return Path("results", self.replaced.name or "pocket") if self.store is None else self.store.parent

    @property
    def flags(self) -> str:
        """The selection as `tfew grid` takes it."""
        store = "" if self.store is None else f" --store {shlex.quote(str(self.store))}"
        return f"{self.replaced.flags}{store}"

    def open(self, name: str) -> tuple["Grid", "RunStore"]:
        """A grid, of the package or a file, and the store of its records.

        Raises:
            UserError: the grid cannot be loaded.
        """
        from experiments.grid import find_grid, load_grid
        from tfew_pl.store import RunStore

        grid = load_grid(find_grid(name), replaced=self.replaced)
        return grid, RunStore(self.store or grid.store)


@dataclass(frozen=True)
class Progress:
    """How far a grid is."""

    grid: str
    description: str
    found: int
    """Number of records."""
    asked: int
    """Number of runs."""


def progress(name: str, selection: Selection) -> Progress:
    """How many runs of a grid have a record, without reading any.

    Raises:
        UserError: the grid cannot be loaded.
    """
    grid, records = selection.open(name)
    asked = {run.spec.digest for run in grid.runs}
    return Progress(name, grid.description, len(asked & records.digests()), len(asked))


def find_finished(name: str, selection: Selection) -> Finished:
    """The finished runs of a grid.

    Raises:
        UserError: the grid cannot be loaded, or a record cannot be read.
    """
    from experiments.tables.variants import find_variants

    grid, records = selection.open(name)
    return Finished(
        tuple(find_variants(grid, records)), records.folder, f"tfew grid {shlex.quote(name)}{selection.flags}"
    )


def finished_runs(name: str, selection: Selection) -> Records:
    """The records of a grid that has at least one; says on standard error how many are missing.

    Args:
        name: of the grid file, or of a grid that ships with the package.
        selection: what takes the place of its store and inputs.

    Raises:
        UserError: there is no such grid, a record cannot be read, or there is none; the message names the command that
            makes them.
    """
    finished = find_finished(name, selection)
    found = finished.records()
    if not found:
        where = f" in {selection.store}" if selection.store is not None else ""
        raise UserError(f"no run of {name} is finished{where}; make them with: {finished.command}")
    finished.warn()
    return found
