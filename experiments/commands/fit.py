"""`tfew fit`: train on a user's own table."""

from pathlib import Path
from typing import Annotated

import typer

_WHAT = "What to learn"
_HOW = "How to train"


def command(
    train: Annotated[Path, typer.Argument(help="Labeled rows: .csv, .tsv, .jsonl or .parquet.")],
    text: Annotated[
        str | None, typer.Option(metavar="COLUMN", help="The texts; text if left out.", rich_help_panel=_WHAT)
    ] = None,
    label: Annotated[str, typer.Option(metavar="COLUMN", help="The labels.", rich_help_panel=_WHAT)] = "label",
    template: Annotated[
        str | None,
        typer.Option(
            metavar="JINJA",
            help="The question: {{ text }} and other columns by name. One that lists the labels if left out.",
            rich_help_panel=_WHAT,
        ),
    ] = None,
    answer: Annotated[
        list[str] | None,
        typer.Option(
            metavar="LABEL=WORDS",
            help="Words that say what a label means, such as 0=negative; may be repeated.",
            rich_help_panel=_WHAT,
        ),
    ] = None,
    test: Annotated[
        Path | None,
        typer.Option(help="Labeled rows to measure on; parts of the training rows if left out.", rich_help_panel=_WHAT),
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="The folder to make; train.tfew of train.csv if left out.")
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace that folder.")] = False,
    method: Annotated[str, typer.Option(help="One of `tfew methods`.", rich_help_panel=_HOW)] = "ia3",
    backbone: Annotated[
        str, typer.Option(help="One of `tfew backbones`, a hub id or a folder.", rich_help_panel=_HOW)
    ] = "pocket-t0",
    folds: Annotated[
        int | None,
        typer.Option(
            help="Parts left out in turn to measure accuracy; 4 if left out, 0 for none.",
            min=0,
            rich_help_panel=_HOW,
        ),
    ] = None,
    steps: Annotated[
        int | None,
        typer.Option(help="Training steps; the recipe's 1,000, but 100 on a pocket backbone.", rich_help_panel=_HOW),
    ] = None,
    seed: Annotated[int, typer.Option(help="Of folds, orders and initialization.", rich_help_panel=_HOW)] = 42,
    precision: Annotated[
        str, typer.Option(help="fp32 or bf16; int8 or nf4 with bitsandbytes.", rich_help_panel=_HOW)
    ] = "fp32",
    threads: Annotated[
        int | None, typer.Option(help="Threads on a CPU; all cores if left out.", min=1, rich_help_panel=_HOW)
    ] = None,
) -> None:
    """Train on a table of your own, measure on rows left out, save what `tfew predict` needs.

    A question is made of each row's text, and the backbone learns which label answers it.

    Examples:
        tfew fit train.csv --text review --label sentiment
        tfew fit train.csv --test test.csv --answer 0=negative --answer 1=positive
        tfew fit pairs.jsonl --template "{{ first }} Does this mean: {{ second }}?" --label same -o pairs
    """
    from experiments.fit_report import show_result, show_understood
    from tfew_pl.atomic import check_target
    from tfew_pl.errors import UserError
    from tfew_pl.userdata.examples import read_test, read_training
    from tfew_pl.userdata.fitted import check_place

    output = output or train.with_suffix(".tfew")
    check_place(output, overwrite, "--output")
    check_target(output, "--output")
    if folds == 1:
        raise UserError("--folds 1: one part alone leaves nothing to train on; 0 measures nothing")
    if folds is not None and test is not None:
        raise UserError("--folds goes without --test, whose rows are measured on")
    words = {}
    for pair in answer or []:
        name, equals, meaning = pair.partition("=")
        if not equals:
            raise UserError(f"--answer {pair}: expected LABEL=WORDS")
        if name.strip() in words:
            raise UserError(f"--answer {pair}: label {name.strip()!r} has an answer already")
        words[name.strip()] = meaning.strip()
    task, rows = read_training(train, text=text, label=label, template=template, answers=words)
    tested = None if test is None else read_test(test, task, label)

    from tfew_pl.userdata.fit import FOLDS, fit, fit_spec

    spec = fit_spec(task.name, backbone=backbone, method=method, seed=seed, steps=steps, precision=precision)  # type: ignore[arg-type]

    import torch

    from experiments.display import show_progress
    from tfew_pl.backbones import load_backbone
    from tfew_pl.matmul_precision import set_matmul_precision

    if threads is not None:
        torch.set_num_threads(threads)
    set_matmul_precision()
    parts = 0 if tested is not None else FOLDS if folds is None else folds
    show_understood(train, label, task, rows, spec, load_backbone(spec.backbone, spec.precision), parts, tested or ())
    with show_progress(spec.label()) as progress:
        fitted = fit(task, rows, spec, test=tested, folds=parts, progress=progress)
    fitted.save(output, overwrite)
    show_result(fitted, output)
