"""The table of a grid of one's own: accuracies by variant, and by what a variant sweeps beside tasks and seeds."""

from collections.abc import Sequence

from experiments.tables.accuracy import AccuracyTable, Layout, accuracy_table
from experiments.tables.variants import Variant, split
from tfew_pl.errors import UserError


def own_table(name: str, variants: Sequence[Variant]) -> AccuracyTable:
    """The table; the first row is the one that the others are compared with.

    Raises:
        UserError: the runs of a row do not belong together.
    """
    rows = [row for variant in variants for row in split(variant)]
    layout = Layout(None, f"Accuracy of the grid {name}", "", reference=rows[0].name, parameter_counts=True)
    try:
        return accuracy_table(layout, rows)
    except ValueError as error:
        raise UserError(f"no table can be made of the grid {name}: {error}") from error
