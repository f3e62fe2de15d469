"""Prompt tuning: learned vectors before the input (Lester et al. 2021; Liu et al. 2022, App. D)."""

from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tfew_pl.errors import UserError
from tfew_pl.method import Adaptation, Method
from tfew_pl.remarks import Remarks
from tfew_pl.setting import Setting

FIRST_TOKEN, LAST_TOKEN = 3, 5002
"""Prompts start as embeddings of the 5,000 most common tokens, behind the three special ones (Lester et al. 2021,
Section 3.2; release)."""
_POSITIONAL = ("input_ids", "attention_mask")
"""A stack's first arguments, by name."""


@dataclass(frozen=True)
class PromptTuningConfig:
    """Length of the prompts."""

    tokens: int = 10
    """Vectors before the encoder's input, and as many before the decoder's (App. D: 10 and 100)."""

    def __post_init__(self) -> None:
        if self.tokens < 1:
            raise UserError(f"tokens must be at least 1, not {self.tokens}")


class PromptTuningAdaptation(Adaptation):
    """Vectors before the encoder's and the decoder's input, (slots, tokens, d_model) each.

    They take the positions before the sequence. The encoder's output is longer by them, and cross-attention
    sees them; the decoder's output is cut to what it would be without. Memory: slots x 2 x tokens x d_model
    values, 40,960 a slot on T0-3B with 10 vectors, and activations of so many tokens more, in the encoder and, for
    all choices of an example together, in the decoder. Time: that of so many tokens more. Keys and values are not
    cached between calls.
    """

    def __init__(self, backbone: Any, slots: int, tokens: int, generator: torch.Generator) -> None:
        super().__init__(slots)
        self._tokens = self.before_decoder = tokens
        embeddings = (backbone.encoder.embed_tokens.weight, backbone.decoder.embed_tokens.weight)
        last = min(LAST_TOKEN, len(embeddings[0]) - 1)
        # One draw, the slots outermost: the first slot's is what it would be alone.
        ids = torch.randint(FIRST_TOKEN, last + 1, (slots, 2, tokens), generator=generator)
        self.encoder, self.decoder = (
            nn.Parameter(_rows(weight, ids[:, stack])) for stack, weight in enumerate(embeddings)
        )
        for stack, prompts in ((backbone.encoder, self.encoder), (backbone.decoder, self.decoder)):
            self._put_before(stack, prompts)
        self.on_detach(backbone.decoder.register_forward_hook(self._cut).remove)
        for of_model in (backbone.config, backbone.decoder.config):  # a plain call would use a cache, needlessly
            self.on_detach(partial(setattr, of_model, "use_cache", of_model.use_cache))
            of_model.use_cache = False

    def _put_before(self, stack: nn.Module, prompts: nn.Parameter) -> None:
        def lengthen(stack: Any, inputs: tuple[Any, ...], named: dict[str, Any]) -> tuple[tuple[()], dict[str, Any]]:
            named = {**dict(zip(_POSITIONAL, inputs, strict=False)), **named}
            if named.get("past_key_values") is not None:
                raise UserError("prompt tuning does not work with a cache: pass use_cache=False")
            embedded = named.get("inputs_embeds")  # (rows, length, d_model)
            if embedded is None:
                embedded = stack.embed_tokens(named.pop("input_ids"))
            rows = len(embedded)
            prompt = self.select(prompts, rows).to(embedded.dtype).expand(rows, -1, -1)
            named |= {"input_ids": None, "inputs_embeds": torch.cat([prompt, embedded], dim=1)}
            if named.get("attention_mask") is not None:
                named["attention_mask"] = self._widened(named["attention_mask"])
            states, mask = named.get("encoder_hidden_states"), named.get("encoder_attention_mask")
            if states is not None and mask is not None and mask.shape[-1] == states.shape[1] - self._tokens:
                named["encoder_attention_mask"] = self._widened(mask)  # a caller that knows nothing of prompts
            return (), named

        self.on_detach(stack.register_forward_pre_hook(lengthen, with_kwargs=True).remove)

    def _widened(self, mask: Tensor) -> Tensor:
        """(rows, length) -> (rows, tokens + length), 1 or True for the prompts."""
        return F.pad(mask, (self._tokens, 0), value=1)

    def _cut(self, _decoder: nn.Module, _inputs: Any, output: Any) -> Any:
        output.last_hidden_state = output.last_hidden_state[:, self._tokens :]
        return output


def _rows(weight: Tensor, ids: Tensor) -> Tensor:
    """Embeddings of tokens, at least in fp32: (vocabulary, d_model), (slots, tokens) -> (slots, tokens, d_model)."""
    precision = torch.promote_types(weight.dtype, torch.float32)
    return F.embedding(ids.to(weight.device), weight.detach()).to(precision, copy=True)


class PromptTuning(Method):
    """Registers prompt tuning with 10 vectors."""

    name = "prompt-tuning-10"
    summary = "prompt tuning: 10 learned vectors before the input (Lester et al. 2021)"
    Config: ClassVar[type] = PromptTuningConfig
    # App. D; without parameter scaling: release.
    recipe = {"steps": 1000, "learning_rate": 3e-1, "scale_parameter": False}  # noqa: RUF012
    remarks = Remarks(built="as in the release: vectors before the decoder's input too, steps not scaled by their size")

    def build(
        self, backbone: nn.Module, *, slots: int, generator: torch.Generator, setting: Setting | None
    ) -> PromptTuningAdaptation:
        return PromptTuningAdaptation(backbone, slots, self.config.tokens, generator)


@dataclass(frozen=True)
class LongPromptTuningConfig(PromptTuningConfig):
    """Longer prompts."""

    tokens: int = 100


class LongPromptTuning(PromptTuning):
    """Registers prompt tuning with 100 vectors."""

    name = "prompt-tuning-100"
    summary = "prompt tuning: 100 learned vectors before the input (Lester et al. 2021)"
    Config = LongPromptTuningConfig
