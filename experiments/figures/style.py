"""What all figures share: colors, type, and how they are written to disk."""

import io
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from experiments.output import write_file

if TYPE_CHECKING:
    from matplotlib.figure import Figure

OKABE_ITO = {
    "black": "#000000",
    "orange": "#E69F00",
    "sky blue": "#56B4E9",
    "green": "#009E73",
    "yellow": "#F0E442",
    "blue": "#0072B2",
    "vermilion": "#D55E00",
    "purple": "#CC79A7",
}
"""Colors that the color-blind can tell apart (Okabe & Ito 2008)."""

_SETTINGS: Any = {
    "font.family": "DejaVu Sans",  # comes with matplotlib: the same everywhere
    "font.size": 10,
    "axes.titlesize": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "0.92",
    "axes.axisbelow": True,
    "svg.hashsalt": "tfew_pl",  # the same figure gives the same file
}


@contextmanager
def styled() -> Iterator[None]:
    """Within it, figures are drawn in this style, whatever the user's own settings are."""
    import matplotlib

    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(_SETTINGS)
        yield


def bars(middle: float, ends: tuple[float, float] | None) -> list[list[float]] | None:
    """Error bars from one end to the other, as matplotlib's `errorbar` takes them; None for none."""
    return None if ends is None else [[middle - ends[0]], [ends[1] - middle]]


def with_subscripts(text: str) -> str:
    """A text in which matplotlib sets the losses as the paper does: L_LN with an index."""
    return re.sub(r"L_(\w+)", r"$L_{\\mathrm{\1}}$", text)


def save(figure: "Figure", stem: Path, title: str) -> list[Path]:
    """Writes a figure as SVG and PNG, byte for byte the same each time.

    Args:
        figure: drawn within `styled`.
        stem: the files' path without an ending.
        title: what the figure shows, for readers that do not see it.

    Raises:
        UserError: one of them cannot be written.
    """
    svg, png = io.BytesIO(), io.BytesIO()
    with styled():
        figure.savefig(svg, format="svg", metadata={"Title": title, "Date": None})
        figure.savefig(png, format="png", dpi=160, metadata={"Title": title, "Software": None})
    paths = [stem.with_suffix(".svg"), stem.with_suffix(".png")]
    for path, content in zip(paths, (svg, png), strict=True):
        write_file(path, content.getvalue())
    return paths
