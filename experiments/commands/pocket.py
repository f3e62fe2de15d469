"""`tfew pocket`: making the embedded backbones again, stage by stage; `tfew pretrain` makes their (IA)3 vectors."""

import logging
from pathlib import Path
from typing import Annotated, Literal

import typer

from experiments.output import JSON, Column, show_json, show_table, write_file

app = typer.Typer(
    help="Make the embedded backbones again, stage by stage, from a seed.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="rich",
)

Out = Annotated[Path, typer.Option(help="Folder to write.")]
Seed = Annotated[int, typer.Option(help="Of the pre-training run.")]
Init = Annotated[Path, typer.Option(help="Folder of the stage before.", exists=True, file_okay=False)]
Processes = Annotated[int, typer.Option(help="Data-parallel processes; other weights if changed.", min=1)]


def _log() -> None:
    logging.getLogger("tfew_pl").setLevel(logging.INFO)


def _stage(stage: str, out: Path, seed: int, init: Path, processes: int) -> None:
    from tfew_pl.pocket.stages import run_stage

    _log()
    run_stage(stage, out, seed, init, processes=processes)


@app.command()
def tokenizer(out: Out, seed: Seed = 0) -> None:
    """Train the vocabulary.

    Example:
        tfew pocket tokenizer --out work/tokenizer
    """
    from tfew_pl.pocket.tokenizer import train_tokenizer

    _log()
    train_tokenizer(out, seed)


@app.command()
def span(
    out: Out,
    tokenizer: Annotated[Path, typer.Option(help="Folder of the vocabulary.", exists=True, file_okay=False)],
    seed: Seed = 0,
    processes: Processes = 2,
) -> None:
    """Pre-train by span corruption on running text, from scratch.

    Example:
        tfew pocket span --out work/span --tokenizer work/tokenizer
    """
    from tfew_pl.pocket.stages import run_stage

    _log()
    run_stage("span", out, seed, tokenizer=tokenizer, processes=processes)


@app.command()
def lm(out: Out, init: Init, seed: Seed = 0, processes: Processes = 2) -> None:
    """Adapt to language modeling: pocket-lm.

    Example:
        tfew pocket lm --out work/pocket-lm --init work/span
    """
    _stage("lm", out, seed, init, processes)


@app.command()
def t0(out: Out, init: Init, seed: Seed = 0, processes: Processes = 2) -> None:
    """Train on many prompted tasks: pocket-t0.

    Example:
        tfew pocket t0 --out work/pocket-t0 --init work/pocket-lm
    """
    _stage("t0", out, seed, init, processes)


@app.command()
def gate(
    backbone: Annotated[str, typer.Argument(help="pocket-t0, pocket-lm, or the folder that a stage wrote.")],
    count: Annotated[int, typer.Option(help="Fresh questions of each sort.", min=1)] = 200,
    json: JSON = False,
) -> None:
    """Measure what a backbone knows of what it was trained on.

    Examples:
        tfew pocket gate pocket-t0
        tfew pocket gate work/span --json
    """
    from tfew_pl.pocket.gate import measure

    rows = [{"question": name, "right": share} for name, share in measure(backbone, count).items()]
    if json:
        show_json(rows)
    else:
        show_table(rows, [Column("question", "question"), Column("right", "right", "right", "{:.1%}".format)])


@app.command()
def data(
    out: Out,
    split: Annotated[
        Literal["development", "evaluation"], typer.Option(help="What stands for the real evaluation split.")
    ] = "development",
) -> None:
    """Write the generated held-out tasks as files in the schemas of the real datasets, for --data.

    Example:
        tfew pocket data --out dev && tfew grid development
    """
    from tfew_pl.pocket.files import contents

    written = contents(split)
    for name, lines in written.items():
        write_file(out / name, lines)
    typer.echo(f"{len(written)} files written to {out}")
