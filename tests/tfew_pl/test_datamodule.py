from collections import Counter
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from tfew_pl.datamodule import EvaluationBatches, TFewDataModule, TrainingDraws, encode_evaluation
from tfew_pl.encoding import Encoded, PromptEncoder
from tfew_pl.errors import UserError
from tfew_pl.prompts import Template
from tfew_pl.tasks import get_task

ROWS = [{"premise": f"the {i}", "label": i % 2} for i in range(50)]
TEMPLATES = [
    Template(f"t{i}", f"{i} {{{{ premise }}}} ||| {{{{ answer_choices[label] }}}}", "a ||| b") for i in range(4)
]


@pytest.fixture(scope="module")
def encoder(tokenizer: Any) -> PromptEncoder:
    return PromptEncoder(get_task("rte"), TEMPLATES, tokenizer)


def _draws(encoder: PromptEncoder, **values: Any) -> TrainingDraws:
    settings = {"seed": 0, "steps": 50, "batch_size": 8, "drop_last": False, **values}
    return TrainingDraws(encoder, ROWS, **settings)


def test_every_pass_visits_every_example_once_in_a_new_order(encoder: PromptEncoder) -> None:
    draws = _draws(encoder)
    assert len(draws) == 400
    passes = [[draws[i].example for i in range(start, start + 50)] for start in range(0, 400, 50)]
    assert all(sorted(one) == list(range(50)) for one in passes)
    assert len({tuple(one) for one in passes}) == 8


def test_drop_last_leaves_out_two_of_fifty(encoder: PromptEncoder) -> None:
    draws = _draws(encoder, drop_last=True)
    passes = [[draws[i].example for i in range(start, start + 48)] for start in range(0, 384, 48)]
    assert all(len(set(one)) == 48 for one in passes)
    left_out = {frozenset(range(50)) - set(one) for one in passes}
    assert len(left_out) > 1, "not always the same two"


def test_drop_last_with_fewer_examples_than_a_batch(encoder: PromptEncoder) -> None:
    draws = TrainingDraws(encoder, ROWS[:3], seed=0, steps=3, batch_size=8, drop_last=True)
    assert Counter(draws[i].example for i in range(24)) == {0: 8, 1: 8, 2: 8}


def test_a_position_does_not_depend_on_what_was_read_before(encoder: PromptEncoder) -> None:
    forwards, backwards = _draws(encoder), _draws(encoder)
    first = [forwards[i] for i in range(400)]
    assert [backwards[i] for i in reversed(range(400))] == first[::-1]
    assert _draws(encoder)[250] == first[250]


def test_templates_are_all_drawn_about_equally(encoder: PromptEncoder) -> None:
    draws = _draws(encoder)
    counts = Counter(draws[i].template for i in range(400))
    assert set(counts) == {0, 1, 2, 3}
    assert min(counts.values()) > 70


def test_seeds_differ(encoder: PromptEncoder) -> None:
    first, second = ([_draws(encoder, seed=seed)[i] for i in range(60)] for seed in (0, 1))
    assert [e.example for e in first] != [e.example for e in second]
    assert [e.template for e in first] != [e.template for e in second]


def test_there_is_nothing_past_the_end(encoder: PromptEncoder) -> None:
    for position in (400, -1):
        with pytest.raises(IndexError):
            _draws(encoder)[position]


def test_evaluation_is_every_example_through_every_template(encoder: PromptEncoder) -> None:
    pairs = [(e.template, e.example) for e in encode_evaluation(encoder, ROWS[:6])]
    assert sorted(pairs) == [(t, e) for t in range(4) for e in range(6)]


@pytest.mark.parametrize("tokens", [60, 200, 8192])
def test_evaluation_batches(tokens: int, make_examples: Any) -> None:
    examples: list[Encoded] = make_examples(5, 60)
    batches = EvaluationBatches(examples, tokens)
    found = [batches[i] for i in range(len(batches))]
    assert sorted(key[1] for batch in found for key in batch.key.tolist()) == list(range(60))
    for batch in found:
        size = batch.input_ids.numel() + batch.choice_ids.numel()
        assert size <= tokens or len(batch.gold) == 1
    lengths = [n for batch in found for n in batch.input_mask.sum(-1).tolist()]
    assert lengths == sorted(lengths)
    if tokens == 8192:
        assert len(found) == 1


def test_equal_inputs_of_a_slot_are_in_one_batch() -> None:
    """As rows of a user's table may be; what differs keeps its order."""
    inputs = [(5, 1), (6, 1), (7, 1), (6, 1), (5, 1), (8, 1)]
    examples = [Encoded(ids, ((9, 1),), 0, example=n) for n, ids in enumerate(inputs)]
    batches = EvaluationBatches(examples, tokens=8)
    assert [batches[i].key[:, 1].tolist() for i in range(len(batches))] == [[0, 4], [1, 3], [2, 5]]
    apart = [Encoded(ids, ((9, 1),), 0, example=n, slot=n) for n, ids in enumerate(inputs)]
    batches = EvaluationBatches(apart, tokens=8)
    assert [batches[i].key[:, 1].tolist() for i in range(len(batches))] == [[0, 1], [2, 3], [4, 5]]


def test_nothing_to_evaluate_gives_no_batch() -> None:
    assert len(EvaluationBatches([])) == 0


class _Trainer:
    def __init__(self, world_size: int, accumulated: int, rank: int = 0) -> None:
        self.world_size, self.accumulate_grad_batches, self.global_rank = world_size, accumulated, rank
        self.strategy = SimpleNamespace(root_device=torch.device("cpu"))


@pytest.mark.parametrize(("devices", "accumulated", "size"), [(1, 1, 8), (1, 2, 4), (2, 1, 4), (2, 4, 1)])
def test_micro_batches(devices: int, accumulated: int, size: int, encoder: PromptEncoder) -> None:
    data = TFewDataModule([_draws(encoder)], [], batch_size=8)
    data.trainer = _Trainer(devices, accumulated)  # type: ignore[assignment]
    loader = data.train_dataloader()
    assert loader.batch_size == size
    first: Any = next(iter(loader))
    assert len(first.gold) == size


def _loaders(encoder: PromptEncoder, devices: int, accumulated: int, examples: Any) -> list[tuple[Any, Any]]:
    """Of every device: what it trains on, and what it evaluates."""
    loaders = []
    for rank in range(devices):
        data = TFewDataModule([_draws(encoder)], examples, batch_size=8, done=3)
        data.trainer = _Trainer(devices, accumulated, rank)  # type: ignore[assignment]
        loaders.append((data.train_dataloader(), data.test_dataloader()))
    return loaders


@pytest.mark.parametrize(("devices", "accumulated"), [(2, 1), (4, 1), (2, 2)])
def test_devices_share_the_batches_of_one(devices: int, accumulated: int, encoder: PromptEncoder) -> None:
    (alone,) = _loaders(encoder, 1, accumulated, [])
    together = _loaders(encoder, devices, accumulated, [])
    for whole, *parts in zip(alone[0], *(training for training, _ in together), strict=True):
        taken = [key for part in parts for key in part.key.tolist()]
        assert sorted(taken) == sorted(whole.key.tolist())


def test_devices_share_the_evaluation(encoder: PromptEncoder, make_examples: Any) -> None:
    examples: list[Encoded] = [*make_examples(5, 60), *make_examples(6, 60)]
    for devices in (2, 4):
        shares = [list(evaluation) for _, evaluation in _loaders(encoder, devices, 1, examples)]
        assert len({len(share) for share in shares}) == 1, "sharded layers are gathered by all devices at once"
        seen = {key[1] for share in shares for batch in share for key in batch.key.tolist()}
        assert seen == set(range(60))


def test_batch_that_cannot_be_divided(encoder: PromptEncoder) -> None:
    data = TFewDataModule([_draws(encoder)], [], batch_size=8)
    data.trainer = _Trainer(1, 3)  # type: ignore[assignment]
    with pytest.raises(UserError, match="a batch of 8 cannot be divided into 3 equal parts"):
        data.train_dataloader()


def test_loader_does_not_draw_from_the_global_generator_for_its_order(encoder: PromptEncoder) -> None:
    data = TFewDataModule([_draws(encoder)], [], batch_size=8)
    orders = []
    for seed in (0, 1):
        torch.manual_seed(seed)
        orders.append([batch.key.tolist() for batch in data.train_dataloader()])
    assert orders[0] == orders[1]


def test_each_once_visits_every_example_in_order_and_is_the_same_each_time(encoder: PromptEncoder) -> None:
    draws = _draws(encoder, drop_last=True)
    first, again = list(draws.each_once()), list(draws.each_once())
    assert [one.example for one in first] == list(range(50))
    assert first == again
    assert {one.template for one in first} == {0, 1, 2, 3}
    assert first != list(_draws(encoder, seed=1).each_once())
