"""What stands before a query: few-shot examples through a template, as many as fit."""

import random
from collections.abc import Callable, Sequence

from tfew_pl.errors import UserError
from tfew_pl.prompts import PromptTemplate
from tfew_pl.spec import InContext
from tfew_pl.tasks.task import Row


def query_limit(input_tokens: int, room: int, shortest: int) -> int:
    """Tokens that a query is cut to: those of the task's longest input, as without a context, or less.

    Where a backbone reads too little for that and a few-shot example, a query leaves room for the shortest one, but
    is never cut to less than half of what can be read.

    Args:
        input_tokens: of the task's longest input.
        room: for a query and its context.
        shortest: tokens of the shortest few-shot example.
    """
    return min(input_tokens, max(room - shortest, room // 2))


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

    An example is never cut, and one that does not fit beside the longest query is left out. A concatenated context
    also leaves out those that come last, as many as it must, so that it is the same for all queries, and its keys
    and values can be kept.

    Args:
        demonstrations: of the few-shot examples, in the order of their split.
        settings: how they stand together.
        room: most tokens of a context.
        length: tokens of a text.

    Raises:
        UserError: not a single example fits.
    """
    fitting = [text for text in demonstrations if length(text) <= room]
    if not fitting:
        shortest = min(map(length, demonstrations))
        raise UserError(
            f"no few-shot example fits into a context: the shortest has {shortest} tokens, and beside the longest "
            f"query there is room for {max(0, room)}; raise in_context.tokens if the backbone reads longer inputs"
        )
    if settings.contexts == "ensemble":
        return [(text,) for text in fitting]
    if settings.order is not None:
        random.Random(f"order {settings.order}").shuffle(fitting)
    while length("".join(fitting)) > room:
        fitting.pop()
    return [tuple(fitting)]
