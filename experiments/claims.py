"""The paper's claims, each held against our records."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

import numpy as np

from experiments.bootstrap import RESAMPLES, Estimate, answers, mean_accuracy
from experiments.comparison import Comparison, compare
from experiments.macro_f1 import compare_macro_f1
from experiments.published import table1
from experiments.run_costs import typical_cost
from experiments.statistics import unlabeled_tasks
from tfew_pl.costs import break_even
from tfew_pl.spec import POCKET
from tfew_pl.tasks import get_task

if TYPE_CHECKING:
    from experiments.finished import Finished
    from tfew_pl.record import RunRecord

Status = Literal["supported", "not supported", "cannot tell at this scale"]
SUPPORTED: Status = "supported"
NOT_SUPPORTED: Status = "not supported"
CANNOT_TELL: Status = "cannot tell at this scale"

CONTROL = "control"
"""The grid whose runs must stay at chance."""
_SEED = 0
_FEW_PREDICTIONS = 20
"""The paper's small number, against GPT-3 175B (Section 4.2)."""


class _MissingError(Exception):
    """Runs of a variant are missing."""


@dataclass(frozen=True)
class Evidence:
    """What is there to hold claims against."""

    records: Mapping[str, Mapping[str, Sequence["RunRecord"]]]
    """The finished runs by grid and variant."""
    missing: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    """How many runs are not finished, by grid and variant."""
    commands: Mapping[str, str] = field(default_factory=dict)
    """What makes the missing ones, by grid."""

    @classmethod
    def of(cls, grids: Mapping[str, "Finished"]) -> "Evidence":
        """That of grids, by their names."""
        missing = {name: {v.name: v.missing for v in grid.variants} for name, grid in grids.items()}
        commands = {name: grid.command for name, grid in grids.items()}
        return cls({name: grid.records() for name, grid in grids.items()}, missing, commands)

    def variants(self, grid: str) -> list[str]:
        """Those that a grid asks for."""
        return list({**self.missing.get(grid, {}), **self.records.get(grid, {})})

    def runs(self, grid: str, variant: str) -> Sequence["RunRecord"]:
        """All runs of a variant.

        Raises:
            _MissingError: some are not finished, and what the others show may change with them.
        """
        found = self.records.get(grid, {}).get(variant, ())
        command = self.commands.get(grid, f"tfew grid {grid}")
        if not found:
            raise _MissingError(f"no run of {variant} is finished ({command})")
        missing = self.missing.get(grid, {}).get(variant, 0)
        if missing:
            raise _MissingError(f"{missing} of {missing + len(found)} runs of {variant} are missing ({command})")
        return found


@dataclass(frozen=True)
class Verdict:
    """What our records say of a claim."""

    section: str
    claim: str
    status: Status
    why: str


@dataclass(frozen=True)
class Claim:
    """A claim of the paper, and how to check it."""

    section: str
    text: str
    check: Callable[[Evidence, int], tuple[Status, str]]
    """Told the evidence and the number of resamples."""


def _compared(evidence: Evidence, grid: str, ours: str, reference: str, resamples: int) -> Comparison:
    one, other = (evidence.runs(grid, name) for name in (ours, reference))
    found = compare(one, other, np.random.default_rng(_SEED), resamples)
    if found is None:
        raise _MissingError(f"{ours} and {reference} share no seed, template and example")
    return found


def _sentence(ours: str, reference: str, found: Comparison) -> str:
    """In words, the interval counted in the direction that they name."""
    tasks = "1 task" if found.tasks == 1 else f"{found.tasks} tasks"
    difference, low, high, place = found.difference.value, found.difference.low, found.difference.high, "above"
    if difference < 0:
        difference, low, high, place = -difference, -high, -low, "below"
    return (
        f'"{ours}" is {difference:.1f} points [{low:.1f}, {high:.1f}] {place} "{reference}" on the mean of {tasks}, '
        f"better on {found.better} and worse on {found.worse}"
    )


def _status(found: Comparison) -> Status:
    """Supported if the whole interval is above zero, not supported if it is below; else nobody can tell."""
    if found.difference.low > 0:
        return SUPPORTED
    return NOT_SUPPORTED if found.difference.high < 0 else CANNOT_TELL


def better(grid: str, ours: str, reference: str) -> Callable[[Evidence, int], tuple[Status, str]]:
    """Checks that a variant of a grid has a higher mean accuracy than another."""

    def check(evidence: Evidence, resamples: int) -> tuple[Status, str]:
        found = _compared(evidence, grid, ours, reference, resamples)
        return _status(found), _sentence(ours, reference, found)

    return check


def against_chance(records: Sequence["RunRecord"], resamples: int = RESAMPLES) -> tuple[Estimate, float]:
    """A method's mean accuracy over tasks with its interval, and what the most frequent answers give; in percent."""
    tasks = sorted({record.spec.task for record in records})
    by_task = [[record for record in records if record.spec.task == task] for task in tasks]
    right = [answers(runs) for runs in by_task]
    shares = [runs[0].predictions["gold"].value_counts(normalize=True).max() for runs in by_task]
    chances = [max(get_task(task).chance, share) for task, share in zip(tasks, shares, strict=True)]
    return mean_accuracy(right, np.random.default_rng(_SEED), resamples), 100 * sum(chances) / len(chances)


def _beats_in_context(evidence: Evidence, resamples: int) -> tuple[Status, str]:
    """T-Few against in-context learning, which must work at all before it can be beaten."""
    name = "In-context learning"
    found = _compared(evidence, "table9", "T-Few", name, resamples)
    why = _sentence("T-Few", name, found)
    theirs = evidence.runs("table9", name)
    limits = theirs[0].spec.evaluation
    asked = {"templates": limits.templates, "examples": limits.examples}
    where = " and ".join(f"{number} {what}" for what, number in asked.items() if number is not None)
    if where:
        why += f", where both are evaluated: {where} a task"
    accuracy, chance = against_chance(theirs, resamples)
    if accuracy.low <= chance:
        backbone = theirs[0].spec.backbone
        return (
            CANNOT_TELL,
            f"{why}; but in-context learning with {backbone} is not above chance, and beating it says little",
        )
    return _status(found), why


def _all_of(*checks: Callable[[Evidence, int], tuple[Status, str]]) -> Callable[[Evidence, int], tuple[Status, str]]:
    """Supported if all parts are; not supported if one is not."""

    def check(evidence: Evidence, resamples: int) -> tuple[Status, str]:
        results = [part(evidence, resamples) for part in checks]
        found = {status for status, _ in results}
        status = SUPPORTED if found == {SUPPORTED} else NOT_SUPPORTED if NOT_SUPPORTED in found else CANNOT_TELL
        return status, "; ".join(why for _, why in results)

    return check


def _only_ia3_beats_full(evidence: Evidence, resamples: int) -> tuple[Status, str]:
    """(IA)3 above full fine-tuning, and no other method."""
    full = "Full fine-tuning"
    status, why = better("table4", "(IA)3", full)(evidence, resamples)
    by_status: dict[Status | None, list[str]] = {SUPPORTED: [], CANNOT_TELL: [], NOT_SUPPORTED: [], None: []}
    for name in evidence.variants("table4"):
        if name not in (full, "(IA)3"):
            try:
                by_status[_status(_compared(evidence, "table4", name, full, resamples))].append(name)
            except _MissingError:
                by_status[None].append(name)
    if above := by_status[SUPPORTED]:
        return NOT_SUPPORTED, f"{why}; above it, too: {', '.join(above)}"
    parts = {
        f"not to be told apart from {full.lower()}": by_status[CANNOT_TELL],
        "runs are missing of": by_status[None],
    }
    unclear = [f"{what}: {', '.join(names)}" for what, names in parts.items() if names]
    below = by_status[NOT_SUPPORTED]
    if unclear or not below:
        why = "; ".join([why, *unclear] if unclear else [why, "no other method has been run"])
        return NOT_SUPPORTED if status == NOT_SUPPORTED else CANNOT_TELL, why
    return status, f"{why}; the other {len(below)} methods are below it"


def _beats_smaller_methods(evidence: Evidence, resamples: int) -> tuple[Status, str]:
    """(IA)3 above SAID and prompt tuning, as far as they train fewer parameters than it does here, too."""
    ours = "(IA)3"
    others = ("SAID (500K)", "SAID (20K)", "Prompt tuning (10)", "Prompt tuning (100)")
    results = {name: better("table4", ours, name)(evidence, resamples) for name in others}
    trained = {name: typical_cost(evidence.runs("table4", name), "trained_parameters") for name in (ours, *others)}
    fewer = {results[name][0] for name in others if trained[name] < trained[ours]}
    status = SUPPORTED if fewer == {SUPPORTED} else NOT_SUPPORTED if NOT_SUPPORTED in fewer else CANNOT_TELL
    parts = [why for _, why in results.values()]
    more = [f"{name} ({trained[name]:,.0f})" for name in others if trained[name] >= trained[ours]]
    if more:
        what = "do not decide it, as they train" if len(more) > 1 else "does not decide it, as it trains"
        parts.append(f"{', '.join(more)} {what} no fewer parameters here than (IA)3 ({trained[ours]:,.0f})")
    return status, "; ".join(parts)


def _beats_on_raft(evidence: Evidence, resamples: int) -> tuple[Status, str]:
    """T-Few against SetFit, whose encoder comes from real English: only there is it a fair match."""
    ours, reference = sides = [evidence.runs("table2", name) for name in ("T-Few", "SetFit")]
    if unlabeled_tasks(record for records in sides for record in records):
        return CANNOT_TELL, "the labels of RAFT's test sets are not public; its leaderboard knows"
    found = compare_macro_f1(ours, reference, np.random.default_rng(_SEED), resamples)
    if found is None:
        raise _MissingError("T-Few and SetFit share no seed, or were evaluated on other examples")
    why = f"in macro F1, {_sentence('T-Few', 'SetFit', found)}"
    if all(len(records) == found.tasks for records in sides):
        why += "; each task has one run, so that the interval is over its examples alone"
    if _status(found) == SUPPORTED and any(record.spec.data == POCKET for record in ours):
        return CANNOT_TELL, f"{why}; but SetFit's encoder has never read the generated world, and T-Few's backbone has"
    return _status(found), why


def _fewer_parameters(evidence: Evidence, _resamples: int) -> tuple[Status, str]:
    records = evidence.runs("table8", "(IA)3 + PT")
    trained, whole = (typical_cost(records, name) for name in ("trained_parameters", "parameters"))
    why = f"(IA)3 trains {trained:,.0f} of {whole:,.0f} parameters, {whole / trained:,.0f} times fewer"
    if whole / trained >= 1000:
        return SUPPORTED, why
    return CANNOT_TELL, f"{why}: the ratio grows with the width of the backbone, about 10,000 for 11B parameters"


def _cheaper_predictions(evidence: Evidence, _resamples: int) -> tuple[Status, str]:
    sides = [evidence.runs("table9", name) for name in ("T-Few", "In-context learning")]
    ours, theirs = (typical_cost(records, "measured_inference_flops") for records in sides)
    shots = sorted({round(record.costs.shots) for record in sides[1]})
    shown = str(shots[0]) if len(shots) == 1 else f"{shots[0]} to {shots[-1]}"
    why = f"a prediction in context with {shown} shots takes {theirs / ours:.1f} times the FLOPs of one of T-Few's"
    why += ", counted; medians over tasks"
    return SUPPORTED if theirs > ours else NOT_SUPPORTED, why


def _training_pays(evidence: Evidence, _resamples: int) -> tuple[Status, str]:
    """The paper: training costs about as much as 20 predictions in context with GPT-3 175B, 16 times larger."""
    sides = [evidence.runs("table9", name) for name in ("T-Few", "In-context learning")]

    def after(task: str | None = None) -> int | None:
        of_task = [[record for record in records if task in (None, record.spec.task)] for records in sides]
        (fixed, each), (_, other) = (
            [typical_cost(records, f"measured_{kind}_flops") for kind in ("training", "inference")]
            for records in of_task
        )
        return break_even(fixed, each, 0, other)

    found = after()
    if found is None:
        return NOT_SUPPORTED, "T-Few's predictions cost no less than those in context, so that training never pays"
    tasks = sorted({record.spec.task for record in sides[0]} & {record.spec.task for record in sides[1]})
    by_task = [number for number in map(after, tasks) if number is not None]
    reach = f"{min(by_task):,} to {max(by_task):,} by task"
    if never := len(tasks) - len(by_task):
        reach += f" and never on {never} of {len(tasks)}"
    why = (
        f"counted FLOPs of training are made up for after {found:,} predictions, {reach}, against a language model of "
        f"its size"
    )
    if found <= _FEW_PREDICTIONS:
        return (CANNOT_TELL if never else SUPPORTED), why
    printed = table1()
    training, context = printed["T-Few"].training_flops, printed["T5+LM"].inference_flops
    return CANNOT_TELL, (
        f"{why}; the paper's {_FEW_PREDICTIONS} are against one 16 times larger, and its numbers against one of the "
        f"same size give {training / context:,.0f}"
    )


def _removing_pretraining(evidence: Evidence, resamples: int) -> tuple[Status, str]:
    """The paper has a model of 3B parameters in Section 3.4 and one of 11B here; ours may be one."""
    status, why = better("table10", "T-Few", "- PT")(evidence, resamples)
    here, there = (
        {record.spec.digest for name in names for record in evidence.records.get(grid, {}).get(name, ())}
        for grid, names in (("table10", ("T-Few", "- PT")), ("table8", ("(IA)3 + PT", "(IA)3")))
    )
    same = "; these are the runs of the claim of Section 3.4, where the paper has others, of T0-3B"
    return status, why + (same if here == there else "")


def _small_storage(evidence: Evidence, _resamples: int) -> tuple[Status, str]:
    records = evidence.runs("table9", "T-Few")
    stored, whole = typical_cost(records, "measured_stored_bytes"), 4 * typical_cost(records, "parameters")
    share = 100 * stored / whole
    why = f"an adaptation's file has {stored:,.0f} bytes, {share:.2f} % of the backbone's in single precision"
    return SUPPORTED if stored < whole / 100 else NOT_SUPPORTED, why


def _out_of_reach(why: str) -> Callable[[Evidence, int], tuple[Status, str]]:
    return lambda _evidence, _resamples: (CANNOT_TELL, why)


CLAIMS = (
    Claim("3.2", "L_LN improves full fine-tuning", better("table3", "+ LN", "FT")),
    Claim("3.2", "L_UL and L_LN together improve it further", _all_of(
        better("table3", "+ UL + LN", "FT"), better("table3", "+ UL + LN", "+ LN"))),
    Claim("3.3", "(IA)3 is the only method that is more accurate than full fine-tuning", _only_ia3_beats_full),
    Claim("3.3", "(IA)3 is better than Intrinsic SAID and prompt tuning, which train fewer parameters",
          _beats_smaller_methods),
    Claim("3.3", "(IA)3 updates thousands of times fewer parameters than full fine-tuning", _fewer_parameters),
    Claim("3.4", "pre-training the vectors improves (IA)3", better("table8", "(IA)3 + PT", "(IA)3")),
    Claim("4.1", "T-Few is more accurate than T0 without training", better("table9", "T-Few", "Zero-shot")),
    Claim("4.1", "T-Few is more accurate than in-context learning with its language model", _beats_in_context),
    Claim("4.1", "T-Few is more accurate than GPT-3 175B, which is 16 times larger",
          _out_of_reach("no model of that size can be run here")),
    Claim("4.2", "a prediction costs less with T-Few than in context", _cheaper_predictions),
    Claim("4.2", "training costs as much as a small number of predictions in context", _training_pays),
    Claim("4.2", "what T-Few stores is small beside the backbone", _small_storage),
    Claim("4.3", "T-Few is better than the human baseline on RAFT",
          _out_of_reach("RAFT's test labels are not public, and nobody has labeled the tasks that are made here")),
    Claim("4.3", "T-Few is better than earlier methods of few-shot learning on RAFT", _beats_on_raft),
    Claim("4.4", "removing pre-training costs accuracy", _removing_pretraining),
    Claim("4.4", "removing L_UL and L_LN costs accuracy", better("table10", "T-Few", "- L_UL - L_LN")),
    Claim("4.4", "removing all of them costs accuracy", better("table10", "T-Few", "- PT - L_UL - L_LN")),
    Claim("2.1", "an ensemble of contexts predicts better than one concatenated context",
          better("table9", "ICL (multiplied)", "ICL (concatenated)")),
)  # fmt: skip
GRIDS = ("table2", "table3", "table4", "table8", "table9", "table10")
"""Whose runs the claims are about."""


def verdicts(evidence: Evidence, resamples: int = RESAMPLES) -> list[Verdict]:
    """Holds every claim against the records.

    A claim of accuracy is supported if the 95 % interval of the difference, over few-shot splits, templates and
    examples, lies above zero; not supported if it lies below.

    Args:
        evidence: the finished runs; a claim of which runs are missing cannot be told.
        resamples: of every interval.
    """
    found = []
    for claim in CLAIMS:
        try:
            status, why = claim.check(evidence, resamples)
        except _MissingError as error:
            status, why = CANNOT_TELL, str(error)
        found.append(Verdict(claim.section, claim.text, status, why))
    return found
