"""`tfew params`: how many parameters each method trains, stores and adds on a backbone."""

import dataclasses
from collections.abc import Iterable, Iterator
from typing import Annotated, Any, get_args

import typer

from experiments.output import JSON, Column, show_json, show_table
from experiments.quantities import size
from tfew_pl.errors import UserError

_COLUMNS = (
    Column("method", "method"),
    Column("trainable", "trainable", "right", "{:,}".format),
    Column("share", "% of backbone", "right", "{:.3f}".format),
    Column("stored", "stored", "right", "{:,}".format),
    Column("inference_extra", "extra at inference", "right", "{:,}".format),
)


@dataclasses.dataclass(frozen=True)
class Counts:
    """The parameters of methods on a backbone."""

    methods: dict[str, dict[str, int]]
    """By the name that a method is registered under: `trainable`, `stored` and `inference_extra`."""
    problems: dict[str, str]
    """Why others cannot be counted, by name."""
    backbone: int
    """The backbone's own."""
    weight_bytes: dict[str, int]
    """Of the backbone, by precision."""


def counts(backbone: str, methods: list[str] | None = None) -> Counts:
    """The parameters of methods on a backbone, counted on the meta device without weights.

    Args:
        backbone: see `tfew_pl.shapes.empty_backbone`.
        methods: their names; None for every registered one, of which some may be somebody else's and fail.

    Raises:
        UserError: a method that was asked for cannot be used, or the backbone's architecture is unknown.
    """
    import torch

    from tfew_pl.quantization import weight_bytes
    from tfew_pl.registry import get_method, registered_methods
    from tfew_pl.shapes import empty_backbone
    from tfew_pl.spec import Precision

    def count(name: str) -> dict[str, int]:
        adaptation = get_method(name).attach(model, generator=torch.Generator())
        found = dataclasses.asdict(adaptation.counts())
        adaptation.detach()
        return found

    model = empty_backbone(backbone)
    found: dict[str, dict[str, int]] = {}
    problems: dict[str, str] = {}
    for name in methods or sorted(registered_methods()):
        try:
            found[name] = count(name)
        except Exception as error:  # a method of somebody else's may fail in any way
            if methods:
                raise
            own = isinstance(error, UserError)
            problems[name] = str(error) if own else f"method {name}: {type(error).__name__}: {error}"
    weights = {precision: weight_bytes(model, precision) for precision in get_args(Precision)}
    return Counts(found, problems, sum(p.numel() for p in model.parameters()), weights)


def command(
    backbone: Annotated[str, typer.Option(help="A known T5, an embedded backbone, or a folder.")] = "t0-3b",
    method: Annotated[
        list[str] | None, typer.Option(help="One of `tfew methods`; may be repeated. All if left out.")
    ] = None,
    json: JSON = False,
) -> None:
    """Count the parameters of every method on a backbone, and the memory of its weights, without them.

    Trainable: updated in training. Stored: in the adaptation's file. Extra at inference: beside the backbone's own,
    once merged what can be. Below, what makes the difference to the paper's numbers.

    Examples:
        tfew params
        tfew params --backbone t5-small --method ia3 --method lora
        tfew params --backbone t0 --json
    """
    found = counts(backbone, method)
    if json:
        empty = dict.fromkeys(("trainable", "stored", "inference_extra"))
        show_json({**found.methods, **{name: {**empty, "problem": why} for name, why in found.problems.items()}})
        return
    rows: list[dict[str, Any]] = [
        {"method": name, "share": 100 * numbers["trainable"] / found.backbone, **numbers}
        for name, numbers in found.methods.items()
    ]
    rows.sort(key=lambda row: row["trainable"])
    rows += [{**dict.fromkeys(column.key for column in _COLUMNS), "method": name} for name in found.problems]
    show_table(rows, _COLUMNS)
    memory = ", ".join(f"{size(needed)} in {precision}" for precision, needed in found.weight_bytes.items())
    typer.echo(f"\n{backbone}: {found.backbone:,} parameters; its weights take {memory}")
    for why in found.problems.values():
        typer.echo(f"Not counted: {why}")
    said = list(_remarks(row["method"] for row in rows if row["method"] in found.methods))
    if said:
        typer.echo("\n".join(("\nOn T0-3B, whose counts the paper prints:", *said)))


def _remarks(methods: Iterable[str]) -> Iterator[str]:
    """What each method's counts are where the paper's are others; once where several share it."""
    from tfew_pl.registry import method_class

    names: dict[str, list[str]] = {}
    for name in methods:
        names.setdefault(method_class(name).remarks.counted, []).append(name)
    return (f"{', '.join(of)}: {line}." for line, of in names.items() if line)
