"""The (IA)3 vectors that T-Few's authors released, such as `t03b_ia3_finish.pt`.

Such a file is a plain dict of tensors. A key is the path of a linear map and `.multi_lora_b`; its vector, (out, 1),
scales the output of that map: of the key and value maps, and of `wi_1`, the linear half of the gated feed-forward.
Scaling `wi_1`'s output is scaling `wo`'s input, which is where ours is (`tfew_pl.ia3`).
"""

import pickle
import warnings
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from tfew_pl.adaptation_file import to_bytes
from tfew_pl.errors import UserError
from tfew_pl.ia3 import FEED_FORWARD_OUTPUT, IA3

ENDING = ".multi_lora_b"
_GATED = ".wi_1"
_GROUP = "scales."
"""What our names of (IA)3's vectors begin with."""
_UNREADABLE = (pickle.UnpicklingError, RuntimeError, EOFError, ValueError, LookupError, AttributeError, TypeError)
"""What `torch.load` raises for files that are cut off or something else."""


def read_released(path: Path) -> dict[str, Tensor]:
    """The file's tensors by key. Nothing of it is executed: only tensors in plain containers are read.

    Raises:
        UserError: the file cannot be read, or is no dict of tensors.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of how an odd pickle was written, before it is refused
            content = torch.load(path, map_location="cpu", weights_only=True)
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror or error})") from error
    except _UNREADABLE as error:
        if "Unsupported" in str(error):  # an object, or a pickle of a kind that PyTorch does not write
            raise UserError(f"{path}: refused: it holds Python objects, which could run code") from error
        raise UserError(f"{path}: not a readable PyTorch file; is it cut off?") from error
    if not isinstance(content, Mapping) or not content:
        raise UserError(f"{path}: expected a dict of tensors, found a {type(content).__name__}")
    wrong = [key for key, value in content.items() if not (isinstance(key, str) and isinstance(value, Tensor))]
    if wrong:
        raise UserError(f"{path}: {wrong[0]!r} is not a tensor with a name")
    return dict(content)


def released_key(name: str) -> str:
    """What the release calls a vector of ours, `scales.PATH` with slashes for dots."""
    path = name.removeprefix(_GROUP).replace("/", ".")
    if path.endswith(FEED_FORWARD_OUTPUT):
        path = path.removesuffix(FEED_FORWARD_OUTPUT) + _GATED
    return path + ENDING


def import_released(path: Path, backbone: nn.Module, digest: str | None) -> bytes:
    """The content of our file for a file of the release.

    Args:
        path: of the release's file.
        backbone: the model that it was made for, with nothing attached; its weights are not looked at, so that it
            may be on the meta device.
        digest: of the backbone's weights; None where they are not here, and shapes alone tell one from another.

    Raises:
        UserError: the file cannot be read, or does not fit the backbone.
    """
    tensors = read_released(path)
    adaptation = IA3().attach(backbone, generator=torch.Generator())
    adaptation.detach()
    own = {released_key(name): (name, len(vector[0])) for name, vector in adaptation.stored().items()}
    maps = {f"{name}{ENDING}" for name, module in backbone.named_modules() if isinstance(module, nn.Linear)}
    if not set(own) <= maps:
        raise UserError(f"{path}: the release's vectors are for gated feed-forward layers, which this backbone lacks")
    _check(path, tensors, {key: size for key, (_, size) in own.items()})
    adaptation.to_empty(device="cpu")
    adaptation.load_stored({name: tensors[key].float().view(1, -1) for key, (name, _) in own.items()})
    return to_bytes(adaptation, IA3.name, digest)


def _check(path: Path, tensors: Mapping[str, Tensor], sizes: Mapping[str, int]) -> None:
    """Refuses tensors that are not the expected ones; the message says what was found against what was expected."""
    expected = f"this backbone has {len(sizes)} vectors, {sum(sizes.values()):,} values"
    missing, extra = [key for key in sizes if key not in tensors], [key for key in tensors if key not in sizes]
    if extra:
        raise UserError(f"{path}: {extra[0]!r} has no place in (IA)3 on this backbone; {expected}")
    if missing:
        raise UserError(f"{path}: {missing[0]!r} and {len(missing) - 1} more are missing; {expected}")
    for key, tensor in tensors.items():
        if tensor.shape != (sizes[key], 1):
            raise UserError(f"{path}: {key} is {tuple(tensor.shape)}, expected {(sizes[key], 1)}; {expected}")
        if not tensor.is_floating_point() or not tensor.isfinite().all():
            raise UserError(f"{path}: {key} holds values that are no finite numbers")
