"""Logging trainings with TensorBoard, Weights & Biases or MLflow, through Lightning's loggers.

Off unless asked for, and without influence on a record. Every run logs as a run of its own, called by its digest, also
where several are trained together as slots of one model.
"""

import importlib.util
import logging
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tfew_pl.errors import UserError
from tfew_pl.naming import look_up
from tfew_pl.processes import is_first

if TYPE_CHECKING:  # the command line names loggers long before it needs Lightning
    from pytorch_lightning.loggers import Logger

    from tfew_pl.record import RunRecord
    from tfew_pl.training_log import TrainingLog

LOGGERS = {"tensorboard": "tensorboard", "wandb": "wandb", "mlflow": "mlflow"}
"""Names of the loggers, and the package that each needs; the extras are called like the loggers."""
PROJECT = "tfew_pl"
"""What Weights & Biases and MLflow gather the runs under, unless WANDB_PROJECT or MLFLOW_EXPERIMENT_NAME says other."""


@dataclass(frozen=True)
class LogTo:
    """Which loggers trainings have, and where these write. It can be pickled.

    Args:
        names: of the loggers.
        folder: TensorBoard's files go into its `tensorboard/RUN`, Weights & Biases' into `wandb`, and MLflow's into
            `mlflow` unless MLFLOW_TRACKING_URI names a server.
    """

    names: tuple[str, ...]
    folder: Path

    def check(self) -> None:
        """To be called before several runs begin at a time.

        Raises:
            UserError: a logger is unknown, its package is not installed, or MLflow's server does not answer.
        """
        for name in self.names:
            package = look_up("logger", name, LOGGERS)
            spec = importlib.util.find_spec(package)
            if spec is None or spec.origin is None:  # a folder of logs of that name is no package
                raise UserError(f"--logger {name} needs the package {package}: pip install 'tfew_pl[{name}]'")
        if "mlflow" in self.names:
            _make_mlflow_experiment(self.folder)

    @contextmanager
    def open(self, runs: Mapping[str, Mapping[str, Any]], step: int = 0) -> "Iterator[TrainingLog]":
        """Within it the runs of a training log.

        Args:
            runs: their settings by their digest, in the order of their slots.
            step: that was done before, of a training that is taken up again.

        Yields:
            A callback of the Trainer.

        Raises:
            UserError: as `check`, or a logger refuses.
        """
        from pytorch_lightning.loggers import WandbLogger

        from tfew_pl.training_log import TrainingLog

        self.check()
        loggers: list[list[Logger]] = []
        status = "failed"
        try:
            for run, settings in runs.items():
                loggers.append([])
                # Of several devices' processes one logs.
                for name in self.names if is_first() else ():
                    loggers[-1].append(_OPEN[name](run, self.folder, step))
                    loggers[-1][-1].log_hyperparams(dict(settings))
            yield TrainingLog(loggers)
            status = "success"
        finally:
            for logger in (logger for of_run in loggers for logger in of_run):
                logger.finalize(status)
                if isinstance(logger, WandbLogger):  # it would stay open until the process ends
                    logger.experiment.finish(exit_code=int(status != "success"))


NOWHERE = LogTo((), Path())
"""No loggers."""


def _open_tensorboard(run: str, folder: Path, step: int) -> "Logger":
    from pytorch_lightning.loggers import TensorBoardLogger

    # What a killed process wrote of later steps is not shown.
    return TensorBoardLogger(
        folder, name="tensorboard", version=run, default_hp_metric=False, purge_step=step and step + 1
    )


def _open_wandb(run: str, folder: Path, _step: int) -> "Logger":
    import wandb
    from pytorch_lightning.loggers import WandbLogger

    folder.mkdir(parents=True, exist_ok=True)
    try:
        # Lightning's own call of it would make a second run in a process log into the first.
        experiment = wandb.init(
            project=os.environ.get("WANDB_PROJECT", PROJECT),
            name=run,
            id=run,
            dir=folder,
            resume="allow",
            reinit="create_new",
            settings=wandb.Settings(silent=True, console="off", disable_git=True, disable_code=True),
        )
    except wandb.Error as error:
        raise UserError(f"--logger wandb: {_line(error)}; or set WANDB_MODE=offline") from error
    experiment.define_metric("trainer/global_step")
    experiment.define_metric("*", step_metric="trainer/global_step", step_sync=True)
    return WandbLogger(experiment=experiment)


def _open_mlflow(run: str, folder: Path, _step: int) -> "Logger":
    from mlflow.exceptions import MlflowException
    from pytorch_lightning.loggers import MLFlowLogger

    try:
        with _mlflow_uri(folder) as uri:
            logger = MLFlowLogger(_mlflow_experiment(), run_name=run, tracking_uri=uri)
            _ = logger.experiment  # makes the run
    except MlflowException as error:
        raise UserError(f"--logger mlflow: {_line(error)}") from error
    return logger


_OPEN = {"tensorboard": _open_tensorboard, "wandb": _open_wandb, "mlflow": _open_mlflow}


@contextmanager
def _mlflow_uri(folder: Path) -> Iterator[str]:
    """Where MLflow logs to; MLflow's own changes of the environment end with the context."""
    given = os.environ.get("MLFLOW_TRACKING_URI")
    # Of the local stores that without a database: several processes may write it, over a network too.
    os.environ.setdefault("MLFLOW_ALLOW_FILE_STORE", "true")
    logging.getLogger("mlflow").setLevel(logging.ERROR)
    try:
        yield given or (folder.absolute() / "mlflow").as_uri()
    finally:
        if given is None:
            os.environ.pop("MLFLOW_TRACKING_URI", None)
        else:
            os.environ["MLFLOW_TRACKING_URI"] = given


def _mlflow_experiment() -> str:
    return os.environ.get("MLFLOW_EXPERIMENT_NAME", PROJECT)


def _make_mlflow_experiment(folder: Path) -> None:
    """Several runs that begin at the same time would each make one of that name."""
    from mlflow import MlflowClient
    from mlflow.exceptions import MlflowException

    try:
        with _mlflow_uri(folder) as uri:
            client = MlflowClient(uri)
            if client.get_experiment_by_name(_mlflow_experiment()) is None:
                client.create_experiment(_mlflow_experiment())
    except MlflowException as error:
        raise UserError(f"--logger mlflow: {_line(error)}") from error


def _line(error: Exception) -> str:
    return (str(error).strip().splitlines() or ["it refuses"])[0].rstrip(".")


def accuracies(record: "RunRecord") -> dict[str, float]:
    """What is logged of an evaluation: the median over templates, and each template's; nothing without labels."""
    from tfew_pl.record import median_accuracy

    if not record.accuracy:
        return {}
    # MLflow takes no other characters in names.
    each = {f"accuracy/{re.sub(r'[^A-Za-z0-9_. -]+', '_', name)}": share for name, share in record.accuracy.items()}
    return {"accuracy/median": median_accuracy(record.accuracy), **each}
