"""(IA)3 training and ranking: ours, and as users of the PEFT library write them."""

import warnings
from typing import Any

import torch
from torch import Tensor
from transformers import Adafactor, T5ForConditionalGeneration

from tfew_pl import losses
from tfew_pl.adafactor import SlotAdafactor, clip_slots
from tfew_pl.choices import ChoiceBatch, ChoiceScores
from tfew_pl.errors import UserError
from tfew_pl.fused import fuse
from tfew_pl.ia3 import IA3
from tfew_pl.module import TFewModule
from tfew_pl.ranking import DECODER_START
from tfew_pl.recipe import Recipe

LEARNING_RATE = 3e-3


class Ours:
    """A training step and a ranking of ours, of one or several slots."""

    def __init__(self, model: T5ForConditionalGeneration, slots: int = 1) -> None:
        fuse(model)
        self.adaptation = IA3().attach(model, slots=slots, generator=torch.Generator())
        self.module = TFewModule(model, self.adaptation, Recipe(), choices=80)
        self._optimizer = SlotAdafactor(self.adaptation.parameters(), lr=LEARNING_RATE)

    def step(self, batch: ChoiceBatch) -> None:
        """A step on a batch: losses, gradients, clipping by slot, update."""
        self.module.losses(batch).backward()
        clip_slots(list(self.adaptation.parameters()), 1.0)
        self._optimizer.step()
        self._optimizer.zero_grad()

    @torch.no_grad()
    def rank(self, batch: ChoiceBatch) -> Tensor:
        """(batch, choices), scores."""
        return self.module.score(batch).total(batch.choice_mask, True)


class Peft:
    """The same with the PEFT library, in a plain PyTorch loop, as its users write it.

    Args:
        model: a plain model.
        shared_encoder: the encoder runs once an input, and the decoder's rows, one a choice, are given its states
            again and again; else each choice is a row with its own copy of the input.
    """

    def __init__(self, model: T5ForConditionalGeneration, shared_encoder: bool) -> None:
        try:
            import peft
        except ImportError as error:
            raise UserError("this benchmark compares with the PEFT library: pip install peft") from error
        config = peft.IA3Config(target_modules=["k", "v", "wo"], feedforward_modules=["wo"], task_type="SEQ_2_SEQ_LM")
        with warnings.catch_warnings():  # PEFT 0.19 asks transformers by a name that transformers 5 calls deprecated
            warnings.filterwarnings("ignore", message=".*is_gradient_checkpointing.*", category=FutureWarning)
            self._model: Any = peft.get_peft_model(model, config).eval()  # in evaluation mode nothing is dropped
        self._shared = shared_encoder
        trained = [p for p in self._model.parameters() if p.requires_grad]
        self._trained = trained
        self._optimizer = Adafactor(trained, lr=LEARNING_RATE, relative_step=False, warmup_init=False)

    def _log_probabilities(self, batch: ChoiceBatch) -> Tensor:
        """(batch, choices, tokens, vocabulary)"""
        examples, choices, tokens = batch.choice_ids.shape
        mask = batch.input_mask.long()
        rows = batch.choice_ids.view(examples * choices, tokens)
        decoder_ids = torch.cat([rows.new_full((len(rows), 1), DECODER_START), rows[:, :-1]], dim=1)
        given: dict[str, Any] = {"input_ids": batch.input_ids.repeat_interleave(choices, dim=0)}
        if self._shared:
            states = self._model.get_encoder()(input_ids=batch.input_ids, attention_mask=mask)[0]
            given = {"encoder_outputs": (states.repeat_interleave(choices, dim=0),)}
        logits = self._model(
            **given, attention_mask=mask.repeat_interleave(choices, dim=0), decoder_input_ids=decoder_ids,
            use_cache=False,
        ).logits  # fmt: skip
        found: Tensor = logits.log_softmax(-1).view(examples, choices, tokens, -1)
        return found

    def scores(self, batch: ChoiceBatch) -> ChoiceScores:
        """Scores of the choices' tokens."""
        every = self._log_probabilities(batch)
        log_p = every.gather(-1, batch.choice_ids[..., None])[..., 0] * batch.choice_mask
        return ChoiceScores(log_p, torch.log1p(-log_p.exp().clamp(max=1 - 1e-6)) * batch.choice_mask)

    def step(self, batch: ChoiceBatch) -> None:
        """A step on a batch, of the same losses."""
        scores = self.scores(batch)
        loss = losses.lm_loss(scores, batch) + losses.unlikelihood_loss(scores, batch)
        (loss + losses.length_norm_loss(scores, batch)).sum().backward()
        torch.nn.utils.clip_grad_norm_(self._trained, 1.0)
        self._optimizer.step()
        self._optimizer.zero_grad()

    @torch.no_grad()
    def rank(self, batch: ChoiceBatch) -> Tensor:
        """(batch, choices), scores."""
        every = self._log_probabilities(batch)
        log_p = every.gather(-1, batch.choice_ids[..., None])[..., 0] * batch.choice_mask
        return ChoiceScores(log_p, log_p).total(batch.choice_mask, True)


def contenders(make: Any) -> dict[str, Ours | Peft]:
    """Ours and the two others, each on its own copy of a model, by name.

    Args:
        make: gives a plain model.
    """
    return {
        "ours": Ours(make()),
        "PEFT, choices as rows": Peft(make(), shared_encoder=False),
        "PEFT, encoder shared": Peft(make(), shared_encoder=True),
    }
