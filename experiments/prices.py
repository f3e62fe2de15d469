"""What machines cost."""

from tfew_pl.costs import Price
from tfew_pl.errors import UserError
from tfew_pl.naming import look_up

PRICES = {
    # Section 4.2: training T-Few, 2.7e16 FLOPs, takes half an hour on one A100 and costs about $2 on Azure.
    "azure-a100-2022": Price("azure-a100-2022", dollars_per_hour=4.0, flops_per_second=2.7e16 / 1800),
}
"""By name."""


def parse_price(text: str) -> Price:
    """A price by its name, or one given as NAME=DOLLARS_PER_HOUR@FLOPS_PER_SECOND.

    Raises:
        UserError: it is neither.
    """
    name, given, numbers = text.partition("=")
    if not given:
        return look_up("price", text, PRICES)
    try:
        dollars, flops = map(float, numbers.split("@"))
    except ValueError:
        dollars = flops = 0.0
    if not (name and 0 < dollars < float("inf") and 0 < flops < float("inf")):
        example = "h100=2.50@5e13"
        raise UserError(f"--price {text}: expected a name or NAME=DOLLARS_PER_HOUR@FLOPS_PER_SECOND, such as {example}")
    return Price(name, dollars, flops)
