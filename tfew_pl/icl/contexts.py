"""What stands before a query: few-shot examples through a template, as many as fit."""

import random
from collections.abc import Callable, Sequence

from tfew_pl.errors import UserError
from tfew_pl.prompts import PromptTemplate
from tfew_pl.spec import InContext
from tfew_pl.tasks.task import Row

CONTEXT_INPUT_TOKENS = 1024
"""Longest input with its context, where nobody says otherwise; T5's relative positions set no limit of their own."""


def longest_input(settings: InContext, input_tokens: int, positions: int | None) -> int:
    """Most tokens of an input with its context.

    Args:
        settings: which may say it.
        input_tokens: of the task's longest input; a context is given as much room, or more.
        positions: that the backbone knows; None where it sets no limit.
    """
    asked = settings.tokens or max(CONTEXT_INPUT_TOKENS, 2 * input_tokens)
    return asked if positions is None else min(asked, positions)


def demonstration(template: PromptTemplate, row: Row, generator: random.Random) -> str:
    """A few-shot example as it stands before a query: its input, its answer and an empty line.

    Raises:
        UserError: the template has no target for this example.
    """
    prompt = template.render(row, generator)
    if prompt is None:
        raise UserError(f"template {template.name!r} has no target for a few-shot example")
    return f"{prompt.input}\n{prompt.target}\n\n"


def build_contexts(
    demonstrations: Sequence[str], settings: InContext, room: int, length: Callable[[str], int]
) -> list[tuple[str, ...]]:
    """The contexts of a few-shot set through a template, each a sequence of demonstrations.

    An example is never cut. An ensemble leaves out each example that does not fit beside the longest query. A
    concatenated context leaves out those that come last, so that it is the same for all queries, and its keys and
    values can be kept.

    Args:
        demonstrations: of the few-shot examples, in the order of their split.
        settings: how they stand together.
        room: most tokens of a context.
        length: tokens of a text.

    Raises:
        UserError: not a single example fits.
    """
    if settings.contexts == "ensemble":
        found: list[tuple[str, ...]] = [(text,) for text in demonstrations if length(text) <= room]
    else:
        chosen = list(demonstrations)
        if settings.order is not None:
            random.Random(f"order {settings.order}").shuffle(chosen)
        while chosen and length("".join(chosen)) > room:
            chosen.pop()
        found = [tuple(chosen)] if chosen else []
    if not found:
        shortest = min(map(length, demonstrations))
        raise UserError(
            f"no few-shot example fits into a context: the shortest has {shortest} tokens, and beside the longest "
            f"query there is room for {room}; raise in_context.tokens if the backbone reads longer inputs"
        )
    return found
