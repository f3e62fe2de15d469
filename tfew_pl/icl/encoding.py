"""Queries behind their contexts, as token ids."""

import dataclasses
import random
from collections.abc import Sequence

from tfew_pl.datamodule import evaluation_generator
from tfew_pl.encoding import END_OF_INPUT, Encoded, PromptEncoder
from tfew_pl.icl.contexts import build_contexts, demonstration
from tfew_pl.spec import InContext
from tfew_pl.tasks.task import Row


class ContextEncoder:
    """Puts queries behind few-shot examples.

    An encoder reads context and query as one text, and the decoder the answer. With a kept context the query is apart:
    the context is what a causal language model, or an encoder, reads once, and query and answer follow it.

    Args:
        encoder: renders and tokenizes; its longest input is that with a context.
        shots: the few-shot examples.
        settings: how they stand in contexts.
        kept: whether contexts are kept apart; always so with a causal language model.
    """

    def __init__(
        self,
        encoder: PromptEncoder,
        shots: Sequence[Row],
        settings: InContext,
        *,
        kept: bool,
    ) -> None:
        self._encoder = encoder
        self._shots = shots
        self._settings = settings
        self._kept = kept
        self._contexts: dict[int, list[str]] = {}
        self.shots = 0
        """Few-shot examples that stand before a query, over all of its contexts; the fewest of any template."""

    def encode(self, rows: Sequence[Row]) -> list[Encoded]:
        """Every example through every template, behind every context of that template.

        Raises:
            UserError: a template does not fit the data, or no few-shot example fits into a context.
        """
        found = [e for template in range(len(self._encoder.templates)) for e in self._through(template, rows)]
        return found

    def _through(self, template: int, rows: Sequence[Row]) -> list[Encoded]:
        generator = random.Random(f"evaluation {template}")
        texts = [demonstration(self._encoder.templates[template], shot, generator) for shot in self._shots]
        queries = [
            self._encoder.render(row, example, template, evaluation_generator(template, example))
            for example, row in enumerate(rows)
        ]
        longest = max(self._query_tokens(query.input, query.choices) for query in queries)
        contexts = build_contexts(texts, self._settings, self._encoder.input_tokens - longest, self._encoder.length)
        self._contexts[template] = ["".join(context) for context in contexts]
        used = sum(map(len, contexts))
        self.shots = min(self.shots, used) if self.shots else used
        return [
            self._behind(template, context, query.input, Encoded((), query.choices, query.gold, template, example))
            for example, query in enumerate(queries)
            for context in range(len(contexts))
        ]

    def _query_tokens(self, text: str, choices: Sequence[Sequence[int]]) -> int:
        """Tokens that a query takes up beside its context."""
        if not self._kept:
            return self._encoder.length(text)
        return len(self._encoder.pieces(text + END_OF_INPUT)) + max(map(len, choices))

    def _behind(self, template: int, context: int, text: str, example: Encoded) -> Encoded:
        """The example with this text as its query, behind a context."""
        before = self._contexts[template][context]
        if not self._kept:
            return dataclasses.replace(example, input_ids=self._encoder.tokenize(before + text), context=context)
        query = self._encoder.pieces(text + END_OF_INPUT)
        return dataclasses.replace(example, input_ids=query, context=context, kept=self._encoder.tokenize(before))

    def instead(self, example: Encoded, text: str) -> Encoded:
        """The example with another text as its query, behind the same context and with the same choices."""
        return self._behind(example.template, example.context, text, example)
