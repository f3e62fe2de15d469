"""Queries behind their contexts, as ids."""

from typing import Any

import pytest

from tfew_pl.encoding import PromptEncoder
from tfew_pl.errors import UserError
from tfew_pl.icl import ContextEncoder
from tfew_pl.prompts import Template
from tfew_pl.spec import InContext
from tfew_pl.tasks import get_task

TEMPLATES = [Template("a", "{{ premise }} ? ||| {{ answer_choices[label] }}", "yes ||| no"),
             Template("b", "is it {{ premise }} ||| {{ answer_choices[label] }}", "true ||| false")]  # fmt: skip
ROWS = [{"premise": word, "label": i % 2} for i, word in enumerate(["dog", "cat", "hen"])]
SHOTS, QUERIES = ROWS[:2], ROWS[1:]


def make(tokenizer: Any, settings: InContext, *, kept: bool = False, causal: bool = False) -> ContextEncoder:
    encoder = PromptEncoder(get_task("rte"), TEMPLATES, tokenizer, settings.tokens or 1024, causal)
    return ContextEncoder(encoder, SHOTS, settings, kept=kept)


def test_every_example_behind_every_shot(tokenizer: Any) -> None:
    contexts = make(tokenizer, InContext())
    encoded = contexts.encode(QUERIES)
    keys = {(e.template, e.example, e.context): e for e in encoded}
    assert set(keys) == {(t, e, c) for t in range(2) for e in range(2) for c in range(2)}
    assert len(encoded) == 8
    encoder = contexts._encoder
    assert keys[0, 1, 0].input_ids == encoder.tokenize("dog ?\nyes\n\nhen ?")
    assert keys[1, 0, 1].input_ids == encoder.tokenize("is it cat\nfalse\n\nis it cat")
    assert [e.gold for e in encoded if e.example == 0] == [1] * 4
    assert all(e.kept is None and not e.offsets for e in encoded)
    assert contexts.shots == 2


def test_all_shots_in_one_context(tokenizer: Any) -> None:
    contexts = make(tokenizer, InContext("concatenated"))
    encoded = contexts.encode(QUERIES)
    assert [(e.template, e.example, e.context) for e in encoded] == [(0, 0, 0), (0, 1, 0), (1, 0, 0), (1, 1, 0)]
    assert encoded[1].input_ids == contexts._encoder.tokenize("dog ?\nyes\n\ncat ?\nno\n\nhen ?")
    assert contexts.shots == 2


def test_a_kept_context_stands_apart(tokenizer: Any) -> None:
    contexts = make(tokenizer, InContext("concatenated", query="decoder"), kept=True)
    encoder, encoded = contexts._encoder, contexts.encode(QUERIES)
    assert encoded[1].kept == encoder.tokenize("dog ?\nyes\n\ncat ?\nno\n\n")
    assert encoded[1].input_ids == encoder.pieces("hen ?\n")
    assert encoded[1].choices == (encoder.tokenize("yes"), encoder.tokenize("no"))
    causal = make(tokenizer, InContext("concatenated"), kept=True, causal=True).encode(QUERIES)
    assert causal[1].choices == (encoder.pieces("yes"), encoder.pieces("no"))


@pytest.mark.parametrize("kept", [False, True])
def test_nothing_is_longer_than_the_limit(tokenizer: Any, kept: bool) -> None:
    whole = make(tokenizer, InContext("concatenated"), kept=kept)
    longest = max(len(e.input_ids) + len(e.kept or ()) for e in whole.encode(QUERIES))
    settings = InContext("concatenated", tokens=longest - 1)
    contexts = make(tokenizer, settings, kept=kept)
    encoded = contexts.encode(QUERIES)
    assert contexts.shots == 1
    assert max(len(e.input_ids) + len(e.kept or ()) for e in encoded) < longest
    assert encoded[0].input_ids[-1] == (
        contexts._encoder.tokenize("cat ?")[-1] if not kept else encoded[0].input_ids[-1]
    )
    with pytest.raises(UserError, match="no few-shot example fits"):
        make(tokenizer, InContext("concatenated", tokens=8), kept=kept).encode(QUERIES)


@pytest.mark.parametrize("kept", [False, True])
def test_another_text_in_the_place_of_the_query(tokenizer: Any, kept: bool) -> None:
    contexts = make(tokenizer, InContext(), kept=kept)
    example = contexts.encode(QUERIES)[1]
    found, encoder = contexts.instead(example, "N/A"), contexts._encoder
    if kept:
        assert (found.kept, found.input_ids) == (example.kept, encoder.pieces("N/A\n"))
    else:
        assert found.input_ids == encoder.tokenize("cat ?\nno\n\nN/A")
    assert (found.context, found.choices) == (example.context, example.choices)
