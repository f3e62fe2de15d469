"""What a method may need from the run that it is attached for, beyond the backbone."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from torch import Tensor
from transformers import PreTrainedTokenizerBase

from tfew_pl.choices import ChoiceBatch


@dataclass(frozen=True)
class Setting:
    """A run as a method sees it: its text, its training examples and its loss."""

    tokenizer: PreTrainedTokenizerBase
    """Of the backbone."""
    batches: Callable[[], Iterator[ChoiceBatch]]
    """The few-shot examples one by one in their order, each a batch of one through a template drawn from the run's
    seed; the same at each call. In pre-training: the first examples of the mixture."""
    loss: Callable[[ChoiceBatch], Tensor]
    """The recipe's total loss of a batch, a scalar, on the backbone as it is at the call, what is attached included.
    Slot 0 is used throughout."""
