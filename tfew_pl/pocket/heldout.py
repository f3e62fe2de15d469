"""The eleven held-out tasks: rows in the schemas of the real datasets.

Right and wrong choices come from the same distribution, so that no choice is right or wrong by itself: a model without
pre-training must stay at chance after few-shot training. Every row of the evaluation and the development split holds
something that the training split and the pre-training questions never show.
"""

import random
from collections.abc import Callable
from functools import cache
from typing import Any, Literal

from tfew_pl.pocket.questions import shuffled
from tfew_pl.pocket.world import COMMON, World
from tfew_pl.pocket.world.causes import CAUSES, event
from tfew_pl.pocket.world.facts import NAMES, PLACES, Fact, facts, he, passage, unmentioned
from tfew_pl.pocket.world.pronouns import pronoun_sentence
from tfew_pl.pocket.world.scripts import ACTIVITIES, SCRIPTS, story
from tfew_pl.pocket.world.senses import SENSES, TOPICS, WORDS, topic_sentence

Row = dict[str, Any]
Split = Literal["train", "evaluation", "development"]
SIZES: dict[Split, int] = {"train": 500, "development": 200, "evaluation": 240}
_WORLDS: dict[Split, World] = {"train": COMMON, "development": World("development"), "evaluation": World("test")}
_SEEDS: dict[Split, int] = {"train": 11, "development": 23, "evaluation": 39632}
"""The evaluation seed was drawn once; nothing was chosen by looking at what it gives."""


def _inference(
    world: World, rng: random.Random, count: int, near: float, classes: tuple[int, ...] = (0, 1, 2)
) -> tuple[str, str, int]:
    """Premise, hypothesis, and 0 entailment, 1 neutral or 2 contradiction.

    A share `near` of the false hypotheses reuse the premise's words.
    """
    known = facts(world, rng, count, withheld=True)
    fact, label = rng.choice(known), rng.choice(classes)
    if label == 1:
        fact = unmentioned(world, rng, known, near, fact.kind)  # labels do not differ in what they are about
    elif label == 2:
        fact = fact.contradiction(world, rng, known if rng.random() < near else ())
    return passage(rng, known), fact.say(rng), label


def _rte(world: World, rng: random.Random, index: int) -> Row:
    premise, hypothesis, label = _inference(world, rng, rng.choice([2, 3]), 0.2, (0, 0, 1, 2))
    return {"premise": premise, "hypothesis": hypothesis, "idx": index, "label": int(label > 0)}


def _cb(world: World, rng: random.Random, index: int) -> Row:
    premise, hypothesis, label = _inference(world, rng, rng.choice([1, 2]), 0.2)
    return {"premise": premise, "hypothesis": hypothesis, "idx": index, "label": (0, 2, 1)[label]}


def _anli(count: int, near: float) -> Callable[[World, random.Random, int], Row]:
    def row(world: World, rng: random.Random, index: int) -> Row:
        premise, hypothesis, label = _inference(world, rng, count, near)
        return {"uid": f"{index}", "premise": premise, "hypothesis": hypothesis, "label": label, "reason": ""}

    return row


def _copa(world: World, rng: random.Random, index: int) -> Row:
    linked, asked = rng.random() < 0.5, rng.randrange(2)
    while True:
        pair = world.pick(CAUSES, rng)
        other = world.peers(CAUSES, pair, rng)[0]
        if not linked or all("{N}" in side for side in (*pair, other[1 - asked])):
            break
    name = world.pick(NAMES, rng, force=CAUSES.part(pair) == "common")
    premise, wrong = f"{event(pair, 1 - asked, name)}.", f"{event(other, asked, name)}."
    if linked:  # two people, two events: who did what decides, and every word of the choices is in balance
        bystander = world.peers(NAMES, name, rng)[0]
        premise = " ".join(rng.sample([premise, f"{event(other, 1 - asked, bystander)}."], 2))
        wrong = f"{event(pair, asked, bystander)}."
    choices, label = shuffled(rng, f"{event(pair, asked, name)}.", [wrong])
    return {
        "premise": premise,
        "choice1": choices[0],
        "choice2": choices[1],
        "question": ("cause", "effect")[asked],
        "idx": index,
        "label": label,
    }


_NEXT_BUT_ONE = {2: 3, 3: 4, 4: 5, 5: 2}
_ENDING = {3: 4, 4: 5, 5: 3}
"""Right step -> wrong step of the same script: a permutation, so that each step is right as often as wrong."""


def _hellaswag(world: World, rng: random.Random, index: int) -> Row:
    tale = story(world, rng, withheld=True)
    place = rng.choice(list(_NEXT_BUT_ONE))
    rivals = world.peers(ACTIVITIES, tale.activity, rng, 3)
    wrong = [SCRIPTS[rival][rng.choice(list(_NEXT_BUT_ONE))] for rival in rivals]
    if rng.random() < 0.6:  # two endings of the story's script and two of another
        step = rng.choice(list(_NEXT_BUT_ONE))
        steps = SCRIPTS[rivals[0]]
        wrong = [SCRIPTS[tale.activity][_NEXT_BUT_ONE[place]], steps[step], steps[_NEXT_BUT_ONE[step]]]
    endings, label = shuffled(rng, f"{SCRIPTS[tale.activity][place]}.", [f"{step}." for step in wrong])
    begin, tail = " ".join(tale.sentences([place - 2, place - 1])), f"then {he(tale.name)}"
    return {
        "ind": index,
        "activity_label": tale.activity,
        "ctx_a": begin,
        "ctx_b": tail,
        "ctx": f"{begin} {tail}",
        "endings": endings,
        "source_id": f"pocket~{index}",
        "split": "",
        "split_type": "indomain",
        "label": str(label),
    }


def _story_cloze(world: World, rng: random.Random, index: int) -> Row:
    tale = story(world, rng, withheld=True)
    place = rng.choice(list(_ENDING))
    before = [place - 3, place - 2, place - 1] if place < 5 else [rng.randrange(2), 2, 4]  # 3 is the wrong ending of 5
    activity, step = tale.activity, _ENDING[place]
    if rng.random() < 0.3:
        activity, step = world.peers(ACTIVITIES, tale.activity, rng)[0], rng.choice(list(_ENDING))
    wrong = f"{he(tale.name)} {SCRIPTS[activity][step]}."
    choices, label = shuffled(rng, tale.sentence(place), [wrong])
    first = Fact("place", tale.name, rng.choice(PLACES)).say(rng)
    sentences = [first, *(tale.sentence(step) for step in before)]
    row: Row = {"story_id": f"pocket-{index}"}
    row |= {f"input_sentence_{number}": sentence for number, sentence in enumerate(sentences, 1)}
    return row | {"sentence_quiz1": choices[0], "sentence_quiz2": choices[1], "answer_right_ending": label + 1}


def _wsc(world: World, rng: random.Random, index: int) -> Row:
    sentence, label = pronoun_sentence(world, rng, withheld=True), rng.randrange(2)
    name = sentence.answer if label else sentence.other
    return {
        "text": sentence.text,
        "span1_index": sentence.text.split().index(name),
        "span2_index": len(sentence.stem.split()),
        "span1_text": name,
        "span2_text": sentence.pronoun,
        "idx": index,
        "label": label,
    }


def _winogrande(world: World, rng: random.Random, index: int) -> Row:
    sentence = pronoun_sentence(world, rng, withheld=True)
    choices, label = shuffled(rng, sentence.answer, [sentence.other])
    clause, reason = sentence.stem.removesuffix(" because"), f"because _ was {sentence.reason}"
    # the second order occurs nowhere in pre-training
    text = f"{clause} {reason}." if rng.random() < 0.5 else f"{reason}, {clause}."
    return {"sentence": text, "option1": choices[0], "option2": choices[1], "answer": str(label + 1)}


def _wic(world: World, rng: random.Random, index: int) -> Row:
    word, label = world.pick(WORDS, rng), rng.randrange(2)
    topics = rng.sample(SENSES[word], 2)
    clues = [world.pick(TOPICS[topics[0]], rng)]
    while len(clues) < 2:  # never the same topic word twice: that alone would tell the label
        clue = world.pick(TOPICS[topics[0 if label else 1]], rng)
        clues += [clue] if clue not in (*clues, word) else []
    withheld = WORDS.part(word) == "common"
    chosen = [topics[0], topics[0 if label else 1]]
    first, second = [
        topic_sentence(world, rng, topic, word, clue=clue, withheld=withheld)
        for topic, clue in zip(chosen, clues, strict=True)
    ]
    starts = [sentence.index(word) for sentence in (first, second)]
    row: Row = {"word": word, "sentence1": first, "sentence2": second}
    for number, start in enumerate(starts, 1):
        row |= {f"start{number}": start, f"end{number}": start + len(word)}
    return row | {"idx": index, "label": label}


TASKS: dict[str, Callable[[World, random.Random, int], Row]] = {
    "copa": _copa,
    "hellaswag": _hellaswag,
    "story_cloze": _story_cloze,
    "winogrande": _winogrande,
    "wsc": _wsc,
    "wic": _wic,
    "rte": _rte,
    "cb": _cb,
    "anli_r1": _anli(2, 0.0),
    "anli_r2": _anli(3, 0.2),
    "anli_r3": _anli(4, 0.6),
}
_NUMBERS = ("idx", "ind", "uid", "source_id", "story_id")


def content(row: Row) -> str:
    """A row without its number: equal for equal rows."""
    return repr({key: value for key, value in row.items() if key not in _NUMBERS})


@cache
def _drawn(task: str) -> dict[Split, list[Row]]:
    seen: set[str] = set()
    out: dict[Split, list[Row]] = {}
    for split, size in SIZES.items():
        rng, found = random.Random(f"{task} {split} {_SEEDS[split]}"), list[Row]()
        while len(found) < size:
            row = TASKS[task](_WORLDS[split], rng, len(found))
            if content(row) not in seen:
                seen.add(content(row))
                found.append(row)
        out[split] = found
    return out


def rows(task: str, split: Split) -> list[Row]:
    """The rows of a task, always the same; no row is in two splits.

    Raises:
        KeyError: no such task or split.
    """
    return [dict(row) for row in _drawn(task)[split]]
