"""What a pocket backbone has learned of what it was trained on: the gate before any held-out task is looked at."""

import random
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from transformers import AutoTokenizer

from tfew_pl.errors import UserError
from tfew_pl.pocket import architecture, skills, training_sets
from tfew_pl.pocket.mixture import Example
from tfew_pl.pocket.world import COMMON
from tfew_pl.pocket.world.facts import Fact, facts, passage
from tfew_pl.quiet import quiet_transformers

CHECKPOINTS = Path(__file__).parent / "checkpoints"
_FUNCTIONAL = ("place", "color", "owner")
"""Kinds of facts of which a subject has one value only."""


def _alike(rng: random.Random) -> list[Fact]:
    """Two or three facts of one kind."""
    count = rng.choice([2, 3])
    while True:
        known = facts(COMMON, rng, count)
        if known[0].kind in _FUNCTIONAL and len({fact.kind for fact in known}) == 1:
            return known


def _which(rng: random.Random) -> Example:
    """One of them asked for, as in "tom is in the attic. ben is in the office. where is ben?"."""
    known = _alike(rng)
    question, answer = rng.choice(known).wh(rng)
    return f"{passage(rng, known)} {question}", answer


def _whether(rng: random.Random) -> Example:
    """One of them, or two mixed, to be affirmed or denied: only what belongs to whom decides."""
    known = _alike(rng)
    fact, other = rng.sample(known, 2)
    right = rng.random() < 0.5
    asked = fact if right else Fact(fact.kind, fact.subject, other.value)
    return f"{passage(rng, known)} {asked.polar(rng)}", "yes" if right else "no"


def _questions() -> dict[str, Callable[[random.Random], Example]]:
    def skill(name: str) -> Callable[[random.Random], Example]:
        return lambda rng: skills.compact(name, rng)

    def prompted(name: str) -> Callable[[random.Random], Example]:
        def draw(rng: random.Random) -> Example:
            prompt = training_sets.prompted(name, rng)
            return prompt.input, prompt.target

        return draw

    named = {name: skill(name) for name in skills.SKILLS}
    named |= {"which of several": _which, "whether, of several": _whether, "in context": skills.in_context}
    return named | {f"P3 {name}": prompted(name) for name in training_sets.TRAINING_SETS}


def measure(name: str, count: int = 200, seed: int = 0) -> dict[str, float]:
    """Shares of fresh questions that a backbone answers word for word.

    Every token of the answer must be the likeliest, given those before it.

    Args:
        name: of a backbone that ships with the package, or the folder of one.
        count: questions of each sort.
        seed: of the questions.

    Returns:
        sort of question -> share, of every skill, of questions about one of several facts of one kind, of questions
        after answered ones, and of every training set through its templates.

    Raises:
        UserError: there is no such pocket backbone.
    """
    folder = CHECKPOINTS / name if "/" not in name and (CHECKPOINTS / name).is_dir() else Path(name)
    if not all((folder / file).is_file() for file in ("spiece.model", "model.safetensors")):
        raise UserError(f"{name} is no pocket backbone: give pocket-t0, pocket-lm, or the folder that a stage wrote")
    with quiet_transformers():
        tokenizer = AutoTokenizer.from_pretrained(folder)
        model = architecture.load(folder).eval()

    def right(examples: Sequence[Example]) -> float:
        asked, answers = zip(*examples, strict=True)
        batch = tokenizer(list(asked), padding=True, return_tensors="pt")
        labels = tokenizer(list(answers), padding=True, return_tensors="pt").input_ids
        with torch.no_grad():
            found = model(input_ids=batch.input_ids, attention_mask=batch.attention_mask, labels=labels).logits
        return ((found.argmax(-1) == labels) | (labels == 0)).all(1).float().mean().item()

    shares: dict[str, float] = {}
    for name, draw in _questions().items():
        rng = random.Random(f"gate {seed} {name}")
        shares[name] = right([draw(rng) for _ in range(count)])
    return shares
