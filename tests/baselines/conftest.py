"""A run's setting, for those methods that want one."""

from collections.abc import Callable

import pytest
from transformers import PreTrainedTokenizerFast, T5ForConditionalGeneration

from tfew_pl.encoding import Encoded, collate
from tfew_pl.module import loss_function
from tfew_pl.recipe import Recipe
from tfew_pl.setting import Setting

SettingMaker = Callable[[T5ForConditionalGeneration], Setting]


@pytest.fixture(scope="session")
def make_setting(words: PreTrainedTokenizerFast, make_examples: Callable[..., list[Encoded]]) -> SettingMaker:
    """The setting of a run on a backbone: five random examples and the paper's losses."""

    def make(model: T5ForConditionalGeneration) -> Setting:
        return Setting(
            tokenizer=words,
            batches=lambda: (collate([e]) for e in make_examples(11, 5)),
            loss=loss_function(model, Recipe()),
        )

    return make
