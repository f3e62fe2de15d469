import random
from typing import Any

import pytest
import torch

from tfew_pl.encoding import INPUT_TOKENS, Encoded, PromptEncoder, collate
from tfew_pl.errors import UserError
from tfew_pl.prompts import Template
from tfew_pl.tasks import get_task

ROW = {"premise": "The dog ran.", "hypothesis": "A cat slept.", "label": 1}


def _encoder(tokenizer: Any, source: str, choices: str | None = "Yes ||| No") -> PromptEncoder:
    return PromptEncoder(get_task("rte"), [Template("t", source, choices)], tokenizer)


def _encode(encoder: PromptEncoder, row: Any = ROW) -> Encoded:
    return encoder.encode(row, 3, 0, random.Random(0))


def test_inputs_and_choices_end_in_eos(tokenizer: Any) -> None:
    encoded = _encode(_encoder(tokenizer, "{{ premise }} ||| {{ answer_choices[label] }}"))
    assert tokenizer.decode(encoded.input_ids[:-1]).replace("▁", " ").strip().replace(" ", "") == "Thedogran."
    assert encoded.input_ids[-1] == 1
    assert [choice[-1] for choice in encoded.choices] == [1, 1]
    assert encoded.gold == 1
    assert (encoded.example, encoded.template) == (3, 0)
    assert encoded.tokens == len(encoded.input_ids) + sum(len(choice) for choice in encoded.choices)


def test_long_inputs_are_cut_and_keep_eos(tokenizer: Any) -> None:
    encoded = _encode(_encoder(tokenizer, "{{ premise }} ||| No"), {**ROW, "premise": "word " * 400})
    assert len(encoded.input_ids) == INPUT_TOKENS == 256
    assert encoded.input_ids[-1] == 1
    assert 1 not in encoded.input_ids[:-1]


@pytest.mark.parametrize(
    ("source", "choices", "label", "message"),
    [
        ("{{ premise }}", "Yes ||| No", 1, "example 3, template 't': the template has no target"),
        ("{{ premise }} ||| No", None, 1, "the template has no answer choices"),
        ("{{ premise }} ||| No", "Yes ||| No", 2, "label 2, but there are 2 answer choices"),
        ("{{ premise }} ||| No", "Yes ||| No", -1, "label -1, but there are 2 answer choices"),
    ],
)
def test_what_cannot_be_ranked(source: str, choices: str | None, label: int, message: str, tokenizer: Any) -> None:
    with pytest.raises(UserError, match=message):
        _encode(_encoder(tokenizer, source, choices), {**ROW, "label": label})


def test_random_templates_are_drawn_anew(tokenizer: Any) -> None:
    encoder = _encoder(tokenizer, "{{ ['a', 'b', 'c', 'd'] | choice }} ||| No")
    generator = random.Random(0)
    assert len({encoder.encode(ROW, 0, 0, generator).input_ids for _ in range(30)}) == 4


def test_pieces_are_a_text_in_the_middle_of_another(tokenizer: Any) -> None:
    encoder = PromptEncoder(get_task("rte"), [], tokenizer, input_tokens=3)
    assert encoder.tokenize("dog")[-1] == tokenizer.eos_token_id
    assert encoder.pieces("dog") == encoder.tokenize("dog")[:-1]
    assert len(encoder.pieces("the dog ran to the cat")) == 3
    assert encoder.length("the dog ran to the cat") == len(tokenizer("the dog ran to the cat")["input_ids"]) > 3


def test_a_causal_model_reads_input_and_answer_as_one_text(tokenizer: Any) -> None:
    template = Template("t", "{{ premise }} ||| No", "Yes ||| No")
    encoder = PromptEncoder(get_task("rte"), [template], tokenizer, causal=True)
    found = encoder.encode(ROW, 0, 0, random.Random(0))
    assert found.input_ids == encoder.tokenize("The dog ran.\n")
    assert found.choices == (encoder.pieces("Yes"), encoder.pieces("No"))
    assert found.kept == ()


def test_a_causal_model_s_input_leaves_room_for_the_longest_answer(tokenizer: Any) -> None:
    template = Template("t", "{{ premise }} ||| No", "Yes ||| No, it is not so")
    encoder = PromptEncoder(get_task("rte"), [template], tokenizer, causal=True, positions=30)
    row = {**ROW, "premise": "The dog ran. " * 20}
    found = encoder.encode(row, 0, 0, random.Random(0))
    assert len(found.input_ids) + max(map(len, found.choices)) == 30
    assert found.input_ids[-1] == encoder.tokenize("The dog ran.\n")[-1]
    narrow = PromptEncoder(get_task("rte"), [template], tokenizer, causal=True, positions=4)
    with pytest.raises(UserError, match=r"an answer has \d+ tokens, and the backbone reads 4"):
        narrow.encode(row, 0, 0, random.Random(0))


def test_the_last_token_of_a_cut_text_stays() -> None:
    def letters(text: str, **_: Any) -> dict[str, list[int]]:
        return {"input_ids": [ord(letter) for letter in text]}

    encoder = PromptEncoder(get_task("rte"), [], letters, input_tokens=4)  # type: ignore[arg-type]
    assert encoder.pieces("abcdef\n") == tuple(map(ord, "abc\n"))
    assert encoder.pieces("abc\n") == tuple(map(ord, "abc\n"))
    assert encoder.tokenize("abcdef\n", 2) == tuple(map(ord, "a\n"))


def test_collate_keeps_context_and_offsets() -> None:
    batch = collate([Encoded((5, 1), ((6,), (7,)), 1, kept=(8, 9), offsets=(0.5, -1.0)),
                     Encoded((5,), ((6,),), 0, kept=(8, 9), offsets=(2.0,))])  # fmt: skip
    assert batch.kept is not None
    assert batch.offset is not None
    assert batch.kept.tolist() == [8, 9]
    assert batch.offset.tolist() == [[0.5, -1.0], [2.0, 0.0]]
    plain = collate([Encoded((5, 1), ((6,),), 0)])
    assert plain.kept is plain.offset is None


def test_collate_pads_behind() -> None:
    batch = collate([Encoded((5, 1), ((6, 7, 1), (1,)), 1, 2, 3, 4), Encoded((8, 9, 1), ((6, 1),), 0)])
    assert batch.input_ids.tolist() == [[5, 1, 0], [8, 9, 1]]
    assert batch.input_mask.tolist() == [[True, True, False], [True] * 3]
    assert batch.choice_ids.tolist() == [[[6, 7, 1], [1, 0, 0]], [[6, 1, 0], [0, 0, 0]]]
    assert batch.choice_mask.sum(-1).tolist() == [[3, 1], [2, 0]]
    assert batch.gold.tolist() == [1, 0]
    assert batch.key.tolist() == [[2, 3, 4], [0, 0, 0]]
    assert batch.slot is None


def test_a_padding_id_inside_a_choice_counts_as_a_token() -> None:
    batch = collate([Encoded((5, 1), ((0, 1), (3, 4, 1)), 0)])
    assert batch.choice_mask[0].sum(-1).tolist() == [2, 3]


def test_slots_are_carried() -> None:
    batch = collate([Encoded((5, 1), ((6, 1),), 0, slot=2), Encoded((5, 1), ((6, 1),), 0)])
    assert batch.slot is not None
    assert batch.slot.tolist() == [2, 0]
    moved = batch.to(torch.device("cpu"))
    assert moved.slot is not None
    assert torch.equal(moved.choice_ids, batch.choice_ids)
