"""`tfew ablate`: a grid that takes the recipe's ingredients away, one at a time."""

from pathlib import Path
from typing import Annotated, Any

import typer


def command(
    out: Annotated[Path | None, typer.Option(help="Grid file to write; printed if left out.")] = None,
    method: Annotated[str | None, typer.Option(help="One of `tfew methods`; ia3 if left out.")] = None,
    backbone: Annotated[
        str | None, typer.Option(help="One of `tfew backbones`, a hub id or a folder; pocket-t0 if left out.")
    ] = None,
    data: Annotated[str | None, typer.Option(help="pocket or hub; pocket if left out.")] = None,
    recipe: Annotated[str | None, typer.Option(help="paper or release; paper if left out.")] = None,
    steps: Annotated[int | None, typer.Option(help="Training steps; the recipe's if left out.")] = None,
    without: Annotated[
        list[str] | None,
        typer.Option(metavar="INGREDIENT", help="Taken out of every variant; may be repeated."),
    ] = None,
    task: Annotated[
        list[str] | None, typer.Option(help="One of `tfew tasks`; may be repeated. All if left out.")
    ] = None,
    seed: Annotated[list[int] | None, typer.Option(help="May be repeated; the official ones if left out.")] = None,
) -> None:
    """Make the grid of one-at-a-time removals around a recipe, for `tfew grid`.

    The first variant is the full recipe; each of the others is without one ingredient that it has.

    Examples:
        tfew ablate --out ablation.yaml
        tfew ablate --out ablation.yaml --task rte --task cb --seed 42
        tfew ablate --method lora --steps 500 --out lora.yaml
    """
    from experiments.ablation import ablation_grid, grid_text
    from experiments.output import write_file

    fields: dict[str, Any] = {
        "method": method,
        "backbone": backbone,
        "data": data,
        "without": without,
        "recipe": recipe if steps is None else {"steps": steps} | ({"name": recipe} if recipe else {}),
    }
    grid = ablation_grid({k: v for k, v in fields.items() if v}, task or "all", seed or "official")
    text = grid_text(grid, f"tfew grid {out or 'FILE'}")
    if out is None:
        typer.echo(text, nl=False)
        return
    write_file(out, text.encode())
    typer.echo(f"{out}: {len(grid['variants'])} variants; run it with: tfew grid {out}")
