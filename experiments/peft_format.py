"""Adaptations as the PEFT library keeps them: a folder with adapter_config.json and adapter_model.safetensors.

Both ways for (IA)3 and LoRA, without PEFT itself. PEFT names a vector by the module that it changes,
`base_model.model.PATH.ia3_l`, (out, 1) where it scales an output and (1, in) where it scales an input; LoRA's
matrices `lora_A.weight`, (r, in), and `lora_B.weight`, (out, r), add (lora_alpha / r) B A; a trained layer norm is a
module to save, `base_model.model.PATH.weight`.
"""

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor, nn

from experiments.output import write_file
from tfew_pl.adaptation_file import backbone_digest, to_bytes
from tfew_pl.errors import UserError
from tfew_pl.registry import get_method

CONFIG = "adapter_config.json"
WEIGHTS = "adapter_model.safetensors"
PREFIX = "base_model.model."
_INPUT_SCALED = ".wo"
_OURS = {"ia3": {"scales": "ia3_l"}, "lora": {"a": "lora_A.weight", "b": "lora_B.weight", "norms": "weight"}}
"""For each method that PEFT has too: our groups of tensors and what PEFT's names end in."""
_NORMS = ["layer_norm", "final_layer_norm"]


def _their_name(name: str, method: str) -> str:
    group, key = name.split(".", 1)
    return f"{PREFIX}{key.replace('/', '.')}.{_OURS[method][group]}"


def _their_shape(name: str, method: str, ours: Tensor) -> tuple[int, ...]:
    """Of a slot's tensor of ours: whether PEFT's vectors of (IA)3 scale an input or an output, their shape says."""
    if method != "ia3":
        return tuple(ours.shape)
    return (1, len(ours)) if name.replace("/", ".").endswith(_INPUT_SCALED) else (len(ours), 1)


def _our_name(name: str, method: str) -> str | None:
    for group, ending in _OURS[method].items():
        if name.startswith(PREFIX) and name.endswith(f".{ending}"):
            path = name.removeprefix(PREFIX).removesuffix(f".{ending}")
            if group != "norms" or path.endswith("layer_norm"):
                return f"{group}.{path.replace('.', '/')}"
    return None


def write_peft(method: str, tensors: Mapping[str, Tensor], folder: Path, slot: int = 0, backbone: str = "") -> None:
    """Writes an adaptation so that `peft.PeftModel.from_pretrained(model, folder)` loads it.

    Args:
        method: `ia3` or `lora`.
        tensors: as its file holds them, (slots, *shape).
        folder: made if it is not there.
        slot: which one.
        backbone: hub id or folder that PEFT is to name as the base model.

    Raises:
        UserError: PEFT has no such method in this form, there is no such slot, or the folder cannot be written.
    """
    if method not in _OURS:
        raise UserError(f"method {method} cannot be written for PEFT; {' and '.join(_OURS)} can")
    slots = len(next(iter(tensors.values())))
    if not 0 <= slot < slots:
        raise UserError(f"there is no slot {slot}: the adaptation has {slots}")
    paths = [name.split(".", 1)[1] for name in tensors if not name.startswith("norms.")]
    config: dict[str, Any] = {
        "peft_type": method.upper(),
        "task_type": "SEQ_2_SEQ_LM",
        "base_model_name_or_path": backbone,
        "inference_mode": True,
        "target_modules": sorted({path.rsplit("/", 1)[-1] for path in paths}),
    }
    theirs = {_their_name(name, method): tensor[slot].contiguous() for name, tensor in tensors.items()}
    if method == "ia3":
        config["feedforward_modules"] = [m for m in config["target_modules"] if f".{m}" == _INPUT_SCALED]
        for name, vector in theirs.items():
            theirs[name] = vector.view(_their_shape(name.removesuffix(".ia3_l"), method, vector))
    else:
        rank = next(len(tensor) for name, tensor in theirs.items() if name.endswith("lora_A.weight"))
        config |= {"r": rank, "lora_alpha": 1, "lora_dropout": 0.0, "bias": "none"}  # ours is B A / r
        if any(name.startswith("norms.") for name in tensors):
            config["modules_to_save"] = _NORMS
    write_file(folder / WEIGHTS, save(theirs, {"format": "pt"}))
    # Last: without it, PEFT takes no folder for an adapter's.
    write_file(folder / CONFIG, f"{json.dumps(config, indent=2, sort_keys=True)}\n".encode())


def _read(folder: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    try:
        config = json.loads((folder / CONFIG).read_text())
        tensors = load_file(folder / WEIGHTS)
    except (OSError, ValueError, SafetensorError) as error:
        raise UserError(f"{folder}: no readable {CONFIG} with {WEIGHTS} ({error})") from error
    if not isinstance(config, dict):
        raise UserError(f"{folder}: {CONFIG} is no JSON object")
    for name, tensor in tensors.items():
        if not torch.isfinite(tensor).all():
            raise UserError(f"{folder}: {name} holds values that are no numbers")
    return config, tensors


def _lora_scale(folder: Path, config: Mapping[str, Any]) -> float:
    """PEFT's factor of B A, times r: what B is multiplied by so that ours, B A / r, equals it."""
    unlike = [key for key in ("use_dora", "rank_pattern", "alpha_pattern", "fan_in_fan_out") if config.get(key)]
    unlike += ["bias"] * (config.get("bias", "none") != "none")
    if unlike:
        raise UserError(f"{folder}: a LoRA with {', '.join(unlike)} cannot be read")
    if not isinstance(config.get("r"), int) or config["r"] < 1:
        raise UserError(f"{folder}: {CONFIG} says no rank r")
    alpha = float(config.get("lora_alpha", 8))  # PEFT's default
    return alpha * (math.sqrt(int(config["r"])) if config.get("use_rslora") else 1.0)


@torch.no_grad()
def read_peft(folder: Path, backbone: nn.Module) -> bytes:
    """The content of our file for an adaptation that PEFT has saved.

    What PEFT left alone, such as maps outside its `target_modules`, gets values without effect.

    Args:
        folder: as `save_pretrained` of PEFT writes it.
        backbone: the model it was made for, with nothing attached.

    Raises:
        UserError: it cannot be read, or is nothing that our methods can express on this backbone.
    """
    config, tensors = _read(folder)
    method = str(config.get("peft_type", "")).lower()
    if method not in _OURS:
        raise UserError(f"{folder}: {config.get('peft_type')} cannot be read; {' and '.join(_OURS)} can")
    named = {_our_name(name, method): tensor.float() for name, tensor in tensors.items()}
    options: dict[str, Any] = {}
    if method == "lora":
        scale = _lora_scale(folder, config)
        options = {"rank": int(config["r"]), "layer_norms": any(n and n.startswith("norms.") for n in named)}
        named = {name: tensor * scale if name and name.startswith("b.") else tensor for name, tensor in named.items()}
    adaptation = get_method(method, options).attach(backbone, generator=torch.Generator().manual_seed(0))
    try:
        own = adaptation.stored()
        for name, tensor in named.items():
            shape = None if name is None or name not in own else _their_shape(name, method, own[name][0])
            if shape != tensor.shape:
                raise UserError(f"{folder}: {name or 'a tensor'} has no place in {method} on this backbone")
        adaptation.load_stored({name: tensor.view_as(own[name]) for name, tensor in named.items() if name})
        return to_bytes(adaptation, method, backbone_digest(backbone))
    finally:
        adaptation.detach()
