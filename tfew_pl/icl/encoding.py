"""Queries behind their contexts, as token ids."""

import random
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tfew_pl.datamodule import evaluation_generator
from tfew_pl.encoding import END_OF_INPUT, Encoded, PromptEncoder, Query
from tfew_pl.icl.calibration import CONTENT_FREE
from tfew_pl.icl.contexts import build_contexts, demonstration, query_limit
from tfew_pl.spec import InContext
from tfew_pl.tasks.task import Row


@dataclass(frozen=True)
class _Asked:
    """What is asked through a template."""

    queries: Mapping[str | None, Sequence[Query]]
    """A query an example, by the text in the place of the example's own; None for its own."""
    contexts: Sequence[Sequence[str]]
    """Each a sequence of demonstrations."""
    longest: int
    """Tokens that a query is cut to."""
    tokens: Mapping[str, int]
    """Of each query, uncut, by its input."""


class ContextEncoder:
    """Puts queries behind few-shot examples.

    An encoder reads context and query as one text, and the decoder the answer. With a kept context the query is apart:
    the context is what a causal language model, or an encoder, reads once, and query and answer follow it.

    Args:
        encoder: renders and tokenizes; its longest input is that with a context.
        shots: the few-shot examples.
        rows: the examples that are asked.
        settings: how few-shot examples stand in contexts.
        kept: whether contexts are kept apart; always so with a causal language model.

    Raises:
        UserError: a template does not fit the data, or no few-shot example fits into a context.
    """

    def __init__(
        self,
        encoder: PromptEncoder,
        shots: Sequence[Row],
        rows: Sequence[Row],
        settings: InContext,
        *,
        kept: bool,
    ) -> None:
        self._encoder = encoder
        self._kept = kept
        texts = (None, *CONTENT_FREE) if settings.calibrated else (None,)
        self._asked = [self._ask(template, shots, rows, texts, settings) for template in range(len(encoder.templates))]

    @property
    def shots(self) -> float:
        """Few-shot examples that stand before a query, over all of its contexts: the mean over templates."""
        return statistics.fmean(sum(map(len, asked.contexts)) for asked in self._asked)

    def encode(self, instead: str | None = None) -> list[Encoded]:
        """Every example through every template, behind every context of that template.

        Args:
            instead: one of `CONTENT_FREE`, in the place of what an example itself says; for calibrated settings.
        """
        found = []
        for template, asked in enumerate(self._asked):
            before = ["".join(context) for context in asked.contexts]
            kept = [self._encoder.tokenize(text) if self._kept else None for text in before]
            ids: dict[tuple[int, str], tuple[int, ...]] = {}
            for example, (text, choices, gold) in enumerate(asked.queries[instead]):
                for context in range(len(before)):
                    if (context, text) not in ids:
                        ids[context, text] = self._ids(before[context], text, asked)
                    read = ids[context, text]
                    found.append(Encoded(read, choices, gold, template, example, context, kept=kept[context]))
        return found

    def _ask(
        self, template: int, shots: Sequence[Row], rows: Sequence[Row], texts: Sequence[str | None], settings: InContext
    ) -> _Asked:
        encoder, generator = self._encoder, random.Random(f"evaluation {template}")
        examples = [demonstration(encoder.templates[template], shot, generator) for shot in shots]
        queries = {text: [self._query(row, n, template, text) for n, row in enumerate(rows)] for text in texts}
        # What the longest answer takes up beside each query.
        answers = {(q.input, max(map(len, q.choices)) if self._kept else 0) for of in queries.values() for q in of}
        tokens = {text: self._query_tokens(text) for text in {text for text, _ in answers}}
        room = encoder.input_tokens - max(answer for _, answer in answers)
        longest = query_limit(encoder.task.input_tokens, room, min(map(encoder.length, examples)))
        taken = max(min(tokens[text], longest) + answer for text, answer in answers)
        contexts = build_contexts(examples, settings, encoder.input_tokens - taken, encoder.length)
        return _Asked(queries, contexts, longest, tokens)

    def _query(self, row: Row, example: int, template: int, instead: str | None) -> Query:
        shown = row if instead is None else self._encoder.task.content_free(row, instead)
        return self._encoder.render(shown, example, template, evaluation_generator(template, example))

    def _query_tokens(self, text: str) -> int:
        """Tokens of a query, uncut."""
        if self._kept:
            return self._encoder.length(text + END_OF_INPUT, special=False)
        return self._encoder.length(text)

    def _ids(self, before: str, text: str, asked: _Asked) -> tuple[int, ...]:
        """What is read for a query behind a context: both, or the query alone where contexts are kept apart."""
        if self._kept:
            return self._encoder.pieces(text + END_OF_INPUT, asked.longest)
        limit, too_long = self._encoder.input_tokens, asked.tokens[text] - asked.longest
        if too_long > 0:
            limit = min(limit, self._encoder.length(before + text) - too_long)
        return self._encoder.tokenize(before + text, limit)
