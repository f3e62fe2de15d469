from pathlib import Path
from typing import Any

import pytest

from tfew_pl.errors import UserError
from tfew_pl.shapes import SHAPES, empty_backbone


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        # The sizes of the checkpoints on the hub.
        ("t5-small", 60_506_624),
        ("t5-base", 222_903_552),
        ("t5-large", 737_668_096),
        ("t5-3b", 2_851_598_336),
        ("t5-v1_1-small", 76_961_152),
        ("t5-v1_1-base", 247_577_856),
        ("t5-v1_1-large", 783_150_080),
        ("t0-3b", 2_849_757_184),
        ("t0", 11_135_332_352),
    ],
)
def test_a_backbone_has_as_many_parameters_as_its_checkpoint(name: str, parameters: int) -> None:
    model = empty_backbone(name)
    assert sum(p.numel() for p in model.parameters()) == parameters
    assert all(p.is_meta for p in model.parameters())
    assert (model.lm_head.weight is model.shared.weight) != SHAPES[name].gated


@pytest.mark.parametrize("kind", ["untied", "tied"])
def test_a_folder_is_counted_as_its_weights_are(kind: str, make_model: Any, tmp_path: Path) -> None:
    model = make_model(kind)
    model.save_pretrained(tmp_path)
    empty = empty_backbone(str(tmp_path))
    assert {n: p.shape for n, p in empty.named_parameters()} == {n: p.shape for n, p in model.named_parameters()}


def test_an_unknown_architecture_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="backbone nobody/nothing: its architecture is not known here; there are t0-3b"):
        empty_backbone("nobody/nothing")
    with pytest.raises(UserError, match=r"no readable config\.json"):
        empty_backbone(str(tmp_path))
    (tmp_path / "config.json").write_text('{"model_type": "bert"}')
    with pytest.raises(UserError, match="is not that of a T5"):
        empty_backbone(str(tmp_path))
