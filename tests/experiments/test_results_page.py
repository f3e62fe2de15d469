"""The page of our records, from synthetic ones."""

import dataclasses
import re
from collections.abc import Callable
from typing import Any

import pandas as pd
import pytest

from experiments.claims import CANNOT_TELL, CLAIMS, NOT_SUPPORTED, SUPPORTED, Evidence, Status, Verdict
from experiments.finished import Progress
from experiments.results_page import results_page
from tfew_pl.record import RunRecord
from tfew_pl.spec import RunSpec
from tfew_pl.tasks.data import HUB

RecordMaker = Callable[..., RunRecord]
GRIDS = [
    Progress("table1", "T-Few beside others (Table 1)", 1210, 1210),
    Progress("table2", "RAFT (Tables 2 and 11)", 3, 33),
    Progress("icl", "Ways to learn in context", 5, 385),
    Progress("table4", "Methods (Table 4)", 0, 825),
]
VERDICTS = [
    Verdict("3.2", "L_LN helps", SUPPORTED, "+ LN is 2.0 points above FT"),
    Verdict("3.3", "(IA)3 is best", NOT_SUPPORTED, "LoRA is above it"),
    Verdict("4.1", "it beats GPT-3", CANNOT_TELL, "no model of that size can be run here"),
    Verdict("4.4", "*all* of it helps", SUPPORTED, "T-Few is +3.0 points"),
]


@pytest.fixture
def run(record: RecordMaker) -> Callable[..., RunRecord]:
    """A run that has so many of 40 examples right, on a task of two choices."""

    def make(right: int, **fields: Any) -> RunRecord:
        rows = [(0, e, e % 2, e % 2 if e < right else 1 - e % 2) for e in range(40)]
        table = pd.DataFrame(rows, columns=["template", "example", "gold", "predicted"])
        plain = record(RunSpec(**{"task": "rte", **fields}), {"a": right / 40}, 40, parameters=1_600_000)
        return dataclasses.replace(plain, predictions=table)

    return make


def sections(page: str) -> dict[str, str]:
    """The text under every heading."""
    parts = re.split(r"^#+ (.*)\n", page, flags=re.M)[1:]
    return dict(zip(parts[::2], parts[1::2], strict=True))


def test_claims_stand_under_what_was_found(run: Callable[..., RunRecord]) -> None:
    found = sections(results_page(VERDICTS, Evidence({"table9": {"T-Few": [run(30)]}}), GRIDS))
    assert found["Supported"].strip().splitlines() == [
        r"- **L\_LN helps** (Section 3.2): + LN is 2.0 points above FT.",
        r"- **\*all\* of it helps** (Section 4.4): T-Few is +3.0 points.",
    ]
    assert "LoRA is above it" in found["Not supported"]
    assert "no model of that size" in found["Cannot be told at this scale"]
    first = next(iter(found.values()))
    assert "Of 4 claims of the paper our runs support 2 and speak against 1; 1 cannot be told." in first
    assert "pocket-t0 (1.6M parameters), on generated tasks" in first


def test_headings_without_a_claim_are_left_out(run: Callable[..., RunRecord]) -> None:
    found = sections(results_page(VERDICTS[:1], Evidence({"table9": {"T-Few": [run(30)]}}), GRIDS))
    assert "Not supported" not in found


def test_runs_and_where_they_are_shown() -> None:
    files = {"table1.md", "figure3.svg", "table11.md"}
    lines = sections(results_page(VERDICTS, Evidence({}), GRIDS, files))["The runs"].strip().splitlines()[2:]
    assert lines == [
        "| T-Few beside others (Table 1) | 1,210 of 1,210 | [Table 1](table1.md), [Figure 3](figure3.svg) |",
        "| RAFT (Tables 2 and 11) | 3 of 33 | `tfew table 2`, [Table 11](table11.md) |",
        "| Ways to learn in context | 5 of 385 | `tfew compare icl` |",
        "| Methods (Table 4) | 0 of 825 |  |",
    ]


@pytest.mark.parametrize(
    ("right", "verdict"),
    [(20, "on no single task is its interval above that."), (39, "it is above that on RTE (97.5 % [")],
)
def test_the_control_is_held_against_chance_on_every_task(
    run: Callable[..., RunRecord], right: int, verdict: str
) -> None:
    """One task that is learned counts, however low the mean is."""
    runs = [run(right, backbone="pocket-random"), run(1, backbone="pocket-random", task="wic")]
    control = Evidence({"control": {"Randomly initialized": runs}}, {"control": {"Randomly initialized": 3}})
    found = sections(results_page(VERDICTS, control, GRIDS))["The control"]
    assert f"{(right + 1) / 80:.1%}".replace("%", " %") in found
    assert "over 2 tasks, where the most frequent answers give 50.0 %" in found
    assert verdict in found
    assert "3 of its runs are missing" in found
    assert "The control" not in sections(results_page(VERDICTS, Evidence({}), GRIDS))


def test_limits_are_those_of_pocket_records(run: Callable[..., RunRecord]) -> None:
    title = "What they do not show"
    assert title in sections(results_page(VERDICTS, Evidence({"table9": {"T-Few": [run(30)]}}), GRIDS))
    assert title not in sections(results_page(VERDICTS, Evidence({"table9": {"T-Few": [run(30, data=HUB)]}}), GRIDS))


def test_every_status_has_a_heading() -> None:
    statuses: list[Status] = [SUPPORTED, NOT_SUPPORTED, CANNOT_TELL]
    for status in statuses:
        page = results_page([Verdict("1", claim.text, status, "") for claim in CLAIMS], Evidence({}), GRIDS)
        assert page.count("- **") == len(CLAIMS)
