"""The T-Few recipe (Liu et al. 2022, Sections 3.2-3.5) as a value; an ablation changes one field."""

from dataclasses import dataclass, fields, replace
from typing import Literal

from tfew_pl.errors import UserError


@dataclass(frozen=True)
class Recipe:
    """How a backbone is adapted to a task. The defaults are the paper's text (Section 3.5)."""

    steps: int = 1000
    """Optimizer steps."""
    batch_size: int = 8
    """Examples a step, over all devices and accumulated micro-batches."""
    learning_rate: float = 3e-3
    """Peak learning rate."""
    warmup_ratio: float = 0.06
    """Share of the steps over which the learning rate rises linearly from 0; then it falls linearly to 0."""
    scale_parameter: bool = True
    """Adafactor multiplies its step by the parameter's root mean square (Shazeer & Stern 2018, Alg. 4)."""
    gradient_clip: float = 1.0
    """Largest norm of the gradient (release)."""
    lm_weight: float = 1.0
    """Weight of L_LM, cross-entropy of the correct choice's tokens."""
    unlikelihood_weight: float = 1.0
    """Weight of L_UL, unlikelihood of the tokens of wrong choices (Eq. 1)."""
    length_norm_weight: float = 1.0
    """Weight of L_LN, cross-entropy over length-normalized scores of the choices (Eq. 2)."""
    unlikelihood_form: Literal["paper", "release"] = "paper"
    """`release` adds 0.01 inside the logarithm and a constant for every padded and correct token."""
    unlikelihood_eos: bool = True
    """Whether L_UL counts the end-of-sequence token of wrong choices, near-certain after a wrong label."""
    length_normalized_ranking: bool = True
    """Whether rank classification divides a choice's log-probability by its number of tokens."""
    pretrained: bool = True
    """Start from parameters pre-trained on the multitask mixture (Section 3.4), if the method has them."""
    dropout: Literal["off", "checkpoint"] = "off"
    """`checkpoint` trains with the dropout of the backbone's configuration."""
    drop_last: bool = False
    """Leave out the incomplete last batch of each pass over the examples, not fill it from the next pass."""
    accumulate: int = 1
    """Micro-batches into which a batch is divided, for less memory: L_LM and L_UL are then averages of the means over
    the tokens of each."""

    def __post_init__(self) -> None:
        for field in fields(self):
            if field.type is float:  # 1 and 1.0 are one recipe, and so have one digest
                object.__setattr__(self, field.name, float(getattr(self, field.name)))
        problems = []
        for name in ("steps", "batch_size", "accumulate"):
            if getattr(self, name) < 1:
                problems.append(f"{name} must be at least 1, not {getattr(self, name)}")
        if not 0 <= self.warmup_ratio < 1:
            problems.append(f"warmup_ratio must lie in [0, 1), not {self.warmup_ratio}")
        for name in ("learning_rate", "gradient_clip"):
            if not getattr(self, name) > 0:
                problems.append(f"{name} must be positive, not {getattr(self, name)}")
        weights = (self.lm_weight, self.unlikelihood_weight, self.length_norm_weight)
        if min(weights) < 0 or max(weights) == 0:
            problems.append("the loss weights must not be negative, and one must be positive")
        if self.unlikelihood_form not in ("paper", "release"):
            problems.append(f"unlikelihood_form is 'paper' or 'release', not {self.unlikelihood_form!r}")
        if self.dropout not in ("off", "checkpoint"):
            problems.append(f"dropout is 'off' or 'checkpoint', not {self.dropout!r}")
        if problems:
            raise UserError("recipe: " + "; ".join(problems))

    @property
    def warmup_steps(self) -> int:
        """Steps of linear warm-up: 60 of 1,000."""
        return round(self.steps * self.warmup_ratio)


RELEASE = "release"
RECIPES = {
    "paper": Recipe(),
    RELEASE: Recipe(unlikelihood_form="release", dropout="checkpoint", drop_last=True),
}
"""Named recipes. `release` is what the released code does otherwise than the paper's text, whatever the method; what it
does otherwise for one method stands with that method, in its `Remarks`."""

INGREDIENTS: dict[str, dict[str, object]] = {
    "lm": {"lm_weight": 0.0},
    "unlikelihood": {"unlikelihood_weight": 0.0},
    "length-norm": {"length_norm_weight": 0.0},
    "pretraining": {"pretrained": False},
    "warmup": {"warmup_ratio": 0.0},
    "length-normalized-ranking": {"length_normalized_ranking": False},
    "parameter-scaling": {"scale_parameter": False},
    "clipping": {"gradient_clip": 1e9},
    "unlikelihood-eos": {"unlikelihood_eos": False},
}
"""What `--without` can take away, and the fields that taking it away changes."""


def without(recipe: Recipe, *ingredients: str) -> Recipe:
    """The recipe without the named ingredients.

    Raises:
        UserError: an ingredient is unknown.
    """
    for ingredient in ingredients:
        if ingredient not in INGREDIENTS:
            raise UserError(f"--without {ingredient}: unknown ingredient; there are {', '.join(INGREDIENTS)}")
        recipe = replace(recipe, **INGREDIENTS[ingredient])  # type: ignore[arg-type]
    return recipe
