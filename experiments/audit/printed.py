"""Numbers as they are printed: their digits say how exact they are."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property

from experiments import published


@dataclass(frozen=True)
class Printed:
    """A number and its digits: 66.4, 63.25, 5.4e13."""

    text: str

    @cached_property
    def value(self) -> Fraction:
        """The number itself."""
        return Fraction(self.text)

    @cached_property
    def digits(self) -> int:
        """Digits behind the point of the mantissa."""
        return len(self.text.partition("e")[0].partition(".")[2])

    @cached_property
    def tolerance(self) -> Fraction:
        """How far what was printed may lie from the number.

        Half of the last digit; where that is the first behind the point, a twentieth more, because such numbers were
        rounded twice: Table 7 prints 66.35, for 69 of 104, and Table 3 prints 66.4 of the same runs.
        """
        _, _, exponent = self.text.partition("e")
        last = Fraction(10) ** (int(exponent or 0) - self.digits)
        return last / 2 + (last / 20 if self.digits == 1 else 0)

    def admits(self, value: Fraction, spare: Fraction = Fraction(0)) -> bool:
        """Whether it may be how that value is printed, if the value itself is known up to `spare`."""
        return abs(value - self.value) <= self.tolerance + spare


@dataclass(frozen=True)
class Cell:
    """An accuracy of a table by dataset, in percent."""

    table: str
    row: str
    dataset: str
    """As the files call it."""
    median: Printed
    iqr: Printed | None
    """None where the paper prints none."""


_BY_DATASET = {
    "table3_losses.csv": ("3", "variant"),
    "peft_per_dataset.csv": (None, "method"),  # 4 to 7, by a column of its own
    "table8_pretraining.csv": ("8", "variant"),
    "table9_icl.csv": ("9", "method"),
    "table10_ablation.csv": ("10", "variant"),
}
"""Number of the table, and the column with the names of its rows."""


def cells() -> list[Cell]:
    """Every accuracy of Tables 3 to 10, in their order."""
    found = []
    for name, (table, key) in _BY_DATASET.items():
        for row in published.read(name):
            iqr = Printed(row["iqr"]) if row["iqr"] else None
            cell = Cell(table or row["table"], row[key], row["dataset"], Printed(row["median"]), iqr)
            found.append(cell)
    return found


def by_row(found: Iterable[Cell]) -> dict[tuple[str, str], list[Cell]]:
    """Cells by table and row."""
    grouped: dict[tuple[str, str], list[Cell]] = {}
    for cell in found:
        grouped.setdefault((cell.table, cell.row), []).append(cell)
    return grouped


def mean(parts: Sequence[Printed]) -> tuple[Fraction, Fraction]:
    """The mean of printed numbers, and how far rounding may have moved it."""
    count = len(parts)
    return sum((p.value for p in parts), Fraction(0)) / count, sum((p.tolerance for p in parts), Fraction(0)) / count


def decimal(value: Fraction, digits: int = 2) -> str:
    """A number in decimal digits."""
    return f"{float(value):.{digits}f}"
