"""Which strategy is chosen, and what cannot be sharded; tests/experiments/test_several_devices.py has them compute."""

from pathlib import Path
from typing import Any

import pytest

from tfew_pl import run as module
from tfew_pl.compiled import CompiledStacks
from tfew_pl.errors import UserError
from tfew_pl.quiet import quiet_lightning
from tfew_pl.recipe import Recipe
from tfew_pl.run import run, run_group
from tfew_pl.spec import RunSpec
from tfew_pl.strategies import FrozenBackboneDDP, ShardedBackbone, find_strategy, is_sharded
from tfew_pl.trainer import make_trainer

SCRATCH = Recipe(steps=1, pretrained=False)
SHARDED = {"accelerator": "cpu", "devices": 2, "strategy": "fsdp"}


def test_strategies_by_name() -> None:
    assert type(find_strategy("fsdp", 2)) is ShardedBackbone
    assert type(find_strategy("ddp", 1)) is FrozenBackboneDDP
    assert type(find_strategy("auto", 2)) is FrozenBackboneDDP
    assert find_strategy("auto", 1) == find_strategy("auto", "auto") == "auto"
    own = FrozenBackboneDDP()
    assert find_strategy(own, 2) is own
    with quiet_lightning():
        assert [is_sharded(make_trainer(SCRATCH, options={**SHARDED, "strategy": s})) for s in ("fsdp", "ddp")] == [
            True,
            False,
        ]


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ({"method": "full"}, "weights that the method changes are not: use --strategy ddp"),
        ({"method": "fish-mask-0.2"}, "weights that the method changes are not"),
        ({"precision": "int8"}, "weights quantized to int8 are not"),
        ({"recipe": Recipe(steps=1, batch_size=3, pretrained=False)}, "a batch of 3 cannot be divided into 2 equal"),
    ],
)
def test_what_cannot_be_is_refused_before_weights_are_loaded(
    spec: dict[str, Any], message: str, backbone_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "load_for", lambda *_: pytest.fail("weights were loaded"))
    monkeypatch.setattr(module, "resolve", lambda spec: spec)
    asked = RunSpec("rte", str(backbone_folder), **{"recipe": SCRATCH, **spec})
    with pytest.raises(UserError, match=message) as caught:
        run(asked, trainer=SHARDED)
    assert "\n" not in str(caught.value)


def test_a_causal_backbone_is_not_sharded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "resolve", lambda spec: spec)
    (tmp_path / "config.json").write_text('{"model_type": "gpt2"}')
    with pytest.raises(UserError, match="is no T5, and no other is: use --strategy ddp"):
        run(RunSpec("rte", str(tmp_path), method="in-context"), trainer=SHARDED)


def test_a_compiled_backbone_is_not_sharded(backbone_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "resolve", lambda spec: spec)
    monkeypatch.setattr(module, "load_for", None)  # it is refused before anything is loaded
    flags = {**SHARDED, "callbacks": [CompiledStacks("eager")]}
    with pytest.raises(UserError, match="--compile cannot be used with --strategy fsdp"):
        run(RunSpec("rte", str(backbone_folder), recipe=SCRATCH), trainer=flags)


def test_runs_that_are_trained_together_are_not_sharded(backbone_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "resolve", lambda spec: spec)
    specs = [RunSpec("rte", str(backbone_folder), seed=seed, recipe=SCRATCH) for seed in (0, 1)]
    with pytest.raises(ValueError, match="sharded for one run at a time"):
        run_group(specs, trainer=SHARDED)
