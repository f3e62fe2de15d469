"""Digits, and how exact they are."""

import decimal
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from experiments.audit.printed import Printed, cells, mean


def rounded(value: Fraction, digits: int) -> str:
    """Half up, as by hand."""
    exact = Decimal(value.numerator) / Decimal(value.denominator)
    return str(exact.quantize(Decimal(10) ** -digits, decimal.ROUND_HALF_UP))


@pytest.mark.parametrize(
    ("text", "tolerance"), [("58", "1/2"), ("66.4", "0.055"), ("63.25", "0.005"), ("5.4e13", "55e10"), ("2e1", "5")]
)
def test_tolerance(text: str, tolerance: str) -> None:
    assert Printed(text).tolerance == Fraction(tolerance)


def test_numbers_that_were_rounded_twice() -> None:
    # 69 of 104 are 66.346: 66.35 in Table 7, and 66.4 in Table 3.
    assert Printed("66.4").admits(Fraction(6900, 104))
    assert Printed("66.35").admits(Fraction(6900, 104))
    assert not Printed("66.4").admits(Fraction(66_344, 1000))
    assert not Printed("66.36").admits(Fraction(6900, 104))


@given(st.integers(1, 20_000), st.integers(0, 20_000))
def test_what_is_rounded_is_admitted(n: int, k: int) -> None:
    value = Fraction(100 * min(k, n), n)
    twice = rounded(Fraction(rounded(value, 2)), 1)
    assert all(Printed(text).admits(value) for text in (rounded(value, 2), rounded(value, 1), twice))


def test_mean_and_its_rounding() -> None:
    assert mean([Printed("1.0"), Printed("2.00")]) == (Fraction(3, 2), Fraction(3, 100))
    assert Printed("1.5").admits(Fraction("1.6"), Fraction(1, 20))


def test_every_accuracy_is_read() -> None:
    found = cells()
    assert len({(c.table, c.row, c.dataset) for c in found}) == len(found)
    assert {c.table for c in found} == {str(number) for number in range(3, 11)}
    assert all((c.iqr is None) == (c.table == "9" and c.row != "T-Few") for c in found)
