"""What the benchmarks have measured, on one page."""

import ast
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from experiments.benchmarks import report
from experiments.output import write_file
from experiments.tables.block import Block, Document, markdown
from tfew_pl.errors import UserError

FOLDER = Path("results/benchmarks")
_INTRODUCTION = """\
# What the benchmarks have measured

Each table is of one file here, which `python -m experiments.benchmarks.NAME --json FILE` wrote; `python -m
experiments.benchmarks.page` makes this page of them. Variants that are compared take turns in one process, and how many
times as long one takes is the median over neighbors in time, so that what else the machine does falls on all of them.
"""


def page(folder: Path) -> str:
    """A table for each measurement in a folder, in Markdown.

    Raises:
        UserError: a file cannot be read, or is none that a benchmark wrote.
    """
    parts = [_INTRODUCTION]
    for path in sorted(folder.glob("*.json")):
        try:
            parts.append(_section(json.loads(path.read_text(encoding="utf-8"))))
            if path.with_suffix(".png").is_file():
                parts.append(f"![{path.stem.replace('_', ' ')}]({path.stem}.png)\n")
        except (OSError, ValueError, KeyError, TypeError, IndexError) as error:
            raise UserError(f"{path}: no measurement of a benchmark ({type(error).__name__}: {error})") from error
    return "\n".join(parts)


def _section(content: Mapping[str, Any]) -> str:
    rows, machine = content["rows"], content["environment"]
    header = tuple(content["columns"][key] for key in rows[0])
    cells = tuple(tuple(map(_shown, row.values())) for row in rows)
    threads = f"{machine['threads']} thread{'s' * (machine['threads'] != 1)}"
    notes = f"`{content['command']}`\\\n{machine['device']}, {threads}, PyTorch {machine['packages']['torch']}\n"
    model = content["settings"].get("model")
    title = f"{content['title']}, {model}" if model else content["title"]
    return f"{markdown(Document((Block(title, header, cells),), ()))}{_about(content['command'])}\n\n{notes}"


def _about(command: str) -> str:
    """What the module of a command says that it measures."""
    name = command.split()[2].rpartition(".")[2]
    module = ast.parse(Path(__file__).with_name(f"{name}.py").read_text(encoding="utf-8"))
    return " ".join((ast.get_docstring(module) or "").split())


def _shown(value: Any) -> str:
    """A number with three digits, or all of those before the point."""
    if not isinstance(value, float):
        return f"{value:,}" if isinstance(value, int) else str(value)
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:#.3g}"


def command(
    folder: Annotated[Path, typer.Option(help="Of the measurements; README.md in it is written.")] = FOLDER,
) -> None:
    """Write the page of what the benchmarks have measured.

    Example:
        python -m experiments.benchmarks.page
    """
    write_file(folder / "README.md", page(folder).encode())
    typer.echo(f"Wrote {folder / 'README.md'}", err=True)


if __name__ == "__main__":
    report.start(command)
