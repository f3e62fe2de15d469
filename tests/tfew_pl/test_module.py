from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from torch.utils.data import DataLoader
from transformers import Adafactor

from tfew_pl.encoding import Encoded, collate
from tfew_pl.ia3 import IA3
from tfew_pl.module import TFewModule, loss_function
from tfew_pl.quiet import quiet_lightning
from tfew_pl.ranking import score_choices
from tfew_pl.recipe import Recipe


def _module(model: Any, recipe: Recipe, slots: int = 1) -> TFewModule:
    adaptation = IA3().attach(model, slots=slots, generator=torch.Generator())
    return TFewModule(model, adaptation, recipe, choices=6)


def _fit(
    module: TFewModule, examples: list[Encoded], resume: Path | None = None, size: int | None = None, **options: Any
) -> pl.Trainer:
    """Fits on one and the same batch, again and again, or on batches of a size."""
    flags: dict[str, Any] = {
        "accelerator": "cpu", "devices": 1, "max_steps": module.recipe.steps, "logger": False,
        "gradient_clip_val": 1.0, "limit_val_batches": 0,
        "enable_checkpointing": False, "enable_progress_bar": False, "enable_model_summary": False,
    }  # fmt: skip
    with quiet_lightning():
        trainer = pl.Trainer(**{**flags, **options})
        loader = DataLoader(examples, batch_size=size or len(examples), collate_fn=collate)  # type: ignore[arg-type,var-annotated]
        trainer.fit(module, loader, ckpt_path=resume)
    return trainer


def _vectors(module: TFewModule) -> dict[str, torch.Tensor]:
    assert module.adaptation is not None
    return {name: p.detach().clone() for name, p in module.adaptation.named_parameters()}


def test_learning_rate_rises_for_60_steps_and_falls_to_zero(make_model: Any) -> None:
    configured = _module(make_model(), Recipe()).configure_optimizers()
    optimizer, schedule = configured["optimizer"], configured["lr_scheduler"]["scheduler"]
    assert configured["lr_scheduler"]["interval"] == "step"
    rates = []
    for _ in range(1001):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    # Linear from 0 over 6 % of the steps, then linear to 0.
    for step in (0, 1, 30, 59, 60, 61, 500, 999, 1000):
        expected = 3e-3 * (step / 60 if step < 60 else (1000 - step) / 940)
        assert rates[step] == pytest.approx(expected, rel=1e-9, abs=1e-15), step


@pytest.mark.parametrize("scale", [True, False])
@pytest.mark.parametrize("clip", [1.0, 0.05])
def test_steps_equal_adafactor_by_hand_after_clipping(
    scale: bool, clip: float, make_model: Any, make_examples: Any
) -> None:
    examples = make_examples(2, 4)
    recipe = Recipe(steps=5, warmup_ratio=0.2, scale_parameter=scale, gradient_clip=clip)
    module = _module(make_model(), recipe)
    _fit(module, examples, gradient_clip_val=clip)

    other = _module(make_model(), recipe)
    assert other.adaptation is not None
    parameters = list(other.adaptation.parameters())
    # The reference takes the slot dimension away: one slot is an ordinary vector.
    vectors = [torch.nn.Parameter(p.detach()[0].clone()) for p in parameters]
    optimizer = Adafactor(vectors, lr=3e-3, scale_parameter=scale, relative_step=False, warmup_init=False)
    for step in range(5):
        for parameter, vector in zip(parameters, vectors, strict=True):
            parameter.data.copy_(vector.detach()[None])
            parameter.grad = None
        other.losses(collate(examples)).backward()
        norm = sum(float(p.grad.double().square().sum()) for p in parameters if p.grad is not None) ** 0.5
        for parameter, vector in zip(parameters, vectors, strict=True):
            assert parameter.grad is not None
            vector.grad = parameter.grad[0] * min(1.0, clip / (norm + 1e-6))
        optimizer.param_groups[0]["lr"] = 3e-3 * (step if step < 1 else (5 - step) / 4)
        optimizer.step()
    for found, vector in zip(_vectors(module).values(), vectors, strict=True):
        torch.testing.assert_close(found[0], vector.detach(), atol=1e-6, rtol=1e-5)
    assert any((vector != 1).any() for vector in vectors)


def test_a_slot_trained_beside_others_equals_it_alone(make_model: Any, make_examples: Any) -> None:
    examples: list[Encoded] = make_examples(9, 8, slots=2)
    assert {e.slot for e in examples} == {0, 1}
    recipe = Recipe(steps=6, warmup_ratio=0.0, learning_rate=0.05)
    together = _module(make_model(), recipe, slots=2)
    _fit(together, examples)
    for slot in (0, 1):
        alone = _module(make_model(), recipe)
        _fit(alone, [Encoded(e.input_ids, e.choices, e.gold) for e in examples if e.slot == slot])
        found = _vectors(together)
        for name, vector in _vectors(alone).items():
            torch.testing.assert_close(found[name][slot], vector[0], atol=1e-4, rtol=1e-4)


def test_loss_falls_on_a_few_examples(make_model: Any, make_examples: Any) -> None:
    module = _module(make_model(), Recipe(steps=60, learning_rate=0.05))
    _fit(module, make_examples(3, 3))
    table = module.loss_table()
    assert list(table.columns) == ["step", "lm", "unlikelihood", "length_norm"]
    assert table["step"].tolist() == list(range(1, 61))
    assert table["lm"].iloc[-1] < 0.8 * table["lm"].iloc[0]
    assert table["length_norm"].iloc[-1] < table["length_norm"].iloc[0]


def test_history_has_about_fifty_rows_up_to_the_last_step(make_model: Any, make_examples: Any) -> None:
    module = _module(make_model(), Recipe(steps=103))
    _fit(module, make_examples(3, 1))
    steps = module.loss_table()["step"].tolist()
    assert steps == [*range(2, 103, 2), 103]


def test_history_notes_each_step_once_when_batches_are_accumulated(make_model: Any, make_examples: Any) -> None:
    module = _module(make_model(), Recipe(steps=4))
    _fit(module, make_examples(3, 16), size=2, accumulate_grad_batches=2)
    assert module.loss_table()["step"].tolist() == [1, 2, 3, 4]


@pytest.mark.parametrize("missing", ["lm", "unlikelihood", "length_norm"])
def test_a_loss_of_weight_zero_is_left_out(missing: str, make_model: Any, make_examples: Any) -> None:
    batch = collate(make_examples(3, 4))
    model = make_model()
    full = _module(model, Recipe())
    total = full.losses(batch).item()
    weights: dict[str, Any] = {f"{missing}_weight": 0.0}
    left = TFewModule(model, full.adaptation, Recipe(**weights), 6).losses(batch).item()
    names = {f"{name}_weight": 0.0 for name in ("lm", "unlikelihood", "length_norm") if name != missing}
    alone = TFewModule(model, full.adaptation, Recipe(**names), 6).losses(batch).item()  # type: ignore[arg-type]
    assert total == pytest.approx(left + alone, rel=1e-5)
    assert alone > 0
    doubled: dict[str, Any] = {f"{missing}_weight": 2.0}
    twice = TFewModule(model, full.adaptation, Recipe(**doubled), 6).losses(batch).item()
    assert twice == pytest.approx(total + alone, rel=1e-5)


def test_lm_alone_decodes_correct_choices_only_and_is_what_transformers_computes(
    make_model: Any, make_examples: Any
) -> None:
    batch = collate(make_examples(5, 6, slots=2))
    assert batch.choice_ids.shape[1] > 1
    assert batch.slot is not None
    model = make_model()
    module = _module(model, Recipe(unlikelihood_weight=0.0, length_norm_weight=0.0), slots=2)
    assert module.adaptation is not None
    vectors = list(module.adaptation.parameters())
    rows: list[int] = []
    handle = model.decoder.register_forward_pre_hook(
        lambda _module, _inputs, named: rows.append(len(named["input_ids"])), with_kwargs=True
    )
    found = module.losses(batch)
    found_gradients = torch.autograd.grad(found, vectors)
    assert sum(rows) == len(batch.gold)
    handle.remove()

    expected = torch.zeros(())
    for slot in (0, 1):
        of_slot = batch.slot == slot
        gold = (torch.arange(len(batch.gold))[of_slot], batch.gold[of_slot])
        labels = batch.choice_ids[gold].masked_fill(~batch.choice_mask[gold], -100)
        with module.adaptation.use_slots(batch.slot[of_slot]):
            expected = expected + model(batch.input_ids[of_slot], batch.input_mask[of_slot], labels=labels).loss
    assert found.item() == pytest.approx(expected.item(), rel=1e-5)
    for one, other in zip(found_gradients, torch.autograd.grad(expected, vectors), strict=True):
        torch.testing.assert_close(one, other, atol=1e-6, rtol=1e-4)


@pytest.mark.parametrize(("dropout", "expected"), [("off", False), ("checkpoint", True)])
def test_dropout_is_on_only_if_the_recipe_says_so(
    dropout: Any, expected: bool, make_model: Any, make_examples: Any
) -> None:
    model = make_model(dropout=0.5)
    module = _module(model, Recipe(steps=2, dropout=dropout))
    modes: list[bool] = []
    drop = next(m for m in model.modules() if isinstance(m, torch.nn.Dropout))
    drop.register_forward_hook(lambda m, _i, _o: modes.append(m.training))
    examples = make_examples(3, 2)
    trainer = _fit(module, examples)
    assert modes
    assert set(modes) == {expected}
    modes.clear()
    with quiet_lightning():
        trainer.test(module, DataLoader(examples, batch_size=2, collate_fn=collate), verbose=False)
    assert set(modes) == {False}


def test_checkpoint_holds_no_backbone_and_resumes(make_model: Any, make_examples: Any, tmp_path: Path) -> None:
    examples, recipe = make_examples(5, 3), Recipe(steps=6, warmup_ratio=0.0, learning_rate=0.05)
    whole = _module(make_model(), recipe)
    _fit(whole, examples)

    half = _module(make_model(), recipe)
    trainer = _fit(half, examples, max_steps=3)
    path = tmp_path / "half.ckpt"
    trainer.save_checkpoint(path)
    state = torch.load(path, weights_only=False)["state_dict"]
    assert state
    assert all(name.startswith("adaptation.") for name in state)
    assert path.stat().st_size < 100_000

    resumed = _module(make_model(), recipe)
    _fit(resumed, examples, resume=path)
    for name, vector in _vectors(whole).items():
        torch.testing.assert_close(_vectors(resumed)[name], vector, atol=0, rtol=0)
        assert (_vectors(half)[name] != vector).any()


def test_ranking_is_one_function_for_every_stage(make_model: Any, make_examples: Any) -> None:
    model, examples = make_model(), make_examples(8, 6)
    examples = [Encoded(e.input_ids, e.choices, e.gold, example=e.example) for e in examples]
    module = TFewModule(model, None, Recipe(), choices=6)
    loader: Any = DataLoader(examples, batch_size=2, collate_fn=collate)  # type: ignore[arg-type]
    flags: dict[str, Any] = {"accelerator": "cpu", "devices": 1, "logger": False, "enable_checkpointing": False,
                             "enable_progress_bar": False, "enable_model_summary": False}  # fmt: skip
    tables = []
    with quiet_lightning():
        trainer = pl.Trainer(**flags)
        for stage in (
            lambda: trainer.validate(module, loader, verbose=False),
            lambda: trainer.test(module, loader, verbose=False),
            lambda: trainer.predict(module, loader),
        ):
            stage()
            tables.append(module.predictions.table())
    with torch.no_grad():
        for row, example in enumerate(examples):
            log_p = score_choices(model, collate([example])).log_probability[0]
            means = [float(log_p[i, : len(c)].mean()) for i, c in enumerate(example.choices)]
            assert tables[0]["predicted"][row] == means.index(max(means))
    assert tables[0].equals(tables[1])
    assert tables[0].equals(tables[2])
    assert len(tables[0]) == 6


def test_ranking_without_length_normalization(make_model: Any) -> None:
    model = make_model()
    example = Encoded((5, 1), ((9, 1), (9, 9, 9, 9, 1)), 0)
    with torch.no_grad():
        log_p = score_choices(model, collate([example])).log_probability[0]
        scores = TFewModule(model, None, Recipe(length_normalized_ranking=False), 2).predict_step(collate([example]))
        means = TFewModule(model, None, Recipe(), 2).predict_step(collate([example]))
    torch.testing.assert_close(scores[0], log_p.sum(-1))
    torch.testing.assert_close(means[0], log_p.sum(-1) / torch.tensor([2.0, 5.0]))


def test_the_loss_function_is_the_modules_loss_on_what_is_attached(make_model: Any, make_examples: Any) -> None:
    model, batch, recipe = make_model(), collate(make_examples(5, 3)), Recipe(unlikelihood_weight=0.5)
    loss = loss_function(model, recipe)
    before = loss(batch)
    module = _module(model, recipe)
    assert module.adaptation is not None
    for parameter in module.adaptation.parameters():
        parameter.data.mul_(1.3)
    assert loss(batch) == module.losses(batch) != before
