"""`tfew run`: one run."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from experiments.flags import HOW, Compile, MatmulPrecision
from experiments.output import JSON

if TYPE_CHECKING:
    from tfew_pl.spec import RunSpec

_WHAT = "What to run"
_RECIPE = "Recipe"


def command(
    task: Annotated[str, typer.Option(help="One of `tfew tasks`.", rich_help_panel=_WHAT)],
    method: Annotated[
        str | None, typer.Option(help="One of `tfew methods`; ia3 if left out.", rich_help_panel=_WHAT)
    ] = None,
    backbone: Annotated[
        str | None,
        typer.Option(
            help="One of `tfew backbones`, a hub id or a folder; pocket-t0 if left out.",
            rich_help_panel=_WHAT,
        ),
    ] = None,
    seed: Annotated[
        int | None,
        typer.Option(help="Of the few-shot split and of training; 42 if left out.", rich_help_panel=_WHAT),
    ] = None,
    shots: Annotated[
        int | None,
        typer.Option(help="Few-shot examples; the task's own number if left out.", rich_help_panel=_WHAT),
    ] = None,
    data: Annotated[
        str | None,
        typer.Option(
            "--data",
            "--data-root",
            help="pocket, hub, or a folder that is looked in before the hub; pocket if left out.",
            rich_help_panel=_WHAT,
        ),
    ] = None,
    precision: Annotated[
        str | None,
        typer.Option(
            help="fp32 or bf16, or quantized and frozen: int8 or nf4; fp32 if left out.", rich_help_panel=_WHAT
        ),
    ] = None,
    initial: Annotated[
        str | None,
        typer.Option(
            help="File of pre-trained (IA)3 vectors to start from; those known for the backbone if left out.",
            rich_help_panel=_WHAT,
        ),
    ] = None,
    examples: Annotated[
        int | None, typer.Option(help="Evaluate on the first examples only.", rich_help_panel=_WHAT)
    ] = None,
    templates: Annotated[
        int | None, typer.Option(help="Evaluate through the first templates only.", rich_help_panel=_WHAT)
    ] = None,
    recipe: Annotated[
        str | None, typer.Option(help="paper or release; paper if left out.", rich_help_panel=_RECIPE)
    ] = None,
    accumulate: Annotated[
        int | None,
        typer.Option(help="Micro-batches into which a training batch is divided.", min=1, rich_help_panel=_RECIPE),
    ] = None,
    steps: Annotated[
        int | None, typer.Option(help="Training steps; the recipe's if left out.", rich_help_panel=_RECIPE)
    ] = None,
    without: Annotated[
        list[str] | None,
        typer.Option(
            metavar="INGREDIENT",
            help="Take an ingredient out of the recipe, such as unlikelihood; may be repeated.",
            rich_help_panel=_RECIPE,
        ),
    ] = None,
    assignments: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="KEY=VALUE",
            help="Set recipe.FIELD, evaluation.FIELD or an option of the method; may be repeated.",
            rich_help_panel=_RECIPE,
        ),
    ] = None,
    accelerator: Annotated[
        str | None, typer.Option(help="Lightning's, such as cpu or gpu.", rich_help_panel=HOW)
    ] = None,
    devices: Annotated[int | None, typer.Option(help="Number of devices; 1 if left out.", rich_help_panel=HOW)] = None,
    strategy: Annotated[
        str | None,
        typer.Option(
            help="ddp: every device holds the backbone; fsdp: it is sharded. ddp if left out.", rich_help_panel=HOW
        ),
    ] = None,
    threads: Annotated[
        int | None,
        typer.Option(help="Threads on a CPU; 1, as in grids, if left out.", min=1, rich_help_panel=HOW),
    ] = None,
    matmul_precision: MatmulPrecision = "auto",
    compiled: Compile = False,
    store: Annotated[
        Path | None,
        typer.Option(help="Folder of the records; results/runs if left out.", rich_help_panel=HOW),
    ] = None,
    logger: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            help="Log the run with tensorboard, wandb or mlflow, under the store's folder; may be repeated.",
            rich_help_panel=HOW,
        ),
    ] = None,
    json: JSON = False,
) -> None:
    """Train and evaluate one run, save its record, and show what it found.

    A run whose record is in the store is shown, not run again.

    Examples:
        tfew run --task rte
        tfew run --task rte --without unlikelihood --without length-norm
        tfew run --task copa --method zero-shot --json
        tfew run --task rte --logger tensorboard
        tfew run --task wic --recipe release --steps 100 --set recipe.learning_rate=1e-3
        tfew run --task rte --backbone t0 --precision bf16 --data hub --devices 2 --strategy fsdp
    """
    from experiments.grid import DEFAULT_STORE
    from experiments.run_report import show_record
    from tfew_pl.loggers import LogTo
    from tfew_pl.processes import is_first
    from tfew_pl.resolve import resolve
    from tfew_pl.store import RunStore

    fields = {
        "task": task,
        "method": method,
        "backbone": backbone,
        "seed": seed,
        "shots": shots,
        "data": data,
        "precision": precision,
        "initial": initial,
        "recipe": recipe,
        "recipe.steps": steps,
        "recipe.accumulate": accumulate,
        "evaluation.examples": examples,
        "evaluation.templates": templates,
        "without": without,
    }
    flags = {
        "accelerator": accelerator,
        "devices": devices,
        "strategy": strategy,
    }
    spec = resolve(_spec({k: v for k, v in fields.items() if v is not None}, assignments or []))
    records = RunStore(store or DEFAULT_STORE)
    loggers = tuple(dict.fromkeys(logger or ()))
    LogTo(loggers, records.folder).check()
    known = spec in records
    if known and loggers:
        typer.echo("the run is finished: nothing is logged", err=True)
    if not known:
        records.require_writable()
        given = {k: v for k, v in flags.items() if v is not None}
        _run(spec, records.folder, given, threads, loggers, matmul_precision, compiled)
    if is_first():  # Lightning starts this command again for every device
        show_record(records.load(spec), records.path(spec), known=known, json=json)


def _spec(fields: dict[str, Any], assignments: list[str]) -> "RunSpec":
    """The spec of the command line.

    Raises:
        UserError: it is wrong somewhere; the message lists every problem.
    """
    import yaml

    from experiments.specs import build_spec, set_value
    from tfew_pl.conversion import scalar
    from tfew_pl.errors import UserError

    values: dict[str, Any] = {}
    problems = []
    for key, value in fields.items():
        set_value(values, key, value)
    for assignment in assignments:
        key, equals, text = assignment.partition("=")
        key = key.strip()
        if not key or not equals:
            problems.append(f"--set {assignment}: expected KEY=VALUE")
            continue
        try:
            value = scalar(yaml.safe_load(text))
        except yaml.YAMLError:
            value = text
        set_value(values, key if "." in key else f"options.{key}", value)
    spec, found = build_spec(values)
    problems += found
    if problems or spec is None:
        raise UserError("; ".join(problems))
    return spec


def _run(
    spec: "RunSpec",
    store: Path,
    flags: dict[str, Any],
    threads: int | None,
    loggers: tuple[str, ...] = (),
    matmul_precision: MatmulPrecision = "auto",
    compiled: bool = False,
) -> None:
    from experiments.devices import thread_environment, visible_gpus
    from experiments.display import show_progress
    from experiments.job import RunAndSave
    from experiments.signals import interrupted_by_termination
    from tfew_pl.processes import is_first

    if threads is None:
        on_cpu = flags.get("accelerator") == "cpu" or not visible_gpus()
        threads = 1 if on_cpu else (os.cpu_count() or 1)
    os.environ.update(thread_environment(threads))
    try:
        with interrupted_by_termination(), show_progress(spec.label()) as progress:
            job = RunAndSave(
                store, threads, flags, loggers=loggers, matmul_precision=matmul_precision, compiled=compiled
            )
            job((spec,), progress)
    except (KeyboardInterrupt, SystemExit):  # Lightning turns the former into the latter
        if is_first():
            typer.echo("interrupted: there is no record yet; the same command goes on", err=True)
        raise typer.Exit(130) from None
