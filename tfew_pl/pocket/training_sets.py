"""Rows in the schemas of T0's training datasets (and BoolQ of T0++), and their P3 templates.

None of these datasets is of a family that the paper holds out (NLI, coreference, sentence completion, word sense).
"""

import random
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

from tfew_pl.pocket.questions import (
    Question,
    context_question,
    fact_question,
    others,
    polar_pronoun,
    polar_question,
    pronoun_question,
    sentence_pair,
    shuffled,
    word_question,
)
from tfew_pl.pocket.world import COMMON
from tfew_pl.pocket.world.facts import COLORS, NAMES, PLACES, THINGS, facts
from tfew_pl.pocket.world.senses import topic_sentence
from tfew_pl.prompts import Prompt, Template, load_templates

Row = dict[str, Any]
_NOT_ENOUGH = "not enough information"
_AG_NEWS = ("nature", "sport", "money", "computers")
_LETTERS = "A ||| B"


def _pair(rng: random.Random) -> Row:
    first, second, same = sentence_pair(rng)
    return {"sentence1": first, "sentence2": second, "label": same, "idx": 0, "id": 0}


def _boolq(rng: random.Random) -> Row:
    drawn = polar_pronoun(rng) if rng.random() < 0.25 else polar_question(rng, rng.choice([1, 2, 2, 3]))
    return {"passage": drawn[0], "question": drawn[1].rstrip("?"), "label": int(drawn[2] == "yes"), "idx": 0}


def _social(rng: random.Random) -> Row:
    context, question, answer, wrong = context_question(rng, 2)
    choices, index = shuffled(rng, answer, wrong)
    row = {"context": context, "question": question, "label": str(index + 1)}
    return row | {f"answer{letter}": choice for letter, choice in zip("ABC", choices, strict=True)}


def _cosmos(rng: random.Random) -> Row:
    context, question, answer, wrong = context_question(rng, 3)
    choices, index = shuffled(rng, answer, wrong)
    row = {"context": context, "question": question, "label": index, "id": ""}
    return row | {f"answer{place}": choice for place, choice in enumerate(choices)}


def _quail(rng: random.Random) -> Row:
    context, question, answer, wrong = context_question(rng, 2)
    choices, index = shuffled(rng, answer, [*wrong, _NOT_ENOUGH])
    known = NAMES.common + PLACES + THINGS + COLORS
    while rng.random() < 0.25:
        asked = fact_question(rng, 1)
        key = asked.question.rstrip("?").split()[-1]
        if asked.answer in known and asked.answer not in context and key not in context:
            question = asked.question
            choices, index = shuffled(rng, _NOT_ENOUGH, others(rng, asked.answer, 3))
            break
    return {"context": context, "question": question, "answers": choices, "correct_answer_id": index, "id": ""}


def _cose(rng: random.Random) -> Row:
    found = word_question(rng, 4) if rng.random() < 0.5 else context_question(rng, 4)
    choices, _ = shuffled(rng, found.answer, list(dict.fromkeys(found.wrong)))
    question = f"{found.context} {found.question}".strip()
    return {"question": question, "choices": choices, "answer": found.answer, "id": ""}


def _quartz(rng: random.Random) -> Row:
    context, question, answer, wrong = context_question(rng, 1)
    choices, index = shuffled(rng, answer, wrong)
    row = {"para": context, "question": question, "answerKey": "AB"[index], "id": ""}
    return row | {"choices": {"text": choices, "label": ["A", "B"]}}


def _extractive(found: Question, context: str) -> Row:
    answers = {"text": [found.answer], "answer_start": [max(0, context.find(found.answer))]}
    return {"context": context, "question": found.question, "answers": answers, "title": found.answer, "id": ""}


def _adversarial(rng: random.Random) -> Row:
    found = fact_question(rng, rng.choice([1, 2, 3]))
    return _extractive(found, found.context) | {"metadata": {"split": "train", "model_in_the_loop": ""}}


def _quoref(rng: random.Random) -> Row:
    found, context = pronoun_question(rng), ""
    if rng.random() < 0.3:
        context = facts(COMMON, rng, 1)[0].say(rng)
    context = " ".join(rng.sample([found.context, context], 2)).strip()
    return _extractive(found, context) | {"url": ""}


def _wiki_qa(rng: random.Random) -> Row:
    context, question, answer, wrong = context_question(rng, 1)
    label = rng.randrange(2)
    question = f"{context} {question}".rstrip("?")
    row = {"question": question, "answer": answer if label else wrong[0], "label": label}
    return row | {"document_title": answer, "question_id": ""}


def _sciq(rng: random.Random) -> Row:
    context, question, answer, wrong = context_question(rng, 3)
    row = {"question": question, "correct_answer": answer, "support": context}
    return row | {f"distractor{place}": choice for place, choice in enumerate(wrong, 1)}


def _ag_news(rng: random.Random) -> Row:
    label = rng.randrange(len(_AG_NEWS))
    return {"text": topic_sentence(COMMON, rng, _AG_NEWS[label]), "label": label}


@dataclass(frozen=True)
class TrainingSet:
    """A dataset of the mixture: where its templates are, what makes a row, and its weight."""

    dataset: str
    subset: str | None
    row: Callable[[random.Random], Row]
    weight: int
    context: str
    """The field without which a row's question cannot be answered."""


TRAINING_SETS = {
    "mrpc": TrainingSet("glue", "mrpc", _pair, 4, "sentence1"),
    "paws": TrainingSet("paws", "labeled_final", _pair, 6, "sentence1"),
    "boolq": TrainingSet("super_glue", "boolq", _boolq, 8, "passage"),
    "wiki_qa": TrainingSet("wiki_qa", None, _wiki_qa, 2, "question"),
    "social_i_qa": TrainingSet("social_i_qa", None, _social, 5, "context"),
    "cosmos_qa": TrainingSet("cosmos_qa", None, _cosmos, 5, "context"),
    "quail": TrainingSet("quail", None, _quail, 4, "context"),
    "cos_e": TrainingSet("cos_e", "v1.11", _cose, 4, "question"),
    "quartz": TrainingSet("quartz", None, _quartz, 3, "para"),
    "sciq": TrainingSet("sciq", None, _sciq, 1, "support"),
    "adversarial_qa": TrainingSet("adversarial_qa", "adversarialQA", _adversarial, 4, "context"),
    "quoref": TrainingSet("quoref", None, _quoref, 4, "context"),
    "ag_news": TrainingSet("ag_news", None, _ag_news, 1, "text"),
}
MAX_TEMPLATE_LENGTH = 420
"""Characters; longer boilerplate costs much and teaches little at this size."""


@cache
def templates(name: str) -> tuple[Template, ...]:
    """The templates used for a training set: original task, short, not answered by a letter, all fields known."""
    training_set = TRAINING_SETS[name]
    fields = frozenset(training_set.row(random.Random(0)))
    return tuple(
        template
        for template in load_templates(training_set.dataset, training_set.subset)
        if template.original_task
        and len(template.source) <= MAX_TEMPLATE_LENGTH
        and _LETTERS not in (template.answer_choices_source or "")
        and template.fields <= fields
        and training_set.context in template.fields
    )


def draw(rng: random.Random) -> str:
    """A training set by weight."""
    return rng.choices(list(TRAINING_SETS), [entry.weight for entry in TRAINING_SETS.values()])[0]


def prompted(name: str, rng: random.Random) -> Prompt:
    """A fresh row of a training set seen through one of its templates."""
    while True:
        prompt = rng.choice(templates(name)).render(TRAINING_SETS[name].row(rng), rng)
        if prompt is not None and prompt.input:
            return prompt
