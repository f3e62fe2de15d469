"""The bootstrap against loops written out, against SciPy's, and against theory."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from experiments.bootstrap import (
    Answers,
    answers,
    mean_accuracy,
    mean_difference,
    median_accuracy,
    paired_answers,
    resampled_medians,
)
from tfew_pl.record import Costs, RunRecord
from tfew_pl.spec import IN_CONTEXT, ZERO_SHOT, RunSpec


def run(seed: int, correct: list[list[bool]], method: str = "ia3", shuffled: bool = False) -> RunRecord:
    """A run by which examples through which template it has right."""
    rows = [(t, e, 1, int(right)) for t, row in enumerate(correct) for e, right in enumerate(row)]
    table = pd.DataFrame(rows[::-1] if shuffled else rows, columns=["template", "example", "gold", "predicted"])
    shares = {f"template {t}": float(np.mean(row)) for t, row in enumerate(correct)}
    costs = Costs(**dict.fromkeys(Costs.__dataclass_fields__, 0))  # type: ignore[arg-type]
    return RunRecord(RunSpec(task="rte", seed=seed, method=method), shares, table, pd.DataFrame(), costs, {})


def random_answers(seed: int, *shape: int, share: float = 0.7) -> Answers:
    return np.random.default_rng(seed).random(shape) < share


YES, NO = True, False


def test_answers_of_the_same_seeds_templates_and_examples() -> None:
    ours = [run(1, [[YES, YES], [YES, NO]]), run(0, [[NO, NO], [YES, YES]], shuffled=True)]
    others = [run(2, [[YES] * 2] * 2), run(0, [[YES, NO], [NO, NO]]), run(1, [[NO] * 2] * 2)]
    pair = paired_answers(ours, others)
    assert pair is not None
    assert pair[0].tolist() == [[[NO, NO], [YES, YES]], [[YES, YES], [YES, NO]]]  # seeds 0 and 1
    assert pair[1].tolist() == [[[YES, NO], [NO, NO]], [[NO, NO], [NO, NO]]]


def test_only_what_both_predict_counts() -> None:
    pair = paired_answers([run(0, [[YES, NO, YES], [NO] * 3])], [run(0, [[YES, YES]], IN_CONTEXT)])
    assert pair is not None
    assert [side.tolist() for side in pair] == [[[[YES, NO]]], [[[YES, YES]]]]


def test_zero_shot_stands_beside_every_seed() -> None:
    pair = paired_answers([run(5, [[YES]]), run(6, [[NO]])], [run(42, [[YES]], ZERO_SHOT)])
    assert pair is not None
    assert [side.tolist() for side in pair] == [[[[YES]], [[NO]]], [[[YES]], [[YES]]]]


def test_nothing_in_common() -> None:
    one = [run(0, [[YES]])]
    assert paired_answers(one, [run(1, [[YES]])]) is None
    assert paired_answers(one, []) is None
    with pytest.raises(ValueError, match="same templates and examples"):
        answers([])


def test_resampling_is_what_it_says() -> None:
    """The same draws, with indices instead of weights and a loop instead of a product."""
    methods = [random_answers(1, 3, 4, 10), random_answers(2, 3, 4, 10)]
    found = resampled_medians(methods, np.random.default_rng(7), 20)
    generator = np.random.default_rng(7)
    drawn = generator.integers(10, size=(20, 10))
    runs, templates = generator.integers(3, size=(20, 3)), generator.integers(4, size=(20, 4))
    for number, right in enumerate(methods):
        for draw in range(20):
            values = [right[r, t, drawn[draw]].mean() for r in runs[draw] for t in templates[draw]]
            assert found[number, draw] == pytest.approx(100 * np.median(values))


def test_many_resamples_are_drawn_in_parts() -> None:
    assert resampled_medians([random_answers(1, 2, 3, 5)], np.random.default_rng(0), 1003).shape == (1, 1003)


def test_interval_over_examples_is_scipys() -> None:
    """With one run and one template only examples are drawn, as by SciPy's percentile bootstrap of the mean."""
    right = random_answers(3, 1, 1, 150)
    found = mean_accuracy([right], np.random.default_rng(0), resamples=8000)
    reference = stats.bootstrap(
        (100.0 * right[0, 0],), np.mean, n_resamples=8000, method="percentile", rng=np.random.default_rng(1)
    ).confidence_interval
    # Both ends are counts of 1/150 with a Monte-Carlo error of about a third of one.
    assert (found.low, found.high) == pytest.approx((reference.low, reference.high), abs=1.01 * 100 / 150)
    assert found.value == pytest.approx(100 * right.mean())


def test_tasks_are_strata() -> None:
    """The variance of a mean over two tasks is a quarter of the sum of theirs."""
    tasks = [random_answers(4, 1, 1, 400), random_answers(5, 1, 1, 100, share=0.5)]
    both = mean_accuracy(tasks, np.random.default_rng(0), resamples=4000)
    shares = [task.mean() for task in tasks]
    deviation = 100 * np.sqrt(sum(p * (1 - p) / task.size for p, task in zip(shares, tasks, strict=True))) / 2
    assert both.value == pytest.approx(100 * np.mean(shares))
    assert (both.high - both.low) / 2 == pytest.approx(1.96 * deviation, rel=0.08)


def test_more_sources_of_chance_make_intervals_wider() -> None:
    generator = np.random.default_rng(0)
    right = generator.random((5, 6, 80)) < generator.uniform(0.3, 0.9, (5, 6, 1))  # runs and templates differ much
    alike = np.broadcast_to(right[:1, :1], right.shape)
    wide, narrow = (mean_accuracy([task], np.random.default_rng(0), 1000) for task in (right, alike))
    assert wide.high - wide.low > 1.25 * (narrow.high - narrow.low)


def test_differences_are_paired() -> None:
    one = random_answers(6, 5, 3, 200)
    same = mean_difference([(one, one)], np.random.default_rng(0), 500)
    assert (same.value, same.low, same.high) == (0, 0, 0)
    better = one.copy()
    better[:, :, :20] = True  # the same examples right in addition, everywhere
    paired = mean_difference([(better, one)], np.random.default_rng(0), 500)
    assert paired.value == pytest.approx(median_accuracy(better) - median_accuracy(one))
    assert paired.low > 0
    alone = mean_accuracy([one], np.random.default_rng(0), 500)
    assert paired.high - paired.low < alone.high - alone.low


def test_it_repeats() -> None:
    right = [random_answers(8, 2, 2, 30)]
    first, second = (mean_accuracy(right, np.random.default_rng(3), 300) for _ in range(2))
    assert first == second


@pytest.mark.parametrize("function", [mean_accuracy, mean_difference])
def test_no_task(function: Any) -> None:
    with pytest.raises(ValueError, match="no tasks"):
        function([], np.random.default_rng(0))
