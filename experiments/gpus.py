"""What GPUs can do at most, and what an hour of one costs."""

from dataclasses import dataclass

from tfew_pl.errors import UserError
from tfew_pl.naming import look_up

MODEL_FLOPS_UTILIZATION = 0.05
"""Share of the peak that such runs reach: the paper's own (Section 4.2), 2.7e16 FLOPs in half an hour on an A100.
Small batches of short inputs leave most of a GPU idle; of a model of a few million parameters it says nothing.
"""


@dataclass(frozen=True)
class GPU:
    """A GPU for rent."""

    name: str
    peak_flops: float
    """A second, dense, in bfloat16 with sums in single precision: the maker's data sheet."""
    dollars_per_hour: float
    """On demand, of one GPU."""
    price_source: str
    """Whose price, and of when."""


GPUS = {
    gpu.name: gpu
    for gpu in (
        GPU("a100", 312e12, 3.67, "Azure NC24ads A100 v4, East US, 2025"),
        GPU("h100", 989e12, 6.88, "an eighth of AWS p5.48xlarge, us-east-1, from June 2025"),
        GPU("l4", 121e12, 0.80, "AWS g6.xlarge, us-east-1, 2025"),
        GPU("a10g", 70e12, 1.01, "AWS g5.xlarge, us-east-1, June 2026"),
    )
}
"""By name. Prices change: `--dollars-per-hour` takes the place of these."""


def choose_gpu(name: str, dollars_per_hour: float | None) -> GPU:
    """The GPU of that name, at its price or at another.

    Raises:
        UserError: there is none of that name, or the price is not positive.
    """
    gpu = look_up("GPU", name, GPUS)
    if dollars_per_hour is None:
        return gpu
    if not 0 < dollars_per_hour < float("inf"):
        raise UserError(f"--dollars-per-hour {dollars_per_hour}: give a positive number")
    return GPU(gpu.name, gpu.peak_flops, dollars_per_hour, "as given")
