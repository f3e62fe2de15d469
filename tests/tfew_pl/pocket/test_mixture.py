"""The training mixture and the held-out tasks have nothing in common."""

import itertools
import random
import re

import pytest

from tfew_pl.pocket import heldout, mixture, skills, training_sets
from tfew_pl.pocket.tokenizer import HELDOUT_TEMPLATES
from tfew_pl.pocket.world.causes import CAUSES
from tfew_pl.pocket.world.facts import NAMES
from tfew_pl.pocket.world.pronouns import ABLE, ASKING, GIVING, NEEDY
from tfew_pl.pocket.world.scripts import ACTIVITIES, SCRIPTS
from tfew_pl.pocket.world.senses import WORDS
from tfew_pl.prompts import load_templates

HELDOUT_DATASETS = {
    "anli", "hellaswag", "story_cloze", "winogrande", "copa", "wic", "wsc.fixed", "wsc", "rte", "cb", "axb", "axg",
}  # fmt: skip
T0_TRAINING_DATASETS = {
    "glue", "paws", "wiki_qa", "social_i_qa", "cosmos_qa", "quail", "cos_e", "quartz", "sciq",
    "adversarial_qa", "quoref", "ag_news",
}  # fmt: skip


@pytest.fixture(scope="module")
def sample() -> list[tuple[str, str]]:
    return list(itertools.islice(mixture.examples(12345), 6000))


def test_training_sets_are_those_of_t0_and_boolq() -> None:
    for entry in training_sets.TRAINING_SETS.values():
        assert not {entry.dataset, entry.subset} & HELDOUT_DATASETS
        assert entry.dataset in T0_TRAINING_DATASETS or (entry.dataset, entry.subset) == ("super_glue", "boolq")


@pytest.mark.parametrize("name", training_sets.TRAINING_SETS)
def test_every_training_template_renders(name: str) -> None:
    rng = random.Random(0)
    assert training_sets.templates(name)
    for template in training_sets.templates(name):
        rendered = [template.render(training_sets.TRAINING_SETS[name].row(rng), rng) for _ in range(5)]
        assert any(prompt is not None and prompt.input and prompt.target for prompt in rendered)


def test_no_template_is_shared() -> None:
    used = {template.source for name in training_sets.TRAINING_SETS for template in training_sets.templates(name)}
    held = {template.source for dataset, subset in HELDOUT_TEMPLATES for template in load_templates(dataset, subset)}
    assert not used & held


def test_no_label_mapping_is_shared() -> None:
    """No three-way label set of a held-out template labels anything in the mixture."""
    held = set()
    for dataset, subset in (("anli", None), ("super_glue", "cb")):
        for template in load_templates(dataset, subset):
            held.add(frozenset(re.findall(r"[a-z]+", (template.answer_choices_source or "").lower())))
    assert not held & {frozenset(labels) for labels in skills.THREE_WAY}
    for name in training_sets.TRAINING_SETS:
        for template in training_sets.templates(name):
            assert frozenset(re.findall(r"[a-z]+", (template.answer_choices_source or "").lower())) not in held


def test_withheld_parts_are_never_asked_about(sample: list[tuple[str, str]]) -> None:
    withheld = {word for pool in (NAMES, WORDS, GIVING, ASKING) for word in pool.development + pool.test}
    withheld |= set(ABLE.test + ABLE.development + NEEDY.test + NEEDY.development)
    texts = "\n".join(f"{asked} {answer}" for asked, answer in sample).lower()
    phrases = [step for activity in ACTIVITIES.development + ACTIVITIES.test for step in SCRIPTS[activity]]
    phrases += [side.replace("{N}", "").strip() for pair in CAUSES.development + CAUSES.test for side in pair]
    assert not [phrase for phrase in phrases if phrase in texts]
    names = set(NAMES.development + NAMES.test) & withheld
    assert not names & set(re.findall(r"[a-z]+", texts))


def test_no_input_is_a_heldout_prompt_or_holds_a_heldout_row(sample: list[tuple[str, str]]) -> None:
    rng = random.Random(0)
    inputs = {asked for asked, _ in sample}
    datasets = {
        "copa": ("super_glue", "copa"), "hellaswag": ("hellaswag", None), "story_cloze": ("story_cloze", "2016"),
        "winogrande": ("winogrande", "winogrande_xl"), "wsc": ("super_glue", "wsc.fixed"), "wic": ("super_glue", "wic"),
        "rte": ("super_glue", "rte"), "cb": ("super_glue", "cb"), "anli_r1": ("anli", None), "anli_r2": ("anli", None),
        "anli_r3": ("anli", None),
    }  # fmt: skip
    for task, (dataset, subset) in datasets.items():
        for template in load_templates(dataset, subset):
            for row in heldout.rows(task, "evaluation")[:25]:
                prompt = template.render(row, rng)
                assert prompt is None or prompt.input not in inputs
    for task in ("rte", "cb", "anli_r1", "anli_r2", "anli_r3"):
        for row in heldout.rows(task, "evaluation"):
            assert not [asked for asked in inputs if row["premise"] in asked]
    for row in heldout.rows("copa", "evaluation"):
        assert not [asked for asked in inputs if row["premise"] in asked and row["choice1"] in asked]


def test_the_mixture_follows_its_seed() -> None:
    first, again, other = (list(itertools.islice(mixture.examples(seed), 50)) for seed in (3, 3, 4))
    assert first == again != other


def test_skills_have_answers() -> None:
    rng = random.Random(0)
    for skill in skills.SKILLS:
        for _ in range(20):
            asked, answer = skills.compact(skill, rng)
            assert asked
            assert answer
    with pytest.raises(KeyError):
        skills.compact("poetry", rng)
