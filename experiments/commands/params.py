"""`tfew params`: how many parameters each method trains, stores and adds on a backbone."""

from typing import Annotated, Any

import typer

from experiments.output import JSON, Column, show_json, show_table

_COLUMNS = (
    Column("method", "method"),
    Column("trainable", "trainable", "right", "{:,}".format),
    Column("share", "% of backbone", "right", "{:.3f}".format),
    Column("stored", "stored", "right", "{:,}".format),
    Column("inference_extra", "extra at inference", "right", "{:,}".format),
)


def counts(backbone: str, methods: list[str] | None = None) -> tuple[dict[str, dict[str, int]], int]:
    """The parameters of methods on a backbone, counted on the meta device without weights.

    Args:
        backbone: see `tfew_pl.shapes.empty_backbone`.
        methods: their names; None for every registered one.

    Returns:
        By method `trainable`, `stored` and `inference_extra`; and the backbone's own number of parameters.

    Raises:
        UserError: a method or the backbone's architecture is unknown.
    """
    import dataclasses

    import torch

    from tfew_pl.registry import get_method, registered_methods
    from tfew_pl.shapes import empty_backbone

    found = {}
    chosen = [get_method(name) for name in methods or sorted(registered_methods())]
    model = empty_backbone(backbone)
    for method in chosen:
        adaptation = method.attach(model, generator=torch.Generator())
        found[method.name] = dataclasses.asdict(adaptation.counts())
        adaptation.detach()
    return found, sum(p.numel() for p in model.parameters())


def command(
    backbone: Annotated[str, typer.Option(help="A known T5, an embedded backbone, or a folder.")] = "t0-3b",
    method: Annotated[
        list[str] | None, typer.Option(help="One of `tfew methods`; may be repeated. All if left out.")
    ] = None,
    json: JSON = False,
) -> None:
    """Count the parameters of every method on a backbone, without its weights.

    Trainable: updated in training. Stored: in the adaptation's file. Extra at inference: beside the backbone's own,
    once merged what can be.

    Examples:
        tfew params
        tfew params --backbone t5-small --method ia3 --method lora
        tfew params --backbone t0 --json
    """
    found, own = counts(backbone, method)
    if json:
        show_json(found)
        return
    rows: list[dict[str, Any]] = [
        {"method": name, "share": 100 * numbers["trainable"] / own, **numbers} for name, numbers in found.items()
    ]
    show_table(sorted(rows, key=lambda row: row["trainable"]), _COLUMNS)
    typer.echo(f"\n{backbone}: {own:,} parameters")
