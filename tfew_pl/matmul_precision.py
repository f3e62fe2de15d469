"""By which of its ways PyTorch multiplies fp32 matrices on this machine's CPU: found by a check of error and speed.

`torch.set_float32_matmul_precision("medium")` hands the products to oneDNN. On AMD's CPUs that takes half of MKL's
time, with fp32's error; where a CPU has instructions for it, such as AMX, it computes in bf16, a thousand times less
exactly. The numbers of a run depend on the choice, and its record's environment names it. So that noise in the timing
cannot change it from one run to the next, the margin is wide, and what was found is kept for this CPU and version of
PyTorch.
"""

import contextlib
import dataclasses
import hashlib
import json
import os
import platform
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, get_args

if TYPE_CHECKING:  # the command line names the choices, and must not wait for torch
    from torch import Tensor

Precision = Literal["highest", "medium"]
Choice = Literal["auto", "highest", "medium"]
SHAPES = ((512, 128, 256), (512, 512, 1024))
"""Rows, inputs and outputs of the products that are measured: feed-forwards of pocket-t0's and T5-small's width."""
LARGEST_ERROR = 4.0
"""Times that of `highest`, which sums in another order."""
LEAST_SPEEDUP = 1.3
ROUNDS = 7


@dataclass(frozen=True)
class Finding:
    """What the check has measured."""

    precision: Precision
    """What is to be used."""
    error: float
    """Of `medium`, times that of `highest`; the worst of the shapes."""
    speedup: float
    """Of `medium` over `highest`, the best of several rounds of each."""


def set_matmul_precision(choice: Choice = "auto") -> Precision:
    """Sets the precision of fp32 products for this process, and returns it.

    Args:
        choice: a precision; or `auto` for what the check finds on a CPU. Where there is a GPU, auto is `highest`, as
            anything else would mean TF32 there.
    """
    import torch

    if choice == "auto":
        choice = "highest" if torch.cuda.is_available() else known_finding().precision
    torch.set_float32_matmul_precision(choice)
    return choice


def known_finding(folder: Path | None = None) -> Finding:
    """The finding for this CPU, version of PyTorch and number of threads: measured once, and the same ever after.

    Args:
        folder: where findings are kept; the user's cache if left out. Where it cannot be written, nothing is kept.
    """
    path = (folder or _cache()) / f"matmul-{_machine()}.json"
    with contextlib.suppress(OSError, ValueError, TypeError):
        return Finding(**json.loads(path.read_text(encoding="utf-8")))
    finding = measure()
    with contextlib.suppress(OSError, ValueError, TypeError):
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile("w", dir=path.parent, prefix=".unfinished-", encoding="utf-8") as file:
            json.dump(dataclasses.asdict(finding), file)
            file.flush()
            with contextlib.suppress(FileExistsError):
                os.link(file.name, path)  # of processes that measure at one time, all take what the first has found
        return Finding(**json.loads(path.read_text(encoding="utf-8")))
    return finding


def measure() -> Finding:
    """Multiplies matrices both ways, in some tens of milliseconds; the process's own precision stays."""
    import torch

    before = torch.get_float32_matmul_precision()
    generator = torch.Generator().manual_seed(0)
    try:
        found = [
            _compared(torch.randn(rows, inputs, generator=generator), torch.randn(outputs, inputs, generator=generator))
            for rows, inputs, outputs in SHAPES
        ]
    finally:
        torch.set_float32_matmul_precision(before)
    error, speedup = max(error for error, _ in found), min(speedup for _, speedup in found)
    better = error <= LARGEST_ERROR and speedup >= LEAST_SPEEDUP
    return Finding("medium" if better else "highest", error, speedup)


def _compared(x: "Tensor", weight: "Tensor") -> tuple[float, float]:
    """Of `medium` against `highest`: the error and the speed of a product."""
    import torch
    import torch.nn.functional as F

    exact = F.linear(x.double(), weight.double())
    errors: dict[str, float] = {}
    seconds = dict.fromkeys(get_args(Precision), float("inf"))
    for _ in range(ROUNDS):
        for precision in seconds:
            torch.set_float32_matmul_precision(precision)
            start = time.perf_counter()
            product = F.linear(x, weight)
            seconds[precision] = min(seconds[precision], time.perf_counter() - start)
            errors[precision] = float((product.double() - exact).abs().max())
    return errors["medium"] / errors["highest"], seconds["highest"] / seconds["medium"]


def _cache() -> Path:
    """The user's folder for what can be found anew."""
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "tfew_pl"


def _machine() -> str:
    """What speed and error depend on."""
    import torch

    model = platform.processor() or platform.machine()
    with contextlib.suppress(OSError):
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        model = "\n".join(sorted({line for line in lines if line.startswith(("model", "vendor", "flags"))}))
    described = f"{model} {torch.__version__} {torch.get_num_threads()}"
    return hashlib.sha256(described.encode()).hexdigest()[:16]
