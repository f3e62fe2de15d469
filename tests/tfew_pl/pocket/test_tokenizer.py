"""The tokenizer: one file format equals the other, words are single tokens, no path of the training machine."""

import itertools
import random
import string
from pathlib import Path

import pytest
import sentencepiece
from transformers import AutoTokenizer

from tfew_pl.pocket import heldout, mixture, tokenizer
from tfew_pl.pocket.world.documents import document

CHECKPOINTS = Path(tokenizer.__file__).parent / "checkpoints"
FOLDERS = [CHECKPOINTS / name for name in ("pocket-lm", "pocket-t0")]


@pytest.fixture(scope="module", params=FOLDERS, ids=lambda folder: folder.name)
def folder(request: pytest.FixtureRequest) -> Path:
    return Path(request.param)


def _texts() -> list[str]:
    rng = random.Random(0)
    texts = [text for pair in itertools.islice(mixture.examples(77), 300) for text in pair]
    rows = [row for task in heldout.TASKS for row in heldout.rows(task, "evaluation")[:20]]
    texts += [str(value) for row in rows for value in row.values()]
    texts += ["", " ", "  two  spaces ", "Tom's dog, isn't it?", "A\nB\tC", "naïve café 中文 🙂 “quoted” …"]
    letters = string.printable + "éüß“”…’ 中文🙂\u00a0"
    return texts + ["".join(rng.choices(letters, k=rng.randrange(40))) for _ in range(500)]


def test_the_fast_tokenizer_equals_sentencepiece(folder: Path) -> None:
    fast = AutoTokenizer.from_pretrained(folder)
    processor = sentencepiece.SentencePieceProcessor(model_file=str(folder / "spiece.model"))
    texts = _texts()
    expected = [[*ids, processor.eos_id()] for ids in processor.encode(texts)]
    assert fast(texts)["input_ids"] == expected
    assert (fast.pad_token_id, fast.eos_token_id, fast.unk_token_id) == (0, 1, 2)


def test_text_survives(folder: Path) -> None:
    fast = AutoTokenizer.from_pretrained(folder)
    assert fast.decode(fast("Tom is in the Kitchen").input_ids, skip_special_tokens=True) == "tom is in the kitchen"


def test_words_of_the_world_are_single_tokens(folder: Path) -> None:
    tokenizer.require_single_tokens(folder)
    processor = sentencepiece.SentencePieceProcessor(model_file=str(folder / "spiece.model"))
    rng = random.Random(1)
    for _ in range(50):
        assert processor.unk_id() not in processor.encode(document(rng))


def test_no_path_of_the_training_machine(folder: Path) -> None:
    for file in folder.iterdir():
        raw = file.read_bytes()
        for trace in (b"/tmp", b"/work", b"/home", b"/root", b"rules.tsv"):
            assert trace not in raw


def test_training_twice_gives_the_same_files(tmp_path: Path) -> None:
    for run in ("first", "second"):
        tokenizer.train_tokenizer(tmp_path / run, seed=0)
    for name in ("spiece.model", "tokenizer.json", "tokenizer_config.json"):
        first, second = ((tmp_path / run / name).read_bytes() for run in ("first", "second"))
        assert first == second
        assert all((folder / name).read_bytes() == (FOLDERS[0] / name).read_bytes() for folder in FOLDERS)
    # The shipped one is as old as the first questions: what they were asked about is what they are asked about today.
    made, shipped = (_pieces(folder) for folder in (tmp_path / "first", FOLDERS[0]))
    assert len(made & shipped) >= 0.99 * len(shipped)


def _pieces(folder: Path) -> set[str]:
    processor = sentencepiece.SentencePieceProcessor(model_file=str(folder / "spiece.model"))
    return {processor.id_to_piece(index) for index in range(processor.vocab_size())}
