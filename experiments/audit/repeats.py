"""The same runs in two tables: they must have the same numbers."""

from collections.abc import Iterator

from experiments.audit.finding import Finding
from experiments.audit.printed import Printed, by_row, cells

SAME = (
    (("3", "FT"), ("7", "full")),
    (("3", "+ UL"), ("6", "full")),
    (("3", "+ LN"), ("5", "full")),
    (("3", "+ UL + LN"), ("4", "full")),
    (("8", "(IA)3"), ("4", "ia3")),
    (("9", "T-Few"), ("10", "T-Few")),
)
"""Tables and rows that print the same runs."""


def _agree(one: Printed | None, other: Printed | None) -> bool:
    if one is None or other is None:
        return one is other
    return one.admits(other.value, other.tolerance)


def check() -> Iterator[Finding | None]:
    """Numbers that are printed twice must agree to the digits of the shorter one."""
    found = by_row(cells())
    for here, there in SAME:
        others = {cell.dataset: cell for cell in found[there]}
        for cell in found[here]:
            other = others[cell.dataset]
            for suffix, one, two in (("", cell.median, other.median), (" IQR", cell.iqr, other.iqr)):
                if _agree(one, two):
                    yield None
                    continue
                printed, expected = ("none" if number is None else number.text for number in (one, two))
                why = f"Table {there[0]} prints the same runs in its row {there[1]}"
                yield Finding("repeat", f"Table {here[0]}", here[1], cell.dataset + suffix, printed, expected, why)
