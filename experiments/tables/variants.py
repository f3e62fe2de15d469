"""What every table is made of: the runs that a grid asks for, those that are finished, and what they found."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from experiments.run_costs import typical_costs
from experiments.specs import method_recipe
from experiments.statistics import Spread, TaskAccuracy, mean_over_tasks, task_accuracy, unlabeled_tasks
from tfew_pl.recipe import Recipe
from tfew_pl.tasks import task_of

if TYPE_CHECKING:
    from experiments.grid import Grid
    from tfew_pl.record import RunRecord
    from tfew_pl.spec import Evaluation, RunSpec
    from tfew_pl.store import RunStore

_POOLED = ("task", "seed", "revisions")
"""Fields in which the runs of a row may differ."""


@dataclass(frozen=True)
class Variant:
    """A row of a table as runs."""

    name: str
    specs: tuple["RunSpec", ...]
    """What the grid asks for; of one method, backbone, data and evaluation."""
    records: tuple["RunRecord", ...]
    """What is finished of it."""

    @classmethod
    def finished(cls, name: str, records: Iterable["RunRecord"]) -> "Variant":
        """A variant that asks for no more than there is."""
        records = tuple(records)
        return cls(name, tuple(record.spec for record in records), records)

    @property
    def missing(self) -> int:
        """Runs without a record."""
        return len(self.specs) - len(self.records)


def find_variants(grid: "Grid", store: "RunStore") -> list[Variant]:
    """The grid's variants with the records that the store has.

    Raises:
        UserError: a record cannot be read.
    """
    finished = store.digests()
    return [
        Variant(name, tuple(specs), tuple(store.load(spec) for spec in specs if spec.digest in finished))
        for name, specs in grid.variants().items()
    ]


def split(variant: Variant) -> Iterator[Variant]:
    """A variant whose runs differ in more than task and seed as several, named by what they differ in."""
    groups: dict[tuple[tuple[str, Any], ...], list[RunSpec]] = {}
    for spec in variant.specs:
        groups.setdefault(tuple(sorted(_setting(spec).items())), []).append(spec)
    settings = [dict(setting) for setting in groups]
    differing = [key for key in settings[0] if any(s.get(key) != settings[0][key] for s in settings)]
    differing += sorted({key for setting in settings for key in setting} - set(settings[0]))
    for setting, specs in zip(settings, groups.values(), strict=True):
        digests = {spec.digest for spec in specs}
        name = ", ".join((variant.name, *(f"{key}={setting.get(key, 'default')}" for key in differing)))
        yield Variant(name, tuple(specs), tuple(r for r in variant.records if r.spec.digest in digests))


def _setting(spec: "RunSpec") -> dict[str, Any]:
    """All that a run depends on and that makes a row of its own: not what its task itself sets in the recipe."""
    setting, default = dict(_leaves(spec.identity())), Recipe(**method_recipe(spec.method))
    for name, value in task_of(spec).recipe.items():
        if setting.get(key := f"recipe.{name}") == value:
            setting[key] = getattr(default, name)
    return setting


def _leaves(values: Mapping[str, Any], path: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in values.items():
        if path or key not in _POOLED:
            if isinstance(value, Mapping):
                yield from _leaves(value, f"{path}{key}.")
            else:
                yield f"{path}{key}", value


@dataclass(frozen=True)
class Measured:
    """What our runs of a method found, as far as they are finished."""

    method: str
    backbone: str
    data: str
    evaluation: "Evaluation"
    """What the accuracy is limited to."""
    tasks: tuple[TaskAccuracy, ...]
    """Of the tasks with a finished run, in the order of the grid."""
    asked: Mapping[str, int]
    """Runs that were asked for, by task, in the order of the grid."""
    costs: Mapping[str, float]
    """By field of `Costs`: medians over tasks of the medians over a task's runs; empty without a run."""
    unlabeled: tuple[str, ...] = ()
    """Tasks that are left out, as their evaluation examples have no labels."""

    @property
    def kept_parameters(self) -> float:
        """Those of `trained_parameters` that a task needs after training, which the paper counts; 0 without a run."""
        return min(self.costs.get("trained_parameters", 0), self.costs.get("stored_bytes", 0) / 4)

    @property
    def runs(self) -> int:
        """Finished runs over all tasks."""
        return sum(task.runs for task in self.tasks)

    @property
    def missing(self) -> int:
        """Runs that were asked for and are not finished."""
        return sum(self.asked.values()) - self.runs

    @property
    def accuracy(self) -> Spread | None:
        """Means over tasks, in percent; None while a run is missing, since means over other tasks do not compare."""
        return None if self.missing or not self.tasks else mean_over_tasks(self.tasks)

    def task(self, name: str) -> TaskAccuracy | None:
        """The accuracy on a task; None without a run."""
        return next((task for task in self.tasks if task.task == name), None)


def measure(variant: Variant) -> Measured:
    """What the runs of a variant found.

    Raises:
        ValueError: they are of several methods, backbones, data or evaluations.
    """
    kinds = {(spec.method, spec.backbone, spec.data, spec.evaluation) for spec in variant.specs}
    if len(kinds) != 1:
        raise ValueError(f"runs of one method, backbone and evaluation are needed, not {kinds}")
    (kind,) = kinds
    unlabeled = unlabeled_tasks(variant.records)
    asked = Counter(spec.task for spec in variant.specs if spec.task not in unlabeled)
    of_task = {name: [record for record in variant.records if record.spec.task == name] for name in asked}
    groups = [records for records in of_task.values() if records]
    costs = typical_costs([record for records in groups for record in records])
    return Measured(*kind, tuple(map(task_accuracy, groups)), asked, costs, unlabeled)
