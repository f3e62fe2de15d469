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
TRAINING_FLOPS, TRAINING_SECONDS, TRAINING_DOLLARS = 2.7e16, 1800.0, 2.0
"""Of training T-Few on T0 with 11 billion parameters: about half an hour on one A100, about $2 (Section 4.2)."""

PEFT_METHODS = {
    "full": "Full fine-tuning",
    "bitfit": "BitFit",
    "layernorm": "LayerNorm",
    "adapter": "Adapter",
    "compacter": "Compacter",
    "compacter_pp": "Compacter++",
    "prompt_tuning_10": "Prompt tuning (10)",
    "prompt_tuning_100": "Prompt tuning (100)",
    "prefix_tuning": "Prefix tuning",
    "fish_mask_0.2": "FISH mask (0.2%)",
    "fish_mask_0.02": "FISH mask (0.02%)",
    "intrinsic_said_500k": "SAID (500K)",
    "intrinsic_said_20k": "SAID (20K)",
    "lora": "LoRA",
    "ia3": "(IA)3",
}
"""What rows of Tables 4-7 are called, by their names in the files; the grids of these tables call them so too."""
_ACCURACIES = {
    3: ("table3_losses.csv", "variant"),
    **dict.fromkeys((4, 5, 6, 7), ("peft_per_dataset.csv", "method")),
    8: ("table8_pretraining.csv", "variant"),
    9: ("table9_icl.csv", "method"),
    10: ("table10_ablation.csv", "variant"),
}
"""File of each table, and its column of rows' names."""
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


def read(name: str) -> list[dict[str, str]]:
    """The rows of a file of published numbers, as text.

    Raises:
        UserError: it is missing.
    """
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
    for row in read("table1_costs.csv"):
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


@lru_cache(maxsize=16)
def accuracies(table: int) -> Mapping[str, Mapping[str, Accuracy]]:
    """A table of accuracies by dataset, 3 to 10: by row, called as in the paper, and by task, called as here.

    Raises:
        UserError: the file is missing.
    """
    from tfew_pl.tasks.heldout import TASKS

    names = {task.title.lower(): task.name for task in TASKS}
    file, key = _ACCURACIES[table]
    rows: dict[str, dict[str, Accuracy]] = {}
    for row in read(file):
        if row.get("table", str(table)) == str(table):
            accuracy = Accuracy(float(row["median"]), float(row["iqr"]) if row["iqr"] else None)
            rows.setdefault(_row_name(table, row[key]), {})[names[row["dataset"]]] = accuracy
    return rows


def _row_name(table: int, name: str) -> str:
    if table == 9:
        return name.replace("(", "").replace(")", "")  # "GPT-3 (13B)" is Table 1's "GPT-3 13B"
    return PEFT_METHODS.get(name, name)


@lru_cache(maxsize=1)
def parameter_counts() -> Mapping[str, float]:
    """Parameters that each method of Tables 4-7 trains on T0-3B, to the printed precision.

    Raises:
        UserError: the file is missing.
    """
    rows = read("peft_parameter_counts.csv")
    return {PEFT_METHODS[row["method"]]: _number(row["parameters_t0_3b"]) for row in rows}


def _number(text: str) -> float:
    """540K as 540,000."""
    factor = {"K": 1e3, "M": 1e6, "B": 1e9}[text[-1]]
    return float(text[:-1]) * factor


@lru_cache(maxsize=1)
def raft() -> Mapping[str, float]:
    """Table 2: the mean score on RAFT by method, in the paper's order.

    Raises:
        UserError: the file is missing.
    """
    return {row["method"]: float(row["accuracy"]) for row in read("table2_raft.csv")}


@lru_cache(maxsize=1)
def raft_datasets() -> Mapping[str, Mapping[str, float]]:
    """Table 11: scores on RAFT by method and dataset, called as in RAFT.

    Raises:
        UserError: the file is missing.
    """
    rows: dict[str, dict[str, float]] = {}
    for row in read("table11_raft_per_dataset.csv"):
        rows.setdefault(row["method"], {})[row["dataset"]] = float(row["score"])
    return rows
