"""What methods cost: the paper's setting by its formulas, and our runs by formula and as measured."""

from dataclasses import dataclass

from experiments import published
from tfew_pl import costs
from tfew_pl.recipe import Recipe
from tfew_pl.shapes import SHAPES

GPT_3 = {"GPT-3 6.7B": (32, 4096), "GPT-3 13B": (40, 5140), "GPT-3 175B": (96, 12_288)}
"""Layers and width of the GPT-3 models (Brown et al. 2020, Table 2.1)."""
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
