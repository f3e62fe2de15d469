"""Topics, and words with two meanings that a topic word in the sentence tells apart."""

import random

from tfew_pl.pocket.world.facts import NAMES
from tfew_pl.pocket.world.parts import Pool, World

TOPICS: dict[str, Pool[str]] = {
    topic: Pool.cut(words.split(), 1, 2)
    for topic, words in {
        "sport": "player coach goal team stadium referee athlete league",
        "nature": "river bird forest flower valley meadow owl waterfall",
        "music": "singer song concert drummer melody orchestra guitar choir",
        "money": "price coin loan cash profit debt salary tax",
        "food": "soup sauce meal cook recipe butter pasta salad",
        "computers": "screen program laptop keyboard website software server browser",
        "law": "judge lawyer trial crime witness verdict jury thief",
        "war": "soldier army tank enemy general battle weapon siege",
        "health": "doctor nurse patient medicine fever hospital surgeon vaccine",
        "travel": "passenger airport tourist luggage driver highway train sailor",
    }.items()
}
_SENSES = """
bat sport nature; bank money nature; note music money; bass music nature; pitch music sport; roll food music
mint food money; key music computers; record music law; stock money food; net sport computers; match sport war
court sport law; organ music health; fan computers sport; virus computers health; port computers travel
trip nature travel; charge law war; cell law health; drug law health; bill money nature; crane nature travel
scale music health; bar law food; trunk nature travel; branch nature money; field nature war; strike sport war
board computers travel; stall food law; beat music food; code computers law; cloud nature computers
tip food money; bug nature computers; horn music travel; cast health music; file law computers; shot sport health
""".replace("\n", ";")
SENSES: dict[str, tuple[str, str]] = {
    word: (first, second) for word, first, second in (entry.split() for entry in _SENSES.split(";") if entry.strip())
}
"""40 words with their two topics."""
WORDS: Pool[str] = Pool.cut(tuple(SENSES), 6, 10)


def topic_sentence(
    world: World,
    rng: random.Random,
    topic: str,
    word: str | None = None,
    *,
    clue: str | None = None,
    withheld: bool = False,
) -> str:
    """A sentence about a topic, with `word` beside a topic word (`clue` if given); `withheld` forces such a name."""
    clue = clue or world.pick(TOPICS[topic], rng)
    while word is None or word == clue:
        word = world.pick(TOPICS[topic], rng)
    first, second = rng.sample([clue, word], 2)
    frames = [f"{{name}} saw the {first} and the {second}.", f"{{name}} likes the {first} with the {second}."]
    if not withheld:
        frames.append(f"the {first} was near the {second}.")
    return rng.choice(frames).format(name=world.pick(NAMES, rng, force=withheld))
