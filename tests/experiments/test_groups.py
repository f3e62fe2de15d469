import pytest

from experiments.grid import GridRun
from experiments.groups import form_groups
from tfew_pl.recipe import RECIPES
from tfew_pl.spec import ZERO_SHOT, RunSpec

SEEDS = (42, 1024, 0, 1, 32)
RUNS = [GridRun("A", RunSpec(task, seed=seed)) for task in ("rte", "cb") for seed in SEEDS]


def seeds(groups: list[tuple[GridRun, ...]]) -> list[tuple[int, ...]]:
    return [tuple(run.spec.seed for run in group) for group in groups]


def test_runs_that_differ_in_the_seed_alone_are_trained_together() -> None:
    groups = form_groups(RUNS)
    assert seeds(groups) == [SEEDS, SEEDS]
    assert [group[0].spec.task for group in groups] == ["rte", "cb"]
    assert [run for group in groups for run in group] == RUNS


def test_groups_are_of_bounded_size_and_cut_at_the_same_places() -> None:
    assert seeds(form_groups(RUNS[:5], slots=2)) == [(42, 1024), (0, 1), (32,)]
    assert form_groups(RUNS, slots=1) == [(run,) for run in RUNS]


def test_what_stands_between_the_runs_of_a_group_does_not_part_them() -> None:
    mixed = [run for pair in zip(RUNS[:5], RUNS[5:], strict=True) for run in pair]
    assert seeds(form_groups(mixed)) == [SEEDS, SEEDS]


@pytest.mark.parametrize(
    "spec", [RunSpec("rte", method=ZERO_SHOT), RunSpec("rte", method="full"), RunSpec("rte", recipe=RECIPES["release"])]
)
def test_what_has_no_slots_is_done_alone(spec: RunSpec) -> None:
    runs = [GridRun("A", spec), GridRun("B", RunSpec("cb", method=spec.method, recipe=spec.recipe))]
    assert form_groups(runs) == [(run,) for run in runs]
