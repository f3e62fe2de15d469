"""What the page shows of a row's runs."""

import dataclasses
import statistics

from experiments.leaderboard.board import Board
from experiments.leaderboard.details import details
from experiments.statistics import Spread


def test_numbers_are_those_of_the_table(example: Board) -> None:
    """Of two that are as near, the even one, as the table prints it."""
    row = example.sections[0].rows[0]
    tasks = tuple(dataclasses.replace(task, accuracy=Spread(56.25, 50.0, 50.25)) for task in row.tasks)
    shown = details(dataclasses.replace(row, tasks=tasks))["tasks"][0]
    assert (shown["accuracy"], shown["accuracy_iqr"]) == ("56.2", "0.2")


def test_medians_are_over_runs_and_over_templates(example: Board) -> None:
    row = example.sections[0].rows[0]
    for task, shown in zip(row.values()["tasks"], details(row)["tasks"], strict=True):
        table = [run["accuracy"] for run in task["runs"]]
        assert [run["accuracy"] for run in shown["runs"]] == [[f"{value:.1f}" for value in line] for line in table]
        assert [run["median"] for run in shown["runs"]] == [f"{statistics.median(line):.1f}" for line in table]
        assert shown["medians"] == [f"{statistics.median(line):.1f}" for line in zip(*table, strict=True)]


def test_who_and_what(example: Board) -> None:
    row = example.sections[0].rows[-1]
    shown = details(row)
    assert (shown["source"], shown["method"], shown["backbone"]) == (row.source, row.spec.method, row.spec.backbone)
    assert shown["unranked"] == "5 of 11 tasks"
