"""In-context learning: few-shot examples stand in the input, nothing is trained (Brown et al. 2020)."""

import random
from collections.abc import Sequence

from tfew_pl.datamodule import evaluation_generator
from tfew_pl.encoding import Encoded, PromptEncoder
from tfew_pl.errors import UserError
from tfew_pl.tasks.task import Row

CONTEXT_INPUT_TOKENS = 1024
"""Longest input with its context; T5's relative positions set no limit of their own."""


def demonstration(encoder: PromptEncoder, row: Row, template: int, generator: random.Random) -> str:
    """A few-shot example as it stands before an input: its input, its answer and an empty line.

    Raises:
        UserError: the template has no target for this example.
    """
    prompt = encoder.templates[template].render(row, generator)
    if prompt is None:
        raise UserError(f"template {encoder.templates[template].name!r} has no target for a few-shot example")
    return f"{prompt.input}\n{prompt.target}\n\n"


def encode_ensemble(encoder: PromptEncoder, shots: Sequence[Row], rows: Sequence[Row]) -> list[Encoded]:
    """Every example through every template behind every few-shot example, one at a time (Min et al. 2022).

    Their scores are averaged over the contexts by `RankedChoices`.

    Args:
        encoder: with inputs long enough for a context (`CONTEXT_INPUT_TOKENS`).
        shots: the few-shot examples.
        rows: the examples to predict.
    """
    encoded = []
    for template in range(len(encoder.templates)):
        generator = random.Random(f"evaluation {template}")
        contexts = [demonstration(encoder, shot, template, generator) for shot in shots]
        for example, row in enumerate(rows):
            generator = evaluation_generator(template, example)
            encoded += encoder.encode_behind(contexts, row, example, template, generator)
    return encoded
