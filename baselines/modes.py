"""Looking at a backbone before training: without dropout, and every flag as it was afterwards."""

from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn


@contextmanager
def evaluating(backbone: nn.Module) -> Iterator[None]:
    """Within it, no module drops anything; afterwards each is in the mode it was in."""
    modes = [(module, module.training) for module in backbone.modules()]
    backbone.eval()
    try:
        yield
    finally:
        for module, training in modes:
            module.training = training
