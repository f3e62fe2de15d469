"""The control: few-shot training of a backbone that was never trained learns nothing but surface."""

import json
from collections import defaultdict
from pathlib import Path
from statistics import mean

import pytest

from tfew_pl.pocket import heldout
from tfew_pl.recipe import Recipe
from tfew_pl.run import run
from tfew_pl.spec import Evaluation, RunSpec
from tfew_pl.store import RunStore
from tfew_pl.tasks import get_task

RESULTS = Path(__file__).parents[3] / "results" / "pocket" / "records"
SHORT = Recipe(steps=150, pretrained=False)
EXAMPLES, TEMPLATES = 160, 2


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


@pytest.mark.parametrize("task", ["copa", "wsc", "rte", "cb"])
def test_an_untrained_backbone_stays_at_chance(task: str) -> None:
    """In short, live."""
    chance = get_task(task).chance
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


def test_the_whole_control_stayed_at_chance() -> None:
    """The committed records: 1,000 steps, every task, five splits, every template."""
    store = RunStore(RESULTS)
    found: dict[str, list[float]] = defaultdict(list)
    for record in store.records():
        if record.spec.backbone == "pocket-random" and record.spec.method == "ia3":
            assert record.spec.recipe == Recipe(pretrained=False)
            found[record.spec.task] += record.accuracy.values()
    assert found.keys() == set(heldout.TASKS)
    for task, accuracies in found.items():
        chance = get_task(task).chance
        assert mean(accuracies) < chance + 2.5 * (chance * (1 - chance) / heldout.SIZES["evaluation"]) ** 0.5, task
