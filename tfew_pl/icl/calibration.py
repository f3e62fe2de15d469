"""Contextual calibration (Zhao et al. 2021): answers that a context favors whatever is asked are counted less."""

import dataclasses
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from tfew_pl.choices import ChoiceBatch
from tfew_pl.datamodule import EvaluationBatches
from tfew_pl.encoding import Encoded

CONTENT_FREE = ("N/A", "[MASK]", "")
"""What stands in the place of an example's own text, so that nothing is asked (Zhao et al. 2021, Sec. 5)."""


@dataclass(frozen=True)
class Probes:
    """Content-free queries of a run's examples, equal ones once."""

    asked: Sequence[Encoded]
    """Numbered by their `example`."""
    of_examples: Sequence[tuple[int, ...]]
    """For each example the places of its probes, one for each content-free text."""

    @classmethod
    def of(cls, encoded: Sequence[Sequence[Encoded]]) -> "Probes":
        """Those of the same examples with each content-free text, (texts, examples)."""
        places: dict[object, int] = {}
        asked: list[Encoded] = []
        of_examples = []
        for probes in zip(*encoded, strict=True):
            keys = [(probe.input_ids, probe.kept, probe.choices) for probe in probes]
            for probe, key in zip(probes, keys, strict=True):
                if key not in places:
                    places[key] = len(asked)
                    asked.append(dataclasses.replace(probe, example=len(asked)))
            of_examples.append(tuple(places[key] for key in keys))
        return cls(asked, of_examples)


def calibrate(examples: Sequence[Encoded], probes: Probes, score: Callable[[ChoiceBatch], Tensor]) -> list[Encoded]:
    """The examples with an offset for every choice: the logarithm of its probability behind content-free queries.

    Probabilities are those of the choices as ranked, normalized over the choices, and averaged over the texts. Less the
    offset, a choice's score is the logarithm of p / p_content-free, up to a constant: W p with W =
    diag(p_content-free)^-1, as in the paper.

    Args:
        examples: behind their contexts.
        probes: of these examples.
        score: of a batch's choices, (batch, choices), minus infinity for a choice that an example does not have.
    """
    log_probability: dict[int, Tensor] = {}
    batches = EvaluationBatches(probes.asked)
    for number in range(len(batches)):
        batch = batches[number]
        rows = score(batch).float().log_softmax(-1).cpu()  # (batch, choices)
        log_probability.update(zip(batch.key[:, 1].tolist(), rows, strict=True))
    offsets: dict[tuple[int, ...], tuple[float, ...]] = {}
    for places in probes.of_examples:
        if places not in offsets:
            choices = len(probes.asked[places[0]].choices)
            of_texts = torch.stack([log_probability[place][:choices] for place in places])  # (texts, choices)
            offsets[places] = tuple((of_texts.logsumexp(0) - math.log(len(places))).tolist())
    return [
        dataclasses.replace(example, offsets=offsets[places])
        for example, places in zip(examples, probes.of_examples, strict=True)
    ]
