"""`tfew export`: an adaptation in the PEFT library's format."""

from pathlib import Path
from typing import Annotated, Literal

import typer


def command(
    source: Annotated[Path, typer.Argument(help="A finished run's folder, or its adaptation.safetensors.")],
    out: Annotated[Path, typer.Option(help="Folder to write.")],
    to: Annotated[Literal["peft"], typer.Option(help="The library.")] = "peft",
    backbone: Annotated[
        str | None, typer.Option(help="What it was trained on, to be noted in PEFT's configuration.")
    ] = None,
    slot: Annotated[int, typer.Option(help="Which slot of several.", min=0)] = 0,
) -> None:
    """Convert an adaptation to the PEFT library's format; `tfew import` is the way back.

    (IA)3 and LoRA can be converted. PEFT is not needed for it.

    Examples:
        tfew export adaptation.safetensors --out work/peft --backbone t0-3b
    """
    from experiments.peft_format import write_peft
    from tfew_pl import backbones
    from tfew_pl.adaptation_file import read
    from tfew_pl.store import ADAPTATION

    header, tensors = read(source / ADAPTATION if source.is_dir() else source)
    base = backbones.resolve(backbone).source if backbone else ""
    write_peft(header["method"], tensors, out, slot, base)
    typer.echo(str(out))
