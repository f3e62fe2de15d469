"""Flags that several commands have."""

from pathlib import Path
from typing import Annotated

import typer

from tfew_pl.matmul_precision import Choice

HOW = "How to run it"
"""The heading of their panel in a command's help."""

MatmulPrecision = Annotated[
    Choice,
    typer.Option(
        help="Of fp32 products on a CPU; auto: by a check of error and speed. Numbers depend on it.",
        rich_help_panel=HOW,
    ),
]
Compile = Annotated[
    bool,
    typer.Option(
        "--compile",
        help="Train compiled: faster steps after a minute of compiling. Numbers differ in rounding.",
        rich_help_panel=HOW,
    ),
]

Store = Annotated[Path | None, typer.Option(help="Folder of the records, if not the grid's own.")]
Backbone = Annotated[str | None, typer.Option(help="In place of the grid's backbone.")]
Data = Annotated[
    str | None,
    typer.Option("--data", "--data-root", help="In place of the grid's data: pocket, hub or a folder."),
]
Precision = Annotated[str | None, typer.Option(help="In place of the grid's precision: fp32, bf16, int8 or nf4.")]
Initial = Annotated[
    Path | None,
    typer.Option(help="File of (IA)3 vectors pre-trained on the backbone, for the runs that start from such."),
]
"""With `Backbone`, `Data` and `Precision` what `replacements.Replaced` holds."""
