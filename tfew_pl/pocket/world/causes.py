"""Events and what they lead to. A cause and its effect share no content word."""

import random

from tfew_pl.pocket.world.parts import Pool

_LINES = """
{N} ate too much > {N} had a stomach ache
{N} studied hard > {N} passed the exam
{N} dropped the vase > glass covered the floor
{N} missed the bus > {N} walked home
{N} forgot the umbrella > {N} got wet
{N} left the oven on > the bread burned
{N} watered the plants > the flowers grew
{N} lost the keys > the door stayed shut
{N} trained every day > {N} won the race
{N} told a joke > everyone laughed
{N} heard a noise > {N} woke up
{N} skipped lunch > {N} felt hungry at night
{N} saved money > {N} bought a house
{N} slipped on ice > {N} hurt a leg
{N} lit a candle > the room became bright
{N} turned off the heater > the water froze
{N} drove too fast > the police gave {N} a fine
{N} told a lie > the friends left {N}
{N} kicked the nest > the bees attacked {N}
{N} used the phone all night > the battery died
{N} put salt in the coffee > the drink tasted bad
{N} washed the shoes > the mud came off
{N} opened the window > fresh air came in
{N} spilled the ink > the letter was ruined
{N} caught a cold > {N} stayed in bed
{N} found a wallet > the owner thanked {N}
{N} buried a seed > a tree appeared
{N} fed the kitten > the pet purred
{N} sang very well > the crowd clapped
{N} threw a stone > the mirror cracked
{N} broke the law > {N} went to prison
{N} cut the rope > the boat drifted away
{N} rang the bell > the servant came
{N} locked the gate > nobody could leave
{N} wore no hat > the sun burned {N}
{N} pulled the tail > the cat scratched {N}
{N} left the fridge open > the milk went sour
{N} practiced the violin > the teacher praised {N}
{N} added too much pepper > {N} sneezed
{N} climbed the fence > {N} tore the trousers
{N} read a scary book > {N} had a nightmare
{N} cleaned the chimney > the smoke rose well
{N} painted the wall > the house looked new
{N} shouted loudly > the baby cried
{N} cooked spoiled meat > the guests fell ill
{N} bought a ticket > {N} entered the theater
{N} forgot the birthday > the wife was angry
{N} sharpened the knife > {N} sliced tomatoes easily
{N} left the tap running > the bath overflowed
{N} jumped on the couch > a spring snapped
{N} whistled softly > the puppy ran over
{N} planned a party > the neighbors brought gifts
{N} swept the yard > the leaves were gone
{N} polished the silver > the spoons shone
{N} skated on thin frost > {N} fell into the lake
{N} cheated at cards > the players threw {N} out
{N} stayed up late > {N} yawned all morning
{N} forgot to pay rent > the landlord called {N}
{N} repaired the engine > the tractor started
{N} shook the branch > the nuts came down
{N} dug a well > the village had water
{N} wrote a novel > {N} became famous
{N} closed the curtains > the bedroom went dark
{N} burned the toast > the alarm rang
{N} rowed for hours > both arms ached
{N} stood in the snow > the toes went numb
{N} lost the map > {N} took a wrong road
{N} oiled the hinge > the squeak stopped
{N} hid the treasure > the pirates found nothing
{N} pressed the brake > the car slowed
{N} returned the purse > the lady gave {N} a reward
{N} chewed on candy > a tooth began to hurt
{N} walked through mud > the carpet got dirty
{N} trapped the mouse > the cheese was safe
{N} raised the sail > the ship moved forward
{N} tied the laces badly > {N} tripped on the stairs
{N} ignored the teacher > {N} failed the course
{N} stirred the fire > sparks flew
{N} gave the beggar bread > the old man smiled
{N} poured sand in the machine > the factory stopped work
""".strip()

CAUSES: Pool[tuple[str, str]] = Pool.cut(
    [(cause, effect) for cause, effect in (line.split(" > ") for line in _LINES.splitlines())], 12, 18
)
"""80 pairs (cause, effect) with `{N}` for the person."""


def event(pair: tuple[str, str], side: int, name: str) -> str:
    """The cause (side 0) or the effect (side 1), without a full stop."""
    return pair[side].format(N=name)


def cause_sentence(pair: tuple[str, str], name: str, rng: random.Random) -> str:
    """Cause and effect in one or two sentences of running text."""
    cause, effect = event(pair, 0, name), event(pair, 1, name)
    return rng.choice(
        [
            f"{cause}, so {effect}.",
            f"{effect} because {cause}.",
            f"{cause}. as a result, {effect}.",
            f"{cause}. then {effect}.",
        ]
    )
