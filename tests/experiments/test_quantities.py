"""Quantities as text."""

import pytest

from experiments.quantities import count, percent, rate, scientific, size


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0"), (1.1e12, "1.1e12"), (11e9 * 103, "1.1e12"), (9.96e5, "1.0e6"), (3 * 11e9 * 8e3 * 103, "2.7e16")],
)
def test_scientific(value: float, text: str) -> None:
    assert scientific(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1.0 kB"),
        (41 * 98 * 4, "16 kB"),
        (4_325_376, "4.3 MB"),
        (9_960, "10 kB"),
        (999_700, "1.0 MB"),
        (44e9, "44 GB"),
        (2.5e12, "2.5 TB"),
    ],
)
def test_size(value: float, text: str) -> None:
    assert size(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (11e9, "11B"),
        (6.7e9, "6.7B"),
        (540_672, "541K"),
        (12, "12"),
        (9_960, "10K"),
        (999_600, "1.0M"),
        (999_700_000, "1.0B"),
        (2e12, "2000B"),
    ],
)
def test_count(value: float, text: str) -> None:
    assert count(value) == text


def test_percent() -> None:
    assert percent(72.449) == "72.4"


@pytest.mark.parametrize(("value", "text"), [(3e-3, "3e-3"), (0.3, "3e-1"), (1e-2, "1e-2"), (2.5e-5, "2.5e-5")])
def test_rate(value: float, text: str) -> None:
    assert rate(value) == text
