"""The pocket tokenizer: SentencePiece BPE in lower case with punctuation set apart; words are single tokens."""

import json
import random
import re
import tempfile
from collections.abc import Iterator
from pathlib import Path

import sentencepiece
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors

from tfew_pl.pocket import skills, training_sets
from tfew_pl.pocket.world.documents import document
from tfew_pl.prompts import load_templates

VOCABULARY = 2400
SENTINELS = tuple(f"<extra_id_{index}>" for index in range(16))
MAX_LENGTH = 512
HELDOUT_TEMPLATES = (
    ("super_glue", "rte"),
    ("super_glue", "cb"),
    ("super_glue", "copa"),
    ("super_glue", "wic"),
    ("super_glue", "wsc.fixed"),
    ("anli", None),
    ("hellaswag", None),
    ("winogrande", "winogrande_xl"),
    ("story_cloze", "2016"),
)
"""Whose wording (never their rows) is read for the vocabulary, so that it does not fall apart into letters."""
_SPACED = "\"'().,?!:;-_=/*"
_REWRITTEN = {"\n": " ", "\t": " ", "\r": " ", "…": " . ", "“": ' " ', "”": ' " ', "’": " ' "}


def _rules() -> str:
    lower = {chr(code): chr(code + 32) for code in range(ord("A"), ord("Z") + 1)}
    rules = lower | {mark: f" {mark} " for mark in _SPACED} | _REWRITTEN
    return "".join(f"{ord(old):X}\t{' '.join(f'{ord(c):X}' for c in new)}\n" for old, new in rules.items())


def _texts(seed: int, size: int) -> Iterator[str]:
    rng = random.Random(f"tokenizer {seed}")
    for _ in range(size):
        yield from skills.compact(skills.draw(rng), rng)
        yield document(rng)
        yield document(rng)
        prompt = training_sets.prompted(training_sets.draw(rng), rng)
        yield from (prompt.input, prompt.target)
    for dataset, subset in HELDOUT_TEMPLATES:
        for template in load_templates(dataset, subset):
            wording = re.sub(r"\{%.*?%\}|\{\{.*?\}\}", " ", template.source, flags=re.S)
            text = f"{wording} {template.answer_choices_source or ''}".replace("|||", " ")
            yield from [re.sub(r"\{\{.*?\}\}", " ", text, flags=re.S)] * 6


def _wire(message: bytes) -> Iterator[tuple[int, bytes, bytes]]:
    """The fields of a protocol buffer: (number, the whole field, its payload if it has a length)."""
    place = 0

    def number() -> int:
        nonlocal place
        value = shift = 0
        while True:
            byte = message[place]
            value |= (byte & 0x7F) << shift
            place, shift = place + 1, shift + 7
            if byte < 0x80:
                return value

    while place < len(message):
        start = place
        key = number()
        payload = b""
        if key & 7 == _BYTES:
            length = number()
            payload = message[place : place + length]
            place += length
        elif key & 7 == _VARINT:
            number()
        else:
            place += {1: 8, 5: 4}[key & 7]
        yield key >> 3, message[start:place], payload


def _field(number: int, payload: bytes) -> bytes:
    length, size = len(payload), b""
    while length > 0x7F:
        size, length = size + bytes([length & 0x7F | 0x80]), length >> 7
    return bytes([number << 3 | _BYTES]) + size + bytes([length]) + payload


_VARINT, _BYTES = 0, 2
_TRAINER, _NORMALIZER = 2, 3
"""Fields of SentencePiece's ModelProto."""
_PATHS = {_TRAINER: (1, 2), _NORMALIZER: (6,)}
"""Paths in them: trainer_spec.input and model_prefix, normalizer_spec.normalization_rule_tsv."""


def _without_paths(model: bytes) -> bytes:
    """The model without what SentencePiece writes about the machine it was trained on."""
    out = b""
    for number, whole, payload in _wire(model):
        if number in _PATHS:
            kept = b"".join(field for inner, field, _ in _wire(payload) if inner not in _PATHS[number])
            whole = _field(number, kept)
        out += whole
    return out


def _charsmap(model: bytes) -> bytes:
    normalizer = next(payload for number, _, payload in _wire(model) if number == _NORMALIZER)
    return next(payload for number, _, payload in _wire(normalizer) if number == 2)


def _fast(model: bytes) -> Tokenizer:
    """The same tokenizer for the `tokenizers` library."""
    processor = sentencepiece.SentencePieceProcessor(model_proto=model)
    pieces = [processor.id_to_piece(index) for index in range(processor.vocab_size())]
    vocabulary = {piece: index for index, piece in enumerate(pieces)}
    merges: list[tuple[float, str, str]] = []
    for index, piece in enumerate(pieces):
        if index > processor.unk_id() and piece not in SENTINELS:
            halves = [(piece[:cut], piece[cut:]) for cut in range(1, len(piece))]
            known = [pair for pair in halves if pair[0] in vocabulary and pair[1] in vocabulary]
            merges += [(-processor.get_score(index), *pair) for pair in known]
    merges.sort(key=lambda merge: merge[0])
    tokenizer = Tokenizer(models.BPE(vocabulary, [(a, b) for _, a, b in merges], unk_token="<unk>", fuse_unk=True))
    tokenizer.normalizer = normalizers.Sequence(
        [
            normalizers.Precompiled(_charsmap(model)),
            normalizers.Replace(Regex(" +"), " "),
            normalizers.Replace(Regex("^ | $"), ""),
        ]
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(replacement="▁", prepend_scheme="always")
    tokenizer.decoder = decoders.Metaspace(replacement="▁", prepend_scheme="always")
    tokenizer.post_processor = processors.TemplateProcessing("$A </s>", "$A </s> $B </s>", [("</s>", 1)])
    tokenizer.add_special_tokens(
        [AddedToken(token, normalized=False, special=True) for token in ("<pad>", "</s>", "<unk>", *SENTINELS)]
    )
    return tokenizer


def train_tokenizer(out: Path, seed: int = 0, size: int = 12000) -> None:
    """Trains the tokenizer and writes it, as SentencePiece and as Hugging Face files, into the folder `out`.

    Args:
        out: the folder.
        seed: decides the text that it is trained on.
        size: how many texts of each sort.
    """
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        rules, text = Path(folder, "rules.tsv"), Path(folder, "text")
        rules.write_text(_rules(), encoding="utf-8")
        text.write_text("\n".join(re.sub(r"\s+", " ", line) for line in _texts(seed, size)), encoding="utf-8")
        sentencepiece.SentencePieceTrainer.train(
            input=str(text),
            model_prefix=str(Path(folder, "model")),
            model_type="bpe",
            vocab_size=VOCABULARY,
            character_coverage=1.0,
            pad_id=0,
            eos_id=1,
            unk_id=2,
            bos_id=-1,
            user_defined_symbols=list(SENTINELS),
            normalization_rule_tsv=str(rules),
            hard_vocab_limit=False,
            split_digits=True,
            num_threads=1,
            minloglevel=2,
        )
        model = _without_paths(Path(folder, "model.model").read_bytes())
    (out / "spiece.model").write_bytes(model)
    _fast(model).save(str(out / "tokenizer.json"))
    settings = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "model_max_length": MAX_LENGTH,
        "pad_token": "<pad>",
        "eos_token": "</s>",
        "unk_token": "<unk>",
        "additional_special_tokens": list(SENTINELS),
        "clean_up_tokenization_spaces": False,
    }
    (out / "tokenizer_config.json").write_text(json.dumps(settings, indent=2) + "\n", encoding="utf-8")
    require_single_tokens(out)


def require_single_tokens(folder: Path) -> None:
    """Checks that every word of the world's running text is a single token.

    Raises:
        ValueError: names the words that are not.
    """
    processor = sentencepiece.SentencePieceProcessor(model_file=str(folder / "spiece.model"))
    rng = random.Random(0)
    words = {word for _ in range(4000) for word in re.findall(r"[a-z]+", document(rng))}
    broken = sorted(word for word in words if len(processor.encode(word)) > 1)
    if broken:
        raise ValueError(f"words that are not single tokens: {' '.join(broken)}; raise VOCABULARY")
