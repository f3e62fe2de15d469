"""Which causal language models can learn in context here: those that keep keys and values of what they have read."""

import inspect
from collections.abc import Mapping
from typing import Any

from tfew_pl.errors import UserError

ATTENTION = {"full_attention", "sliding_attention", "chunked_attention"}
"""transformers' names of layers whose keys and values are kept; of others, such as `linear_attention` and `conv`, a
state is, which does not go back to where several answers begin."""
INSTEAD = "give a T5, or a causal language model with attention in every layer, such as gpt2, llama or qwen2"


def keeps_nothing(model_type: str) -> UserError:
    """What to say of a model that keeps no keys and values."""
    return UserError(f"a model of type {model_type} keeps no keys and values of what it has read; {INSTEAD}")


def check_causal(config: Mapping[str, Any]) -> None:
    """Refuses what transformers calls a causal language model, and which cannot read a context once and go on from it.

    Args:
        config: the content of its config.json.

    Raises:
        UserError: it is none.
    """
    from huggingface_hub.errors import StrictDataclassError
    from transformers.models.auto.configuration_auto import CONFIG_MAPPING
    from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING, MODEL_FOR_MASKED_LM_MAPPING_NAMES

    model_type = str(config["model_type"])
    if model_type in MODEL_FOR_MASKED_LM_MAPPING_NAMES and not config.get("is_decoder"):
        raise UserError(f"a model of type {model_type} reads in both directions, if not `is_decoder`; {INSTEAD}")
    try:
        read: Any = CONFIG_MAPPING[model_type].from_dict(dict(config))
    except (TypeError, ValueError, StrictDataclassError) as error:
        reason = " ".join(str(error).split())
        raise UserError(f"its config.json is none of a model of type {model_type}: {reason}") from error
    model: Any = MODEL_FOR_CAUSAL_LM_MAPPING[type(read)]
    layers = set(getattr(read.get_text_config(), "layer_types", None) or ())
    named = inspect.signature(model.forward).parameters
    if "past_key_values" not in named or model._is_stateful or not layers <= ATTENTION:
        raise keeps_nothing(model_type)
