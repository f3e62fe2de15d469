from typing import Any

import numpy as np
import torch

from tfew_pl.predictions import RankedChoices


def _keys(rows: list[tuple[int, int, int]]) -> torch.Tensor:
    return torch.tensor(rows)


def test_prediction_is_the_highest_score() -> None:
    ranked = RankedChoices(3)
    ranked.update(_keys([(1, 5, 0), (0, 9, 0)]), torch.tensor([2, 0]),
                  torch.tensor([[-3.0, -1.0, -2.0], [-1.0, -4.0, -2.0]]))  # fmt: skip
    table = ranked.table()
    assert list(table.columns) == ["template", "example", "gold", "predicted"]
    assert table.to_numpy().tolist() == [[0, 9, 0, 0], [1, 5, 2, 1]]


def test_ensemble_averages_over_contexts() -> None:
    generator = np.random.default_rng(0)
    scores = generator.normal(size=(2, 7, 5, 4)).astype("float32")  # (templates, examples, contexts, choices)
    gold = generator.integers(0, 4, size=7)
    places = [(t, e, c) for t in range(2) for e in range(7) for c in range(5)]
    order = generator.permutation(len(places))
    ranked = RankedChoices(4)
    for start in range(0, len(order), 8):
        chosen = [places[i] for i in order[start : start + 8]]
        ranked.update(_keys(chosen), torch.tensor([int(gold[e]) for _, e, _ in chosen]),
                      torch.tensor(np.stack([scores[p] for p in chosen])))  # fmt: skip
    expected = scores.mean(axis=2).argmax(axis=-1)
    found = ranked.table()
    assert found["predicted"].to_numpy().reshape(2, 7).tolist() == expected.tolist()
    assert found["gold"].to_numpy().reshape(2, 7).tolist() == [gold.tolist()] * 2
    assert (expected != scores[:, :, 0].argmax(axis=-1)).any(), "one context alone predicts otherwise"


def test_an_ensemble_may_average_probabilities_instead() -> None:
    generator = np.random.default_rng(1)
    scores = generator.normal(size=(40, 3, 4)) * 4  # (examples, contexts, choices)
    found = {}
    for combine in ("product", "mean"):
        ranked = RankedChoices(4, combine)  # type: ignore[arg-type]
        for context in range(3):
            keys = _keys([(0, example, context) for example in range(40)])
            ranked.update(keys, torch.zeros(40, dtype=torch.long), torch.tensor(scores[:, context]))
        found[combine] = ranked.table()["predicted"].tolist()
    shares = np.exp(scores) / np.exp(scores).sum(-1, keepdims=True)
    assert found["mean"] == shares.mean(1).argmax(-1).tolist()
    assert found["product"] == shares.prod(1).argmax(-1).tolist()
    assert found["mean"] != found["product"]


def test_duplicates_count_once() -> None:
    """A distributed sampler repeats batches: a pair's context must not weigh twice."""
    ranked = RankedChoices(2)
    first = torch.tensor([[-1.0, -2.0]])
    second = torch.tensor([[-4.0, -2.5]])
    for context, scores in ((0, first), (0, first), (0, first), (1, second)):
        ranked.update(_keys([(0, 0, context)]), torch.tensor([1]), scores)
    # Means: -2.5 and -2.25; with the first counted three times it would be -1.75 and -2.125.
    assert ranked.table().to_numpy().tolist() == [[0, 0, 1, 1]]


def test_missing_choices_never_win() -> None:
    ranked = RankedChoices(4)
    ranked.update(_keys([(0, 0, 0)]), torch.tensor([1]), torch.tensor([[-900.0, -800.0]]))
    ranked.update(_keys([(0, 1, 0), (0, 2, 0)]), torch.tensor([0, 2]),
                  torch.tensor([[-9.0, -8.0, float("-inf")], [-9.0, -8.0, -7.0]]))  # fmt: skip
    assert ranked.table()["predicted"].tolist() == [1, 1, 2]


def test_predictions_of_two_devices_are_merged() -> None:
    """What each process holds, gathered as torchmetrics gathers it: lists one after another."""
    parts = [RankedChoices(2) for _ in range(2)]
    # Three batches on two devices: the sampler hands the first one out twice.
    for device, example in ((0, 0), (1, 1), (0, 2), (1, 0)):
        parts[device].update(_keys([(0, example, 0)]), torch.tensor([0]), torch.tensor([[-1.0, -2.0]]))
    merged: Any = RankedChoices(2)
    gathered = [(part.keys, part.scores) for part in parts]
    for keys, scores in gathered:
        for key, score in zip(keys, scores, strict=True):
            merged.update(key[:, 1:4], key[:, 4], score)
    assert merged.table()["example"].tolist() == [0, 1, 2]


def test_slots_are_told_apart() -> None:
    ranked = RankedChoices(2)
    scores = torch.tensor([[-1.0, -2.0], [-2.0, -1.0], [-2.0, -1.0]])
    keys, gold = _keys([(0, 4, 0), (0, 4, 0), (1, 5, 0)]), torch.tensor([1, 1, 0])
    ranked.update(keys, gold, scores, torch.tensor([0, 2, 2]))
    assert ranked.table(0).to_numpy().tolist() == [[0, 4, 1, 0]]
    assert ranked.table(2).to_numpy().tolist() == [[0, 4, 1, 1], [1, 5, 0, 1]]
    assert ranked.table(1).empty


def test_reset_forgets() -> None:
    ranked = RankedChoices(2)
    ranked.update(_keys([(0, 0, 0)]), torch.tensor([0]), torch.tensor([[-1.0, -2.0]]))
    ranked.reset()
    ranked.update(_keys([(0, 3, 0)]), torch.tensor([0]), torch.tensor([[-1.0, -2.0]]))
    assert ranked.table()["example"].tolist() == [3]


def test_bfloat16_scores_are_compared_in_float32() -> None:
    ranked = RankedChoices(2)
    ranked.update(_keys([(0, 0, 0)]), torch.tensor([0]), torch.tensor([[-1.0, -2.0]]).bfloat16())
    assert ranked.compute().tolist() == [[0, 0, 0, 0, 0]]
