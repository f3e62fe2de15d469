"""Contextual calibration (Zhao et al. 2021): answers that a context favors whatever is asked are counted less."""

import dataclasses
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from tfew_pl.choices import ChoiceBatch
from tfew_pl.datamodule import EvaluationBatches
from tfew_pl.encoding import Encoded

CONTENT_FREE = ("N/A", "[MASK]", "")
"""Queries that ask nothing (Zhao et al. 2021, Sec. 5)."""


def calibrate(
    examples: Sequence[Encoded],
    instead: Callable[[Encoded, str], Encoded],
    score: Callable[[ChoiceBatch], Tensor],
) -> list[Encoded]:
    """The examples with an offset for every choice: the logarithm of its probability behind a content-free query.

    Probabilities are those of the choices as ranked, normalized over the choices, and averaged over `CONTENT_FREE`.
    Less the offset, a choice's score is the logarithm of p / p_content-free, up to a constant: W p with W =
    diag(p_content-free)^-1, as in the paper. Examples with the same context and choices share it.

    Args:
        examples: behind their contexts.
        instead: puts another text in the place of an example's query.
        score: of a batch's choices, (batch, choices), minus infinity for a choice that an example does not have.
    """
    places: dict[tuple[int, int, tuple[tuple[int, ...], ...]], int] = {}
    probes: list[Encoded] = []
    for example in examples:
        key = (example.template, example.context, example.choices)
        if key not in places:
            places[key] = len(places)
            probes += [
                dataclasses.replace(instead(example, text), example=len(probes) + number)
                for number, text in enumerate(CONTENT_FREE)
            ]
    probability: dict[int, Tensor] = {}
    batches = EvaluationBatches(probes)
    for number in range(len(batches)):
        batch = batches[number]
        rows = score(batch).float().softmax(-1).cpu()  # (batch, choices)
        probability.update(zip(batch.key[:, 1].tolist(), rows, strict=True))
    offsets = []
    for place, (_, _, choices) in enumerate(places):
        first = place * len(CONTENT_FREE)
        of_texts = torch.stack([probability[first + number][: len(choices)] for number in range(len(CONTENT_FREE))])
        offsets.append(tuple(of_texts.mean(0).log().tolist()))
    return [
        dataclasses.replace(example, offsets=offsets[places[example.template, example.context, example.choices]])
        for example in examples
    ]
