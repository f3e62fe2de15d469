"""What a run costs: the paper's estimates (Section 4.2) and PyTorch's own count.

An encoder-decoder of N parameters spends N FLOPs a token on inference, since each token passes through one
half of it; training spends three times as much. A decoder-only model spends 2N and 6N (Kaplan et al. 2020).
"""

import math
import re
import resource
import statistics
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # a table must not wait for torch
    import torch

    from tfew_pl.encoding import Encoded
    from tfew_pl.shapes import Shape

TOKEN_ID_BYTES = 4
"""Bytes of a stored token id (Section 4.2: 41 examples of 98 tokens are 16 kB)."""
VALUE_BYTES = 4
"""Bytes of a stored parameter in single precision."""
_STATUS, _CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")


def flops_per_token(parameters: float, encoder_decoder: bool = True) -> float:
    """Inference FLOPs a token: N for an encoder-decoder, 2N for a decoder-only model."""
    return parameters if encoder_decoder else 2 * parameters


def inference_flops(
    parameters: float,
    tokens: float,
    shots: float = 0,
    shot_tokens: float = 0,
    encoder_decoder: bool = True,
) -> float:
    """FLOPs of one prediction.

    Args:
        parameters: of the backbone, N.
        tokens: of the example and all of its choices.
        shots: examples in the context.
        shot_tokens: of an example in the context, with its correct choice only.
    """
    return flops_per_token(parameters, encoder_decoder) * (tokens + shots * shot_tokens)


def training_flops(
    parameters: float, tokens: float, steps: int, batch_size: int, encoder_decoder: bool = True
) -> float:
    """FLOPs of a training: three times inference, for every example of every step."""
    return 3 * flops_per_token(parameters, encoder_decoder) * tokens * steps * batch_size


def context_bytes(shots: float, shot_tokens: float) -> int:
    """Bytes that in-context learning keeps for a task: the token ids of its examples."""
    return round(shots * shot_tokens * TOKEN_ID_BYTES)


def adaptation_bytes(parameters: int) -> int:
    """Bytes of an adaptation in single precision."""
    return parameters * VALUE_BYTES


def ia3_parameters(shape: "Shape") -> int:
    """Parameters of (IA)3 by the formula of Section 3.3: L(dk + dv + dff) + L(2 dk + 2 dv + dff)."""
    keys = values = shape.heads * shape.d_kv
    return shape.layers * (3 * keys + 3 * values + 2 * shape.d_ff)


def cache_bytes(layers: int, width: int, tokens: float) -> float:
    """Bytes of a context's keys and values in single precision, in every layer of a decoder (Section 2.1).

    Args:
        layers: of the decoder.
        width: of a key, over all heads.
        tokens: of the context.
    """
    return 2 * layers * width * tokens * VALUE_BYTES


def break_even(fixed: float, each: float, other_fixed: float, other_each: float) -> int | None:
    """Predictions from which one way to predict costs no more than another.

    Args:
        fixed: what the one costs once, such as its training.
        each: what a prediction costs with it.
        other_fixed: what the other costs once.
        other_each: what a prediction costs with the other.

    Returns:
        The least n with fixed + n each <= other_fixed + n other_each, for it and all that follow; None if there is
        none.
    """
    if fixed <= other_fixed and each <= other_each:
        return 0
    if each >= other_each:
        return None
    return math.ceil((fixed - other_fixed) / (other_each - each))


@dataclass(frozen=True)
class Price:
    """What a machine costs and does."""

    name: str
    dollars_per_hour: float
    flops_per_second: float
    """That it sustains on such work; not its peak."""

    def of_seconds(self, seconds: float) -> float:
        """Dollars of a time."""
        return seconds / 3600 * self.dollars_per_hour

    def of_flops(self, flops: float) -> float:
        """Dollars of a computation."""
        return self.of_seconds(flops / self.flops_per_second)


def median_tokens(examples: Sequence["Encoded"]) -> float:
    """Median length of an example: its input and all of its choices (Section 4.2 uses 103)."""
    return statistics.median(e.tokens for e in examples)


def median_shot_tokens(examples: Sequence["Encoded"]) -> float:
    """Median length of an example in a context: its input and its correct choice (Section 4.2 uses 98)."""
    return statistics.median(len(e.input_ids) + len(e.choices[e.gold]) for e in examples)


def count_flops(call: Callable[[], object]) -> int:
    """FLOPs of a call as PyTorch counts them, matrix products of the forward and backward pass."""
    from torch.utils.flop_counter import FlopCounterMode

    with FlopCounterMode(display=False) as counter:
        call()
    total: int = counter.get_total_flops()
    return total


class PeakMemory:
    """Peak memory from when this is made; its count is the process's own, so that there is one at a time."""

    def __init__(self) -> None:
        import torch

        if torch.cuda.is_initialized():  # before that, nothing is on a GPU
            for device in range(torch.cuda.device_count()):
                torch.cuda.reset_peak_memory_stats(device)
        with suppress(OSError):  # not Linux, or not allowed: there it counts from the process's start
            _CLEAR.write_text("5")  # as proc(5) has it: the peak becomes what is resident now

    def of(self, device: "torch.device") -> int:
        """Bytes allocated on a GPU, or resident of this process on a CPU, at the most."""
        if device.type == "cuda":
            import torch

            return torch.cuda.max_memory_allocated(device)
        with suppress(OSError):
            found = re.search(r"^VmHWM:\s*(\d+) kB$", _STATUS.read_text(), re.MULTILINE)
            if found:
                return 1024 * int(found[1])
        unit = 1 if sys.platform == "darwin" else 1024
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
