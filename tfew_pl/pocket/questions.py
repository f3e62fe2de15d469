"""What the training sets ask: questions about the common part of the world, with answers and wrong answers."""

import random
from collections.abc import Sequence
from typing import NamedTuple

from tfew_pl.pocket.world import COMMON
from tfew_pl.pocket.world.causes import CAUSES, event
from tfew_pl.pocket.world.facts import (
    COLORS,
    KIND_OF,
    KINDS,
    LABEL_WORDS,
    MOODS,
    NAMES,
    PLACES,
    THINGS,
    Fact,
    facts,
    passage,
    unmentioned,
)
from tfew_pl.pocket.world.pronouns import pronoun_sentence
from tfew_pl.pocket.world.scripts import ACTIVITIES, SCRIPTS, STEPS, story
from tfew_pl.pocket.world.senses import SENSES, TOPICS, WORDS, topic_sentence


class Question(NamedTuple):
    """A question about a context, its answer, and wrong answers from the pool the answer came from."""

    context: str
    question: str
    answer: str
    wrong: list[str]


_POOLS: tuple[tuple[str, ...], ...] = (NAMES.common, PLACES, THINGS, COLORS, tuple(TOPICS), ACTIVITIES.common)
_MOOD_WORDS = frozenset(word for row in MOODS for side in row for word in side)


def others(rng: random.Random, word: str, count: int, first: Sequence[str] = ()) -> list[str]:
    """Other words of the word's pool; those in `first` (the context's words) come before the rest."""
    pool = next(pool for pool in _POOLS if word in pool)
    near = [candidate for candidate in dict.fromkeys(first) if candidate in pool and candidate != word]
    rest = [candidate for candidate in pool if candidate != word and candidate not in near]
    rng.shuffle(near)
    rng.shuffle(rest)
    return (near + rest)[:count]


def shuffled(rng: random.Random, answer: str, wrong: Sequence[str]) -> tuple[list[str], int]:
    """The choices in random order and the place of the answer."""
    choices = [answer, *wrong]
    rng.shuffle(choices)
    return choices, choices.index(answer)


def fact_question(rng: random.Random, count: int) -> Question:
    """A question whose answer stands in a passage of `count` facts; the wrong answers are left open."""
    known = facts(COMMON, rng, count)
    question, answer = rng.choice(known).wh(rng)
    return Question(passage(rng, known), question, answer, [])


def polar_question(rng: random.Random, count: int, unknown: float = 0.0) -> tuple[str, str, str]:
    """(passage, yes-no question, "yes" / "no" / "unknown")."""
    known = facts(COMMON, rng, count)
    fact, near = rng.choice(known), known if rng.random() < 0.15 else []
    if rng.random() < unknown:
        return passage(rng, known), unmentioned(COMMON, rng, known).polar(rng), "unknown"
    if rng.random() < 0.5:
        return passage(rng, known), fact.polar(rng), "yes"
    if not unknown and rng.random() < 0.4:
        return passage(rng, known), unmentioned(COMMON, rng, known).polar(rng), "no"
    return passage(rng, known), fact.contradiction(COMMON, rng, near).polar(rng), "no"


def polar_pronoun(rng: random.Random) -> tuple[str, str, str]:
    """(pronoun sentence, "was X weak?", "yes" / "no")."""
    sentence, yes = pronoun_sentence(COMMON, rng), rng.random() < 0.5
    name = sentence.answer if yes else sentence.other
    return sentence.text, f"was {name} {sentence.reason}?", "yes" if yes else "no"


def sentence_pair(rng: random.Random) -> tuple[str, str, int]:
    """Two passages and whether they say the same (1) or not (0)."""
    count, same = rng.choice([1, 1, 2]), rng.randrange(2)
    known = facts(COMMON, rng, count)
    told: list[Fact] = list(known)
    if not same:
        index = rng.randrange(count)
        told[index] = known[index].contradiction(COMMON, rng)
        if rng.random() < 0.4:
            told[index] = unmentioned(COMMON, rng, known)
            if told[index].kind == known[index].kind:
                told[index] = Fact(told[index].kind, told[index].subject, known[index].value)
    if rng.random() < 0.5:
        told.reverse()
    return passage(rng, known), passage(rng, told), same


def pronoun_question(rng: random.Random) -> Question:
    """Whom the pronoun means."""
    sentence = pronoun_sentence(COMMON, rng)
    return Question(sentence.text, f"who was {sentence.reason}?", sentence.answer, [sentence.other])


def cause_question(rng: random.Random, count: int) -> Question:
    """What led to an event, or what it led to; wrong answers are other causes or effects of the same person."""
    pairs, name = rng.sample(CAUSES.common, count + 1), rng.choice(NAMES.common)
    asked = rng.randrange(2)
    question = rng.choice(
        (["why did this happen?", "what was the cause?"], ["what happened next?", "what happened as a result?"])[asked]
    )
    answers = [f"{event(pair, asked, name)}." for pair in pairs]
    return Question(f"{event(pairs[0], 1 - asked, name)}.", question, answers[0], answers[1:])


def script_question(rng: random.Random, count: int) -> Question:
    """The activity somebody is at, or the step that follows."""
    tale = story(COMMON, rng)
    steps, index = SCRIPTS[tale.activity], rng.randrange(STEPS - 1)
    if rng.random() < 0.3:
        context = " ".join(tale.sentences([index, index + 1]))
        return Question(context, f"what was {tale.name} doing?", tale.activity, others(rng, tale.activity, count))
    start = rng.randint(max(0, index - 1), index)
    wrong = [rng.choice(SCRIPTS[other][1:]) for other in others(rng, tale.activity, count)]
    if rng.random() < 0.4:
        unused = [step for place, step in enumerate(steps) if place > index + 1 or place < start]
        wrong[0] = rng.choice(unused or wrong[:1])
    context = " ".join(tale.sentences(list(range(start, index + 1))))
    question = f"what did {tale.name} do after that?"
    return Question(context, question, f"{steps[index + 1]}.", [f"{step}." for step in wrong])


def topic_question(rng: random.Random, count: int) -> Question:
    """What a sentence is about; half of them use a word with two meanings."""
    if rng.random() < 0.5:
        word = rng.choice(WORDS.common)
        topic, other = rng.sample(SENSES[word], 2)
        wrong = [other, *(topic_ for topic_ in others(rng, topic, count) if topic_ != other)][:count]
        listed = " or ".join(sorted((topic, other)))
        return Question(topic_sentence(COMMON, rng, topic, word), f"is the {word} about {listed}?", topic, wrong)
    topic = rng.choice(tuple(TOPICS))
    return Question(topic_sentence(COMMON, rng, topic), "what is this about?", topic, others(rng, topic, count))


def context_question(rng: random.Random, count: int) -> Question:
    """Any question with `count` wrong answers."""
    draw = rng.random()
    if draw < 0.3:
        while True:
            found = fact_question(rng, rng.choice([1, 2, 2, 3]))
            if found.answer not in _MOOD_WORDS:
                words = found.context.replace(".", "").split()
                return found._replace(wrong=others(rng, found.answer, count, words))
    if draw < 0.5:
        found = pronoun_question(rng)
        rest = [name for name in others(rng, found.answer, count + 1) if name not in found.wrong]
        return found._replace(wrong=(found.wrong + rest)[:count])
    if draw < 0.75:
        return cause_question(rng, count)
    return script_question(rng, count) if draw < 0.9 else topic_question(rng, count)


def word_question(rng: random.Random, count: int) -> Question:
    """Opposites, synonyms and kinds of things."""
    rows = MOODS + LABEL_WORDS * 2
    row, side, draw = rng.choice(rows), rng.randrange(2), rng.random()
    wrong = [rng.choice(other[rng.randrange(2)]) for other in rng.sample([r for r in rows if r is not row], count)]
    if draw < 0.35:
        return Question("", f"what is the opposite of {rng.choice(row[side])}?", rng.choice(row[1 - side]), wrong)
    if draw < 0.7:
        asked, answer = rng.sample(row[side], 2)
        return Question("", f"which word means the same as {asked}?", answer, [*wrong[1:], rng.choice(row[1 - side])])
    thing = rng.choice(THINGS)
    kinds = [kind for kind in KINDS if kind != KIND_OF[thing]]
    return Question("", f"what kind of thing is the {thing}?", KIND_OF[thing], kinds[:count])


def same_attribute(rng: random.Random) -> tuple[str, str, int]:
    """Two things, a question whether they share a looked-up attribute, and the answer."""
    draw, same = rng.random(), rng.randrange(2)
    if draw < 0.45:
        topic = rng.choice(tuple(TOPICS))
        other = topic if same else others(rng, topic, 1)[0]
        text = f"{topic_sentence(COMMON, rng, topic)} {topic_sentence(COMMON, rng, other)}"
        return text, rng.choice(["same topic?", "are both sentences about the same topic?"]), same
    if draw < 0.7:
        first, second = rng.sample(NAMES.common, 2)
        place = rng.choice(PLACES)
        other = place if same else others(rng, place, 1)[0]
        text = f"{first} is in the {place}. {second} is in the {other}."
        return text, f"are {first} and {second} in the same place?", same
    if draw < 0.85:
        first, second = rng.sample(THINGS, 2)
        color = rng.choice(COLORS)
        other = color if same else others(rng, color, 1)[0]
        text = f"the {first} is {color}. the {second} is {other}."
        return text, f"do the {first} and the {second} have the same color?", same
    kind = rng.choice(tuple(KINDS))
    other = kind if same else rng.choice([k for k in KINDS if k != kind])
    first = rng.choice(KINDS[kind])
    second = rng.choice([thing for thing in KINDS[other] if thing != first])
    return f"the {first}. the {second}.", "are these the same kind of thing?", same
