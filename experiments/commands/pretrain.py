"""`tfew pretrain`: (IA)3 vectors pre-trained on a backbone's multitask mixture."""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Annotated, Literal

import typer

_WHAT = "What to train"
_HOW = "How to train it"
POCKET_STEPS = 2000


def command(
    out: Annotated[Path, typer.Option(help="File to write.", dir_okay=False)],
    backbone: Annotated[
        str, typer.Option(help="Backbone that the vectors are for.", rich_help_panel=_WHAT)
    ] = "pocket-t0",
    mixture: Annotated[
        Literal["pocket", "p3"] | None,
        typer.Option(help="What to train on; p3 if left out, pocket for a pocket backbone.", rich_help_panel=_WHAT),
    ] = None,
    data: Annotated[
        str,
        typer.Option(
            "--data-root", help="Folder with P3's Parquet files, a folder a configuration.", rich_help_panel=_WHAT
        ),
    ] = "hub",
    method: Annotated[str, typer.Option(help="One of `tfew methods`.", rich_help_panel=_WHAT)] = "ia3",
    seed: Annotated[int, typer.Option(help="Of the mixture and the initialization.", rich_help_panel=_WHAT)] = 0,
    steps: Annotated[
        int | None,
        typer.Option(help="Optimizer steps; 100,000 if left out, 2,000 on pocket.", min=1, rich_help_panel=_WHAT),
    ] = None,
    batch_size: Annotated[int, typer.Option(help="Examples a step.", min=1, rich_help_panel=_WHAT)] = 16,
    learning_rate: Annotated[
        float | None,
        typer.Option(help="The highest; the release's 3e-4 if left out, 3e-3 on pocket.", rich_help_panel=_WHAT),
    ] = None,
    precision: Annotated[
        str, typer.Option(help="fp32, bf16, int8 or nf4, of the frozen backbone.", rich_help_panel=_HOW)
    ] = "fp32",
    every: Annotated[
        int, typer.Option("--checkpoint-every", help="Steps between checkpoints.", min=1, rich_help_panel=_HOW)
    ] = 1000,
    accelerator: Annotated[
        str | None, typer.Option(help="Lightning's, such as cpu or gpu.", rich_help_panel=_HOW)
    ] = None,
    devices: Annotated[int | None, typer.Option(help="Number of devices; 1 if left out.", rich_help_panel=_HOW)] = None,
    strategy: Annotated[
        str | None,
        typer.Option(
            help="ddp: every device holds the backbone; fsdp: it is sharded. ddp if left out.", rich_help_panel=_HOW
        ),
    ] = None,
    threads: Annotated[
        int, typer.Option(help="Threads of PyTorch; other roundings if changed.", min=1, rich_help_panel=_HOW)
    ] = 1,
    logger: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            help="Log the training with tensorboard, wandb or mlflow, beside the file; may be repeated.",
            rich_help_panel=_HOW,
        ),
    ] = None,
) -> None:
    """Pre-train (IA)3 on a multitask mixture: where T-Few starts.

    It keeps a checkpoint beside the file; interrupted, the same command goes on from there, and gives the same vectors.
    `tfew run --initial FILE` starts from them.

    Examples:
        tfew pretrain --out work/pocket-t0-ia3.safetensors
        tfew pretrain --backbone t0-3b --precision bf16 --out t0-3b-ia3.safetensors
        tfew pretrain --backbone t0-3b --data-root /data/P3 --out t0-3b-ia3.safetensors
    """
    from rich.progress import Progress

    from experiments.output import console, write_file
    from tfew_pl import backbones
    from tfew_pl.atomic import check_target
    from tfew_pl.loggers import LogTo
    from tfew_pl.pretraining import PAPER_STEPS, RELEASE_LEARNING_RATE, pretrain, pretraining_recipe
    from tfew_pl.processes import is_first
    from tfew_pl.recipe import Recipe
    from tfew_pl.spec import RunSpec

    checked = RunSpec("", backbone=backbone, precision=precision)  # type: ignore[arg-type]
    pocket = mixture == "pocket" or (mixture is None and backbone in ("pocket-t0", "pocket-lm", "pocket-random"))
    backbones.revision(backbone)
    log = LogTo(tuple(dict.fromkeys(logger or ())), out.parent)
    log.check()
    recipe = pretraining_recipe(
        steps or (POCKET_STEPS if pocket else PAPER_STEPS),
        batch_size,
        (Recipe().learning_rate if pocket else RELEASE_LEARNING_RATE) if learning_rate is None else learning_rate,
    )
    texts = _texts("pocket" if pocket else "p3", seed, data)
    import torch

    torch.set_num_threads(threads)
    checkpoint = out.with_name(f".{out.name}.checkpoint")
    flags = {"accelerator": accelerator, "devices": devices, "strategy": strategy}
    try:
        _make_folder(out.parent)
        check_target(out, "--out")
        with Progress(console=console(), disable=not is_first()) as bar:
            task = bar.add_task(f"pre-training {method}", total=1.0)
            content = pretrain(
                method,
                backbone,
                texts,
                recipe,
                seed,
                precision=checked.precision,
                mixture="pocket" if pocket else f"p3 {data}",
                checkpoint=checkpoint,
                every=every,
                progress=lambda _stage, share: bar.update(task, completed=share),
                trainer={name: value for name, value in flags.items() if value is not None},
                log=log,
            )
    except (KeyboardInterrupt, SystemExit):  # Lightning turns the former into the latter
        if not is_first():
            raise typer.Exit(130) from None
        there = "goes on from its last checkpoint" if checkpoint.is_file() else "starts anew: no checkpoint was due yet"
        typer.echo(f"interrupted: the same command {there}", err=True)
        raise typer.Exit(130) from None
    if is_first():  # Lightning starts this command again for every device
        write_file(out, content)
        checkpoint.unlink(missing_ok=True)
        typer.echo(f"Wrote {out} ({len(content)} bytes)", err=True)


def _texts(mixture: str, seed: int, source: str) -> Callable[[], Iterable[tuple[str, str]]]:
    from tfew_pl.errors import UserError

    if mixture == "pocket":
        from tfew_pl.pocket import mixture as pocket

        return lambda: pocket.examples(seed)
    from tfew_pl import p3

    if source != "hub" and not Path(source).is_dir():
        raise UserError(f"--data-root {source}: no such folder")
    next(iter(p3.examples(seed, source)))  # whether it can be read, before anything is loaded
    return lambda: p3.examples(seed, source)


def _make_folder(folder: Path) -> None:
    from tfew_pl.errors import UserError

    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"cannot write to {folder}: {error.strerror or error}") from error
