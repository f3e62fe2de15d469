"""One run on several devices: each takes its share of every batch, and of the frozen backbone if that is sharded.

Only what is trained is kept in step. It is whole on every device, so that its optimizer, its clipping, and what is
written of it are those of one device.
"""

from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.strategies import DDPStrategy, Strategy
from torch import nn

from tfew_pl.adaptation_file import backbone_digest
from tfew_pl.backbones import Backbone, load_backbone, read_backbone
from tfew_pl.errors import UserError
from tfew_pl.spec import Precision

AUTO = "auto"


class FrozenBackboneDDP(DDPStrategy):
    """Data parallelism: every device holds the backbone, and the gradients of what is trained are averaged.

    Frozen weights are the same on all devices as they were loaded, and are not sent around.
    """

    def model_to_device(self) -> None:
        """Moves the module, and says which of its tensors stay out of the communication."""
        super().model_to_device()
        module: Any = self.lightning_module
        own = set() if module.adaptation is None else {id(p) for p in module.adaptation.parameters() if p.requires_grad}
        alike = [name for name, p in module.named_parameters(remove_duplicate=False) if id(p) not in own]
        alike += [name for name, _ in module.named_buffers(remove_duplicate=False) if name.startswith("backbone.")]
        # The name under which torch's DistributedDataParallel and Lightning's synchronization look for it.
        module._ddp_params_and_buffers_to_ignore = alike


class ShardedBackbone(FrozenBackboneDDP):
    """Data parallelism with the weights of the frozen layers divided among the devices (FSDP2).

    A layer is gathered when it computes, forward or backward, and freed afterwards. Embeddings and head are whole.
    """

    def teardown(self) -> None:
        """Leaves the shards where they are, as Lightning's own strategies that shard do."""
        strategy: Any = self
        strategy.model = self.lightning_module  # without DistributedDataParallel around it
        for part in (strategy.cluster_environment, strategy.precision_plugin, strategy.accelerator):
            part.teardown()


_OURS = {"ddp": FrozenBackboneDDP, "fsdp": ShardedBackbone}


def find_strategy(name: str | Strategy, devices: Any) -> str | Strategy:
    """The strategy of that name: `ddp` or `fsdp` as they are done here, `auto` for one of them or a single device.

    Args:
        name: or a strategy of Lightning's own, which is given back.
        devices: as for Lightning's Trainer.

    Raises:
        UserError: there is no such strategy, or not for so few devices.
    """
    if not isinstance(name, str):
        return name
    if name == AUTO:
        return FrozenBackboneDDP() if isinstance(devices, int) and devices > 1 else AUTO
    if name not in _OURS:
        raise UserError(f"--strategy {name}: there are {AUTO}, {' and '.join(_OURS)}")
    if name == "fsdp" and devices == 1:
        raise UserError("--strategy fsdp divides the backbone among devices: give --devices 2 or more")
    return _OURS[name]()


def is_sharded(trainer: pl.Trainer) -> bool:
    """Whether a Trainer shards the backbone."""
    return isinstance(trainer.strategy, ShardedBackbone)


def check_sharding(
    trainer: pl.Trainer, backbone: str, precision: Precision, *, encoder_decoder: bool, changes_weights: bool
) -> None:
    """Returns if the Trainer does not shard the backbone, or can.

    Args:
        trainer: with any strategy.
        backbone: its name.
        precision: of its weights.
        encoder_decoder: whether it is a T5.
        changes_weights: whether the method changes weights, rather than activations.

    Raises:
        UserError: it cannot be sharded.
    """
    if not is_sharded(trainer):
        return
    why = ""
    if not encoder_decoder:
        why = f"{backbone} is no T5, and no other is"
    elif precision not in ("fp32", "bf16"):
        why = f"weights quantized to {precision} are not"
    elif changes_weights:
        why = "weights that the method changes are not"
    if why:
        raise UserError(f"--strategy fsdp shards a frozen T5 in fp32 or bf16, and {why}: use --strategy ddp")


def load_for(trainer: pl.Trainer, name: str, precision: Precision) -> Backbone:
    """A backbone on the device of this process; one that will be sharded is in memory, and nobody else's.

    Raises:
        UserError: as `read_backbone`.
    """
    if is_sharded(trainer):
        return read_backbone(name, precision, "cpu")
    backbone = load_backbone(name, precision)
    backbone.model.to(trainer.strategy.root_device)  # type: ignore[arg-type]  # transformers types it wrongly
    return backbone


def shard_for(trainer: pl.Trainer, backbone: Backbone, adaptation: nn.Module | None) -> None:
    """Divides a backbone among the Trainer's processes, which it starts, if that is what the Trainer does.

    Args:
        trainer: with any strategy.
        backbone: of `load_for`, with everything attached that reads its weights.
        adaptation: moved to the device too.
    """
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import fully_shard

    strategy: Any = trainer.strategy
    if not is_sharded(trainer):
        return
    strategy.launcher.launch(strategy.setup_environment, trainer=trainer)
    model: Any = backbone.model
    model.known_digest = backbone_digest(model)
    mesh = init_device_mesh(strategy.root_device.type, (trainer.world_size,))
    for stack in (model.encoder, model.decoder):
        for layer in stack.block:
            fully_shard(layer, mesh=mesh)
        # The stack is what is called, and so has to know of its layers; it has no share of its own.
        layers = {id(p) for p in stack.block.parameters()}
        fully_shard(stack, mesh=mesh, ignored_params={p for p in stack.parameters() if id(p) not in layers})
    model.to(strategy.root_device)
    if adaptation is not None:
        adaptation.to(strategy.root_device)
