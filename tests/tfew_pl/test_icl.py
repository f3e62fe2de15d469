import random
from typing import Any

from tfew_pl.encoding import PromptEncoder
from tfew_pl.icl import CONTEXT_INPUT_TOKENS, demonstration, encode_ensemble
from tfew_pl.prompts import Template
from tfew_pl.tasks import get_task

TEMPLATES = [Template("a", "{{ premise }} ? ||| {{ answer_choices[label] }}", "yes ||| no"),
             Template("b", "is it {{ premise }} ||| {{ answer_choices[label] }}", "true ||| false")]  # fmt: skip
ROWS = [{"premise": word, "label": i % 2} for i, word in enumerate(["dog", "cat", "hen"])]


def test_demonstration_shows_input_and_answer(tokenizer: Any) -> None:
    encoder = PromptEncoder(get_task("rte"), TEMPLATES, tokenizer)
    assert demonstration(encoder, ROWS[1], 1, random.Random(0)) == "is it cat\nfalse\n\n"


def test_every_example_behind_every_shot(tokenizer: Any) -> None:
    encoder = PromptEncoder(get_task("rte"), TEMPLATES, tokenizer, CONTEXT_INPUT_TOKENS)
    shots, rows = ROWS[:2], ROWS[1:]
    encoded = encode_ensemble(encoder, shots, rows)
    keys = {(e.template, e.example, e.context): e for e in encoded}
    assert set(keys) == {(t, e, c) for t in range(2) for e in range(2) for c in range(2)}
    assert len(encoded) == 8
    assert keys[0, 1, 0].input_ids == encoder.tokenize("dog ?\nyes\n\nhen ?")
    assert keys[1, 0, 1].input_ids == encoder.tokenize("is it cat\nfalse\n\nis it cat")
    assert [e.gold for e in encoded if e.example == 0] == [1] * 4
