"""The page beside our tables that says what the records show of the paper's claims, and what they cannot show."""

from collections.abc import Container, Iterator, Sequence
from typing import TYPE_CHECKING

from experiments.bootstrap import LEVEL
from experiments.claims import (
    CANNOT_TELL,
    CONTROL,
    NOT_SUPPORTED,
    SUPPORTED,
    Evidence,
    Status,
    Verdict,
    against_chance,
)
from experiments.figures.catalog import FIGURES
from experiments.finished import Progress
from experiments.quantities import count
from experiments.run_costs import PROCESS_MEMORY
from experiments.tables.block import escaped
from experiments.tables.catalog import TABLES
from tfew_pl.tasks import get_task
from tfew_pl.tasks.data import POCKET

if TYPE_CHECKING:
    from tfew_pl.record import RunRecord

_HEADINGS: dict[Status, str] = {
    SUPPORTED: "Supported",
    NOT_SUPPORTED: "Not supported",
    CANNOT_TELL: "Cannot be told at this scale",
}
_LIMITS = (
    "**The size of an effect on real language.** Our tasks are generated, with a small vocabulary and a few kinds of "
    "sentences, and our backbones are far smaller. Compare the order of methods, not the points between them.",
    "**The best that a method can do.** Each is trained with the steps and the learning rate that the paper chose for "
    "T0 with 3 billion parameters. One that falls behind here may want others on a small backbone.",
    "**What another pre-training would give.** The runs use one pair of backbones. The intervals cover few-shot "
    "splits, templates and examples, not the seeds of pre-training, and not the choice of tasks.",
    "**All claims at once.** Each interval stands for itself; with so many, one in twenty may miss by chance.",
    "**How good in-context learning can be.** It needs a large language model; and for its cost it is measured on "
    "fewer templates and examples, which the tables' notes name.",
    "**RAFT against people.** The labels of RAFT's test sets are not public, and nobody has labeled the generated "
    "tasks.",
    "**Times on another machine.** Seconds and memory are those of the machine in each record, beside whatever else it "
    f"did. {PROCESS_MEMORY}",
)
"""What pocket records do not show."""


def results_page(
    verdicts: Sequence[Verdict], evidence: Evidence, grids: Sequence[Progress], files: Container[str] = ()
) -> str:
    """The page as Markdown.

    Args:
        verdicts: on the claims.
        evidence: of which they were made, with the runs of the control.
        grids: how far each is.
        files: names of those that stand beside the page, to which it may lead.
    """
    runs = _runs(grids, files)
    parts = (_summary(verdicts, evidence), _claims(verdicts), _control(evidence), runs, _limits(evidence))
    return "\n".join(line for part in parts for line in part)


def _records(evidence: Evidence) -> list["RunRecord"]:
    return [record for variants in evidence.records.values() for records in variants.values() for record in records]


def _is_pocket(evidence: Evidence) -> bool:
    return any(record.spec.data == POCKET for record in _records(evidence))


def _summary(verdicts: Sequence[Verdict], evidence: Evidence) -> Iterator[str]:
    number = {status: sum(verdict.status == status for verdict in verdicts) for status in _HEADINGS}
    parameters = {record.spec.backbone: record.costs.parameters for record in _records(evidence)}
    backbones = ", ".join(f"{name} ({count(number)} parameters)" for name, number in sorted(parameters.items()))
    tasks = "generated tasks in the schemas of the paper's" if _is_pocket(evidence) else "the paper's tasks"
    yield from ("# What these records show, and what they do not", "")
    yield (
        f"Of {len(verdicts)} claims of the paper our runs support {number[SUPPORTED]} and speak against "
        f"{number[NOT_SUPPORTED]}; {number[CANNOT_TELL]} cannot be told. Ours: {backbones}, on {tasks}."
    )
    yield ""
    yield (
        f"A claim of accuracy is supported if the {100 * LEVEL:.0f} % interval of the difference, a bootstrap over "
        "few-shot splits, templates and examples, lies above zero, and not supported if it lies below; of several "
        "differences, all must support a claim, and one can speak against it. "
        "`tfew claims` makes this page from the records; `make reproduce-all` runs it."
    )
    yield ""


def _claims(verdicts: Sequence[Verdict]) -> Iterator[str]:
    for status, heading in _HEADINGS.items():
        found = [verdict for verdict in verdicts if verdict.status == status]
        if found:
            yield from (f"## {heading}", "")
            yield from (f"- **{escaped(v.claim)}** (Section {v.section}): {escaped(v.why)}." for v in found)
            yield ""


def _control(evidence: Evidence) -> Iterator[str]:
    """Whether a backbone that knows nothing stays at chance, on every task."""
    for name, records in evidence.records.get(CONTROL, {}).items():
        accuracy, chance = against_chance(records)
        by_task: dict[str, list[RunRecord]] = {}
        for record in records:
            by_task.setdefault(record.spec.task, []).append(record)
        each = {task: against_chance(runs) for task, runs in by_task.items()}
        above = [
            f"{get_task(task).title} ({found.value:.1f} % [{found.low:.1f}, {found.high:.1f}] of {guessed:.1f} %)"
            for task, (found, guessed) in each.items()
            if found.low > guessed
        ]
        verdict = f"it is above that on {', '.join(above)}" if above else "on no single task is its interval above that"
        missing = evidence.missing.get(CONTROL, {}).get(name, 0)
        yield from ("## The control", "")
        yield (
            "A task that gives its answers away by its surface may be learned by a backbone that was never trained. "
            f"T-Few's training of one reaches a mean accuracy of {accuracy.value:.1f} % [{accuracy.low:.1f}, "
            f"{accuracy.high:.1f}] over {len(each)} task{'s' * (len(each) != 1)}, where the most frequent answers give "
            f"{chance:.1f} %; {verdict}." + (f" {missing} of its runs are missing." if missing else "")
        )
        yield ""


def _runs(grids: Sequence[Progress], files: Container[str]) -> Iterator[str]:
    yield from ("## The runs", "", "| runs | finished | shown in |", "|---|---:|---|")
    for grid in grids:
        shown = ", ".join(_shown_in(grid, files)) if grid.found else ""
        yield f"| {escaped(grid.description)} | {grid.found:,} of {grid.asked:,} | {shown} |"
    yield ""


def _shown_in(grid: Progress, files: Container[str]) -> Iterator[str]:
    """What is made of a grid's runs: the file where there is one, else the command that makes it."""
    tables = [number for number, table in TABLES.items() if table.grid == grid.grid]
    made = [("table", number, "md") for number in tables]
    made += [("figure", number, "svg") for number, figure in FIGURES.items() if figure.table in tables]
    for kind, number, ending in made:
        file = f"{kind}{number}.{ending}"
        yield f"[{kind.capitalize()} {number}]({file})" if file in files else f"`tfew {kind} {number}`"
    if not tables:
        yield f"`tfew compare {grid.grid}`"


def _limits(evidence: Evidence) -> Iterator[str]:
    if _is_pocket(evidence):
        yield from ("## What they do not show", "")
        yield from (f"- {limit}" for limit in _LIMITS)
        yield ""
