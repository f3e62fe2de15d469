"""The published numbers, read from `results/paper/*.csv`."""

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from tfew_pl.errors import UserError

FOLDER = Path(__file__).parents[1] / "results" / "paper"

EXAMPLE_TOKENS = 103
"""Median length of an example with all of its choices (Section 4.2)."""
SHOT_TOKENS = 98
"""Median length of an example in a context, with its correct choice (Section 4.2)."""
SHOTS = 41
"""Median number of few-shot examples (Section 4.2)."""

_UNITS = {"B": 1, "kB": 1e3, "MB": 1e6, "GB": 1e9}


@dataclass(frozen=True)
class Accuracy:
    """An accuracy as printed, in percent."""

    median: float
    iqr: float | None
    """None where the paper prints none."""


@dataclass(frozen=True)
class Table1Row:
    """A row of Table 1 as printed."""

    method: str
    parameters: float
    inference_flops: float
    training_flops: float
    disk_bytes: float
    accuracy: float
    """In percent, on average over the held-out tasks."""

    @property
    def encoder_decoder(self) -> bool:
        """Whether its backbone is of the T5 family; GPT-3 is decoder-only."""
        return not self.method.startswith("GPT")


def _read(name: str) -> list[dict[str, str]]:
    path = FOLDER / name
    try:
        with path.open(encoding="utf-8", newline="") as file:
            return list(csv.DictReader(file))
    except FileNotFoundError as error:
        raise UserError(f"{path} is missing: the published numbers are part of the repository") from error


@lru_cache(maxsize=1)
def table1() -> Mapping[str, Table1Row]:
    """Table 1 by method, in the paper's order: accuracy and costs.

    Raises:
        UserError: the file is missing.
    """
    rows = {}
    for row in _read("table1_costs.csv"):
        number, unit = row["disk_space"].split()
        rows[row["method"]] = Table1Row(
            method=row["method"],
            parameters=float(row["model_params"]),
            inference_flops=float(row["inference_flops"]),
            training_flops=float(row["training_flops"]),
            disk_bytes=float(number) * _UNITS[unit],
            accuracy=float(row["accuracy"]),
        )
    return rows


@lru_cache(maxsize=1)
def table9() -> Mapping[str, Mapping[str, Accuracy]]:
    """Table 9: accuracy by method, called as in Table 1, and by task, called as on the command line.

    Raises:
        UserError: the file is missing.
    """
    from tfew_pl.tasks import TASKS

    names = {task.title.lower(): name for name, task in TASKS.items()}
    methods: dict[str, dict[str, Accuracy]] = {}
    for row in _read("table9_icl.csv"):
        method = row["method"].replace("(", "").replace(")", "")  # "GPT-3 (13B)" is Table 1's "GPT-3 13B"
        iqr = float(row["iqr"]) if row["iqr"] else None
        methods.setdefault(method, {})[names[row["dataset"]]] = Accuracy(float(row["median"]), iqr)
    return methods
