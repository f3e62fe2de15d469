"""Silencing what libraries say of settings that are meant; everything else they say still shows."""

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

# Where bitsandbytes is installed, it comes along with transformers' schedules, and advises a package that nothing here
# needs.
logging.getLogger("bitsandbytes.backends.cpu.ops").setLevel(logging.ERROR)


@contextmanager
def quiet_lightning() -> Iterator[None]:
    """Within it, Lightning says nothing of devices it was not asked to use, and nothing of data workers."""
    loggers = [logging.getLogger(name) for name in ("pytorch_lightning", "lightning_fabric")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    with warnings.catch_warnings():
        # The data are a few hundred cached examples: workers would cost more than they bring.
        warnings.filterwarnings("ignore", message=".*does not have many workers.*")
        # The recipe decides whether dropout is on, and evaluation mode is what turns it off.
        warnings.filterwarnings("ignore", message=".*in eval mode at the start of training.*")
        # A single machine of a cluster is a machine.
        warnings.filterwarnings("ignore", message=".*`srun` command is available.*")
        # A parameter of one slot may have strides of its own; what is averaged over devices is the same.
        warnings.filterwarnings("ignore", message="(?s).*Grad strides do not match bucket view strides.*")
        # Nobody writes into what a sharded stack returns, of which prompt tuning takes its tokens away.
        warnings.filterwarnings("ignore", message=".*FSDP2-wrapped module .* returned a view tensor.*")
        # Pre-training has nothing to validate on.
        warnings.filterwarnings("ignore", message=".*have no `val_dataloader`.*")
        # Lightning 2.6 makes tree specs in a way that torch 2.13 announces to remove.
        warnings.filterwarnings("ignore", message=".*LeafSpec.*", category=FutureWarning)
        try:
            yield
        finally:
            for logger, level in zip(loggers, levels, strict=True):
                logger.setLevel(level)


@contextmanager
def quiet_transformers() -> Iterator[None]:
    """Within it, transformers shows no bars, and nothing of untied heads that `load_backbone` sees to."""
    from transformers.utils import logging as transformers_logging

    level = transformers_logging.get_verbosity()
    bars = transformers_logging.is_progress_bar_enabled()
    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
    try:
        yield
    finally:
        transformers_logging.set_verbosity(level)
        if bars:
            transformers_logging.enable_progress_bar()


@contextmanager
def quiet_compiler() -> Iterator[None]:
    """Within it, PyTorch's compiler says nothing of what PyTorch itself does in ways that it deprecates."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*should not be instantiated.*", category=DeprecationWarning)
        warnings.filterwarnings("ignore", message=".*torch.jit.script.*is deprecated.*", category=DeprecationWarning)
        # Its tracer looks for the gradient of every tensor that comes in.
        warnings.filterwarnings("ignore", message=".*grad attribute of a Tensor that is not a leaf.*")
        yield
