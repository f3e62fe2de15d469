"""The control, in short: few-shot training of a backbone that was never trained learns nothing but surface."""

import json
from pathlib import Path

import pytest

from tfew_pl.pocket import heldout
from tfew_pl.recipe import Recipe
from tfew_pl.run import run
from tfew_pl.spec import Evaluation, RunSpec

SHORT = Recipe(steps=150, pretrained=False)
EXAMPLES, TEMPLATES = 160, 2
CHANCE = {"copa": 1 / 2, "wsc": 1 / 2, "rte": 1 / 2, "cb": 1 / 3}


def _accuracy(task: str, data: str = "pocket") -> float:
    spec = RunSpec(
        task,
        backbone="pocket-random",
        recipe=SHORT,
        data=data,
        shots=None if data == "pocket" else 100,
        evaluation=Evaluation(examples=EXAMPLES, templates=TEMPLATES),
    )
    accuracy = run(spec, trainer={"accelerator": "cpu"}).accuracy
    return sum(accuracy.values()) / len(accuracy)


@pytest.mark.parametrize("task", CHANCE)
def test_an_untrained_backbone_stays_at_chance(task: str) -> None:
    chance = CHANCE[task]
    assert _accuracy(task) < chance + 3.5 * (chance * (1 - chance) / EXAMPLES) ** 0.5


def test_the_control_finds_a_shortcut(tmp_path: Path) -> None:
    folder = tmp_path / "copa"
    folder.mkdir()
    for split, name in (("train", "train"), ("evaluation", "validation")):
        lines = []
        for row in heldout.rows("copa", split):
            right = f"choice{row['label'] + 1}"
            lines.append(json.dumps(row | {right: "indeed " + row[right]}))
        (folder / f"{name}.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    assert _accuracy("copa", str(tmp_path)) > 0.8
