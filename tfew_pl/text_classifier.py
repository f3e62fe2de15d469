"""Text classifiers: methods with a model of their own, which T-Few is measured beside.

They learn a task's classes from texts and labels. No T5 is adapted, no prompt is rendered and no answer choice ranked,
so that they fit tasks whose classes are the same for all examples: RAFT's. Nothing of the recipe applies to them;
their hyperparameters are their options, and a run's backbone is the encoder that they start from.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from tfew_pl.errors import UserError
from tfew_pl.options import configure
from tfew_pl.registry import get_classifier
from tfew_pl.spec import RunSpec
from tfew_pl.tasks import task_of
from tfew_pl.tasks.data import load_data

if TYPE_CHECKING:  # checking a grid must not wait for torch
    import pandas as pd
    import torch

    from tfew_pl.progress import Progress


@dataclass(frozen=True)
class TrainedClassifier:
    """What a training left behind."""

    predict: Callable[[Sequence[str]], Sequence[int]]
    """Classes of texts."""
    length: Callable[[str], int]
    """Tokens of a text as the encoder reads it."""
    parameters: int
    """Of the encoder, each of whose tokens passes through all of it: N."""
    trained_parameters: int
    stored: bytes
    """All that is kept of it, as a safetensors file."""
    measured_training_flops: float
    """Counted by PyTorch over the first step, times the steps."""
    losses: "pd.DataFrame"
    """`step`, and the mean of each loss since the row before."""
    device: "torch.device"


class TextClassifier(ABC):
    """A way to learn classes from texts. A subclass declares what is below, and is an entry point.

    Args:
        options: fields of the configuration that differ from their defaults.

    Raises:
        UserError: an option is unknown or does not fit.
    """

    name: ClassVar[str]
    summary: ClassVar[str]
    """One line for a listing."""
    Config: ClassVar[type]
    """A frozen dataclass."""
    backbone: ClassVar[str]
    """The encoder, where nobody names another."""
    packages: ClassVar[Sequence[str]] = ()
    """Libraries of its own on which its numbers depend; a record notes their versions."""

    def __init__(self, options: Mapping[str, Any] | None = None) -> None:
        self.config: Any = configure(self.Config, self.name, options)

    @abstractmethod
    def revision(self, backbone: str) -> str:
        """What identifies an encoder's weights, known without them where it is one of the method's own.

        Raises:
            UserError: there is no such encoder.
        """

    @abstractmethod
    def missing(self, backbone: str) -> str | None:
        """What has to be installed before it can be trained, and how; None if nothing."""

    @abstractmethod
    def parameters(self, backbone: str) -> int | None:
        """Of an encoder, without loading it; None where that is not known."""

    @abstractmethod
    def texts(self, shots: int) -> int:
        """Texts that pass through the encoder forward and backward in a training on so many examples."""

    @abstractmethod
    def train(
        self,
        texts: Sequence[str],
        labels: Sequence[int],
        *,
        backbone: str,
        seed: int,
        progress: "Progress | None",
    ) -> TrainedClassifier:
        """Learns from labeled texts.

        Args:
            texts: of the few-shot examples.
            labels: their classes, at least two of them.
            backbone: the encoder.
            seed: of all that is random.
            progress: told how far the training has come.
        """


def check_classifier(spec: RunSpec) -> str:
    """What identifies the encoder of a text classifier's run.

    Its recipe must be the default, so that nothing without influence is part of the run's identity.

    Raises:
        UserError: the run asks for what text classifiers do not do.
    """
    plain = RunSpec(spec.task)
    if spec.recipe != plain.recipe:
        raise UserError(f"method {spec.method} takes nothing from the recipe: its hyperparameters are its own options")
    if spec.precision != plain.precision:
        raise UserError(f"method {spec.method} computes in {plain.precision}, not in {spec.precision}")
    task_of(spec).text(load_data(spec.task, spec.data).train[0])
    return get_classifier(spec.method, spec.options).revision(spec.backbone)


def missing_package(spec: RunSpec) -> str | None:
    """What has to be installed before a text classifier's run can be done; None if nothing."""
    return get_classifier(spec.method, spec.options).missing(spec.backbone)
