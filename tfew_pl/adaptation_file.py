"""Adaptations on disk: safetensors with a header that says what they are and for which backbone."""

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import save
from torch import Tensor, nn

from tfew_pl.errors import UserError
from tfew_pl.method import Adaptation
from tfew_pl.tensor_file import read_tensor_file

FORMAT = "tfew_pl adaptation 1"
_SAMPLES = 256


def backbone_digest(backbone: nn.Module) -> str:
    """Identity of a backbone's weights, whatever precision they were loaded in, quantized included.

    It hashes every parameter's name, shape, and up to 256 evenly spaced values in bfloat16, so that it takes
    milliseconds a gigabyte.
    """
    noted = getattr(backbone, "known_digest", None)  # of weights that are quantized or sharded
    return noted if isinstance(noted, str) else digest_of(sorted(backbone.named_parameters()))


def digest_of(tensors: Iterable[tuple[str, Tensor]]) -> str:
    """`backbone_digest` of parameters with their names, in the order of these."""
    digest = hashlib.sha256()
    for name, tensor in tensors:
        values = tensor.detach().flatten()
        stride = max(1, len(values) // _SAMPLES)
        sample = values[::stride][:_SAMPLES].to("cpu", torch.bfloat16).contiguous()
        digest.update(f"{name} {tuple(tensor.shape)}".encode())
        digest.update(sample.view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()[:16]


def to_bytes(adaptation: Adaptation, method: str, backbone: str | None, slot: int | None = None) -> bytes:
    """The adaptation as the content of a safetensors file.

    Args:
        adaptation: what was trained.
        method: name of the method.
        backbone: the backbone's digest; None where its weights were not at hand (an imported file).
        slot: the only one to write; None for all of them.
    """
    stored = adaptation.stored()
    if slot is not None and adaptation.slots > 1:
        stored = {name: tensor[slot : slot + 1] for name, tensor in stored.items()}
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in stored.items()}
    slots = adaptation.slots if slot is None else 1
    header = {"format": FORMAT, "method": method, "backbone": backbone, "slots": slots}
    return save(tensors, {"tfew_pl": json.dumps(header, sort_keys=True)})


def read(path: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """The header of an adaptation's file, `method`, `backbone` and `slots` among its keys, and the tensors.

    Raises:
        UserError: the file cannot be read, or is none of ours.
    """
    try:
        metadata, tensors = read_tensor_file(path)
    except FileNotFoundError as error:
        raise UserError(f"{path}: no such file") from error
    except (SafetensorError, OSError) as error:
        raise UserError(f"{path}: not a readable safetensors file ({error})") from error
    try:
        header = json.loads(metadata.get("tfew_pl", "{}"))
    except ValueError:
        header = {}
    if not (isinstance(header, dict) and header.get("format") == FORMAT and {"method", "backbone"} <= set(header)):
        raise UserError(f"{path}: not an adaptation of tfew_pl")
    return header, tensors


def load_into(adaptation: Adaptation, path: Path, method: str, backbone: str) -> None:
    """Reads an adaptation's parameters from a file into an attached adaptation of one or more slots.

    A file of one slot fills every slot. One that does not say which weights it was made for is held against the
    names and shapes of the adaptation's tensors alone.

    Raises:
        UserError: the file cannot be read, or is for another method or backbone.
    """
    header, tensors = read(path)
    if header["method"] != method:
        raise UserError(f"{path}: an adaptation of method {header['method']}, not {method}")
    if header["backbone"] not in (None, backbone):
        raise UserError(f"{path}: made for backbone {header['backbone']}, but this backbone is {backbone}")
    own = adaptation.stored()
    if set(own) != set(tensors):
        raise UserError(f"{path}: its tensors are not those of {method} with these options on this backbone")
    for name, tensor in tensors.items():
        spread = adaptation.slots > 1 and tensor.shape[:1] == (1,)
        if tensor.shape[spread:] != own[name].shape[spread:]:
            raise UserError(f"{path}: {name} is {tuple(tensor.shape)}, expected {tuple(own[name].shape)}")
    adaptation.load_stored({name: tensor.expand_as(own[name]) for name, tensor in tensors.items()})
