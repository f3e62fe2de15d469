"""Taking a training up again where it was killed, to end with the numbers that it would have had.

The state is one safetensors file, renamed into place: trained parameters, the optimizer's averages, the schedule, the
losses noted so far, and the generators of random numbers. A position's draw of an example and a template depends on
the seed and the position alone, so that the step says where the data are.
"""

import hashlib
import json
import os
import time
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from tfew_pl.processes import of_all_processes
from tfew_pl.spec import RunSpec
from tfew_pl.tensor_file import read_tensor_file

FORMAT = "tfew_pl training 1"


class Checkpoint(pl.Callback):
    """Keeps the state of a training, and restores it at the start of the same training.

    Of several processes, each has random numbers of its own, all of which are kept, and the first one writes.

    What was kept by other versions, or with other threads, is not taken up: its numbers would be others; see `require`.

    Args:
        folder: made when the first state is kept.
        specs: of the runs that are trained together; resolved.
        every: steps between two states.
    """

    def __init__(self, folder: Path, specs: Sequence[RunSpec], every: int) -> None:
        self._runs = [spec.digest for spec in specs]
        self._path = folder / f"{hashlib.sha256(' '.join(self._runs).encode()).hexdigest()[:16]}.safetensors"
        self._every = every
        self._circumstances: dict[str, Any] = {}
        self._state: dict[str, Any] = {}
        self._tensors: dict[str, Tensor] = {}
        self._kept = 0
        self._start = 0.0
        self._load()

    @property
    def step(self) -> int:
        """Optimizer steps that were done before."""
        return int(self._state.get("step", 0))

    @property
    def seconds(self) -> float:
        """That they took."""
        return float(self._state.get("seconds", 0.0))

    def require(self, circumstances: Mapping[str, Any]) -> None:
        """Takes up only what was kept in the same circumstances, and keeps these beside what is kept from now on.

        Args:
            circumstances: all on which the last digits of the training depend beside its runs, and its records will
                say; JSON.
        """
        self._circumstances = dict(circumstances)
        if self._state.get("made") != self._circumstances:
            self._state, self._tensors = {}, {}

    def forget(self) -> None:
        """Removes what was kept, also by who was killed while writing: the records are in the store."""
        for path in (self._path, *self._path.parent.glob(f".{self._path.stem}.*")):
            path.unlink(missing_ok=True)

    def _load(self) -> None:
        try:
            # Whoever was killed may still be at work for a moment, and replace the file or remove it.
            metadata, tensors = read_tensor_file(self._path)
            state = json.loads(metadata.get("tfew_pl", "{}"))
            if state.get("format") == FORMAT and state["runs"] == self._runs:
                self._state, self._tensors = state, tensors
        except (FileNotFoundError, SafetensorError, ValueError, KeyError):
            return  # it was never kept, or its disk was full

    def on_train_start(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        """Restores all but the random numbers, of which Lightning draws one more before the first batch."""
        self._start = time.perf_counter()
        self._kept = self.step
        if not self._state:
            return
        (optimizer,) = trainer.optimizers
        parameters = [p for group in optimizer.param_groups for p in group["params"]]
        with torch.no_grad():
            for number, parameter in enumerate(parameters):
                parameter.copy_(self._tensors[f"parameter.{number}"])
        averages: dict[int, dict[str, Any]] = {int(n): dict(of) for n, of in self._state["optimizer"].items()}
        for name, tensor in self._tensors.items():
            kind, _, rest = name.partition(".")
            if kind == "optimizer":
                place, _, key = rest.partition(".")
                averages.setdefault(int(place), {})[key] = tensor
        groups = [
            {**kept, "params": own["params"]}
            for kept, own in zip(self._state["groups"], optimizer.state_dict()["param_groups"], strict=True)
        ]
        optimizer.load_state_dict({"state": averages, "param_groups": groups})
        for config, kept in zip(trainer.lr_scheduler_configs, self._state["schedules"], strict=True):
            config.scheduler.load_state_dict(kept)
        sums = {name.partition(".")[2]: t.to(module.device) for name, t in self._tensors.items() if name[:5] == "sums."}
        module.on_load_checkpoint({"losses": {**self._state["losses"], "sums": sums}})
        trainer.fit_loop.epoch_loop.automatic_optimization.optim_progress.optimizer.step.total.completed = self.step

    def on_train_batch_start(self, trainer: pl.Trainer, module: pl.LightningModule, batch: Any, index: int) -> None:
        """Restores the random numbers before the first batch, and keeps the state before some of the next."""
        if index == 0 and self._state:
            rank, processes = trainer.global_rank, trainer.world_size
            own = {name: self._tensors[name].view(processes, -1)[rank].clone() for name in self._generators()}
            torch.set_rng_state(own["generator.cpu"])  # which reads from the start of a tensor's storage
            if "generator.cuda" in own:
                torch.cuda.set_rng_state(own["generator.cuda"], module.device)
        # Here the step before is complete: at its end the module has yet to note its losses.
        if trainer.global_step != self._kept and trainer.global_step % self._every == 0:
            self._keep(trainer, module)

    def _generators(self) -> list[str]:
        return [name for name in self._tensors if name.startswith("generator.")]

    def on_train_end(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        """Keeps the end of the training for the time of the evaluation."""
        if trainer.global_step != self._kept:
            self._keep(trainer, module)

    def _keep(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        self._kept = trainer.global_step
        generators = {"generator.cpu": torch.get_rng_state()}
        if module.device.type == "cuda":
            generators["generator.cuda"] = torch.cuda.get_rng_state(module.device)
        if trainer.world_size > 1:  # (processes, bytes) each
            generators = {name: of_all_processes(state.to(module.device)) for name, state in generators.items()}
        kept: dict[str, Any] = {}
        module.on_save_checkpoint(kept)
        if not trainer.is_global_zero:
            return
        (optimizer,) = trainer.optimizers
        state = optimizer.state_dict()
        parameters = [p for group in optimizer.param_groups for p in group["params"]]
        tensors = {f"parameter.{number}": parameter.detach() for number, parameter in enumerate(parameters)}
        plain: dict[int, dict[str, Any]] = {}
        for number, of in state["state"].items():
            for key, value in of.items():
                if isinstance(value, Tensor):
                    tensors[f"optimizer.{number}.{key}"] = value
                else:
                    plain.setdefault(number, {})[key] = value
        losses = dict(kept["losses"])
        tensors |= {f"sums.{name}": value for name, value in losses.pop("sums").items()}
        tensors |= generators
        header = {
            "format": FORMAT,
            "runs": self._runs,
            "made": self._circumstances,
            "step": self._kept,
            "seconds": self.seconds + time.perf_counter() - self._start,
            "optimizer": plain,
            "groups": [{key: value for key, value in g.items() if key != "params"} for g in state["param_groups"]],
            "schedules": [config.scheduler.state_dict() for config in trainer.lr_scheduler_configs],
            "losses": losses,
        }
        content = save({n: t.cpu().contiguous() for n, t in tensors.items()}, {"tfew_pl": json.dumps(header)})
        self._path.parent.mkdir(parents=True, exist_ok=True)
        beside = self._path.with_name(f".{self._path.stem}.{uuid.uuid4().hex}")
        try:
            beside.write_bytes(content)
            os.replace(beside, self._path)
        finally:
            beside.unlink(missing_ok=True)


def runs_of(path: Path) -> list[str]:
    """Digests of the runs whose training a file holds; none where it cannot be read."""
    try:
        with safe_open(path, framework="numpy") as file:
            return list(json.loads((file.metadata() or {})["tfew_pl"])["runs"])
    except (OSError, SafetensorError, ValueError, KeyError):
        return []
