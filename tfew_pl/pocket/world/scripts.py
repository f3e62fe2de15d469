"""Activities and their steps in order. Steps of one script share no content word."""

import random
from dataclasses import dataclass

from tfew_pl.pocket.world.facts import NAMES, he
from tfew_pl.pocket.world.parts import Pool, World

_LINES = """
baking: mixed the flour, broke two eggs, stirred the dough, heated the oven, tasted the cake,
    shared the slices
fishing: walked to the lake, put a worm on the hook, threw the line, felt a pull,
    lifted out the trout, fried dinner
drawing: bought a canvas, opened the paint, dipped the brush, covered the background,
    signed the corner, framed the picture
camping: drove to the mountains, set up the tent, made a fire, toasted bread,
    slept under the stars, rolled the blanket
planting: dug a hole, dropped the seeds, spread some soil, pulled the weeds, waited for summer,
    picked the tomatoes
shopping: wrote a list, took a cart, filled the basket, stood in line, paid the cashier, carried the bags
swimming: wore a swimsuit, jumped into the pool, did ten laps, climbed out, dried with a towel,
    drank some juice
sewing: chose some cloth, measured the sleeves, threaded the needle, fixed the buttons,
    ironed the dress, danced at the ball
flying: booked a ticket, packed a passport, boarded the plane, watched the clouds, landed abroad,
    collected the suitcase
skiing: strapped on the boots, rode the lift, looked down the slope, raced over the snow,
    warmed both feet, sipped hot cocoa
washing: gathered the dirty shirts, added soap, started the machine, emptied the drum,
    hung the wet socks, folded the sheets
voting: found the town hall, showed an identity card, received a ballot, marked one candidate,
    closed the envelope, heard the results
building: sketched a plan, poured the concrete, stacked the bricks, raised the roof,
    painted the walls, moved in
mailing: grabbed a pen, described the holiday, licked the stamp, reached the post box,
    dropped the letter, hoped for a reply
barbecue: cleaned the grill, lit the charcoal, seasoned the steak, turned the meat,
    served the guests, washed the plates
wedding: met a stranger, fell in love, bought a ring, invited the family, said the vows, cut a huge cake
dentist: noticed a toothache, made an appointment, sat in the chair, opened wide, got a filling,
    rinsed with water
cycling: pumped the tires, put on a helmet, pedaled up the hill, rested at the top,
    rolled downhill, locked the bike
chess: set up the pieces, moved a pawn, lost a knight, trapped the queen, called checkmate, shook hands
diving: checked the oxygen, put on flippers, sank below the waves, saw a coral reef,
    swam up slowly, took off the mask
theater: read the play, learned the lines, tried on a costume, waited behind the curtain,
    stepped on stage, bowed to applause
haircut: entered the salon, sat before a mirror, described a style, felt the scissors,
    brushed off the neck, left a tip
moving: taped the boxes, emptied the closets, loaded the truck, crossed the city,
    unpacked the lamps, hugged the neighbors
surgery: arrived at the clinic, changed into a gown, breathed the gas, slept for hours,
    woke with stitches, went home by taxi
mining: lowered the cage, switched on a lamp, swung the pickaxe, struck gold, filled a wagon,
    sold the nuggets
racing: warmed the engine, waited for the flag, stepped on the gas, passed a rival, saw the finish,
    lifted the trophy
""".strip().replace("\n    ", " ")

SCRIPTS: dict[str, tuple[str, ...]] = {
    name: tuple(steps.split(", ")) for name, steps in (line.split(": ") for line in _LINES.splitlines())
}
"""26 activities with six steps each."""
ACTIVITIES: Pool[str] = Pool.cut(tuple(SCRIPTS), 4, 6)
STEPS = 6


@dataclass(frozen=True)
class Story:
    """Somebody doing an activity."""

    activity: str
    name: str

    def sentence(self, index: int, *, named: bool = False) -> str:
        """Step `index` as a sentence, about "he" or "she" unless `named`."""
        return f"{self.name if named else he(self.name)} {SCRIPTS[self.activity][index]}."

    def sentences(self, indices: list[int]) -> list[str]:
        """Several steps, the first of them with the name."""
        return [self.sentence(index, named=position == 0) for position, index in enumerate(indices)]


def story(world: World, rng: random.Random, *, withheld: bool = False) -> Story:
    """Draws a story; with `withheld`, its activity or its person is of the withheld part."""
    activity = world.pick(ACTIVITIES, rng)
    force = withheld and ACTIVITIES.part(activity) == "common"
    return Story(activity, world.pick(NAMES, rng, force=force))
