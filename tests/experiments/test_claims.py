"""Verdicts on claims, from synthetic records of which it is known what they show."""

import dataclasses
import re
from collections.abc import Callable, Mapping
from pathlib import Path

import pandas as pd
import pytest

from experiments.claims import (
    CANNOT_TELL,
    CLAIMS,
    GRIDS,
    NOT_SUPPORTED,
    SUPPORTED,
    Evidence,
    Verdict,
    against_chance,
    verdicts,
)
from experiments.finished import Finished
from experiments.tables.variants import Variant
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
                rows = [(0, e, e % 2, e % 2 if e < right + seed else 1 - e % 2) for e in range(40)]
                table = pd.DataFrame(rows, columns=["template", "example", "gold", "predicted"])
                plain = record(RunSpec(task=task, seed=seed, method=method), {"a": (right + seed) / 40}, 40, **costs)
                found.append(dataclasses.replace(plain, predictions=table))
        return found

    return make


Records = Mapping[str, Mapping[str, list[RunRecord]]]


def of(text: str, records: Records, missing: Mapping[str, Mapping[str, int]] | None = None) -> Verdict:
    found = verdicts(Evidence(records, missing or {}), resamples=200)
    (verdict,) = (verdict for verdict in found if text in verdict.claim)
    return verdict


@pytest.mark.parametrize(("ours", "status"), [(35, SUPPORTED), (8, NOT_SUPPORTED), (20, CANNOT_TELL)])
def test_a_claim_of_accuracy(runs: Runs, ours: int, status: str) -> None:
    found = of("pre-training the vectors", {"table8": {"(IA)3 + PT": runs(ours), "(IA)3": runs(20)}})
    assert found.status == status
    said = re.search(r'([\d.]+) points \[([-\d.]+), ([-\d.]+)\] (above|below) "\(IA\)3"', found.why)
    assert said is not None
    difference, low, high = map(float, said.groups()[:3])
    assert (difference, said[4]) == (2.5 * abs(ours - 20), "above" if ours >= 20 else "below")
    assert low <= difference <= high
    assert (low > 0) == (status != CANNOT_TELL)
    assert "3 tasks" in found.why


def test_a_claim_that_the_same_runs_have_decided_says_so(runs: Runs) -> None:
    with_pt, without, other = runs(35), runs(20, method="lora"), runs(20, method="bitfit")
    here = {"T-Few": with_pt, "- PT": without}
    found = of("removing pre-training", {"table10": here, "table8": {"(IA)3 + PT": with_pt, "(IA)3": without}})
    assert found.status == SUPPORTED
    assert found.why.endswith("; these are the runs of the claim of Section 3.4, where the paper has others, of T0-3B")
    found = of("removing pre-training", {"table10": here, "table8": {"(IA)3 + PT": with_pt, "(IA)3": other}})
    assert "Section 3.4" not in found.why


def test_without_runs_nobody_can_tell(runs: Runs) -> None:
    found = verdicts(Evidence({}), resamples=10)
    assert {verdict.status for verdict in found} == {CANNOT_TELL}
    assert len(found) == len(CLAIMS)
    assert of("pre-training the vectors", {"table8": {"(IA)3 + PT": runs(9)}}).why == (
        "no run of (IA)3 is finished (tfew grid table8)"
    )


def test_some_of_the_runs_are_not_all(runs: Runs) -> None:
    rows = {"table8": {"(IA)3 + PT": runs(36), "(IA)3": runs(9)}}
    assert of("pre-training the vectors", rows, {"table8": {"(IA)3 + PT": 0, "(IA)3": 0}}).status == SUPPORTED
    found = of("pre-training the vectors", rows, {"table8": {"(IA)3 + PT": 0, "(IA)3": 4}})
    assert (found.status, found.why) == (CANNOT_TELL, "4 of 10 runs of (IA)3 are missing (tfew grid table8)")


def test_evidence_is_that_of_grids(runs: Runs) -> None:
    specs = tuple(record.spec for record in runs(9))
    variants = (Variant("A", specs, tuple(runs(9)[:4])), Variant("B", specs, ()), Variant("C", specs, tuple(runs(9))))
    found = Evidence.of({"mine": Finished(variants, Path(), "tfew grid mine --store here")})
    assert {name: len(records) for name, records in found.records["mine"].items()} == {"A": 4, "C": 6}
    assert found.missing == {"mine": {"A": 2, "B": 6, "C": 0}}
    assert found.variants("mine") == ["A", "B", "C"]
    with pytest.raises(Exception, match=r"2 of 6 runs of A are missing \(tfew grid mine --store here\)"):
        found.runs("mine", "A")


def test_in_context_learning_must_work_before_it_is_beaten(runs: Runs) -> None:
    def verdict(in_context: int) -> Verdict:
        rows = {"T-Few": runs(39), "In-context learning": runs(in_context, IN_CONTEXT)}
        return of("than in-context learning with", {"table9": rows})

    assert verdict(32).status == SUPPORTED
    assert "where both are evaluated" not in verdict(32).why
    at_chance = verdict(20)
    assert at_chance.status == CANNOT_TELL
    assert "not above chance" in at_chance.why


def test_the_same_answer_every_time_is_no_better_than_chance(runs: Runs) -> None:
    """On examples of which three in four have it, that is right three times in four."""

    def skewed(record: RunRecord) -> RunRecord:
        table = record.predictions.assign(gold=lambda t: (t["example"] % 4 > 0).astype(int), predicted=1)
        return dataclasses.replace(record, predictions=table)

    accuracy, chance = against_chance([skewed(record) for record in runs(20)], resamples=50)
    assert (accuracy.value, chance) == (75, 75)


def test_only_ia3_beats_full_fine_tuning(runs: Runs) -> None:
    text = "only method"
    rows = {"Full fine-tuning": runs(25, "full"), "(IA)3": runs(36), "LoRA": runs(10, "lora")}
    assert of(text, {"table4": rows}).status == SUPPORTED
    above = of(text, {"table4": {**rows, "Adapter": runs(38, "adapter")}})
    assert above.status == NOT_SUPPORTED
    assert above.why.endswith("above it, too: Adapter")
    assert of(text, {"table4": {**rows, "BitFit": runs(25, "bitfit")}}).status == CANNOT_TELL
    assert of(text, {"table4": {**rows, "(IA)3": runs(9)}}).status == NOT_SUPPORTED
    unknown = of(text, {"table4": rows}, {"table4": {"LoRA": 0, "Adapter": 55}})
    assert unknown.status == CANNOT_TELL
    assert unknown.why.endswith("; runs are missing of: Adapter")


def test_it_beats_all_methods_with_fewer_parameters(runs: Runs) -> None:
    text = "which train fewer parameters"
    others = ("SAID (500K)", "SAID (20K)", "Prompt tuning (10)", "Prompt tuning (100)")
    rows = {"(IA)3": runs(36, trained_parameters=11), **{name: runs(10) for name in others}}
    assert of(text, {"table4": rows}).status == SUPPORTED
    assert of(text, {"table4": {**rows, "SAID (20K)": runs(39)}}).status == NOT_SUPPORTED
    larger = of(text, {"table4": {**rows, "SAID (20K)": runs(39, trained_parameters=2000)}})
    assert larger.status == SUPPORTED, "one that trains more does not decide it"
    assert larger.why.endswith(
        "; SAID (20K) (2,000) does not decide it, as it trains no fewer parameters here than (IA)3 (11)"
    )
    rows = {name: runs(10, trained_parameters=20) for name in rows}
    found = of(text, {"table4": rows | {"(IA)3": runs(36, trained_parameters=20)}})
    assert (found.status, "do not decide it, as they train" in found.why) == (CANNOT_TELL, True)


@pytest.mark.parametrize(
    ("data", "t_few", "status", "why"),
    [
        ("pocket", 36, CANNOT_TELL, "has never read the generated world"),
        ("pocket", 10, NOT_SUPPORTED, 'below "SetFit"'),
        ("hub", 36, SUPPORTED, 'above "SetFit"'),
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
    evidence: Records = {
        "table9": {"T-Few": t_few, "In-context learning": in_context, "Zero-shot": runs(20, ZERO_SHOT)},
        "table8": {"(IA)3 + PT": t_few},
    }
    assert "10.0 times the FLOPs" in of("a prediction costs less", evidence).why
    pays = of("training costs as much", evidence)
    assert (pays.status, "after 10 predictions, 10 to 10 by task" in pays.why) == (SUPPORTED, True)
    dear = {"table9": {**evidence["table9"], "T-Few": runs(30, measured_training_flops=9000)}}
    never = [r for r in in_context if r.spec.task != "rte"]
    never += [r for r in runs(30, IN_CONTEXT, measured_inference_flops=9) if r.spec.task == "rte"]
    some = of("training costs as much", {"table9": {**evidence["table9"], "In-context learning": never}})
    assert (some.status, "10 to 10 by task and never on 1 of 3" in some.why) == (CANNOT_TELL, True)
    late = of("training costs as much", dear)
    assert (late.status, "after 100 predictions" in late.why) == (CANNOT_TELL, True)
    assert late.why.endswith("against one of the same size give 600")  # 2.7e16 / 4.5e13, Table 1
    stored = of("stores is small", evidence)
    assert (stored.status, "0.10 %" in stored.why) == (SUPPORTED, True)
    fewer = of("thousands of times fewer", evidence)
    assert (fewer.status, "1,000 times fewer" in fewer.why) == (SUPPORTED, True)


def test_every_claim_names_its_section_and_its_runs_are_in_shipped_grids() -> None:
    from experiments.grid import find_grid

    assert all(claim.section and claim.text for claim in CLAIMS)
    assert len({claim.text for claim in CLAIMS}) == len(CLAIMS)
    assert all(find_grid(grid).is_file() for grid in GRIDS)
