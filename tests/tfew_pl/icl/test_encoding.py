"""Queries behind their contexts, as ids."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from tfew_pl.encoding import Encoded, PromptEncoder
from tfew_pl.errors import UserError
from tfew_pl.icl import ContextEncoder
from tfew_pl.prompts import Template
from tfew_pl.spec import InContext
from tfew_pl.tasks import Row, get_task

TEMPLATES = [Template("a", "{{ premise }} ? ||| {{ answer_choices[label] }}", "yes ||| no"),
             Template("b", "is it {{ premise }} ||| {{ answer_choices[label] }}", "true ||| false")]  # fmt: skip
ROWS = [{"premise": word, "hypothesis": "", "label": i % 2} for i, word in enumerate(["dog", "cat", "hen"])]
SHOTS, QUERIES = ROWS[:2], ROWS[1:]


def make(
    tokenizer: Any,
    settings: InContext,
    *,
    kept: bool = False,
    causal: bool = False,
    shots: Sequence[Row] = SHOTS,
    rows: Sequence[Row] = QUERIES,
) -> ContextEncoder:
    encoder = PromptEncoder(get_task("rte"), TEMPLATES, tokenizer, settings.tokens or 1024, causal)
    return ContextEncoder(encoder, shots, rows, settings, kept=kept)


def test_every_example_behind_every_shot(tokenizer: Any) -> None:
    contexts = make(tokenizer, InContext())
    encoded = contexts.encode()
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
    encoded = contexts.encode()
    assert [(e.template, e.example, e.context) for e in encoded] == [(0, 0, 0), (0, 1, 0), (1, 0, 0), (1, 1, 0)]
    assert encoded[1].input_ids == contexts._encoder.tokenize("dog ?\nyes\n\ncat ?\nno\n\nhen ?")
    assert contexts.shots == 2


def test_a_kept_context_stands_apart(tokenizer: Any) -> None:
    contexts = make(tokenizer, InContext("concatenated", query="decoder"), kept=True)
    encoder, encoded = contexts._encoder, contexts.encode()
    assert encoded[1].kept == encoder.tokenize("dog ?\nyes\n\ncat ?\nno\n\n")
    assert encoded[1].input_ids == encoder.pieces("hen ?\n")
    assert encoded[1].choices == (encoder.tokenize("yes"), encoder.tokenize("no"))
    causal = make(tokenizer, InContext("concatenated"), kept=True, causal=True).encode()
    assert causal[1].choices == (encoder.pieces("yes"), encoder.pieces("no"))


@pytest.mark.parametrize("kept", [False, True])
def test_nothing_is_longer_than_the_limit(tokenizer: Any, kept: bool) -> None:
    """With the longest answer, where it follows the query."""
    whole = make(tokenizer, InContext("concatenated"), kept=kept)
    longest = max(_read(e) for e in whole.encode())
    shots = set()
    for tokens in range(longest - 9, longest + 1):
        contexts = make(tokenizer, InContext("concatenated", tokens=tokens), kept=kept)
        assert max(map(_read, contexts.encode())) <= tokens
        shots.add(contexts.shots)
    assert {1, 1.5} < shots  # through the template of longer texts, fewer fit
    with pytest.raises(UserError, match="no few-shot example fits"):
        make(tokenizer, InContext("concatenated", tokens=8), kept=kept)


def _read(example: Encoded) -> int:
    """Tokens that are read as one text: answers too, behind a kept context."""
    return _length(example) + (0 if example.kept is None else max(map(len, example.choices)))


@pytest.mark.parametrize("kept", [False, True])
def test_a_probe_is_the_query_without_the_example_s_own_text(tokenizer: Any, kept: bool) -> None:
    contexts = make(tokenizer, InContext(calibrated=True), kept=kept)
    encoder, examples, probes = contexts._encoder, contexts.encode(), contexts.encode(instead="N/A")
    if kept:
        assert (probes[1].kept, probes[1].input_ids) == (examples[1].kept, encoder.pieces("N/A ?\n"))
        assert probes[5].input_ids == encoder.pieces("is it N/A\n")
    else:
        assert probes[1].input_ids == encoder.tokenize("cat ?\nno\n\nN/A ?")
        assert probes[5].input_ids == encoder.tokenize("is it cat\nfalse\n\nis it N/A")
    for example, probe in zip(examples, probes, strict=True):
        assert replace(probe, input_ids=example.input_ids) == example


def test_a_context_leaves_room_for_a_probe_longer_than_the_queries(tokenizer: Any) -> None:
    own, probe = (max(map(_length, make(tokenizer, InContext(calibrated=True)).encode(text))) for text in (None, "N/A"))
    assert own < probe
    contexts = make(tokenizer, InContext("concatenated", calibrated=True, tokens=probe + 5))
    assert max(map(_length, contexts.encode("N/A"))) <= probe + 5


def _length(example: Encoded) -> int:
    return len(example.input_ids) + len(example.kept or ())


@pytest.mark.parametrize("kept", [False, True])
def test_a_long_query_is_cut_as_without_a_context(tokenizer: Any, kept: bool) -> None:
    """What follows the cut is lost, but for EOS or the end of the line, and the context has its room."""
    rows = [{**QUERIES[0], "premise": "dog " * 900}, QUERIES[1]]
    contexts = make(tokenizer, InContext("concatenated"), kept=kept, causal=kept, rows=rows)
    long, short = contexts.encode()[:2]
    encoder, context = contexts._encoder, "dog ?\nyes\n\ncat ?\nno\n\n"
    assert contexts.shots == 2
    if kept:
        assert len(long.input_ids) == 256
        assert long.kept == encoder.tokenize(context)
        assert long.input_ids[-1] == short.input_ids[-1]
    else:
        before = encoder.tokenize(context)[:-1]
        assert long.input_ids[: len(before)] == before
        # Behind a line, the first word may be more tokens than at the start of a text.
        assert len(long.input_ids) - len(before) == pytest.approx(256, abs=2)
        assert long.input_ids[-1] == short.input_ids[-1]
    assert short == make(tokenizer, InContext("concatenated"), kept=kept, causal=kept).encode()[1]


def test_a_query_leaves_room_for_an_example_where_little_can_be_read(tokenizer: Any) -> None:
    rows = [{**QUERIES[0], "premise": "dog " * 900}]
    contexts = make(tokenizer, InContext(tokens=40), rows=rows)
    assert contexts.shots > 0
    assert max(map(_length, contexts.encode())) == 40


@pytest.mark.parametrize("tokens", [2, 8])
def test_room_is_never_negative(tokenizer: Any, tokens: int) -> None:
    with pytest.raises(UserError, match=r"there is room for \d"):
        make(tokenizer, InContext(tokens=tokens), rows=[{**QUERIES[0], "premise": "dog " * 900}])


def test_shots_are_the_mean_over_templates(tokenizer: Any) -> None:
    """The second template's examples are longer, so that one of three does not fit."""
    shots = [*SHOTS, {**SHOTS[0], "premise": "the dog and the cat and the hen"}]
    lengths = [
        [len(e.kept or ()) for e in make(tokenizer, InContext(), kept=True, shots=shots).encode()][i] for i in (2, 8)
    ]
    assert lengths[0] < lengths[1]
    query = max(len(e.input_ids) + max(map(len, e.choices)) for e in make(tokenizer, InContext(), kept=True).encode())
    contexts = make(tokenizer, InContext(tokens=lengths[1] - 1 + query), kept=True, shots=shots)
    assert contexts.shots == 2.5
