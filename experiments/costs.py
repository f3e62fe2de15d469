"""What the methods of Table 1 cost, by the paper's formulas."""

from dataclasses import dataclass
from typing import Any

from experiments import published
from tfew_pl import costs
from tfew_pl.costs import Price
from tfew_pl.recipe import Recipe
from tfew_pl.shapes import SHAPES

GPT_3 = {"GPT-3 6.7B": (32, 4096), "GPT-3 13B": (40, 5120), "GPT-3 175B": (96, 12_288)}
"""Layers and width of the GPT-3 models (Brown et al. 2020, Table 2.1, which prints 5140 for GPT-3 13B, whose 40 heads
of 128 make 5120)."""
T_FEW, ZERO_SHOT = "T-Few", "T0"
"""Rows of Table 1 that see no context; the others learn in context."""


@dataclass(frozen=True)
class Estimate:
    """A row of Table 1 by the formulas of Section 4.2; FLOPs, and bytes."""

    method: str
    inference_flops: float
    """Of one prediction."""
    training_flops: float
    disk_bytes: int
    context_flops: float
    """Of the context alone, which is part of every prediction unless its keys and values are cached."""
    cached_inference_flops: float | None
    """Of one prediction behind a cached context; None without a context, and where the context cannot be cached:
    an encoder sees the query on both sides."""
    cache_bytes: float | None
    """Of the cached keys and values in single precision."""

    def values(self, t_few: "Estimate", price: Price) -> dict[str, Any]:
        """The row for programs: FLOPs, bytes and dollars, each beside what is printed.

        `break_even` is the number of predictions from which T-Few, its training included, costs no more than this
        row; with `cached`, than this row behind a cached context. None: never.
        """
        printed = published.table1()[self.method]
        cached = None
        if self.cached_inference_flops is not None:
            cached = (self.context_flops, self.cached_inference_flops)
        return {
            "method": self.method,
            "parameters": printed.parameters,
            "inference_flops": self.inference_flops,
            "printed_inference_flops": printed.inference_flops,
            "training_flops": self.training_flops,
            "printed_training_flops": printed.training_flops,
            "disk_bytes": self.disk_bytes,
            "printed_disk_bytes": printed.disk_bytes,
            "context_flops": self.context_flops,
            "cached_inference_flops": self.cached_inference_flops,
            "cache_bytes": self.cache_bytes,
            "break_even_of": t_few.method,
            "break_even": None if self is t_few else t_few.break_even(self.training_flops, self.inference_flops),
            "break_even_cached": None if cached is None else t_few.break_even(*cached),
            "training_dollars": price.of_flops(self.training_flops),
            "inference_dollars": price.of_flops(self.inference_flops),
            "price": price.name,
        }

    def break_even(self, other_fixed: float, other_each: float) -> int | None:
        """Predictions from which this row, its training included, costs no more FLOPs than another way."""
        return costs.break_even(self.training_flops, self.inference_flops, other_fixed, other_each)


def paper_costs() -> list[Estimate]:
    """Table 1's rows by the paper's formulas, from N, the median lengths, the shots and the recipe.

    Raises:
        UserError: the file of the published table is missing.
    """
    recipe, tokens = Recipe(), published.EXAMPLE_TOKENS
    found = []
    for row in published.table1().values():
        in_context = row.method not in (T_FEW, ZERO_SHOT)
        shots = published.SHOTS if in_context else 0
        kind = {"encoder_decoder": row.encoder_decoder}
        training, disk = 0.0, costs.context_bytes(shots, published.SHOT_TOKENS)
        if row.method == T_FEW:
            training = costs.training_flops(row.parameters, tokens, recipe.steps, recipe.batch_size)
            disk = costs.adaptation_bytes(costs.ia3_parameters(SHAPES["t0"]))
        layers_and_width = GPT_3.get(row.method)
        found.append(
            Estimate(
                method=row.method,
                inference_flops=costs.inference_flops(row.parameters, tokens, shots, published.SHOT_TOKENS, **kind),
                training_flops=training,
                disk_bytes=disk,
                context_flops=costs.inference_flops(row.parameters, 0, shots, published.SHOT_TOKENS, **kind),
                cached_inference_flops=(
                    costs.inference_flops(row.parameters, tokens, **kind) if layers_and_width else None
                ),
                cache_bytes=(
                    costs.cache_bytes(*layers_and_width, shots * published.SHOT_TOKENS) if layers_and_width else None
                ),
            )
        )
    return found


def paper_values(price: Price) -> list[dict[str, Any]]:
    """The paper's setting for programs, a dictionary a row of Table 1."""
    rows = paper_costs()
    (t_few,) = (row for row in rows if row.method == T_FEW)
    return [row.values(t_few, price) for row in rows]
