import os
import statistics
import subprocess
import sys

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tfew_pl import costs
from tfew_pl.encoding import Encoded
from tfew_pl.shapes import SHAPES


def _printed(value: float) -> str:
    """Two digits, as Table 1 prints them."""
    return f"{value:.1e}"


def test_t_few_of_table_1() -> None:
    # Section 4.2: 11e9 x 103 FLOPs; 3 x 11e9 x 1000 x 8 x 103 FLOPs; 1,081,344 values of four bytes.
    assert _printed(costs.inference_flops(11e9, 103)) == "1.1e+12"
    assert _printed(costs.training_flops(11e9, 103, 1000, 8)) == "2.7e+16"
    size = costs.adaptation_bytes(1_081_344)
    assert size == 4_325_376
    # The table prints 4.2 MB, between what it is in MB (4.33) and in MiB (4.13).
    assert size / 2**20 < 4.2 < size / 1e6


def test_t5_lm_of_table_1() -> None:
    assert _printed(costs.inference_flops(11e9, 103, shots=41, shot_tokens=98)) == "4.5e+13"
    assert costs.context_bytes(41, 98) == 16_072


@pytest.mark.parametrize(("parameters", "printed"), [(6.7e9, "5.4e+13"), (13e9, "1.0e+14"), (175e9, "1.4e+15")])
def test_gpt_3_of_table_1(parameters: float, printed: str) -> None:
    # Printed without the query's 103 tokens: 2N x 41 x 98.
    found = costs.inference_flops(parameters, 0, shots=41, shot_tokens=98, encoder_decoder=False)
    assert _printed(found) == printed


def test_decoder_only_training_costs_six_n() -> None:
    assert costs.training_flops(2.0, 3, 5, 7, encoder_decoder=False) == 6 * 2 * 3 * 5 * 7


def test_median_lengths() -> None:
    examples = [Encoded((1,) * n, ((1,) * 2, (1,) * 3), gold=1) for n in (10, 30, 70)]
    assert costs.median_tokens(examples) == statistics.median([15, 35, 75])
    assert costs.median_shot_tokens(examples) == 33


def test_counted_flops_are_two_a_multiplication_and_addition() -> None:
    weight = torch.ones(5, 7, requires_grad=True)

    def call() -> None:
        (torch.ones(3, 5) @ weight).sum().backward()

    # Forward 2 x 3 x 5 x 7, and the same for the weight's gradient; the input wants none.
    assert costs.count_flops(call) == 2 * (2 * 3 * 5 * 7)


_PEAKS = """
import torch
from tfew_pl.costs import PeakMemory

device = torch.device("cpu")
first = PeakMemory()
before = first.of(device)
bytes(bytearray(100_000_000)[:1])
print(before, first.of(device), PeakMemory().of(device))
"""


def test_peak_memory_is_counted_from_its_start() -> None:
    """What was there before and is gone does not count, where the system can start anew."""
    # A process of its own: here, what other tests have left may be freed at any time.
    process = subprocess.run([sys.executable, "-c", _PEAKS], capture_output=True, text=True, check=True)
    before, peak, anew = map(int, process.stdout.split())
    assert 50e6 < before < 1e12
    assert before + 80e6 < peak < before + 150e6
    if os.access(costs._CLEAR, os.W_OK):
        assert anew < before + 50e6


def test_ia3_parameters_are_those_that_are_attached() -> None:
    from experiments.commands.params import counts

    for name in ("t0", "t5-small"):
        found = counts(name, ["ia3"]).methods
        assert costs.ia3_parameters(SHAPES[name]) == found["ia3"]["trainable"]


def test_cached_keys_and_values_of_section_2_1() -> None:
    # 32 examples x 512 tokens x 96 layers x 12,288 x 32 bits each for keys and values: "over 144 gigabytes".
    assert costs.cache_bytes(96, 12_288, 32 * 512) == 144 * 2**30


def test_break_even() -> None:
    assert costs.break_even(100, 1, 0, 11) == 10
    assert costs.break_even(101, 1, 0, 11) == 11
    assert costs.break_even(100, 1, 40, 11) == 6
    assert costs.break_even(0, 1, 0, 1) == 0
    assert costs.break_even(5, 1, 9, 2) == 0
    assert costs.break_even(100, 1, 0, 1) is None
    assert costs.break_even(0, 2, 50, 1) is None  # cheaper at first, not from some number on


@given(*[st.integers(0, 1000)] * 4)
def test_break_even_is_the_least_number_from_which_on(fixed: int, each: int, other: int, other_each: int) -> None:
    found = costs.break_even(fixed, each, other, other_each)
    cheaper = [fixed + n * each <= other + n * other_each for n in range(1003)]
    if found is None:
        assert not cheaper[-1]
    else:
        assert all(cheaper[found:])
        assert not found or not cheaper[found - 1]
