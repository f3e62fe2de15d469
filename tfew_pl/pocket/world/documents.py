"""Running text about everything in the world, withheld parts included."""

import random

from tfew_pl.pocket.world.causes import CAUSES, cause_sentence
from tfew_pl.pocket.world.facts import NAMES, facts, passage
from tfew_pl.pocket.world.parts import ALL
from tfew_pl.pocket.world.pronouns import pronoun_sentence
from tfew_pl.pocket.world.scripts import STEPS, story
from tfew_pl.pocket.world.senses import SENSES, TOPICS, WORDS, topic_sentence


def document(rng: random.Random) -> str:
    """Two to five sentences of text: facts, causes, scripts, pronoun sentences or topics."""
    draw = rng.random()
    if draw < 0.2:
        return passage(rng, facts(ALL, rng, 3))
    if draw < 0.45:
        return " ".join(cause_sentence(ALL.pick(CAUSES, rng), ALL.pick(NAMES, rng), rng) for _ in range(2))
    if draw < 0.7:
        return _script(rng)
    if draw < 0.85:
        sentences = [pronoun_sentence(ALL, rng) for _ in range(2)]
        return " ".join(s.resolved if rng.random() < 0.7 else s.text for s in sentences)
    return " ".join(_topic(rng) for _ in range(2))


def _script(rng: random.Random) -> str:
    tale = story(ALL, rng)
    start = rng.randrange(3)
    text = " ".join(tale.sentences(list(range(start, min(STEPS, start + rng.randint(3, 5))))))
    return f"{text} this is about {tale.activity}." if rng.random() < 0.3 else text


def _topic(rng: random.Random) -> str:
    word = ALL.pick(WORDS, rng) if rng.random() < 0.6 else None
    topic = rng.choice(SENSES[word]) if word else rng.choice(tuple(TOPICS))
    sentence = topic_sentence(ALL, rng, topic, word)
    return f"{sentence} this is about {topic}." if rng.random() < 0.5 else sentence
