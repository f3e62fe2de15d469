"""The leaderboard as one HTML page that loads nothing: styles, script and data are in it.

Texts from outside are escaped by the template engine; and the page's own policy lets nothing run but its one script,
named by its digest.
"""

import base64
import hashlib
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from experiments.leaderboard.board import OURS, Board, Section
from experiments.leaderboard.details import details
from experiments.leaderboard.pareto import AXES, Figure, figure
from experiments.quantities import count, percent, scientific, size
from experiments.run_costs import PROCESS_MEMORY
from tfew_pl.errors import UserError
from tfew_pl.registry import method_class
from tfew_pl.tasks import TASKS
from tfew_pl.tasks.data import HUB, POCKET

_TEMPLATES = Path(__file__).parent / "template"
_TITLES = {POCKET: "Generated tasks (pocket)", HUB: "Real tasks (hub)"}


@dataclass(frozen=True)
class CostColumn:
    """A cost in the table."""

    key: str
    """A cost of a row."""
    title: str
    show: Callable[[float], str]


COSTS = (
    CostColumn("measured_inference_flops", "FLOPs of a prediction", scientific),
    CostColumn("measured_training_flops", "FLOPs of training", scientific),
    CostColumn("measured_stored_bytes", "Stored for a task", size),
    CostColumn("trained_parameters", "Trained parameters", count),
    CostColumn("training_seconds", "Training, s", "{:.0f}".format),
    CostColumn("prediction_seconds", "Prediction, ms", lambda seconds: f"{1000 * seconds:.1f}"),
    CostColumn("peak_memory_bytes", "Peak memory", size),
)
"""As measured; medians over tasks."""


def page(board: Board) -> str:
    """The page: the same for the same board, to the byte."""
    script, styles = (_asset(name) for name in ("page.js", "page.css"))
    return _template().render(
        sections=[_section(section) for section in board.sections],
        sources=sorted({row.source for section in board.sections for row in section.rows}),
        backbones=sorted({row.spec.backbone for section in board.sections for row in section.rows}),
        ours=OURS,
        costs=COSTS,
        called=_called,
        board={row.id: details(row) for section in board.sections for row in section.rows},
        process_memory=PROCESS_MEMORY,
        script=script,
        styles=styles,
        policy=f"default-src 'none'; style-src {_source(styles)}; script-src {_source(script)}; base-uri 'none'",
    )


def _section(section: Section) -> dict[str, Any]:
    return {
        "data": section.data,
        "title": _TITLES.get(section.data, section.data),
        "tasks": [TASKS[name] for name in section.tasks],
        "rows": section.rows,
        "ranking": section.ranking,
        "best": _best(section),
        "figures": _figures(section),
    }


def _called(method: str) -> str:
    """The name of a method that is trained here, as texts have it: "(IA)3"; nothing of one that is not installed."""
    try:
        return method_class(method).summary.partition(":")[0]
    except UserError:
        return ""


def _best(section: Section) -> dict[str, float]:
    """The highest median of every task, as printed; of the comparable rows, where there are some."""
    rows = [row for row in section.rows if row.comparable] or section.rows
    return {task: max(round(row.medians[task], 1) for row in rows if task in row.medians) for task in section.tasks}


def _figures(section: Section) -> list[Figure]:
    complete = [row for row in section.rows if row.mean]
    return [figure(complete, axis) for axis in AXES] if complete else []


@lru_cache(maxsize=1)
def _template() -> Any:
    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"percent": percent, "breakable": _breakable}
    return environment.get_template("page.html")


def _breakable(text: str) -> Markup:
    """A text whose lines may break behind a dot, an underscore or an equals sign; it is escaped."""
    return Markup("<wbr>").join(re.split(r"(?<=[._=])", text))


def _asset(name: str) -> Markup:
    """A file of ours, to be put into the page as it is."""
    return Markup((_TEMPLATES / name).read_text(encoding="utf-8"))


def _source(text: str) -> str:
    """What a content security policy calls an inline script or style that may be used."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
