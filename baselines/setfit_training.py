"""Training SetFit by its own library (the extra `setfit`)."""

import logging
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import datasets
import pandas as pd
import torch
from safetensors.torch import save
from sentence_transformers import SentenceTransformer
from setfit import SetFitModel, Trainer, TrainingArguments
from sklearn.linear_model import LogisticRegression
from torch.utils.flop_counter import FlopCounterMode
from transformers import TrainerCallback
from transformers.trainer_callback import PrinterCallback, ProgressCallback

from tfew_pl.errors import UserError
from tfew_pl.progress import Progress
from tfew_pl.quiet import quiet_transformers
from tfew_pl.text_classifier import TrainedClassifier

if TYPE_CHECKING:
    from baselines.setfit import SetFitConfig

_ROWS = 50
"""Of the table of losses."""


def train(
    texts: Sequence[str],
    labels: Sequence[int],
    config: "SetFitConfig",
    folder: Path,
    seed: int,
    progress: Progress | None,
) -> TrainedClassifier:
    """Trains an encoder and its classifier; see `tfew_pl.text_classifier.TextClassifier.train`.

    Args:
        texts: of the training examples.
        labels: their classes.
        config: the hyperparameters.
        folder: of the encoder.
        seed: of the order of the pairs, and of dropout.
        progress: told how far it has come.

    Raises:
        UserError: the encoder cannot be loaded.
    """
    with _quiet(), torch.random.fork_rng(), tempfile.TemporaryDirectory() as scratch:
        encoder = _load(folder)
        model = SetFitModel(model_body=encoder, model_head=LogisticRegression())
        pairs = 2 * config.iterations * len(texts) * config.epochs
        arguments = TrainingArguments(
            output_dir=scratch,
            batch_size=config.batch_size,
            num_epochs=config.epochs,
            num_iterations=config.iterations,
            body_learning_rate=config.learning_rate,
            seed=seed,
            show_progress_bar=False,
            report_to="none",
            logging_steps=max(1, pairs // config.batch_size // _ROWS),
            save_strategy="no",
        )
        observer = _Observer(progress)
        data = datasets.Dataset.from_dict({"text": list(texts), "label": list(labels)})
        trainer = Trainer(model=model, args=arguments, train_dataset=data, callbacks=[observer])
        for bar in (PrinterCallback, ProgressCallback):
            trainer.remove_callback(bar)
        trainer.st_trainer.args.dataloader_pin_memory = torch.cuda.is_available()  # else it warns
        trainer.train()
    encoder.eval()

    def length(text: str) -> int:
        return len(encoder.tokenizer(text, truncation=True, max_length=encoder.max_seq_length)["input_ids"])

    def predict(some: Sequence[str]) -> list[int]:
        found: list[int] = model.predict(list(some), as_numpy=True, show_progress_bar=False).tolist()
        return found

    head = {name: torch.from_numpy(getattr(model.model_head, name)) for name in ("coef_", "intercept_", "classes_")}
    tensors = {name: tensor.contiguous() for name, tensor in {**encoder.state_dict(), **head}.items()}
    encoder_parameters = sum(parameter.numel() for parameter in encoder.parameters())
    return TrainedClassifier(
        predict=predict,
        length=length,
        parameters=encoder_parameters,
        trained_parameters=encoder_parameters + head["coef_"].numel() + head["intercept_"].numel(),
        stored=save(tensors),
        measured_training_flops=float(observer.flops * observer.steps),
        losses=pd.DataFrame(observer.losses, columns=["step", "contrastive"]).astype({"step": "int64"}),
        device=encoder.device,
    )


def _load(folder: Path) -> SentenceTransformer:
    # PyTorch's counter of FLOPs knows nothing of a CPU's fused attention.
    attention = "sdpa" if torch.cuda.is_available() else "eager"
    try:
        return SentenceTransformer(
            str(folder), local_files_only=True, model_kwargs={"attn_implementation": attention, "dtype": torch.float32}
        )
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise UserError(f"backbone {folder}: cannot load it as a sentence encoder: {reason}") from error


@contextmanager
def _quiet() -> Iterator[None]:
    """Within it, the libraries say nothing of what was asked of them."""
    logger = logging.getLogger("setfit")
    level, bars = logger.level, datasets.is_progress_bar_enabled()
    logger.setLevel(logging.ERROR)
    datasets.disable_progress_bar()
    try:
        with quiet_transformers():
            yield
    finally:
        logger.setLevel(level)
        if bars:
            datasets.enable_progress_bar()


class _Observer(TrainerCallback):
    """Counts the first step's FLOPs, notes the losses and passes the progress on."""

    def __init__(self, progress: Progress | None) -> None:
        self._progress = progress
        self._counter = FlopCounterMode(display=False)
        self.flops = 0
        self.steps = 0
        self.losses: list[tuple[int, float]] = []

    def on_step_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Before a step."""
        if state.global_step == 0:
            self._counter.__enter__()

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """After a step."""
        if state.global_step == 1:
            self._counter.__exit__(None, None, None)
            self.flops = self._counter.get_total_flops()
        self.steps = state.global_step
        if self._progress is not None:
            self._progress("training", state.global_step / state.max_steps)

    def on_log(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """At each noted loss, its mean since the one before."""
        logs: Mapping[str, float] = kwargs["logs"]
        if "embedding_loss" in logs:
            self.losses.append((state.global_step, logs["embedding_loss"]))
