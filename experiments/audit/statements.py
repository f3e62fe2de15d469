"""Numbers in the paper's text, against its tables."""

from collections.abc import Iterator
from fractions import Fraction

from experiments import published
from experiments.audit.averages import averages
from experiments.audit.costs import admits_bytes
from experiments.audit.finding import Finding
from experiments.audit.printed import Printed, decimal
from experiments.quantities import scientific
from tfew_pl.costs import cache_bytes, context_bytes
from tfew_pl.recipe import Recipe

Text = dict[tuple[str, str], str]
"""What the text says, by section and statement."""
Average = tuple[Fraction, Fraction]
"""A mean over the datasets of a row, and how far rounding may have moved it."""

LOSSES = {"full": "7", "full + L_UL": "6", "full + L_LN": "5", "full + L_UL + L_LN": "4"}
"""Fine-tuning all parameters with L_LM and these losses: its table, of which it is the row `full`."""


def _difference(one: Average, other: Average) -> Average:
    return one[0] - other[0], one[1] + other[1]


def _finding(section: str, row: str, column: str, printed: str, expected: str, why: str) -> Finding:
    return Finding("statement", f"Section {section}", row, column, printed, expected, why)


def _losses(text: Text, means: dict[tuple[str, str], Average]) -> Iterator[Finding | None]:
    """Section 3.2: what the losses do for full fine-tuning of T0-3B."""
    by_losses = {name: means[table, "full"] for name, table in LOSSES.items()}
    for (section, name), said in text.items():
        if section != "3.2":
            continue
        printed, (average, spare) = Printed(said), by_losses[name]
        if printed.admits(average, spare):
            yield None
            continue
        why = f"the mean of Table {LOSSES[name]}'s row full"
        for other, (value, _) in by_losses.items():
            if printed.admits(value):
                why += f"; {said} is that of Table {LOSSES[other]}, {other}"
        yield _finding(section, name, "accuracy", said, decimal(average), why)


def _margins(text: Text, means: dict[tuple[str, str], Average]) -> Iterator[Finding | None]:
    """Sections 3.4, 4.1, 4.3 and 4.4: accuracies and differences of them."""
    ours, raft = means["10", "T-Few"], means["2", "T-Few"]
    expected = {
        ("3.4", "(IA)3"): (means["8", "(IA)3"], "the mean of Table 8's row (IA)3"),
        ("3.4", "(IA)3 + PT"): (means["8", "(IA)3 + PT"], "the mean of Table 8's row (IA)3 + PT"),
        ("4.1", "points over GPT-3 175B"): (_difference(ours, means["1", "GPT-3 175B"]), "from Table 9"),
        ("4.3", "points over PET"): (_difference(raft, means["2", "PET"]), "from Table 11"),
    }
    for variant in ("- PT", "- L_UL - L_LN", "- PT - L_UL - L_LN"):
        average = means["10", variant]
        why = f"Table 10: {decimal(ours[0], 1)} against {decimal(average[0], 1)}"
        expected["4.4", f"points lost by {variant}"] = (_difference(ours, average), why)
    for (section, statement), ((value, spare), why) in expected.items():
        said = text[section, statement]
        fits = Printed(said).admits(value, spare)
        yield None if fits else _finding(section, statement, "accuracy", said, decimal(value, 1), why)


def _ingredients(means: dict[tuple[str, str], Average]) -> Iterator[Finding | None]:
    """Section 4.4: each ingredient consistently improves the average."""
    steps = (
        ("T-Few", "- PT"),
        ("T-Few", "- L_UL - L_LN"),
        ("- PT", "- PT - L_UL - L_LN"),
        ("- L_UL - L_LN", "- PT - L_UL - L_LN"),
    )
    for more, less in steps:
        (before, _), (after, _) = means["10", more], means["10", less]
        if after < before:
            yield None
            continue
        why = f"Section 4.4: every ingredient improves the average; here taking one more away from {more} raises it"
        limit = f"less than {decimal(before, 1)}"
        yield Finding("statement", "Table 10", less, "accuracy", decimal(after, 1), limit, why)


def _costs(text: Text) -> Iterator[Finding | None]:
    """Sections 2.1, 4.1 and 4.2: products and ratios of printed costs."""
    table, recipe = published.table1(), Recipe()
    ours, largest = table["T-Few"], table["GPT-3 175B"]
    ratios = {
        ("4.1", "times smaller than GPT-3 175B"): largest.parameters / ours.parameters,
        ("4.2", "times less for a prediction than GPT-3 175B"): largest.inference_flops / ours.inference_flops,
        ("4.2", "predictions of GPT-3 175B for a training"): ours.training_flops / largest.inference_flops,
    }
    for (section, statement), value in ratios.items():
        said = text[section, statement]
        fits = Printed(said).admits(Fraction(value))
        yield None if fits else _finding(section, statement, "cost", said, f"{value:.3g}", "from Table 1")
    sizes = {
        ("2.1", "32 shots of 512 tokens"): context_bytes(32, 512),
        ("2.1", "their keys and values in GPT-3 175B"): cache_bytes(96, 12_288, 32 * 512),
    }
    for (section, statement), number in sizes.items():
        said = text[section, statement]
        fits = admits_bytes(said, Fraction(number))
        yield None if fits else _finding(section, statement, "storage", said, f"{number:,.0f} B", "by its own product")
    said = text["4.2", "batch size in the training cost"]
    flops = Fraction(3 * ours.parameters) * recipe.steps * published.EXAMPLE_TOKENS
    total = Printed(text["4.2", "training cost"])
    if total.admits(flops * Fraction(said)):
        yield None
    else:
        product = f"3 x 11e9 x {recipe.steps:,} x {said} x {published.EXAMPLE_TOKENS}"
        why = f"{product} are {scientific(float(flops * Fraction(said)))}, not {total.text}"
        if total.admits(flops * recipe.batch_size):
            why += f"; with the batch of {recipe.batch_size} of Section 3.5 they are: a digit printed twice"
        yield _finding("4.2", "training cost", "batch size", said, str(round(total.value / flops)), why)


def _raft(text: Text) -> Iterator[Finding | None]:
    """Appendix H: the tasks of RAFT."""
    names = [name.strip() for name in text["H", "tasks named"].split(";")]
    table = list(dict.fromkeys(line["dataset"] for line in published.read("table11_raft_per_dataset.csv")))
    said = text["H", "tasks"]
    if len(names) == int(said) and set(names) == set(table):
        yield None
        return
    missing = ", ".join(name for name in table if name not in names)
    why = f"the names that follow are {len(names)}; of Table 11's {len(table)} they leave out {missing}"
    yield Finding("statement", "Appendix H", "RAFT", "tasks", said, str(len(names)), why)


def check() -> Iterator[Finding | None]:
    """What the text says in numbers must follow from the tables, as far as rounding lets one see."""
    text = {(line["section"], line["statement"]): line["printed"] for line in published.read("statements.csv")}
    means = averages()
    yield from _losses(text, means)
    yield from _margins(text, means)
    yield from _ingredients(means)
    yield from _costs(text)
    yield from _raft(text)
