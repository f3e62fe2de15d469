"""Records for a leaderboard: findings as a run would leave them, without running any."""

import dataclasses
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from experiments.leaderboard.board import OURS, Board, board
from tfew_pl.record import Costs, RunRecord
from tfew_pl.spec import Revisions, RunSpec
from tfew_pl.store import RunStore
from tfew_pl.tasks import TASKS
from tfew_pl.tasks.data import load_data
from tfew_pl.tasks.splits import OFFICIAL_SEEDS

HOSTILE = """</script><img src=x onerror="document.title='owned'">'"&{{ 7*7 }}"""
"""A name that breaks out of whatever does not escape it."""


def complete_record(spec: RunSpec) -> RunRecord:
    """A record whose predictions are whole and give its accuracies, right in about three of four."""
    task, data = TASKS[spec.task], load_data(spec.task, "pocket")
    spec = dataclasses.replace(spec, revisions=Revisions(data=data.fingerprint))
    gold = [task.label(row) for row in data.evaluation[: spec.evaluation.examples]]
    templates = [template.name for template in task.templates()][: spec.evaluation.templates]
    generator = random.Random(spec.digest)
    rows = [
        (i, j, label, label if generator.random() < 0.75 else (label + 1) % task.choices)
        for i, _ in enumerate(templates)
        for j, label in enumerate(gold)
    ]
    predictions = pd.DataFrame(rows, columns=["template", "example", "gold", "predicted"])
    shares = (predictions["gold"] == predictions["predicted"]).groupby(predictions["template"]).mean()
    steps = [{"step": 1, "lm": 0.5, "unlikelihood": 0.1, "length_norm": 0.2}] if spec.trains else []
    losses = pd.DataFrame(steps, columns=["step", "lm", "unlikelihood", "length_norm"])
    costs = Costs(**dict.fromkeys(Costs.__dataclass_fields__, 1))
    return RunRecord(
        spec, dict(zip(templates, shares, strict=True)), predictions, losses, costs, {"device": "cpu"}, b"weights"
    )


def saved(folder: Path, **fields: Any) -> Path:
    """A store with a record for every task and official seed."""
    store = RunStore(folder)
    for task in TASKS:
        for seed in OFFICIAL_SEEDS:
            store.save(complete_record(RunSpec(task=task, seed=seed, **fields)))
    return folder


@pytest.fixture(name="hostile", scope="session")
def hostile_name() -> str:
    """`HOSTILE` for tests."""
    return HOSTILE


@pytest.fixture(scope="session")
def example(make_variants: Callable[[], dict[str, list[RunRecord]]]) -> Board:
    """A board of Table 1's synthetic records, and of somebody's with hostile names and no run on half of the tasks."""
    records = [record for group in make_variants().values() for record in group]
    theirs = [
        dataclasses.replace(r, spec=dataclasses.replace(r.spec, method=HOSTILE, backbone=HOSTILE))
        for r in records
        if r.spec.method == "ia3" and list(TASKS).index(r.spec.task) < 5
    ]
    cheaper = [
        dataclasses.replace(
            r,
            spec=dataclasses.replace(r.spec, recipe=dataclasses.replace(r.spec.recipe, pretrained=False)),
            accuracy={name: share - 0.1 for name, share in r.accuracy.items()},
            costs=dataclasses.replace(r.costs, measured_stored_bytes=100),
        )
        for r in records
        if r.spec.method == "ia3"
    ]
    return board({OURS: [*records, *cheaper], HOSTILE: theirs}, resamples=10)


@pytest.fixture(name="make_record", scope="session")
def record_maker() -> Callable[[RunSpec], RunRecord]:
    """`complete_record` for tests."""
    return complete_record


@pytest.fixture(name="save_all", scope="session")
def saver() -> Callable[..., Path]:
    """`saved` for tests."""
    return saved
