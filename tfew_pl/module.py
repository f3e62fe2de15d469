"""The LightningModule: T-Few's losses, rank classification, optimizer and schedule."""

import math
from collections.abc import Callable
from typing import Any, Literal

import pandas as pd
import pytorch_lightning as pl
import torch
from torch import Tensor, nn
from transformers import T5ForConditionalGeneration, get_linear_schedule_with_warmup

from tfew_pl import losses
from tfew_pl.adafactor import SlotAdafactor, clip_slots
from tfew_pl.choices import ChoiceBatch, ChoiceScores
from tfew_pl.icl.cached import CachedContexts
from tfew_pl.losses import Counts, one_device
from tfew_pl.method import Adaptation
from tfew_pl.pass_costs import PassCosts
from tfew_pl.predictions import RankedChoices
from tfew_pl.processes import mean_over_devices
from tfew_pl.ranking import can_pack, score_choices
from tfew_pl.recipe import Recipe
from tfew_pl.splitting import joined, overhead_in_tokens, split_by_length

LOSSES = ("lm", "unlikelihood", "length_norm")


class DivergedError(RuntimeError):
    """A loss is infinite or not a number: there is no use in going on."""

    def __init__(self, slot: int, step: int) -> None:
        super().__init__(f"a loss is not a number after step {step}")
        self.slot = slot
        """The first of those whose loss it is."""


class TFewModule(pl.LightningModule):
    """Trains an adaptation and ranks answer choices.

    A checkpoint holds the adaptation only, never the backbone.

    Args:
        backbone: a T5-family model, frozen where the method leaves it so.
        adaptation: attached to it; None to rank without one.
        recipe: losses, optimizer and schedule.
        choices: the most answer choices of an example.
        combine: how predictions of several contexts are combined; see `RankedChoices`.
    """

    def __init__(
        self,
        backbone: T5ForConditionalGeneration,
        adaptation: Adaptation | None,
        recipe: Recipe,
        choices: int,
        combine: Literal["product", "mean"] = "product",
    ) -> None:
        super().__init__()
        self.backbone = backbone
        self.adaptation = adaptation
        self.recipe = recipe
        self.predictions = RankedChoices(choices, combine)
        self._contexts = CachedContexts(backbone)
        self.strict_loading = False
        self._history: list[tuple[int, dict[str, list[float]]]] = []
        self._sums: dict[str, Tensor] = {}
        self._batches = 0
        self._overhead = overhead_in_tokens(backbone)
        self._packed = adaptation is None or adaptation.by_vector

    def score(self, batch: ChoiceBatch, complement: bool = False) -> ChoiceScores:
        """Scores of every choice's tokens, through the slots of the batch, behind its context if that is kept."""
        if batch.kept is not None:
            return self._contexts.score(batch)
        if self.adaptation is None:
            return score_choices(self.backbone, batch, complement, packed=self._packed)
        return score_choices(
            self.backbone,
            batch,
            complement,
            within=self.adaptation.passes(batch.slot),
            before=self.adaptation.before_decoder,
            packed=self._packed,
        )

    def _score_by_length(self, batch: ChoiceBatch, complement: bool) -> ChoiceScores:
        """The same, with as little padding as pays."""
        costs = PassCosts.of(self.backbone.config, batch.input_ids.device.type, decoder=False)
        packed = self._packed and can_pack(self.backbone)
        parts = split_by_length(batch.input_mask, self._overhead, costs, packed=packed)
        if len(parts) == 1:
            return self.score(batch, complement)
        return joined(batch, parts, [self.score(batch.take(part), complement) for part in parts])

    def on_fit_start(self) -> None:
        """Dropout is on only if the recipe asks for it (a module in evaluation mode drops nothing)."""
        self.backbone.train(self.recipe.dropout == "checkpoint")

    def losses(self, batch: ChoiceBatch) -> Tensor:
        """The sum of the weighted losses, over slots too: slots share no parameter.

        In a training on several devices, a mean over the whole batch; see `losses`.
        """
        recipe = self.recipe
        slots = 1 if self.adaptation is None else self.adaptation.slots
        if not recipe.unlikelihood_weight and not recipe.length_norm_weight:
            batch = batch.only_gold()  # L_LM asks for nothing else
        paper_form = recipe.unlikelihood_form == "paper"
        scores = self._score_by_length(batch, complement=paper_form and recipe.unlikelihood_weight > 0)
        counts = self._over_devices
        parts = {}
        if recipe.lm_weight:
            parts["lm"] = losses.lm_loss(scores, batch, slots, over_devices=counts)
        if recipe.unlikelihood_weight:
            form = losses.unlikelihood_loss if paper_form else losses.release_unlikelihood_loss
            parts["unlikelihood"] = form(scores, batch, recipe.unlikelihood_eos, slots, over_devices=counts)
        if recipe.length_norm_weight:
            parts["length_norm"] = losses.length_norm_loss(scores, batch, slots, over_devices=counts)
        self._remember(parts)
        weights = {name: getattr(recipe, f"{name}_weight") for name in parts}
        return torch.stack([weights[name] * value.sum() for name, value in parts.items()]).sum()

    @property
    def _over_devices(self) -> Counts:
        """What takes a tensor of this device to the mean over the devices of a training."""
        divided = self._trainer is not None and self.trainer.world_size > 1
        return mean_over_devices if divided else one_device

    def training_step(self, batch: ChoiceBatch, batch_index: int) -> Tensor:
        """The losses of a batch."""
        return self.losses(batch)

    def _remember(self, parts: dict[str, Tensor]) -> None:
        for name, value in parts.items():
            value = value.detach()  # (slots,)
            self._sums[name] = self._sums[name] + value if name in self._sums else value
        self._batches += 1

    def on_train_batch_end(self, outputs: Any, batch: ChoiceBatch, batch_index: int) -> None:
        """Notes the mean losses.

        Raises:
            DivergedError: one of them is infinite or not a number.
        """
        step = self.global_step
        noted = self._history[-1][0] if self._history else 0
        if step == noted or not self.notes_at(step):  # the same step: still accumulating
            return
        reduce = self.trainer.strategy.reduce  # to the mean over devices
        means = {name: reduce(total / self._batches).tolist() for name, total in self._sums.items()}
        self._history.append((step, means))
        self._sums, self._batches = {}, 0
        diverged = [slot for of in means.values() for slot, mean in enumerate(of) if not math.isfinite(mean)]
        if diverged:
            raise DivergedError(min(diverged), step)

    def notes_at(self, step: int) -> bool:
        """Whether losses are noted at the end of a step: fifty times a training."""
        return step % max(1, self.recipe.steps // 50) == 0 or step == self.recipe.steps

    def noted(self, slot: int = 0) -> dict[str, float]:
        """The last noted losses of a slot, and `total`, their weighted sum."""
        means = {name: of[slot] for name, of in self._history[-1][1].items()}
        return {**means, "total": sum(getattr(self.recipe, f"{name}_weight") * mean for name, mean in means.items())}

    def loss_table(self, slot: int = 0) -> pd.DataFrame:
        """The noted losses of a slot: `step` and the mean of each loss since the row before."""
        rows = [{"step": step, **{name: of[slot] for name, of in means.items()}} for step, means in self._history]
        return pd.DataFrame(rows, columns=["step", *LOSSES]).astype({"step": "int64"})

    def rank(self, batch: ChoiceBatch) -> Tensor:
        """(batch, choices), the choices' scores, calibrated if the batch says how."""
        scores = self.score(batch).total(batch.choice_mask, self.recipe.length_normalized_ranking)
        return scores if batch.offset is None else scores - batch.offset

    def _rank(self, batch: ChoiceBatch) -> Tensor:
        """(batch, choices), the choices' scores; validation, test and prediction are this one step."""
        scores = self.rank(batch)
        self.predictions.update(batch.key, batch.gold, scores, batch.slot)
        return scores

    def validation_step(self, batch: ChoiceBatch, batch_index: int) -> None:
        """Ranks the choices."""
        self._rank(batch)

    test_step = validation_step

    def predict_step(self, batch: ChoiceBatch, batch_index: int = 0) -> Tensor:
        """Ranks the choices: (batch, choices) scores."""
        return self._rank(batch)

    def on_validation_epoch_start(self) -> None:
        """Forgets earlier predictions."""
        self.predictions.reset()

    on_test_epoch_start = on_validation_epoch_start
    on_predict_epoch_start = on_validation_epoch_start

    def _trained(self) -> list[nn.Parameter]:
        source = self.backbone if self.adaptation is None else self.adaptation
        return [p for p in source.parameters() if p.requires_grad]

    def configure_optimizers(self) -> Any:
        """Adafactor with a linear warm-up and a linear decay (Section 3.5)."""
        optimizer = SlotAdafactor(
            self._trained(),
            lr=self.recipe.learning_rate,
            scale_parameter=self.recipe.scale_parameter,
            entries=None if self.adaptation is None else self.adaptation.entries(),
        )
        schedule = get_linear_schedule_with_warmup(optimizer, self.recipe.warmup_steps, self.recipe.steps)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def configure_gradient_clipping(
        self,
        optimizer: torch.optim.Optimizer,
        gradient_clip_val: float | None = None,
        gradient_clip_algorithm: str | None = None,
    ) -> None:
        """Clips the gradient of each slot on its own."""
        if gradient_clip_val is not None and self.adaptation is not None and self.adaptation.slots > 1:
            clip_slots(self._trained(), gradient_clip_val)
        else:
            self.clip_gradients(optimizer, gradient_clip_val, gradient_clip_algorithm)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Keeps the backbone out of the checkpoint, and the losses noted so far in it; every process calls it."""
        state = checkpoint.get("state_dict", {})
        checkpoint["state_dict"] = {k: v for k, v in state.items() if not k.startswith("backbone.")}
        sums = {name: self._over_devices(total) for name, total in self._sums.items()}
        checkpoint["losses"] = {"history": list(self._history), "sums": sums, "batches": self._batches}

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Goes on noting losses where the checkpoint was."""
        losses = checkpoint.get("losses", {"history": [], "sums": {}, "batches": 0})
        self._history = [(step, means) for step, means in losses["history"]]
        self._sums, self._batches = losses["sums"], losses["batches"]


def loss_function(backbone: T5ForConditionalGeneration, recipe: Recipe) -> Callable[[ChoiceBatch], Tensor]:
    """The recipe's total loss of a batch on a backbone and what is attached to it, slot 0 throughout."""
    module = TFewModule(backbone, None, recipe, choices=1)
    return lambda batch: module.losses(batch.to(backbone.device))
