"""Contextual calibration against Zhao et al.'s formula, and that it undoes a bias."""

import dataclasses
from collections.abc import Sequence

import pytest
import torch
from torch import Tensor

from tfew_pl.choices import ChoiceBatch
from tfew_pl.encoding import Encoded, collate
from tfew_pl.icl.calibration import CONTENT_FREE, Probes, calibrate

YES_NO, THREE = ((2,), (3,)), ((2,), (3,), (4,))
EXAMPLES = [
    Encoded((9,), YES_NO, 0, example=0, context=0),
    Encoded((8,), YES_NO, 1, example=1, context=0),
    Encoded((9,), YES_NO, 0, example=0, context=1),
    Encoded((7,), THREE, 2, example=2, context=1),
]
SCORES = {0: [0.2, -0.5, 0.1], 1: [-1.0, 0.3, 0.4], 2: [0.0, 0.6, -0.3]}
"""Of the choices, by the content-free text."""


def probes(examples: Sequence[Encoded] = EXAMPLES) -> Probes:
    return Probes.of(
        [
            [dataclasses.replace(example, input_ids=(100 + text, example.context)) for example in examples]
            for text in range(len(CONTENT_FREE))
        ]
    )


def score(batch: ChoiceBatch) -> Tensor:
    """The scores of the text, the first choice's higher by the number of the context."""
    rows = torch.tensor([SCORES[int(ids[0]) - 100] for ids in batch.input_ids])[:, : batch.choice_ids.shape[1]].clone()
    rows[:, 0] += batch.input_ids[:, 1]
    return rows.masked_fill(~batch.choice_mask.any(-1), float("-inf"))


def test_offsets_by_the_formula() -> None:
    found = calibrate(EXAMPLES, probes(), score)
    for example, calibrated in zip(EXAMPLES, found, strict=True):
        count = len(example.choices)
        mean = torch.zeros(count, dtype=torch.float64)
        for scores in SCORES.values():
            of_text = torch.tensor(scores[:count], dtype=torch.float64)
            of_text[0] += example.context
            mean += of_text.exp() / of_text.exp().sum() / len(CONTENT_FREE)
        assert torch.tensor(calibrated.offsets, dtype=torch.float64).exp().tolist() == pytest.approx(mean.tolist())
        assert dataclasses.replace(calibrated, offsets=()) == example


def test_equal_probes_are_asked_once() -> None:
    asked: list[int] = []

    def counted(batch: ChoiceBatch) -> Tensor:
        asked.append(len(batch.gold))
        return score(batch)

    of_all = probes()
    calibrate(EXAMPLES, of_all, counted)
    # The first two examples differ in their own texts alone.
    assert sum(asked) == len(of_all.asked) == 3 * len(CONTENT_FREE)
    assert of_all.of_examples[0] == of_all.of_examples[1]


def test_it_undoes_a_context_that_favors_an_answer() -> None:
    """Whatever is asked, the context doubles the odds of the first choice; less the offset, it does not."""
    (example,) = calibrate(EXAMPLES[2:3], probes(EXAMPLES[2:3]), score)
    (plain,) = calibrate(EXAMPLES[:1], probes(EXAMPLES[:1]), score)
    biased = torch.tensor([0.4 + 1.0, 0.9])
    offset = collate([example]).offset
    assert offset is not None
    assert biased.argmax() == 0
    assert (biased - offset[0]).argmax() == 1
    # The same as without the bias, but for the average over texts, which is one of probabilities.
    difference = (offset[0, 0] - offset[0, 1]) - (plain.offsets[0] - plain.offsets[1])
    assert float(difference) == pytest.approx(1.0, abs=0.2)


def test_a_very_unlikely_choice_has_a_finite_offset() -> None:
    """Its probability is 0 in single precision, whose logarithm would let it win whatever is asked."""
    scores = torch.tensor([-20.0, -140.0])
    (example,) = calibrate(EXAMPLES[:1], probes(EXAMPLES[:1]), lambda batch: scores.expand(len(batch.gold), -1))
    assert example.offsets == pytest.approx((0.0, -120.0))
