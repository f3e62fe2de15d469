"""The granularity test (GRIM: Brown & Heathers 2017) on accuracies by dataset.

With n evaluation examples an accuracy is a multiple of 1/n. The paper prints medians over few-shot splits and
templates (Section 3.1): with an odd number of values the median is one of them, with an even number it may be the
mean of two, a multiple of 1/2n. A quartile lies at a quarter, at half or at three quarters of the way between two
values, or on one of them, as their number has it, and so the interquartile range is a multiple of 1/4n, 1/2n or 1/n.
Whether each value is that of one template or of a mixture of them does not matter: five accuracies, one a split, give
multiples of 1/n, which all of these admit.
"""

import math
from collections.abc import Iterator
from fractions import Fraction

from experiments.audit.finding import Finding
from experiments.audit.printed import Cell, Printed, by_row, cells, decimal
from tfew_pl.tasks import TASKS
from tfew_pl.tasks.splits import OFFICIAL_SEEDS

EVALUATION_EXAMPLES = {
    "copa": 100,
    "hellaswag": 10_042,
    "story_cloze": 1_871,
    "winogrande": 1_267,
    "wsc": 104,
    "wic": 638,
    "rte": 277,
    "cb": 56,
    "anli_r1": 1_000,
    "anli_r2": 1_000,
    "anli_r3": 1_200,
}
"""Sizes of the splits on which the paper evaluates: validation, and test of Story Cloze and ANLI."""

_RARELY = Fraction(1, 50)
"""A fit of two numbers that chance gives more often says nothing."""
_BY_TITLE = {TASKS[name].title.lower(): TASKS[name] for name in EVALUATION_EXAMPLES}


def steps(values: int) -> tuple[int, int]:
    """Into how many parts a median and an interquartile range of so many values divide the values' own step.

    Quartiles by linear interpolation, NumPy's default: the value at (values - 1) / 4.
    """
    return 2 - values % 2, 4 // math.gcd(4, values - 1)


def admitted(printed: Printed, parts: int, reach: Fraction | None = None) -> bool:
    """Whether a printed percentage may be a multiple of 100 / parts.

    Args:
        printed: the number.
        parts: the steps from 0 to 100.
        reach: how far what was printed may lie from the number; None for its tolerance.
    """
    reach = printed.tolerance if reach is None else reach
    low, high = ((printed.value + side) * parts / 100 for side in (-reach, reach))
    return math.ceil(low) <= math.floor(high)


def iqr_reach(printed: Printed) -> Fraction:
    """How far a printed interquartile range may lie from the range.

    Some are differences of quartiles that had been rounded to two digits, and so may be off by one in the second.
    """
    return Fraction(1, 100) + (Fraction(1, 20) if printed.digits == 1 else 0)


def _nearest(printed: Printed, parts: int) -> str:
    """The multiples of 100 / parts on both sides, with two digits."""
    below = math.floor(printed.value * parts / 100)
    return " or ".join(decimal(Fraction(100 * count, parts)) for count in (below, below + 1))


def _fit_by_chance(printed: Printed, examples: int) -> Fraction:
    """How often a random number of as many digits would be a multiple of 100 / examples."""
    return 2 * printed.tolerance * examples / 100


def _slipped_from(cell: Cell) -> str | None:
    """The other dataset whose granularity median and range have; None if there is none, or chance may explain it."""
    if cell.iqr is None or cell.iqr.value == 0:
        return None
    fitting = []
    for name, examples in EVALUATION_EXAMPLES.items():
        task, numbers = TASKS[name], (cell.median, cell.iqr)
        by_chance = math.prod(_fit_by_chance(number, examples) for number in numbers)
        plausible = cell.median.value > 90 * task.chance
        if plausible and by_chance < _RARELY and all(admitted(number, examples) for number in numbers):
            median, iqr = (f"{round(number.value * examples / 100)}/{examples:,}" for number in numbers)
            fitting.append((by_chance, f"{task.title}'s: {median} and {iqr}"))
    return min(fitting)[1] if fitting else None


def _likely_cause(cell: Cell, row: list[Cell]) -> str:
    for other in row:
        if other is not cell and cell.iqr is not None and (other.median, other.iqr) == (cell.median, cell.iqr):
            return f"it repeats the {_BY_TITLE[other.dataset].title} of its row, IQR included"
    slipped = _slipped_from(cell)
    if slipped is not None:
        return f"median and IQR are {slipped}; the row has slipped to other columns"
    if _BY_TITLE[cell.dataset].first_templates:
        return "some of its templates suit only a part of the examples, so that n is smaller for them"
    return "no other dataset's size explains it: a misprint, or copied wrongly"


def check() -> Iterator[Finding | None]:
    """Every median and interquartile range must be one that the number of evaluation examples admits."""
    for (table, name), row in by_row(cells()).items():
        for cell in row:
            task = _BY_TITLE[cell.dataset]
            examples, templates = EVALUATION_EXAMPLES[task.name], len(task.templates())
            splits = 1 if cell.iqr is None else len(OFFICIAL_SEEDS)  # zero-shot, and what others have published
            median, iqr = steps(splits * templates)
            numbers = [("", cell.median, median, cell.median.tolerance)]
            if cell.iqr is not None:
                numbers.append((" IQR", cell.iqr, iqr, iqr_reach(cell.iqr)))
            for suffix, printed, divided, reach in numbers:
                parts = divided * examples
                if admitted(printed, parts, reach):
                    yield None
                    continue
                why = (
                    f"{'' if splits == 1 else f'{splits} splits x '}{templates} templates of {examples:,} examples "
                    f"give multiples of 1/{parts:,}; "
                    f"{_likely_cause(cell, row)}"
                )
                column = cell.dataset + suffix
                nearest = _nearest(printed, parts)
                yield Finding("granularity", f"Table {table}", name, column, printed.text, nearest, why)
