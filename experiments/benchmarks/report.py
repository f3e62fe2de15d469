"""What benchmarks print and write."""

import json
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import torch
import typer

from experiments.benchmarks.timing import Clock
from experiments.output import Column, show_table
from tfew_pl import environment
from tfew_pl.errors import UserError

TIMES = (
    Column("variant", "variant"),
    Column("median_ms", "median ms", "right", "{:.1f}".format),
    Column("first_quartile_ms", "1st quartile", "right", "{:.1f}".format),
    Column("third_quartile_ms", "3rd quartile", "right", "{:.1f}".format),
    Column("ratio", "times ours", "right", "{:.2f}".format),
)

ModelName = Annotated[str, typer.Option("--model", help="t5-small (its shape, random weights), or a backbone's alias.")]
Rounds = Annotated[int, typer.Option(help="Rounds, in each of which every variant runs once.", min=1)]
Threads = Annotated[int, typer.Option(help="Threads of PyTorch.", min=1)]
ClockName = Annotated[Clock, typer.Option(help="wall, or processor: this process's time alone, on a shared machine.")]
File = Annotated[Path | None, typer.Option("--json", help="Write what was measured to this file.")]


def report(
    title: str, rows: Sequence[Mapping[str, Any]], columns: Sequence[Column], file: Path | None, **settings: Any
) -> None:
    """Prints a table under its title, and writes it as JSON with its settings, command and machine.

    Raises:
        UserError: the file cannot be written.
    """
    typer.echo(f"{title}: {', '.join(f'{name} {value}' for name, value in settings.items())}\n")
    show_table(rows, columns)
    if file is None:
        return
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    command = ["python", "-m", f"experiments.benchmarks.{Path(sys.argv[0]).stem}", *sys.argv[1:]]
    content = {
        "title": title,
        "command": " ".join(command),
        "settings": settings,
        "environment": environment.describe(device),
        "columns": {column.key: column.title for column in columns},
        "rows": list(rows),
    }
    try:
        file.write_text(json.dumps(content, indent=2, allow_nan=False) + "\n", encoding="utf-8")
    except OSError as error:
        raise UserError(f"cannot write {file}: {error.strerror or error}") from error


def start(command: Callable[..., None]) -> None:
    """Runs a benchmark's command; what the user must mend is one line and exit code 2."""
    app = typer.Typer(add_completion=False)
    app.command()(command)
    try:
        app()
    except UserError as error:
        typer.echo(f"error: {error}", err=True)
        raise SystemExit(2) from error
