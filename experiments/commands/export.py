"""`tfew export`: an adaptation in another library's format, and back."""

from pathlib import Path
from typing import Annotated

import typer


def command(
    source: Annotated[
        Path,
        typer.Argument(help="A finished run's folder or its adaptation.safetensors; PEFT's folder with --to tfew."),
    ],
    out: Annotated[Path, typer.Option(help="A folder for PEFT, a file for tfew.")],
    to: Annotated[str, typer.Option(help="peft or tfew.")] = "peft",
    backbone: Annotated[
        str | None, typer.Option(help="What it was trained on; needed with --to tfew, noted in PEFT's config.")
    ] = None,
    slot: Annotated[int, typer.Option(help="Which slot of several.", min=0)] = 0,
) -> None:
    """Convert an adaptation to the PEFT library's format, or back.

    (IA)3 and LoRA can be converted. PEFT is not needed for it.

    Examples:
        tfew export adaptation.safetensors --to peft --out work/peft --backbone t0-3b
        tfew export work/peft --to tfew --out work/adaptation.safetensors --backbone t0-3b
    """
    from tfew_pl import backbones
    from tfew_pl.errors import UserError

    if to == "peft":
        from experiments.peft_format import write_peft
        from tfew_pl.adaptation_file import read
        from tfew_pl.store import ADAPTATION

        header, tensors = read(source / ADAPTATION if source.is_dir() else source)
        base = backbones.resolve(backbone).source if backbone else ""
        write_peft(header["method"], tensors, out, slot, base)
    elif to == "tfew":
        if backbone is None:
            raise UserError("--to tfew needs --backbone: an adaptation says which backbone it is for")
        from experiments.peft_format import read_peft

        content = read_peft(source, backbones.load_backbone(backbone).model)
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_bytes(content)
    else:
        raise UserError(f"--to {to}: it is peft or tfew")
    typer.echo(str(out))
