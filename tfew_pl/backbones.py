"""Loading a backbone by alias, hub id or folder."""

import hashlib
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from tfew_pl.errors import UserError
from tfew_pl.hub import require_hub
from tfew_pl.quiet import quiet_transformers
from tfew_pl.spec import Precision

if TYPE_CHECKING:  # listing backbones must not wait for transformers
    from transformers import PreTrainedTokenizerBase, T5ForConditionalGeneration

_POCKET = Path(__file__).parent / "pocket" / "checkpoints"
_RANDOM_SEED = 0


@dataclass(frozen=True)
class Alias:
    """A backbone known by a short name."""

    summary: str
    """One line for a listing."""
    source: str
    """Hub id, or folder of the package."""
    revision: str | None = None
    """Pinned revision of the hub's repository; None for a folder."""

    @property
    def is_local(self) -> bool:
        """Whether it ships with the package."""
        return Path(self.source).is_absolute()


ALIASES = {
    "pocket-t0": Alias("the embedded stand-in for T0: multitask prompted training on the pocket world",
                       str(_POCKET / "pocket-t0")),
    "pocket-lm": Alias("the embedded stand-in for T5+LM: span corruption, then language modeling",
                       str(_POCKET / "pocket-lm")),
    "pocket-random": Alias("pocket-t0 before any training: the control that must stay at chance",
                           str(_POCKET / "pocket-t0")),
    "t0-3b": Alias("T0, 3 billion parameters", "bigscience/T0_3B"),
    "t0": Alias("T0, 11 billion parameters", "bigscience/T0"),
    "t5-lm-xl": Alias("T5+LM, 3 billion parameters", "google/t5-xl-lm-adapt"),
    "t5-lm-xxl": Alias("T5+LM, 11 billion parameters", "google/t5-xxl-lm-adapt"),
}  # fmt: skip
"""Backbones with a short name."""


@dataclass(frozen=True)
class Backbone:
    """A loaded backbone."""

    name: str
    model: "T5ForConditionalGeneration"
    tokenizer: "PreTrainedTokenizerBase"

    @property
    def parameters(self) -> int:
        """Number of parameters, N."""
        return sum(p.numel() for p in self.model.parameters())


def resolve(name: str) -> Alias:
    """The alias of that name, or one made for a hub id or a folder.

    Raises:
        UserError: the name is neither.
    """
    if name in ALIASES:
        return ALIASES[name]
    if Path(name).is_dir():
        return Alias("a folder", str(Path(name).resolve()))
    if name.count("/") == 1 and not name.startswith((".", "/")):
        return Alias("a repository of the hub", name)
    raise UserError(
        f"unknown backbone {name!r}: give an alias ({', '.join(ALIASES)}), "
        f"a hub id such as google/t5-small, or a folder"
    )


@cache
def revision(name: str) -> str:
    """What identifies a backbone's weights without loading them: a folder's digest, else the revision."""
    alias = resolve(name)
    if name == "pocket-random":
        return f"seed {_RANDOM_SEED}"
    if not alias.is_local:
        require_hub(f"backbone {name}")
        return alias.revision or "main"
    digest = hashlib.sha256()
    files = sorted(Path(alias.source).glob("*.safetensors"))
    if not files:
        raise UserError(f"backbone {name}: {alias.source} holds no safetensors file")
    for file in files:
        with file.open("rb") as stream:
            while block := stream.read(1 << 22):
                digest.update(block)
    return digest.hexdigest()[:16]


@lru_cache(maxsize=2)
def load_backbone(name: str, precision: Precision = "fp32") -> Backbone:
    """Loads a T5-family backbone and its tokenizer; a second call gives the same one.

    Args:
        name: alias, hub id or folder.
        precision: of the weights. T5's activations overflow float16, so there is no such choice.

    Raises:
        UserError: it cannot be found or read.
    """
    import torch
    from safetensors import SafetensorError
    from transformers import AutoTokenizer, T5ForConditionalGeneration

    from tfew_pl.fused import fuse

    alias = resolve(name)
    dtype = {"fp32": torch.float32, "bf16": torch.bfloat16}[precision]
    try:
        with quiet_transformers():
            tokenizer = AutoTokenizer.from_pretrained(alias.source, revision=alias.revision)
            model = T5ForConditionalGeneration.from_pretrained(
                alias.source,
                revision=alias.revision or "main",
                dtype=dtype,
                use_safetensors=True if alias.is_local else None,
            )
    except (OSError, ValueError, SafetensorError) as error:
        where = "in this folder" if alias.is_local else "on the hub (is it reachable?)"
        reason = str(error).splitlines()[0]
        raise UserError(f"backbone {name}: cannot load {alias.source} {where}: {reason}") from error
    # transformers 5 marks every T5 as tied; left so, a later tie_weights() would overwrite an untied head.
    if model.lm_head.weight.data_ptr() != model.shared.weight.data_ptr():
        model.config.tie_word_embeddings = False
    if name == "pocket-random":
        from tfew_pl.pocket.architecture import initialized

        model = initialized(model.config.vocab_size, seed=_RANDOM_SEED)
    fuse(model)
    # Eager attention is the fastest on a CPU at these lengths; SDPA elsewhere.
    model.set_attn_implementation("sdpa" if torch.cuda.is_available() else "eager")
    return Backbone(name, model.eval(), tokenizer)
