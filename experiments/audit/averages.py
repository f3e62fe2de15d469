"""Averages over datasets, against the numbers by dataset."""

from collections.abc import Iterator
from fractions import Fraction

from experiments import published
from experiments.audit.finding import Finding
from experiments.audit.printed import Printed, by_row, cells, decimal, mean


def _parts() -> dict[tuple[str, str], list[Printed]]:
    """What the averages are made of, by the table and row that print the average."""
    parts = {place: [cell.median for cell in row] for place, row in by_row(cells()).items()}
    for (table, row), numbers in list(parts.items()):
        if table == "9":  # Table 1 has the averages of Table 9, where "GPT-3 13B" is called "GPT-3 (13B)"
            parts["1", row.replace("(", "").replace(")", "")] = numbers
    for line in published.read("table11_raft_per_dataset.csv"):
        parts.setdefault(("2", line["method"]), []).append(Printed(line["score"]))
    return parts


def _averages() -> Iterator[tuple[str, str, Printed]]:
    """Table, row and average, as printed."""
    for name, table in (("table1_costs.csv", "1"), ("table2_raft.csv", "2")):
        for line in published.read(name):
            yield table, line["method"], Printed(line["accuracy"])
    for line in published.read("averages.csv"):
        yield line["table"], line["row"], Printed(line["average"])


def averages() -> dict[tuple[str, str], tuple[Fraction, Fraction]]:
    """By table and row, the mean over its datasets and how far rounding may have moved it; Tables 1 and 2 included."""
    return {place: mean(numbers) for place, numbers in _parts().items()}


_SOURCE = {"1": "Table 9", "2": "Table 11"}
"""Where the parts stand, if not in the same table."""


def check() -> Iterator[Finding | None]:
    """An average must be the mean of what is printed by dataset, as far as rounding lets one see."""
    parts = _parts()
    for table, row, printed in _averages():
        numbers = parts[table, row]
        average, spare = mean(numbers)
        if printed.admits(average, spare):
            yield None
            continue
        source = _SOURCE.get(table, "the same row")
        why = f"the {len(numbers)} numbers of {source} have this mean; rounding moves it by {decimal(spare)} at most"
        yield Finding("average", f"Table {table}", row, "accuracy", printed.text, decimal(average, 1), why)
