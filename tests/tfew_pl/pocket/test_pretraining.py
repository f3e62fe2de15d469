"""Pre-training: examples, batches, schedule, and the same weights twice."""

import random
from pathlib import Path

import numpy as np
import pytest
import torch

from tfew_pl.errors import UserError
from tfew_pl.pocket import architecture, corpus, stages
from tfew_pl.pocket.corpus import Corpus, Source
from tfew_pl.pocket.pretraining import Batches, Schedule, pretrain

TOKENIZER = Path(architecture.__file__).parent / "checkpoints" / "pocket-t0"


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("corpus") / "mixed.npz"
    shares = {"span": 1.0, "prefix": 1.0, "skill": 1.0, "context": 1.0, "p3": 1.0}
    corpus.build(path, TOKENIZER, shares, 960, "test", processes=1)
    return path


def test_span_corruption_loses_nothing() -> None:
    rng = random.Random(0)
    ids, sentinels = list(range(100, 140)), [1000 + index for index in range(16)]
    for _ in range(50):
        source, target = corpus.corrupt(ids, sentinels, rng)
        spans: dict[int, list[int]] = {}
        for token in target:
            if token in sentinels:
                spans[token] = []
            else:
                spans[next(reversed(spans))].append(token)
        assert [token for item in source for token in spans.get(item, [item])] == ids
        assert 1 <= len(ids) - sum(item in ids for item in source) <= 12


def test_a_prefix_and_its_continuation_are_the_text() -> None:
    rng = random.Random(0)
    for length in (1, 2, 5, 30):
        source, target = corpus.prefix(list(range(length)), rng)
        assert source + target == list(range(length))
        assert source


def test_examples_follow_their_seed() -> None:
    first, again, other = (Source(TOKENIZER, seed).examples({"p3": 1, "span": 1}, 20) for seed in ("a", "a", "b"))
    assert first == again != other
    assert all(source[-1] == target[-1] == 1 for source, target in first)


def test_batches_are_shared_out_without_loss(small: Path) -> None:
    data = Corpus(small)
    assert len(data) == 960
    whole = next(iter(Batches(data, 8, 0, 0, 1)))
    halves = [next(iter(Batches(data, 8, 0, rank, 2))) for rank in range(2)]
    rows = sorted(row[row != 0].tolist() for row in whole[0])
    assert sorted(row[row != 0].tolist() for half in halves for row in half[0]) == rows
    again, other = (next(iter(Batches(data, 8, seed, 0, 1))) for seed in (0, 1))
    assert torch.equal(whole[0], again[0])
    assert whole[0].shape != other[0].shape or not torch.equal(whole[0], other[0])


def test_padding_is_on_the_right(small: Path) -> None:
    padded = Corpus(small).padded(0, [0, 1, 2, 3])
    assert ((padded == 0) == (np.cumsum(padded == 0, axis=1) > 0)).all()


def test_the_schedule_warms_up_and_ends_at_its_final_share() -> None:
    schedule = Schedule(steps=1000, batch=8, rate=1e-3, final=0.1)
    assert schedule.factor(0) == pytest.approx(0.01)
    assert max(schedule.factor(step) for step in range(1000)) <= 1
    assert schedule.factor(1000) == pytest.approx(0.1)


def test_training_twice_gives_the_same_weights_and_learns(small: Path) -> None:
    models = [architecture.initialized(corpus.vocabulary(TOKENIZER), 0) for _ in range(2)]
    start = architecture.initialized(corpus.vocabulary(TOKENIZER), 0)
    for model in models:
        pretrain(model, small, Schedule(steps=3, batch=8, rate=1e-3, final=0.1), seed=0, processes=1, compiled=False)
    states = [model.state_dict() for model in models]
    assert all(torch.equal(states[0][key], states[1][key]) for key in states[0])
    assert not torch.equal(states[0]["lm_head.weight"], start.state_dict()["lm_head.weight"])


def test_stages_ask_for_what_they_need(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="choose from span, lm, t0"):
        stages.run_stage("t5", tmp_path / "out", 0)
    with pytest.raises(UserError, match="--init"):
        stages.run_stage("span", tmp_path / "out", 0)


def test_a_stage_starts_from_the_one_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    short = stages.Round({"span": 1.0}, 16, Schedule(steps=1, batch=2, rate=1e-9, final=0.1))
    monkeypatch.setitem(stages.STAGES, "span", (short, short))
    stages.run_stage("span", tmp_path / "span", 0, TOKENIZER, processes=1, compiled=False)
    first, second = architecture.load(TOKENIZER), architecture.load(tmp_path / "span")
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), second.parameters(), strict=True))


def test_a_tied_round_trains_one_table_and_leaves_a_head_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tied = stages.Round({"span": 1.0}, 16, Schedule(steps=2, batch=2, rate=1e-2, final=0.1), tied=True)
    monkeypatch.setitem(stages.STAGES, "span", (tied,))
    stages.run_stage("span", tmp_path / "span", 0, TOKENIZER, processes=1, compiled=False)
    before, after = architecture.load(TOKENIZER), architecture.load(tmp_path / "span")
    assert torch.equal(after.lm_head.weight, after.shared.weight)
    assert after.lm_head.weight is not after.shared.weight
    assert not torch.equal(after.shared.weight, before.shared.weight)
