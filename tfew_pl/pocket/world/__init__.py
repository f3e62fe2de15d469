"""A small generated world: people, things, places, causes, scripts, pronouns and words with two meanings."""

from tfew_pl.pocket.world.parts import ALL, COMMON, Part, Pool, World

__all__ = ["ALL", "COMMON", "Part", "Pool", "World"]
