"""Which causal language models can read a context once and go on from it."""

import pytest

from tfew_pl.causal import check_causal
from tfew_pl.errors import UserError


@pytest.mark.parametrize("model_type", ["gpt2", "llama", "mistral", "gemma2", "qwen2", "opt", "bloom"])
def test_attention_in_every_layer(model_type: str) -> None:
    check_causal({"model_type": model_type})


@pytest.mark.parametrize("model_type", ["mamba", "rwkv", "openai-gpt", "xlnet", "qwen3_next"])
def test_no_keys_and_values(model_type: str) -> None:
    with pytest.raises(UserError, match=f"type {model_type} keeps no keys and values .*such as gpt2"):
        check_causal({"model_type": model_type})


def test_layers_of_another_kind() -> None:
    config = {"model_type": "lfm2", "num_hidden_layers": 2, "layer_types": ["conv", "full_attention"]}
    with pytest.raises(UserError, match="type lfm2 keeps no keys and values"):
        check_causal(config)


@pytest.mark.parametrize("model_type", ["bert", "roberta"])
def test_encoders(model_type: str) -> None:
    with pytest.raises(UserError, match=f"type {model_type} reads in both directions"):
        check_causal({"model_type": model_type})
    check_causal({"model_type": model_type, "is_decoder": True})


def test_a_config_of_something_else() -> None:
    with pytest.raises(UserError, match=r"config.json is none of a model of type gpt2"):
        check_causal({"model_type": "gpt2", "n_layer": "many"})
