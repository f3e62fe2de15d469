"""The paper's figures by number: the table of which each is drawn."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from experiments.figures import figure2, figure3
from experiments.figures.style import save
from experiments.tables.catalog import Table

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class FigureDefinition:
    """How a figure is made."""

    number: int
    table: int
    """Number of the table that it shows."""
    title: str
    draw: Callable[[Any], "Figure"]
    """From the table, a pure function."""
    values: Callable[[Any], list[dict[str, Any]]]
    """The points that are drawn, a dictionary each."""


FIGURES = {
    2: FigureDefinition(2, 4, figure2.TITLE, figure2.draw, figure2.values),
    3: FigureDefinition(3, 1, figure3.TITLE, figure3.draw, figure3.values),
}
"""The figures that can be drawn, by their number in the paper."""


def write_figure(figure: FigureDefinition, table: Table, folder: Path) -> list[Path]:
    """Draws a figure and writes it as SVG and PNG; returns the files.

    Raises:
        UserError: one of them cannot be written.
    """
    return save(figure.draw(table), folder / f"figure{figure.number}", figure.title)
