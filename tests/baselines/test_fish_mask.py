import copy
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from transformers import Adafactor

from baselines.fish_mask import FishMask, FishMaskAdaptation, SmallFishMask, chunks
from tfew_pl.encoding import Encoded, collate
from tfew_pl.errors import UserError
from tfew_pl.module import TFewModule, loss_function
from tfew_pl.recipe import Recipe
from tfew_pl.setting import Setting
from tfew_pl.shapes import empty_backbone

Examples = Callable[..., list[Encoded]]


def _attach(model: nn.Module, setting: Setting | None, **options: Any) -> FishMaskAdaptation:
    adaptation = FishMask(options).attach(model, generator=torch.Generator(), setting=setting)
    assert isinstance(adaptation, FishMaskAdaptation)
    return adaptation


def _fisher(model: nn.Module, setting: Setting) -> dict[str, Tensor]:
    """By a double loop, over examples and tensors, on a model of its own that is trained whole."""
    total = {name: torch.zeros_like(p) for name, p in model.named_parameters()}
    for batch in setting.batches():
        model.zero_grad()
        setting.loss(batch).backward()
        for name, parameter in model.named_parameters():
            if parameter.grad is not None:
                total[name] += parameter.grad**2
    return total


def _places(adaptation: FishMaskAdaptation) -> set[tuple[str, int]]:
    return {(key.replace("/", "."), place) for key in adaptation.values
            for place in adaptation.places.get_buffer(key).tolist()}  # fmt: skip


def test_counts_on_t0_3b() -> None:
    weights = 2_849_757_184
    for method, chosen in ((FishMask(), 5_699_514), (SmallFishMask(), 569_951)):
        counts = method.attach(empty_backbone("t0-3b"), generator=torch.Generator()).counts()
        # The paper's 6M and 600K are 0.2 % and 0.02 % of 3B; of the model's weights they are 5.7M and 570K.
        assert counts.trainable == chosen == int(weights * method.config.keep)
        assert counts.stored == 2 * chosen + 558  # a place and a value each, and a count for every tensor
        assert counts.inference_extra == 0


@pytest.mark.parametrize("kind", ["untied", "tied"])
@pytest.mark.parametrize("chunk", [1 << 28, 3000, 1])
def test_the_largest_fisher_information_over_all_tensors_is_chosen(
    kind: str, chunk: int, make_model: Any, make_setting: Any
) -> None:
    model, plain = make_model(kind), make_model(kind)
    adaptation = _attach(model, make_setting(model), keep=0.01, fisher_chunk=chunk)
    fisher = _fisher(plain, make_setting(plain))
    ranked = sorted(((float(value), name, place) for name, information in fisher.items()
                     for place, value in enumerate(information.flatten())), reverse=True)  # fmt: skip
    count = int(0.01 * len(ranked))
    assert count > 300
    # Summed in another order, equal ones may change places at the border.
    border = ranked[count][0] * (1 + 1e-4)
    certain = {(name, place) for value, name, place in ranked[:count] if value > border}
    found = _places(adaptation)
    assert len(found) == count == adaptation.counts().trainable
    assert certain <= found
    assert len(certain) > count - 5
    assert len({name for name, _ in found}) > 10


def test_chunks_hold_at_most_so_many_values() -> None:
    parameters = {str(number): nn.Parameter(torch.zeros(size)) for number, size in enumerate((3, 2, 7, 1, 1, 4))}
    assert [[len(p) for p in group] for group in chunks(parameters, 5)] == [[3, 2], [7], [1, 1], [4]]
    assert [[len(p) for p in group] for group in chunks(parameters, 100)] == [[3, 2, 7, 1, 1, 4]]


def test_choosing_sees_no_dropout_and_leaves_no_trace(make_model: Any, make_setting: Any) -> None:
    still, lively = make_model(), make_model(dropout=0.5)
    lively.train()
    lively.lm_head.eval()
    modes = [m.training for m in lively.modules()]
    expected = _places(_attach(still, make_setting(still)))
    with torch.no_grad():  # wherever it is called from
        assert _places(_attach(lively, make_setting(lively))) == expected
    assert [m.training for m in lively.modules()] == modes
    assert all(not p.requires_grad and p.grad is None for p in lively.parameters())


@pytest.mark.parametrize("kind", ["untied", "tied"])
def test_gradients_are_the_model_s_own_at_the_chosen_places(
    kind: str, make_model: Any, make_setting: Any, make_examples: Examples
) -> None:
    model, plain, batch = make_model(kind), make_model(kind), collate(make_examples(1, 4))
    adaptation = _attach(model, make_setting(model), keep=0.02)
    loss_function(model, Recipe())(batch).backward()
    loss_function(plain, Recipe())(batch).backward()
    parameters = dict(plain.named_parameters())
    for key, values in adaptation.values.items():
        dense = parameters[key.replace("/", ".")].grad
        assert dense is not None
        assert values.grad is not None
        expected = dense.flatten()[adaptation.places.get_buffer(key).long()]
        torch.testing.assert_close(values.grad[0], expected, rtol=1e-4, atol=1e-6)


def test_only_the_chosen_weights_change(make_model: Any, make_setting: Any) -> None:
    model = make_model()
    adaptation = _attach(model, make_setting(model), keep=0.02)
    for name, own in model.named_parameters():
        assert torch.equal(adaptation.weight(name), own)
    for values in adaptation.values.values():
        values.data.add_(1.0)
    changed = {
        (name, place)
        for name, own in model.named_parameters()
        for place in (adaptation.weight(name) != own).flatten().nonzero().flatten().tolist()
    }
    assert changed == _places(adaptation)


def test_the_file_holds_places_and_values_only(make_model: Any, make_setting: Any, make_examples: Examples) -> None:
    model = make_model()
    setting = make_setting(model)
    adaptation = _attach(model, setting, keep=0.02)
    count, tensors = adaptation.counts().trainable, len(list(model.parameters()))
    for values in adaptation.values.values():
        values.data.mul_(1.5)
    stored = copy.deepcopy(adaptation.stored())
    assert {name: (tuple(t.shape), t.dtype) for name, t in stored.items()} == {
        "counts": ((1, tensors), torch.int32),
        "places": ((1, count), torch.int32),
        "values": ((1, count), torch.float32),
    }
    weights = {name: adaptation.weight(name).detach() for name in adaptation._own}
    adaptation.detach()
    others = replace(setting, batches=lambda: (collate([e]) for e in make_examples(77, 2)))
    other = _attach(model, others, keep=0.02)
    assert not torch.equal(other.stored()["places"], stored["places"])
    other.load_stored(stored)
    assert all(torch.equal(other.weight(name), weight) for name, weight in weights.items())
    assert all(torch.equal(other.stored()[name], tensor) for name, tensor in stored.items())


def test_places_that_are_none_of_the_backbone_are_refused(make_model: Any, make_setting: Any) -> None:
    model = make_model()
    adaptation = _attach(model, make_setting(model), keep=0.02)
    stored = copy.deepcopy(adaptation.stored())
    beyond = {**stored, "places": stored["places"] + 10**6}
    with pytest.raises(UserError, match="places are none of this backbone's"):
        adaptation.load_stored(beyond)
    with pytest.raises(UserError, match="counts do not fit"):
        adaptation.load_stored({**stored, "counts": stored["counts"] + 1})
    assert all(torch.equal(adaptation.stored()[name], tensor) for name, tensor in stored.items())


@pytest.mark.parametrize(("options", "message"), [
    ({"keep": 0.0}, r"keep must lie in \(0, 1\], not 0.0"), ({"keep": 1.5}, "keep must lie in"),
    ({"fisher_chunk": 0}, "fisher_chunk must be at least 1"),
])  # fmt: skip
def test_impossible_budgets_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        FishMask(options)


def test_it_asks_for_the_training_examples(make_model: Any) -> None:
    with pytest.raises(UserError, match=r"method fish-mask-0.2 needs the run's training examples"):
        _attach(make_model(), None)


def test_recipe() -> None:
    assert FishMask.recipe == SmallFishMask.recipe == {"steps": 1500, "learning_rate": 3e-4}
    assert (FishMask().config.keep, SmallFishMask().config.keep) == (0.002, 0.0002)


def test_it_trains_as_full_fine_tuning_with_masked_gradients(
    make_model: Any, make_setting: Any, make_examples: Examples
) -> None:
    """By transformers' optimizer on all weights, as the release has it (App. D)."""
    model, plain = make_model("untied"), make_model("untied")
    adaptation = _attach(model, make_setting(model), keep=0.01)
    masks = {name: torch.zeros_like(parameter) for name, parameter in plain.named_parameters()}
    for name, place in _places(adaptation):
        masks[name].view(-1)[place] = 1
    theirs = Adafactor(plain.parameters(), lr=3e-4, relative_step=False, scale_parameter=True)
    module = TFewModule(model, adaptation, Recipe(), choices=3)
    ours = module.configure_optimizers()["optimizer"]
    ours.param_groups[0]["lr"] = 3e-4  # without the schedule
    batch = collate(make_examples(3, 4))
    for _ in range(4):
        ours.zero_grad()
        module.losses(batch).backward()
        ours.step()
        plain.zero_grad()
        loss_function(plain, Recipe())(batch).backward()
        for name, parameter in plain.named_parameters():
            parameter.grad = masks[name] * (0 if parameter.grad is None else parameter.grad)
        theirs.step()
    moved = 0.0
    for name, parameter in plain.named_parameters():
        torch.testing.assert_close(adaptation.weight(name).detach(), parameter.detach(), atol=1e-6, rtol=1e-4)
        moved += float((adaptation.weight(name).detach() - dict(model.named_parameters())[name]).abs().max())
    assert moved > 1e-3
