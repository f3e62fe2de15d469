"""`tfew import`: adaptations that the release or the PEFT library wrote, as ours."""

from pathlib import Path
from typing import Annotated

import typer


def command(
    source: Annotated[Path, typer.Argument(help="The release's file, such as t03b_ia3_finish.pt, or PEFT's folder.")],
    backbone: Annotated[str, typer.Option(help="What it was trained on: one of `tfew backbones`, or a folder.")],
    out: Annotated[Path, typer.Option(help="File to write.")],
) -> None:
    """Read an adaptation of the release, or of the PEFT library.

    The release's (IA)3 vectors are held against the backbone's architecture: no weights are needed. Training starts
    from them with `tfew run --initial`. PEFT's (IA)3 and LoRA are read on the backbone itself.

    Examples:
        tfew import t03b_ia3_finish.pt --backbone t0-3b --out t03b_ia3.safetensors
        tfew import peft/ --backbone t0-3b --out adaptation.safetensors
    """
    from experiments.output import write_file
    from tfew_pl import backbones
    from tfew_pl.adaptation_file import backbone_digest
    from tfew_pl.errors import UserError
    from tfew_pl.released import import_released
    from tfew_pl.shapes import SHAPES, empty_backbone

    if not source.exists():
        raise UserError(f"{source}: no such file or folder")
    if source.is_dir():
        from experiments.peft_format import read_peft

        content = read_peft(source, backbones.load_backbone(backbone).model)
    elif backbone not in SHAPES and backbones.resolve(backbone).is_local:
        model = backbones.load_backbone(backbone).model
        content = import_released(source, model, backbone_digest(model))
    else:
        content = import_released(source, empty_backbone(backbone), None)
    write_file(out, content)
    typer.echo(str(out))
