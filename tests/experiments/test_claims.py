"""Verdicts on claims, from synthetic records of which it is known what they show."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import pandas as pd
import pytest

from experiments.claims import CANNOT_TELL, CLAIMS, GRIDS, NOT_SUPPORTED, SUPPORTED, Evidence, Verdict, verdicts
from tfew_pl.record import RunRecord
from tfew_pl.spec import IN_CONTEXT, ZERO_SHOT, RunSpec

TASKS = ("rte", "wic", "copa")
RecordMaker = Callable[..., RunRecord]
Runs = Callable[..., list[RunRecord]]


@pytest.fixture
def runs(record: RecordMaker) -> Runs:
    """Runs of a method that have so many of 40 examples right, on three tasks with two choices."""

    def make(right: int, method: str = "ia3", **costs: float) -> list[RunRecord]:
        plausible = {"parameters": 10_000, "trained_parameters": 10, "measured_training_flops": 900}
        costs = {**plausible, "measured_inference_flops": 10, "measured_stored_bytes": 40, **costs}
        found = []
        for task in TASKS:
            for seed in (0, 1):
                rows = [(0, e, 1, int(e < right + seed)) for e in range(40)]
                table = pd.DataFrame(rows, columns=["template", "example", "gold", "predicted"])
                plain = record(RunSpec(task=task, seed=seed, method=method), {"a": (right + seed) / 40}, 40, **costs)
                found.append(dataclasses.replace(plain, predictions=table))
        return found

    return make


def of(text: str, evidence: Evidence) -> Verdict:
    (verdict,) = (verdict for verdict in verdicts(evidence, resamples=200) if text in verdict.claim)
    return verdict


@pytest.mark.parametrize(("ours", "status"), [(35, SUPPORTED), (8, NOT_SUPPORTED), (20, CANNOT_TELL)])
def test_a_claim_of_accuracy(runs: Runs, ours: int, status: str) -> None:
    found = of("pre-training the vectors", {"table8": {"(IA)3 + PT": runs(ours), "(IA)3": runs(20)}})
    assert found.status == status
    assert f"{2.5 * (ours - 20):+.1f} points" in found.why
    assert "3 tasks" in found.why


def test_without_runs_nobody_can_tell(runs: Runs) -> None:
    found = verdicts({}, resamples=10)
    assert {verdict.status for verdict in found} == {CANNOT_TELL}
    assert len(found) == len(CLAIMS)
    assert of("pre-training the vectors", {"table8": {"(IA)3 + PT": runs(9)}}).why == (
        "no run of (IA)3 is finished (tfew grid table8)"
    )


def test_in_context_learning_must_work_before_it_is_beaten(runs: Runs) -> None:
    def verdict(in_context: int) -> Verdict:
        rows = {"T-Few": runs(39), "In-context learning": runs(in_context, IN_CONTEXT)}
        return of("than in-context learning with", {"table9": rows})

    assert verdict(32).status == SUPPORTED
    at_chance = verdict(20)
    assert at_chance.status == CANNOT_TELL
    assert "not above chance" in at_chance.why


def test_only_ia3_beats_full_fine_tuning(runs: Runs) -> None:
    text = "only method"
    rows = {"Full fine-tuning": runs(25, "full"), "(IA)3": runs(36), "LoRA": runs(10, "lora")}
    assert of(text, {"table4": rows}).status == SUPPORTED
    above = of(text, {"table4": {**rows, "Adapter": runs(38, "adapter")}})
    assert above.status == NOT_SUPPORTED
    assert above.why.endswith("above it, too: Adapter")
    assert of(text, {"table4": {**rows, "BitFit": runs(25, "bitfit")}}).status == CANNOT_TELL
    assert of(text, {"table4": {**rows, "(IA)3": runs(9)}}).status == NOT_SUPPORTED


def test_it_beats_all_methods_with_fewer_parameters(runs: Runs) -> None:
    text = "which train fewer parameters"
    others = ("SAID (500K)", "SAID (20K)", "Prompt tuning (10)", "Prompt tuning (100)")
    rows = {"(IA)3": runs(36), **{name: runs(10) for name in others}}
    assert of(text, {"table4": rows}).status == SUPPORTED
    assert of(text, {"table4": {**rows, "SAID (20K)": runs(39)}}).status == NOT_SUPPORTED


@pytest.mark.parametrize(
    ("data", "t_few", "status", "why"),
    [
        ("pocket", 36, CANNOT_TELL, "has never read the generated world"),
        ("pocket", 10, NOT_SUPPORTED, "T-Few is -25.0 points from SetFit"),
        ("hub", 36, SUPPORTED, "T-Few is +40.0 points from SetFit"),
        ("hub", None, CANNOT_TELL, "not public"),
    ],
)
def test_raft(runs: Runs, data: str, t_few: int | None, status: str, why: str) -> None:
    def of_data(records: list[RunRecord]) -> list[RunRecord]:
        """On the data; without labels where nothing is right or wrong."""
        unknown = {"accuracy": {}} if t_few is None else {}
        return [dataclasses.replace(r, spec=dataclasses.replace(r.spec, data=data), **unknown) for r in records]

    rows = {"T-Few": of_data(runs(t_few or 10)), "SetFit": of_data(runs(20, "setfit"))}
    found = of("few-shot learning on RAFT", {"table2": rows})
    assert (found.status, why in found.why) == (status, True)


def test_parts_of_a_claim(runs: Runs) -> None:
    text = "together improve it further"
    rows = {"FT": runs(10), "+ LN": runs(20), "+ UL + LN": runs(36)}
    assert of(text, {"table3": rows}).status == SUPPORTED
    assert of(text, {"table3": {**rows, "+ LN": runs(39)}}).status == NOT_SUPPORTED


def test_claims_of_costs(runs: Runs) -> None:
    t_few = runs(30)
    in_context = runs(30, IN_CONTEXT, measured_inference_flops=100, shots=32)
    evidence: Mapping[str, Any] = {
        "table9": {"T-Few": t_few, "In-context learning": in_context, "Zero-shot": runs(20, ZERO_SHOT)},
        "table8": {"(IA)3 + PT": t_few},
    }
    assert "10.0 times the FLOPs" in of("a prediction costs less", evidence).why
    assert "after 10 predictions" in of("training costs as much", evidence).why
    stored = of("stores is small", evidence)
    assert (stored.status, "0.10 %" in stored.why) == (SUPPORTED, True)
    fewer = of("thousands of times fewer", evidence)
    assert (fewer.status, "1,000 times fewer" in fewer.why) == (SUPPORTED, True)


def test_every_claim_names_its_section_and_its_runs_are_in_shipped_grids() -> None:
    from experiments.grid import find_grid

    assert all(claim.section and claim.text for claim in CLAIMS)
    assert len({claim.text for claim in CLAIMS}) == len(CLAIMS)
    assert all(find_grid(grid).is_file() for grid in GRIDS)
