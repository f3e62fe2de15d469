"""The processes that compute one training together, a device each."""

import os
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # a command that computes nothing must not wait for torch
    from torch import Tensor


def is_first() -> bool:
    """Whether this process is the first of them, or alone: the one that writes and speaks."""
    torch = sys.modules.get("torch")
    if torch is not None and torch.distributed.is_available() and torch.distributed.is_initialized():
        return bool(torch.distributed.get_rank() == 0)
    return os.environ.get("LOCAL_RANK", "0") == "0"  # what Lightning numbers the processes by that it starts


def mean_over_devices(counts: "Tensor") -> "Tensor":
    """Counts of this device to their mean over all devices; every process has to call it."""
    import torch.distributed

    total = counts.float().clone()
    torch.distributed.all_reduce(total)
    return total / torch.distributed.get_world_size()


def of_all_processes(values: "Tensor") -> "Tensor":
    """(n,) of this process -> (processes, n) of all of them, in their order; every process has to call it."""
    import torch.distributed

    gathered = [torch.empty_like(values) for _ in range(torch.distributed.get_world_size())]
    torch.distributed.all_gather(gathered, values.contiguous())
    return torch.stack(gathered)
