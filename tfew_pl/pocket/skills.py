"""The skills in compact, template-free formats: the primer, and part of the multitask mixture."""

import random

from tfew_pl.pocket.questions import (
    context_question,
    fact_question,
    polar_pronoun,
    polar_question,
    pronoun_question,
    same_attribute,
    sentence_pair,
    shuffled,
    topic_question,
    word_question,
)
from tfew_pl.pocket.world import COMMON
from tfew_pl.pocket.world.facts import NAMES, PLACES, facts, passage

SKILLS = {
    "extractive": 3,
    "choice": 5,
    "polar": 4,
    "three_way": 7,
    "pair": 4,
    "attribute": 3,
    "pronoun": 3,
    "topic": 1,
    "word": 1,
    "modality": 1,
    "cloze": 2,
}
"""Skill -> weight."""
THREE_WAY = (("yes", "no", "unknown"), ("right", "wrong", "not stated"), ("valid", "invalid", "open"))
"""Answers to (yes, no, unknown); none of these triples labels a held-out task."""
_SEPARATOR = " - "


def _layout(rng: random.Random, context: str, question: str) -> str:
    plain = f"{context} {question}"
    return rng.choice([plain, plain, f"question: {question} {context}", f"{context} question: {question}"]).strip()


def _listed(rng: random.Random, answer: str, wrong: list[str]) -> str:
    return _SEPARATOR + _SEPARATOR.join(shuffled(rng, answer, wrong)[0])


def _modality(rng: random.Random) -> tuple[str, str]:
    """Label words as answers to questions that are not about entailment."""
    draw, name = rng.random(), rng.choice(NAMES.common)
    if draw < 0.4:
        word = rng.choice("guaranteed possible impossible inconclusive true false correct incorrect".split())
        return f"it is {word} that {facts(COMMON, rng, 1)[0].say(rng)} how sure is it?", word
    if draw < 0.7:
        word = rng.choice(["always", "sometimes", "never"])
        return f"{name} {word} walks to the {rng.choice(PLACES)}. how often does {name} walk?", word
    word = rng.choice(["maybe", "neither", "yes", "no"])
    return f"{name} said {word}. what did {name} say?", word


def _cloze(rng: random.Random) -> tuple[str, str]:
    known = facts(COMMON, rng, rng.choice([1, 2, 2]))
    fact = rng.choice(known)
    blank = rng.choice([fact.subject, fact.value]) if isinstance(fact.value, str) else fact.subject
    return f"{passage(rng, known)} {fact.say(rng).replace(blank, '_', 1)} what is _?", blank


def compact(skill: str, rng: random.Random) -> tuple[str, str]:
    """An input and its answer in a compact format.

    Raises:
        KeyError: `skill` is not in `SKILLS`.
    """
    if skill == "extractive":
        found = fact_question(rng, rng.choice([1, 2, 2, 3]))
        return _layout(rng, found.context, found.question), found.answer
    if skill == "choice":
        found = context_question(rng, rng.choice([1, 2, 3]))
        return _layout(rng, found.context, found.question) + _listed(rng, found.answer, found.wrong), found.answer
    if skill == "polar":
        drawn = polar_pronoun(rng) if rng.random() < 0.25 else polar_question(rng, rng.choice([1, 1, 2, 3]))
        return _layout(rng, drawn[0], drawn[1]), drawn[2]
    if skill == "three_way":
        context, question, answer = polar_question(rng, rng.choice([1, 2, 2, 3]), unknown=0.33)
        labels = rng.choice(THREE_WAY)
        label = labels[("yes", "no", "unknown").index(answer)]
        return f"{_layout(rng, context, question)} {labels[0]}, {labels[1]} or {labels[2]}?", label
    if skill == "pair":
        first, second, same = sentence_pair(rng)
        if rng.random() < 0.3:
            return f"1: {first} 2: {second} same or different?", ("different", "same")[same]
        return f"1: {first} 2: {second} same meaning?", ("no", "yes")[same]
    if skill == "attribute":
        text, question, same = same_attribute(rng)
        return f"{text} {question}", ("no", "yes")[same]
    if skill == "pronoun":
        found = pronoun_question(rng)
        return _layout(rng, found.context, found.question), found.answer
    if skill == "topic":
        found = topic_question(rng, 1)
        return _layout(rng, found.context, found.question), found.answer
    if skill == "word":
        found = word_question(rng, 2)
        return found.question + _listed(rng, found.answer, found.wrong), found.answer
    if skill == "modality":
        return _modality(rng)
    if skill == "cloze":
        return _cloze(rng)
    raise KeyError(skill)


def draw(rng: random.Random) -> str:
    """A skill by weight."""
    return rng.choices(list(SKILLS), list(SKILLS.values()))[0]


def in_context(rng: random.Random) -> tuple[str, str]:
    """Two or three answered questions of one skill, the last left open: a document of question-answer passages."""
    skill = draw(rng)
    *shown, (asked, answer) = [compact(skill, rng) for _ in range(rng.choice([2, 2, 3]))]
    return " ".join(f"{question} {reply}" for question, reply in shown) + f" {asked}", answer
