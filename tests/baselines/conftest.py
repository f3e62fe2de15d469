"""The tiny backbones of the core's tests, and a run's setting for those methods that want one."""

import importlib.util
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tokenizers import Tokenizer, models, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerFast, T5ForConditionalGeneration

from tfew_pl.encoding import collate
from tfew_pl.module import loss_function
from tfew_pl.recipe import Recipe
from tfew_pl.setting import Setting

_spec = importlib.util.spec_from_file_location("core_conftest", Path(__file__).parents[1] / "tfew_pl" / "conftest.py")
assert _spec is not None
assert _spec.loader is not None
_core: Any = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(_core)
make_model, plain_scores, make_examples = _core.make_model, _core.plain_scores, _core.make_examples

SettingMaker = Callable[[T5ForConditionalGeneration], Setting]


@pytest.fixture(scope="session")
def words() -> PreTrainedTokenizerFast:
    """A tokenizer of the tiny backbones' vocabulary that appends EOS and knows every printable character."""
    model = Tokenizer(models.BPE(unk_token="<unk>"))
    model.pre_tokenizer = pre_tokenizers.Metaspace()
    trainer = trainers.BpeTrainer(
        vocab_size=_core.VOCABULARY,
        special_tokens=["<pad>", "</s>", "<unk>"],
        initial_alphabet=[chr(code) for code in range(33, 127)],
        show_progress=False,
    )
    model.train_from_iterator(["Question: is this so? Answer: it is so, and this answers the question."] * 9, trainer)
    model.post_processor = processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 1)])
    return PreTrainedTokenizerFast(tokenizer_object=model, pad_token="<pad>", eos_token="</s>", unk_token="<unk>")


@pytest.fixture(scope="session")
def make_setting(words: PreTrainedTokenizerFast) -> SettingMaker:
    """The setting of a run on a backbone: five random examples and the paper's losses."""

    def make(model: T5ForConditionalGeneration) -> Setting:
        return Setting(
            tokenizer=words,
            batches=lambda: (collate([e]) for e in _core._examples(11, 5)),
            loss=loss_function(model, Recipe()),
        )

    return make
