"""The world: its sizes, its split, and the absence of surface cues."""

import random
from collections import Counter

import pytest

from tfew_pl.pocket.world import ALL, COMMON, Pool, World
from tfew_pl.pocket.world.causes import CAUSES
from tfew_pl.pocket.world.documents import document
from tfew_pl.pocket.world.facts import NAMES, facts, unmentioned
from tfew_pl.pocket.world.pronouns import ABLE, ASKING, GIVING, NEEDY, pronoun_sentence
from tfew_pl.pocket.world.scripts import ACTIVITIES, SCRIPTS, STEPS
from tfew_pl.pocket.world.senses import SENSES, TOPICS, WORDS

FUNCTION_WORDS = set(
    "the a an of in on to with for from at by up out off down over".split()
    + "all some two both too much had {N} it into felt".split()
)


def test_the_world_is_as_large_as_the_card_says() -> None:
    assert (len(CAUSES.items), len(SCRIPTS), len(SENSES), len(NAMES.items)) == (80, 26, 40, 40)


@pytest.mark.parametrize("pool", [NAMES, CAUSES, ACTIVITIES, WORDS, GIVING, ASKING, ABLE, NEEDY, *TOPICS.values()])
def test_parts_do_not_overlap(pool: Pool[object]) -> None:
    assert len(set(pool.items)) == len(pool.items)
    assert all(pool.of(part) for part in ("common", "development", "test"))


@pytest.mark.parametrize("pair", CAUSES.items, ids=lambda pair: pair[0])
def test_cause_and_effect_share_no_content_word(pair: tuple[str, str]) -> None:
    assert not set(pair[0].split()) & set(pair[1].split()) - FUNCTION_WORDS


@pytest.mark.parametrize("activity", list(SCRIPTS))
def test_steps_share_no_content_word(activity: str) -> None:
    steps = SCRIPTS[activity]
    words = Counter(word for step in steps for word in set(step.split()) - FUNCTION_WORDS)
    assert len(steps) == STEPS
    assert max(words.values()) == 1


def test_neither_verb_nor_reason_decides_a_pronoun() -> None:
    rng = random.Random(0)
    roles: dict[str, list[bool]] = {}
    for _ in range(6000):
        sentence = pronoun_sentence(ALL, rng)
        subject, verb = sentence.stem.split()[:2]
        for word in (verb, sentence.reason):
            roles.setdefault(word, []).append(subject == sentence.answer)
    assert all(0.35 < sum(found) / len(found) < 0.65 for found in roles.values())


def test_facts_have_different_subjects_and_values() -> None:
    rng = random.Random(0)
    for _ in range(200):
        known = facts(World("test"), rng, 4, withheld=True)
        assert len({fact.subject for fact in known}) == len({(fact.kind, fact.value) for fact in known}) == 4
        people = {word for fact in known for word in (fact.subject, fact.value) if word in NAMES.items}
        assert any(NAMES.part(str(name)) == "test" for name in people)
        new = unmentioned(COMMON, rng, known, near=1.0)
        assert (new.kind, new.subject) not in {(fact.kind, fact.subject) for fact in known}


def test_running_text_shows_everything() -> None:
    rng = random.Random(0)
    text = " ".join(document(rng) for _ in range(6000))
    assert all(f" {name} " in text for name in NAMES.items)
    assert all(step in text for steps in SCRIPTS.values() for step in steps)
