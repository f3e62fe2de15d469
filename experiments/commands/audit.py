"""`tfew audit`: the published tables, checked against themselves."""

import dataclasses

import typer

from experiments.output import JSON, Column, show_json, show_table

_COLUMNS = (
    Column("table", "where"),
    Column("row", "row"),
    Column("column", "column"),
    Column("printed", "printed", "right"),
    Column("expected", "expected", "right"),
    Column("why", "why"),
)


def command(json: JSON = False) -> None:
    """Find what disagrees in the paper's tables, by recomputing them.

    Averages, costs and what the text says of them are recomputed from the printed parts. Granularity: accuracies must
    be fractions of the number of evaluation examples. Repeat: numbers of runs that two tables print must be
    the same. Reads results/paper, and nothing of ours.

    Examples:
        tfew audit
        tfew audit --json
    """
    from experiments.audit import audit

    report = audit()
    findings = [dataclasses.asdict(finding) for finding in report.findings]
    if json:
        show_json(findings)
        return
    show_table(findings, _COLUMNS)
    counts = ", ".join(f"{name} {count:,}" for name, count in report.checked.items())
    typer.echo(
        f"\n{len(findings)} of {sum(report.checked.values()):,} numbers disagree with others (checked: {counts})"
    )
