"""Timing variants that take turns."""

import statistics
import time
from collections.abc import Callable, Mapping
from typing import Literal

import torch

Clock = Literal["wall", "processor"]
"""`processor` counts this process alone, for a machine that others use too; it is no measure of a GPU."""


def interleaved(
    variants: Mapping[str, Callable[[int], object]], rounds: int, clock: Clock = "wall", warm_up: int = 2
) -> dict[str, list[float]]:
    """Seconds of each variant in each round, by name.

    Args:
        variants: each is called with the number of the round, from 0.
        rounds: that count; `warm_up` rounds go before them.
        clock: what is read.
    """
    read = time.perf_counter if clock == "wall" else time.process_time
    seconds: dict[str, list[float]] = {name: [] for name in variants}
    for number in range(-warm_up, rounds):
        for name, variant in variants.items():
            _wait()
            start = read()
            variant(max(number, 0))
            _wait()
            if number >= 0:
                seconds[name].append(read() - start)
    return seconds


def _wait() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def rows(seconds: Mapping[str, list[float]], reference: str) -> list[dict[str, object]]:
    """A row a variant: median and quartiles in milliseconds, and how many times slower than the reference it is.

    The ratio is the median over rounds of the ratio in a round, whose variants ran one after another.
    """
    found = []
    for name, values in seconds.items():
        first, _, third = statistics.quantiles(values, n=4, method="inclusive") if len(values) > 1 else (values[0],) * 3
        ratio = statistics.median(one / two for one, two in zip(values, seconds[reference], strict=True))
        found.append(
            {
                "variant": name,
                "median_ms": 1e3 * statistics.median(values),
                "first_quartile_ms": 1e3 * first,
                "third_quartile_ms": 1e3 * third,
                "ratio": ratio,
            }
        )
    return found
