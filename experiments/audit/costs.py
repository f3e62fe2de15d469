"""The cost columns of Table 1, against the formulas of Section 4.2."""

from collections.abc import Iterator
from fractions import Fraction

from experiments import published
from experiments.audit.finding import Finding
from experiments.audit.printed import Printed
from experiments.costs import paper_costs
from experiments.quantities import scientific, size

_UNITS = {"B": (1, 1), "kB": (1000, 1024), "MB": (1000**2, 1024**2), "GB": (1000**3, 1024**3)}
"""Decimal and binary, in bytes: what is printed may mean either."""


def admits_bytes(printed: str, value: Fraction | int) -> bool:
    """Whether a number of bytes may be printed so, with units of 1,000 or of 1,024."""
    number, unit = printed.split()
    return any(Printed(number).admits(Fraction(value) / factor) for factor in _UNITS[unit])


def _flops(column: str, method: str, printed: str, expected: float, without_query: float | None) -> Finding | None:
    if Printed(printed).admits(Fraction(expected)):
        return None
    why = "by the formula of Section 4.2"
    if without_query is not None:
        why += f", 2N x ({published.SHOTS} x {published.SHOT_TOKENS} + {published.EXAMPLE_TOKENS})"
        if Printed(printed).admits(Fraction(without_query)):
            why += "; what is printed leaves out the tokens of the query"
    return Finding("cost", "Table 1", method, column, printed, scientific(expected), why)


def check() -> Iterator[Finding | None]:
    """FLOPs and disk space must follow from N, the median lengths, the number of shots and the recipe."""
    computed = {row.method: row for row in paper_costs()}
    for line in published.read("table1_costs.csv"):
        row = computed[line["method"]]
        without_query = row.context_flops or None
        yield _flops("inference_flops", row.method, line["inference_flops"], row.inference_flops, without_query)
        yield _flops("training_flops", row.method, line["training_flops"], row.training_flops, None)
        if admits_bytes(line["disk_space"], row.disk_bytes):
            yield None
            continue
        values, kibibytes = row.disk_bytes // 4, Fraction(row.disk_bytes, 1024)
        why = f"{values:,} values of four bytes are {row.disk_bytes / 1e6:.3f} MB or {row.disk_bytes / 2**20:.3f} MiB"
        number, unit = line["disk_space"].split()
        if unit == "MB" and Printed(number).admits(kibibytes / 1000):
            why += f"; what is printed are {float(kibibytes):,.0f} KiB, divided by 1,000 instead of 1,024"
        yield Finding("cost", "Table 1", row.method, "disk_space", line["disk_space"], size(row.disk_bytes), why)
