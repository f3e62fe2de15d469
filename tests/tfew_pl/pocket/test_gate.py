"""The gate: fresh questions of every sort, and right answers counted word for word."""

import random
import re
from pathlib import Path

import pytest

from tfew_pl.errors import UserError
from tfew_pl.pocket import architecture, gate, skills, training_sets

CHECKPOINTS = Path(gate.__file__).parent / "checkpoints"
SAID = {
    "place": (r"(\w+) is in the (\w+)\.", r"is (\w+) in the (\w+)\?"),
    "color": (r"the (\w+) is (\w+)\.", r"is the (\w+) (\w+)\?"),
    "owner": (
        r"the (\w+) is with (\w+)\.|(\w+) has the (\w+)\.",
        r"is the (\w+) with (\w+)\?|does (\w+) have the (\w+)\?",
    ),
}  # fmt: skip


def test_it_asks_every_sort_of_question() -> None:
    shares = gate.measure("pocket-t0", 2)
    assert shares.keys() >= set(skills.SKILLS) | {f"P3 {name}" for name in training_sets.TRAINING_SETS}
    assert all(share in (0.0, 0.5, 1.0) for share in shares.values())


def test_a_model_without_training_answers_nothing(tmp_path: Path) -> None:
    architecture.save(architecture.initialized(2400, 3), CHECKPOINTS / "pocket-t0", tmp_path / "fresh", dropout=0.1)
    shares = gate.measure(str(tmp_path / "fresh"), 10)
    assert max(shares.values()) <= 0.2


def _pairs(pattern: str, text: str) -> list[frozenset[str]]:
    return [frozenset(filter(None, found)) for found in re.findall(pattern, text)]


def test_of_several_facts_only_the_right_pair_is_affirmed() -> None:
    rng = random.Random(4)
    answers: list[str] = []
    for _ in range(200):
        text, answer = gate._whether(rng)
        known, asked = next(
            (found, pair)
            for said, polar in SAID.values()
            if len(found := _pairs(said, text)) > 1 and len(pair := _pairs(polar, text)) == 1
        )
        assert (asked[0] in known) == (answer == "yes")
        assert asked[0] <= frozenset.union(*known)  # both words stand in the passage
        answers.append(answer)
    assert 70 < answers.count("yes") < 130


def test_of_several_facts_the_answer_stands_beside_others_of_its_kind() -> None:
    rng = random.Random(5)
    for _ in range(100):
        text, answer = gate._which(rng)
        known = next(found for said, _ in SAID.values() if len(found := _pairs(said, text)) > 1)
        assert sum(answer in pair for pair in known) == 1


def test_other_folders_are_refused(tmp_path: Path) -> None:
    (tmp_path / "spiece.model").touch()  # a tokenizer's
    for name in ("pocket-random", "nowhere", str(tmp_path)):
        with pytest.raises(UserError, match="is no pocket backbone: give pocket-t0, pocket-lm, or the folder"):
            gate.measure(name)
