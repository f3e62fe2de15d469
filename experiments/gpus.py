"""What GPUs can do at most, what an hour of one costs, and what a computation on it costs then.

Every number has its source beside it. Prices change, and differ between clouds: `--dollars-per-hour` of `tfew grid`
and `--price` of `tfew cost` take the place of these.
"""

from dataclasses import dataclass

from experiments import published
from tfew_pl.costs import Price
from tfew_pl.errors import UserError
from tfew_pl.naming import look_up

A100_PEAK = 312e12
MODEL_FLOPS_UTILIZATION = published.TRAINING_FLOPS / published.TRAINING_SECONDS / A100_PEAK
"""Share of the peak that such runs reach, 4.8 %: what the paper says of its own (Section 4.2). Small batches of short
inputs leave most of a GPU idle; of a model of a few million parameters it says nothing."""


@dataclass(frozen=True)
class GPU:
    """A GPU for rent."""

    name: str
    peak_flops: float
    """A second, dense, in bfloat16 with sums in single precision."""
    peak_source: str
    """The maker's document. Its numbers with sparsity are twice the dense ones."""
    dollars_per_hour: float
    """Of one GPU."""
    price_source: str
    """Whose price, of when, and where it was read."""

    def price(self, utilization: float = MODEL_FLOPS_UTILIZATION) -> Price:
        """What its computations cost, at a share of its peak."""
        return Price(self.name, self.dollars_per_hour, self.peak_flops * utilization)


GPUS = {
    gpu.name: gpu
    for gpu in (
        GPU(
            "a100",
            A100_PEAK,
            "https://www.nvidia.com/content/dam/en-zz/Solutions/Data-Center/a100/pdf/"
            "nvidia-a100-datasheet-us-nvidia-1758950-r4-web.pdf",
            published.TRAINING_DOLLARS / published.TRAINING_SECONDS * 3600,
            "Azure, 2022, by Section 4.2 of the paper: about $2 for half an hour",
        ),
        GPU(
            "h100",  # SXM: 1,979e12 with sparsity
            989e12,
            "https://www.nvidia.com/en-us/data-center/h100/",
            4.916,
            "AWS Capacity Blocks, an eighth of p5.48xlarge, December 2024, from a copy of "
            "aws.amazon.com/ec2/capacityblocks/pricing",
        ),
        GPU(
            "l4",  # 242e12 with sparsity
            121e12,
            "https://www.nvidia.com/en-us/data-center/l4/",
            0.80,
            "assumed; AWS G6 was said to cost $0.80 to $1.10 in March 2026, "
            "costnimbus.com/article/gpu-cost-management-ml-teams",
        ),
    )
}
"""By name."""


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
    return GPU(gpu.name, gpu.peak_flops, gpu.peak_source, dollars_per_hour, "as given")


def describe_price(text: str) -> str:
    """What dollars rest on, for a person: where the price of a known GPU comes from, or the price as it was given.

    Args:
        text: as for `parse_price`, which has accepted it.
    """
    if "=" in text:
        return text
    return f"{text}: ${GPUS[text].dollars_per_hour:.2f} an hour ({GPUS[text].price_source})"


def parse_price(text: str) -> Price:
    """The price of a GPU by its name, or one given as NAME=DOLLARS_PER_HOUR@FLOPS_PER_SECOND.

    Raises:
        UserError: it is neither.
    """
    name, given, numbers = text.partition("=")
    if not given:
        return look_up("price", text, GPUS).price()
    try:
        dollars, flops = map(float, numbers.split("@"))
    except ValueError:
        dollars = flops = 0.0
    if not (name and 0 < dollars < float("inf") and 0 < flops < float("inf")):
        example = "h100=2.50@5e13"
        raise UserError(f"--price {text}: expected a name or NAME=DOLLARS_PER_HOUR@FLOPS_PER_SECOND, such as {example}")
    return Price(name, dollars, flops)
