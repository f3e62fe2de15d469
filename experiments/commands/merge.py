"""`tfew merge`: a plain transformers model of what `tfew fit` has made."""

from pathlib import Path
from typing import Annotated

import typer


def command(
    folder: Annotated[Path, typer.Argument(help="What `tfew fit` has made.")],
    out: Annotated[Path, typer.Argument(help="The folder to make.")],
    backbone: Annotated[
        str | None, typer.Option(help="Where the backbone is now, if not where it was at the fit.")
    ] = None,
) -> None:
    """Fold an adaptation into its backbone: a model that transformers loads by itself.

    The folder's fit.json says what to ask it: the question, and the answers to rank.

    Example:
        tfew merge train.tfew merged
    """
    from tfew_pl.atomic import check_target
    from tfew_pl.errors import UserError
    from tfew_pl.userdata.fitted import Fitted

    fitted = Fitted.load(folder)
    if out.exists():
        raise UserError(f"{out}: it is there already; name another folder")
    check_target(out, "OUT")

    from tfew_pl.userdata.merge import merge

    merge(fitted, out, backbone)
    typer.echo(str(out))
