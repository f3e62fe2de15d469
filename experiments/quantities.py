"""Quantities as people read them."""


def scientific(value: float) -> str:
    """Two digits and a power of ten, as in the paper's tables: 1.1e12; 0 for nothing."""
    if not value:
        return "0"
    mantissa, exponent = f"{value:.1e}".split("e")
    return f"{mantissa}e{int(exponent)}"


def size(value: float) -> str:
    """Bytes in decimal units, as in the paper's tables: 4.2 MB, 16 kB."""
    number = float(value)
    for unit in ("B", "kB", "MB", "GB"):
        # Rounding must not give "1000 kB" where "1.0 MB" is meant.
        digits = 0 if unit == "B" or round(number, 1) >= 10 else 1
        if round(number, digits) < 1000:
            return f"{number:.{digits}f} {unit}"
        number /= 1000
    return f"{number:.{1 if number < 10 else 0}f} TB"


def percent(share: float) -> str:
    """A percentage with one digit, as in the paper's tables."""
    return f"{share:.1f}"


def rate(value: float) -> str:
    """A learning rate with the digits that it has: 3e-3, 0.3 as 3e-1."""
    mantissa, exponent = f"{value:e}".split("e")
    return f"{mantissa.rstrip('0').rstrip('.')}e{int(exponent)}"


def count(value: float) -> str:
    """A count with a unit: 11B, 540K, 1.6M."""
    number = float(value)
    for unit in ("", "K", "M"):
        # Rounding must not give "1000K" where "1.0M" is meant.
        digits = 0 if not unit or round(number, 1) >= 10 else 1
        if round(number, digits) < 1000:
            return f"{number:.{digits}f}{unit}"
        number /= 1000
    return f"{number:.{1 if round(number, 1) < 10 else 0}f}B"
