"""`tfew predict`: label new rows by what `tfew fit` has made."""

from pathlib import Path
from typing import Annotated

import typer

CHUNK_ROWS = 1024
"""Rows in memory at a time."""


def command(
    folders: Annotated[list[Path], typer.Argument(metavar="FOLDER...", help="What `tfew fit` has made.")],
    rows: Annotated[Path, typer.Argument(help="Rows to label: .csv, .tsv, .jsonl or .parquet.")],
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="A .csv, .tsv, .jsonl or .parquet file; standard output if left out."),
    ] = None,
    probabilities: Annotated[
        bool,
        typer.Option(
            "--probabilities",
            help="Add a column a label: softmax of its length-normalized score; not calibrated.",
        ),
    ] = False,
    route: Annotated[
        str | None,
        typer.Option(metavar="COLUMN", help="The column that says which folder, by its name, labels a row."),
    ] = None,
    backbone: Annotated[
        str | None, typer.Option(help="Where the backbone is now, if not where it was at the fit.")
    ] = None,
    threads: Annotated[int | None, typer.Option(help="Threads on a CPU; all cores if left out.", min=1)] = None,
) -> None:
    """Label new rows; a column `prediction` is added to theirs.

    Several folders share one backbone and their rows its batches. A file appears when all rows are labeled.

    Examples:
        tfew predict train.tfew rows.csv
        tfew predict train.tfew rows.csv --probabilities -o labeled.parquet
        tfew predict spam.tfew topic.tfew rows.jsonl --route task -o labeled.jsonl
    """
    from collections import Counter

    from tfew_pl.errors import UserError
    from tfew_pl.userdata.examples import Routed
    from tfew_pl.userdata.fitted import Fitted
    from tfew_pl.userdata.output import check_output, parquet_types, write_rows
    from tfew_pl.userdata.predictions import Columns
    from tfew_pl.userdata.table import open_table

    fitted: dict[str, Fitted] = {}
    for folder in folders:
        name = folder.resolve().name
        if name in fitted:
            raise UserError(f"two folders are called {name}: --route could not tell them apart")
        fitted[name] = Fitted.load(folder)
    if output is not None:
        check_output(output)
    table = open_table(rows)
    routed = Routed(table, fitted, route)
    columns = Columns(list(fitted.values()), table.columns, probabilities)
    routed.check()
    is_parquet = output is not None and output.suffix.lower() == ".parquet"
    types = {**parquet_types(table), **columns.parquet_types()} if is_parquet else {}

    import torch

    from tfew_pl.matmul_precision import set_matmul_precision
    from tfew_pl.userdata.predictor import predicting

    if threads is not None:
        torch.set_num_threads(threads)
    set_matmul_precision()
    counts: Counter[str] = Counter()
    done = 0
    with (
        predicting(fitted, backbone) as predictor,
        write_rows(output, [*table.columns, *columns.names], types, json_lines=table.is_json) as write,
    ):
        for chunk in routed.chunks(CHUNK_ROWS):
            scores = predictor.scores([(task, row) for _, task, row in chunk], done)
            found = [columns.values(task, one) for (_, task, _), one in zip(chunk, scores, strict=True)]
            write([{**values, **more} for (values, _, _), more in zip(chunk, found, strict=True)])
            counts.update(str(more["prediction"]) for more in found)
            done += len(chunk)
    shares = ", ".join(f"{label} {count}" for label, count in counts.most_common(10))
    typer.echo(f"{done} rows: {shares}" + (f"; saved {output}" if output else ""), err=True)
