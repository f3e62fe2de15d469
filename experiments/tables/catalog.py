"""The paper's tables by number: the grid of each, and what makes the table of its runs."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Protocol

from experiments.tables import accuracy_document, raft, table1_document
from experiments.tables.accuracy import Layout, accuracy_table
from experiments.tables.block import Document
from experiments.tables.own_grid import own_table
from experiments.tables.table1 import table1
from experiments.tables.variants import Variant


class Table(Protocol):
    """A table as values."""

    def values(self) -> list[dict[str, Any]]:
        """A dictionary a row, with the same keys in all."""
        ...

    def task_values(self) -> list[dict[str, Any]]:
        """A dictionary a row and task, likewise."""
        ...


@dataclass(frozen=True)
class Definition:
    """How a table is made."""

    number: int | None
    """In the paper; None for a grid of one's own."""
    grid: str
    """The shipped grid of its runs, or a file."""
    build: Callable[[Sequence[Variant]], Any]
    """From the grid's variants to the `Table`, a pure function."""
    document: Callable[[Any, str], Document]
    """The table for people; told the command that makes missing runs."""


_T0_3B = "T0-3B on the real tasks"
_T0 = "T0 (11B) on the real tasks"

_SLIPPED = (
    "The paper prints prefix tuning's numbers of other datasets under Winogrande, WiC, RTE and ANLI-R2, and averages "
    "them so: tfew audit shows it.",
)

_METHODS = (
    "(IA)3 starts from ones here; Table 8 has it from pre-trained vectors, too.",
    "A FISH mask's file also holds a place for each of its values, which is not counted.",
)

_RANKING = (
    "Choices are ranked by length-normalized scores in all rows, also in those without L_LN; the paper's released code "
    "leaves out both together.",
)

_LAYOUTS = (
    Layout(3, "full fine-tuning with and without L_UL and L_LN", _T0_3B, reference="FT", notes=_RANKING),
    *(
        Layout(
            number,
            f"methods {losses}",
            _T0_3B,
            reference="Full fine-tuning",
            notes=(
                *_METHODS,
                *(_RANKING if number in (6, 7) else ()),
                *(_SLIPPED if number in (5, 6) else ()),
            ),
            parameter_counts=True,
        )
        for number, losses in (
            (4, "with L_UL and L_LN"),
            (5, "with L_LN"),
            (6, "with L_UL"),
            (7, "with neither L_UL nor L_LN"),
        )
    ),
    Layout(8, "(IA)3 with and without pre-training (PT)", _T0_3B, reference="(IA)3"),
    Layout(
        9,
        "T-Few, zero-shot and in-context learning",
        "T0 (11B), T5+LM (11B) and GPT-3 on the real tasks",
        reference="T-Few",
        renamed={"Zero-shot": "T0", "In-context learning": "T5+LM"},
    ),
    Layout(10, "T-Few without pre-training (PT), L_UL and L_LN", _T0, reference="T-Few", notes=_RANKING),
)

TABLES = {
    definition.number: definition
    for definition in (
        Definition(1, "table1", table1, table1_document.document),
        Definition(2, "table2", raft.raft_table, raft.table2),
        *(
            Definition(
                layout.number,
                f"table{layout.number}",
                partial(accuracy_table, layout),
                accuracy_document.document,
            )
            for layout in _LAYOUTS
        ),
        Definition(11, "table2", raft.raft_table, raft.table11),
    )
    if definition.number is not None
}
"""The tables that can be made, by their number in the paper."""


def of_grid(name: str) -> Definition:
    """The table of a grid that is none of the paper's, in the form of its tables of accuracies.

    Args:
        name: of the grid file, or of a shipped grid.
    """
    return Definition(None, name, partial(own_table, Path(name).stem), accuracy_document.document)
