"""`tfew params`: how many parameters each method trains, stores and adds on a backbone."""

from typing import Annotated, Any, get_args

import typer

from experiments.output import JSON, Column, show_json, show_table
from experiments.quantities import size

_COLUMNS = (
    Column("method", "method"),
    Column("trainable", "trainable", "right", "{:,}".format),
    Column("share", "% of backbone", "right", "{:.3f}".format),
    Column("stored", "stored", "right", "{:,}".format),
    Column("inference_extra", "extra at inference", "right", "{:,}".format),
)


def counts(backbone: str, methods: list[str] | None = None) -> tuple[dict[str, dict[str, int]], int, dict[str, int]]:
    """The parameters of methods on a backbone, counted on the meta device without weights.

    Args:
        backbone: see `tfew_pl.shapes.empty_backbone`.
        methods: their names; None for every registered one.

    Returns:
        By method `trainable`, `stored` and `inference_extra`; and the backbone's own number of parameters, and the
        bytes of its weights by precision.

    Raises:
        UserError: a method or the backbone's architecture is unknown.
    """
    import dataclasses

    import torch

    from tfew_pl.quantization import weight_bytes
    from tfew_pl.registry import get_method, registered_methods
    from tfew_pl.shapes import empty_backbone
    from tfew_pl.spec import Precision

    found = {}
    chosen = [get_method(name) for name in methods or sorted(registered_methods())]
    model = empty_backbone(backbone)
    for method in chosen:
        adaptation = method.attach(model, generator=torch.Generator())
        found[method.name] = dataclasses.asdict(adaptation.counts())
        adaptation.detach()
    weights = {precision: weight_bytes(model, precision) for precision in get_args(Precision)}
    return found, sum(p.numel() for p in model.parameters()), weights


def command(
    backbone: Annotated[str, typer.Option(help="A known T5, an embedded backbone, or a folder.")] = "t0-3b",
    method: Annotated[
        list[str] | None, typer.Option(help="One of `tfew methods`; may be repeated. All if left out.")
    ] = None,
    json: JSON = False,
) -> None:
    """Count the parameters of every method on a backbone, and the memory of its weights, without them.

    Trainable: updated in training. Stored: in the adaptation's file. Extra at inference: beside the backbone's own,
    once merged what can be.

    Examples:
        tfew params
        tfew params --backbone t5-small --method ia3 --method lora
        tfew params --backbone t0 --json
    """
    found, own, weights = counts(backbone, method)
    if json:
        show_json(found)
        return
    rows: list[dict[str, Any]] = [
        {"method": name, "share": 100 * numbers["trainable"] / own, **numbers} for name, numbers in found.items()
    ]
    show_table(sorted(rows, key=lambda row: row["trainable"]), _COLUMNS)
    memory = ", ".join(f"{size(needed)} in {precision}" for precision, needed in weights.items())
    typer.echo(f"\n{backbone}: {own:,} parameters; its weights take {memory}")
