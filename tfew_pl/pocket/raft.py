"""Pocket RAFT: rows in the schemas of the eleven RAFT tasks, about the generated world.

What decides a class is a relation (does the second event follow from the first?) or a meaning (which topic are these
words of?), never a word by itself: the texts of all classes are drawn alike, and where words do carry the class, the
evaluation shows words that training never does. Banking77 is the exception: its 77 classes are named in the query,
beside as many that are not meant. Unlike the real test sets, the evaluation rows have labels.
"""

import random
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal

from tfew_pl.pocket.world import COMMON, World
from tfew_pl.pocket.world.causes import CAUSES, event
from tfew_pl.pocket.world.facts import COLORS, MOODS, NAMES, PLACES, THINGS, Fact, Kind, facts, passage, unmentioned
from tfew_pl.pocket.world.pronouns import pronoun_sentence
from tfew_pl.pocket.world.scripts import ACTIVITIES, STEPS, Story, story
from tfew_pl.pocket.world.senses import TOPICS

Row = dict[str, Any]
Split = Literal["train", "evaluation"]
SIZES: dict[Split, int] = {"train": 50, "evaluation": 240}
_WORLDS: dict[Split, World] = {"train": COMMON, "evaluation": World("test")}
_SEEDS: dict[Split, int] = {"train": 17, "evaluation": 7027}
"""Drawn once; nothing was chosen by looking at what they give."""
Draw = Callable[[World, random.Random, int], dict[str, str]]
"""The text columns of a row of a class, by the class's place among the labels."""


@dataclass(frozen=True)
class PocketTask:
    """A RAFT task's stand-in: what its prompt says, its classes, and what makes a row."""

    instruction: str
    labels: tuple[str, ...]
    """In the order of the real classes that they stand for."""
    draw: Draw


def _name(world: World, rng: random.Random) -> str:
    return world.pick(NAMES, rng)


def _link(url: str) -> str:
    return f"www.{url}.com"


def _adverse_effect(world: World, rng: random.Random, label: int) -> dict[str, str]:
    """A cause with its effect, or with another's; every cause and every effect is in both classes alike."""
    pair = world.pick(CAUSES, rng)
    other = world.peers(CAUSES, pair, rng)[0] if label == 1 else pair
    name = world.pick(NAMES, rng, force=CAUSES.part(pair) == "common")
    return {"Sentence": f"{event(pair, 0, name)}. then {event(other, 1, name)}."}


INTENT_THINGS = THINGS[:11]
_INTENTS = tuple((color, thing) for color in COLORS for thing in INTENT_THINGS)
"""77: seven colors of eleven things."""


def _banking(world: World, rng: random.Random, label: int) -> dict[str, str]:
    """A query for one of two things, each of which has its color."""
    color, thing = _INTENTS[label]
    other = rng.choice([other for other in INTENT_THINGS if other != thing])
    told = [f"the {thing} is {color}.", f"the {other} is {rng.choice([c for c in COLORS if c != color])}."]
    name = world.pick(NAMES, rng, force=True)
    return {"Query": f"{' '.join(rng.sample(told, 2))} {name} lost the {thing}."}


def _terms(world: World, rng: random.Random, label: int) -> dict[str, str]:
    """Three facts of two people, two of them opposed: about one person in contradiction, else about each of them.

    Both classes name one person twice, and use the same places and moods.
    """
    first, second = world.sample(NAMES, rng, 2, force=True)
    kinds: list[Kind] = ["place", "mood"]
    rng.shuffle(kinds)
    opposed = Fact(kinds[0], first, _value(rng, kinds[0]))
    contradiction = opposed.contradiction(world, rng)
    other = first if label == 0 else second
    told = [
        opposed,
        Fact(kinds[0], second if label == 0 else first, contradiction.value),
        Fact(kinds[1], other, _value(rng, kinds[1])),
    ]
    return {"Sentence": passage(rng, rng.sample(told, 3))}


def _value(rng: random.Random, kind: Kind) -> str | tuple[int, int]:
    return rng.choice(PLACES) if kind == "place" else (rng.randrange(len(MOODS)), rng.randrange(2))


def _two(world: World, rng: random.Random, topic: str) -> list[str]:
    """Two different words of a topic; of the withheld ones, if the world has any."""
    words = [world.pick(TOPICS[topic], rng, force=True)]
    while len(words) < 2:
        word = world.pick(TOPICS[topic], rng, force=True)
        words += [word] if word not in words else []
    return words


_TOPICS = tuple(TOPICS)
_OTHER_TOPICS = tuple(topic for topic in TOPICS if topic != "computers")


def _safety(world: World, rng: random.Random, label: int) -> dict[str, str]:
    """A paper about computers, or about one of the other topics."""
    topic = "computers" if label == 0 else rng.choice(_OTHER_TOPICS)
    (first, second), author = _two(world, rng, topic), _name(world, rng)
    place = rng.choice(PLACES)
    return {
        "Title": f"the {first}",
        "Abstract Note": f"{author} likes the {first} with the {second}.",
        "Url": _link(place),
        "Publication Year": str(rng.randrange(1990, 2022)),
        "Item Type": rng.choice(["book", "letter", "report"]),
        "Author": author,
        "Publication Title": f"the {place}",
    }


def _impact(world: World, rng: random.Random, label: int) -> dict[str, str]:
    """A passage that says the title's fact, or something near it."""
    known = facts(world, rng, rng.choice([2, 3]), withheld=True)
    fact = rng.choice(known)
    if label == 0:
        near = rng.random() < 0.5
        fact = unmentioned(world, rng, known, 0.6, fact.kind) if near else fact.contradiction(world, rng, known)
    return {
        "Paper title": fact.say(rng),
        "Paper link": _link(rng.choice(PLACES)),
        "Impact statement": passage(rng, known),
    }


def _overruling(world: World, rng: random.Random, label: int) -> dict[str, str]:
    """Two sentences of one topic, or the second of another."""
    topic = rng.choice(_TOPICS)
    words = _two(world, rng, topic)
    if label == 1:
        words[1] = world.pick(TOPICS[rng.choice([other for other in _TOPICS if other != topic])], rng, force=True)
    first, second = world.sample(NAMES, rng, 2)
    return {"Sentence": f"{first} saw the {words[0]}. {second} saw the {words[1]}."}


def _review(world: World, rng: random.Random, label: int) -> dict[str, str]:
    """Two steps of the activity in the title, or of another."""
    tale = story(world, rng, withheld=True)
    title = tale.activity if label == 0 else world.peers(ACTIVITIES, tale.activity, rng)[0]
    start = rng.randrange(STEPS - 1)
    return {
        "Title": title,
        "Abstract": " ".join(tale.sentences([start, start + 1])),
        "Authors": f"{_name(world, rng)}, {_name(world, rng)}",
        "Journal": f"the {rng.choice(PLACES)}",
    }


def _level(world: World, rng: random.Random, label: int) -> dict[str, str]:
    """The first, the middle or the last two steps of an activity; a withheld one, if the world has any."""
    activity = world.pick(ACTIVITIES, rng, force=True)
    start = {1: 0, 2: 2, 0: 4}[label]  # elementary, intermediate, advanced
    return {"Article": " ".join(Story(activity, _name(world, rng)).sentences([start, start + 1]))}


def _hate(world: World, rng: random.Random, label: int) -> dict[str, str]:
    """A sentence with a pronoun and what it says of one of the two people: wrong, or right."""
    sentence = pronoun_sentence(world, rng, withheld=True)
    name = sentence.other if label == 0 else sentence.answer
    return {"Tweet": f"{sentence.text} {name} was {sentence.reason}."}


def _complaint(world: World, rng: random.Random, label: int) -> dict[str, str]:
    """Two steps of an activity in the wrong order, or in the right one."""
    tale = story(world, rng, withheld=True)
    steps = sorted(rng.sample(range(STEPS), 2), reverse=label == 0)
    return {"Tweet text": f"{tale.sentence(steps[0], named=True)} then {tale.sentence(steps[1])}"}


_ORGANIZATIONS = ("money", "nature", "music")


def _organization(world: World, rng: random.Random, label: int) -> dict[str, str]:
    """An organization that is called by two words of its topic."""
    fact = Fact("place", _name(world, rng), rng.choice(PLACES))
    return {
        "Paper title": fact.say(rng).rstrip("."),
        "Organization name": " and ".join(_two(world, rng, _ORGANIZATIONS[label])),
    }


TASKS = {
    "ade_corpus_v2": PocketTask(
        "did the first event cause the second?", ("cause", "not cause"), _adverse_effect
    ),
    "banking_77": PocketTask(
        "what was lost, and of what color?", tuple(f"{color}_{thing}" for color, thing in _INTENTS), _banking
    ),
    "terms_of_service": PocketTask(
        "can all of this be true?", ("possible", "impossible"), _terms
    ),
    "tai_safety_research": PocketTask(
        "is this about computers?", ("computers", "not computers"), _safety
    ),
    "neurips_impact_statement_risks": PocketTask(
        "does the statement say what the title says?", ("no", "yes"), _impact
    ),
    "overruling": PocketTask(
        "do both sentences have the same topic?", ("same topic", "other topic"), _overruling
    ),
    "systematic_review_inclusion": PocketTask(
        "is the text about the title?", ("true", "false"), _review
    ),
    "one_stop_english": PocketTask(
        "which part of the story is this?", ("the end", "the beginning", "the middle"), _level
    ),
    "tweet_eval_hate": PocketTask(
        "is the last sentence correct?", ("incorrect", "correct"), _hate
    ),
    "twitter_complaints": PocketTask(
        "is this the right order?", ("wrong", "right"), _complaint
    ),
    "semiconductor_org_types": PocketTask(
        "what is the organization about?", _ORGANIZATIONS, _organization
    ),
}  # fmt: skip
"""By the name of the RAFT task whose schema each has."""


@cache
def _drawn(task: str) -> dict[Split, list[Row]]:
    known = TASKS[task]
    seen: set[str] = set()
    out: dict[Split, list[Row]] = {}
    for split, size in SIZES.items():
        rng, found = random.Random(f"raft {task} {split} {_SEEDS[split]}"), list[Row]()
        while len(found) < size:
            label = rng.randrange(len(known.labels))
            texts = known.draw(_WORLDS[split], rng, label)
            if repr(texts) not in seen:
                seen.add(repr(texts))
                found.append({**texts, "ID": len(seen) - 1, "Label": label + 1})
        out[split] = found
    return out


def rows(task: str, split: Split) -> list[Row]:
    """The rows of a task, always the same; no row is in two splits. As in RAFT, `Label` 1 is the first class.

    Raises:
        KeyError: no such task or split.
    """
    return [dict(row) for row in _drawn(task)[split]]
