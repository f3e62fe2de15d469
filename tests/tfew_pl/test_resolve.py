from pathlib import Path

import pytest

from tfew_pl import backbones
from tfew_pl.errors import UserError
from tfew_pl.recipe import Recipe
from tfew_pl.resolve import resolve
from tfew_pl.spec import RunSpec

SCRATCH = Recipe(pretrained=False)


def test_revisions_are_filled_in(backbone_folder: Path) -> None:
    spec = resolve(RunSpec("rte", backbone=str(backbone_folder), recipe=SCRATCH))
    assert spec.revisions.backbone == backbones.revision(str(backbone_folder))
    assert spec.revisions.data
    assert spec.revisions.initial == ""
    assert resolve(spec) == spec


def test_every_problem_is_reported_at_once() -> None:
    with pytest.raises(UserError) as caught:
        resolve(RunSpec("rtee", backbone="nothing", method="ia33"))
    for part in ("unknown task 'rtee'", "unknown backbone 'nothing'", "unknown method 'ia33'"):
        assert part in str(caught.value)


def test_pretrained_vectors_are_known_for_few_backbones(backbone_folder: Path) -> None:
    with pytest.raises(UserError, match=r"no pre-trained ia3 vectors are known .* --without pretraining") as caught:
        resolve(RunSpec("rte", backbone=str(backbone_folder)))
    assert "`tfew pretrain` makes one, `tfew import` reads the release's" in str(caught.value)


@pytest.mark.parametrize("method", ["zero-shot", "in-context"])
def test_untrained_runs_need_no_pretrained_vectors(method: str, backbone_folder: Path) -> None:
    assert resolve(RunSpec("rte", method=method, backbone=str(backbone_folder))).revisions.initial == ""


def test_more_shots_than_there_are(backbone_folder: Path) -> None:
    with pytest.raises(UserError, match="task rte: 100000 shots asked of"):
        resolve(RunSpec("rte", backbone=str(backbone_folder), recipe=SCRATCH, shots=100_000))


def test_unknown_option(backbone_folder: Path) -> None:
    with pytest.raises(UserError, match="method ia3 has no option rank"):
        resolve(RunSpec("rte", backbone=str(backbone_folder), recipe=SCRATCH, options={"rank": 1}))


def test_nothing_is_loaded(backbone_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backbones, "load_backbone", lambda *_: pytest.fail("weights were loaded"))
    resolve(RunSpec("rte", backbone=str(backbone_folder), recipe=SCRATCH))
