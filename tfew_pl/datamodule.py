"""The LightningDataModule of a run: few-shot training draws, evaluation over all templates."""

import random
from collections.abc import Iterator, Sequence
from itertools import chain
from typing import Any

import pytorch_lightning as pl
from torch.utils.data import DataLoader, Dataset, DistributedSampler, Subset

from tfew_pl.choices import ChoiceBatch
from tfew_pl.encoding import Encoded, PromptEncoder, collate, in_slot
from tfew_pl.tasks.task import Row
from tfew_pl.trainer import micro_batch

EVALUATION_TOKENS = 8192
"""Padded tokens, of inputs and choices, in an evaluation batch."""
CPU_EVALUATION_TOKENS = 1280
"""The same on a CPU, whose caches a larger batch leaves: at pocket size, one of 8,192 takes 1.3 times as long for an
example. Of 512 to 4,096 this is within 3 % of the best for 32 and for 320 examples, at pocket size and at T5-small's.
"""


class TrainingDraws(Dataset[Encoded]):
    """The examples of a whole training, one a position, each through a template drawn at random.

    A position's draw depends on the seed and the position only, so that a resumed or distributed training
    sees what an undisturbed one sees. Each pass over the examples has an order of its own.

    Args:
        encoder: renders and tokenizes.
        rows: the few-shot examples.
        seed: of orders and templates.
        steps: optimizer steps.
        batch_size: examples a step.
        drop_last: leave out what is left of a pass after its last full batch.
    """

    def __init__(
        self,
        encoder: PromptEncoder,
        rows: Sequence[Row],
        *,
        seed: int,
        steps: int,
        batch_size: int,
        drop_last: bool,
    ) -> None:
        self._encoder = encoder
        self._rows = rows
        self._seed = seed
        self._size = steps * batch_size
        full = len(rows) // batch_size * batch_size
        self._pass = full if drop_last and full else len(rows)
        self._order: tuple[int, list[int]] = (-1, [])

    def __len__(self) -> int:
        return self._size

    def _order_of(self, epoch: int) -> list[int]:
        if self._order[0] != epoch:
            order = list(range(len(self._rows)))
            random.Random(f"order {self._seed} {epoch}").shuffle(order)
            self._order = (epoch, order)
        return self._order[1]

    def __getitem__(self, position: int) -> Encoded:
        if not 0 <= position < self._size:
            raise IndexError(position)
        epoch, place = divmod(position, self._pass)
        example = self._order_of(epoch)[place]
        generator = random.Random(f"template {self._seed} {position}")
        template = generator.randrange(len(self._encoder.templates))
        return self._encoder.encode(self._rows[example], example, template, generator)

    def each_once(self) -> Iterator[Encoded]:
        """Every example once, in order, each through a template drawn from the seed and its index."""
        for example, row in enumerate(self._rows):
            generator = random.Random(f"once {self._seed} {example}")
            template = generator.randrange(len(self._encoder.templates))
            yield self._encoder.encode(row, example, template, generator)


class EvaluationBatches(Dataset[ChoiceBatch]):
    """Every example through every template, in batches of one kept context, similar length and about equal size.

    An item is a batch, so that a distributed sampler hands out whole batches; what it hands out twice is
    told apart by the batch's `key`.
    """

    def __init__(self, examples: Sequence[Encoded], tokens: int = EVALUATION_TOKENS) -> None:
        self._batches: list[list[Encoded]] = []
        batch: list[Encoded] = []
        shape = (0, 0, 0)
        for example in _in_order(examples):
            own = (_length(example), len(example.choices), max(map(len, example.choices)))
            source, choices, longest = map(max, shape, own)
            full = (source + choices * longest) * (len(batch) + 1) > tokens
            if batch and (full or example.kept != batch[0].kept):
                self._batches.append(batch)
                batch, (source, choices, longest) = [], own
            shape = (source, choices, longest)
            batch.append(example)
        if batch:
            self._batches.append(batch)

    def __len__(self) -> int:
        return len(self._batches)

    def __getitem__(self, index: int) -> ChoiceBatch:
        return collate(self._batches[index])


def _length(example: Encoded) -> int:
    """Tokens of the input, its context included."""
    return len(example.input_ids) + len(example.kept or ())


def _in_order(examples: Sequence[Encoded]) -> list[Encoded]:
    """Those with one kept context together, inputs of similar length together, equal inputs of a slot together."""
    ordered = sorted(examples, key=_place)
    first: dict[object, tuple[int, ...]] = {}
    for example in ordered:
        first.setdefault((example.kept, example.input_ids, example.slot), _place(example))
    return sorted(ordered, key=lambda example: first[example.kept, example.input_ids, example.slot])


def _place(example: Encoded) -> tuple[int, ...]:
    context = (-1, -1) if example.kept is None else (example.template, example.context)
    return *context, _length(example), example.template, example.example, example.slot


def evaluation_generator(template: int, example: int) -> random.Random:
    """What a template that draws at random draws from in evaluation: it depends on the pair only."""
    return random.Random(f"evaluation {template} {example}")


def encode_evaluation(encoder: PromptEncoder, rows: Sequence[Row]) -> list[Encoded]:
    """Every example through every template of the encoder."""
    return [
        encoder.encode(row, example, template, evaluation_generator(template, example))
        for template in range(len(encoder.templates))
        for example, row in enumerate(rows)
    ]


class SlotDraws(Dataset[list[Encoded]]):
    """Trainings side by side: a position holds what each has there, in the slot of its place in the list."""

    def __init__(self, trainings: Sequence[TrainingDraws]) -> None:
        self._trainings = trainings

    def __len__(self) -> int:
        return len(self._trainings[0])

    def __getitem__(self, position: int) -> list[Encoded]:
        return [in_slot(draws[position], slot) for slot, draws in enumerate(self._trainings)]


def collate_slots(positions: Sequence[Sequence[Encoded]]) -> ChoiceBatch:
    """Positions of `SlotDraws` as one batch."""
    return collate(list(chain.from_iterable(positions)))


class TFewDataModule(pl.LightningDataModule):
    """Training draws and evaluation batches of a run, or of several as slots.

    Args:
        trainings: of every slot; none for a run that does not train.
        examples: what is evaluated, each example in its slot.
        batch_size: examples a training step and slot.
        done: training steps that were done before.
    """

    def __init__(
        self, trainings: Sequence[TrainingDraws], examples: Sequence[Encoded], batch_size: int = 1, done: int = 0
    ) -> None:
        super().__init__()
        self._done = done
        self._trainings = trainings
        self._examples = examples
        self._batch_size = batch_size

    def train_dataloader(self) -> DataLoader[list[Encoded]]:
        """Micro-batches; the recipe's batch size is divided among devices and accumulated micro-batches.

        The devices take the positions in turn, so that together they take the batch that one device would.
        """
        size = self._batch_size if self.trainer is None else micro_batch(self.trainer, self._batch_size)
        draws = SlotDraws(self._trainings)
        # After the last step there is a batch left that nobody asks for: without one, Lightning starts no training.
        first = min(self._done * self._batch_size, len(draws) - self._batch_size)
        left = Subset(draws, range(first, len(draws))) if first else draws
        return DataLoader(left, batch_size=size, sampler=self._share(left), collate_fn=collate_slots)

    def val_dataloader(self) -> DataLoader[ChoiceBatch]:
        """Whole batches of every example and template."""
        on_cpu = self.trainer is not None and self.trainer.strategy.root_device.type == "cpu"
        batches = EvaluationBatches(self._examples, CPU_EVALUATION_TOKENS if on_cpu else EVALUATION_TOKENS)
        return DataLoader(batches, batch_size=None, sampler=self._share(batches))

    def _share(self, data: Dataset[Any]) -> "DistributedSampler[Any] | None":
        """Every so-manyth item for this device; the first ones once more for those that would have one less."""
        trainer = self.trainer
        if trainer is None or trainer.world_size == 1:
            return None
        return DistributedSampler(data, trainer.world_size, trainer.global_rank, shuffle=False)

    test_dataloader = val_dataloader
    predict_dataloader = val_dataloader
