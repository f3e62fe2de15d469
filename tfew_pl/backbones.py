"""Loading a backbone by alias, hub id or folder."""

import copy
import json
import os
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tfew_pl import weights
from tfew_pl.causal import check_causal
from tfew_pl.errors import UserError
from tfew_pl.hub import fetch
from tfew_pl.quiet import quiet_transformers
from tfew_pl.spec import Precision

if TYPE_CHECKING:  # listing backbones must not wait for transformers
    from transformers import PreTrainedTokenizerBase, T5ForConditionalGeneration

_POCKET = Path(__file__).parent / "pocket" / "checkpoints"
POCKET_RANDOM = "pocket-random"
"""The untrained control."""
_RANDOM_SEED = 0
_SMALL_FILES = ("*.json", "*.model", "*.txt")
"""Configuration and tokenizer."""
T5_FAMILY = ("t5", "mt5")
"""Values of `model_type` that methods attach to: T5 v1.0 and v1.1, T5+LM, T0, FLAN-T5; mT5."""


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
    POCKET_RANDOM: Alias("pocket-t0 before any training: the control that must stay at chance",
                         str(_POCKET / "pocket-t0")),
    "t0-3b": Alias("T0, 3 billion parameters", "bigscience/T0_3B"),
    "t0": Alias("T0, 11 billion parameters", "bigscience/T0"),
    "t5-lm-xl": Alias("T5+LM, 3 billion parameters", "google/t5-xl-lm-adapt"),
    "t5-lm-xxl": Alias("T5+LM, 11 billion parameters", "google/t5-xxl-lm-adapt"),
}  # fmt: skip
"""Backbones with a short name."""


@dataclass(frozen=True)
class Kind:
    """What sort of model a backbone is, as its config.json says."""

    model_type: str
    """transformers' name of the architecture, such as t5 or gpt2."""
    encoder_decoder: bool
    """A T5 of any sort; otherwise a causal language model, for zero-shot and in-context learning only."""
    positions: int | None = None
    """Most tokens of a causal model's text; None where positions are relative and set no limit."""


@dataclass(frozen=True)
class Backbone:
    """A loaded backbone."""

    name: str
    model: "T5ForConditionalGeneration"
    """Or the model that `kind` speaks of, where it is no T5."""
    tokenizer: "PreTrainedTokenizerBase"
    kind: Kind = Kind("t5", encoder_decoder=True)

    @property
    def parameters(self) -> int:
        """Number of parameters, N."""
        from tfew_pl.quantization import parameter_count

        return parameter_count(self.model)


def resolve(name: str) -> Alias:
    """The alias of that name, or one made for a hub id, which may end in `@revision`, or a folder.

    Raises:
        UserError: the name is neither.
    """
    if name in ALIASES:
        return ALIASES[name]
    if Path(name).is_dir():
        return Alias("a folder", str(Path(name).resolve()))
    repository, at, commit = name.partition("@")
    if repository.count("/") == 1 and not repository.startswith((".", "/")) and bool(at) == bool(commit):
        return Alias("a repository of the hub", repository, commit or None)
    raise UserError(
        f"unknown backbone {name!r}: give an alias ({', '.join(ALIASES)}), "
        f"a hub id such as google/t5-small, or a folder"
    )


@cache
def _config_folder(name: str) -> Path:
    """The folder of a backbone's config.json: its own, or the hub's snapshot, whose name is the commit."""
    alias = resolve(name)
    if alias.is_local:
        return Path(alias.source)
    return fetch(alias.source, ["config.json"], alias.revision, what=f"backbone {name}")


@cache
def revision(name: str) -> str:
    """What identifies a backbone's weights without loading them: a folder's digest, else the hub's commit.

    Raises:
        UserError: there is no such backbone, or it has no weights.
    """
    alias = resolve(name)
    if name == POCKET_RANDOM:
        return f"seed {_RANDOM_SEED}"
    if not alias.is_local:
        return _config_folder(name).name
    try:
        return weights.digest(Path(alias.source))
    except UserError as error:
        raise UserError(f"backbone {name}: {error}") from error


def read_config(name: str) -> dict[str, Any]:
    """The content of a backbone's config.json.

    Raises:
        UserError: there is none, or it cannot be read.
    """
    folder = _config_folder(name)
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(f"backbone {name}: no readable config.json in {folder}") from error
    if not isinstance(config, dict):
        raise UserError(f"backbone {name}: no readable config.json in {folder}")
    return config


@cache
def kind(name: str) -> Kind:
    """What sort of model a backbone is, without its weights.

    Raises:
        UserError: it is none that can be used here.
    """
    config = read_config(name)
    model_type = str(config.get("model_type", "unknown"))
    if model_type in T5_FAMILY:
        return Kind(model_type, encoder_decoder=True)
    from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES

    if config.get("is_encoder_decoder") or model_type not in MODEL_FOR_CAUSAL_LM_MAPPING_NAMES:
        raise UserError(
            f"backbone {name}: a model of type {model_type}; "
            f"there are {', '.join(T5_FAMILY)}, and causal language models for in-context learning"
        )
    try:
        check_causal(config)
    except UserError as error:
        raise UserError(f"backbone {name}: {error}") from error
    limits = (config.get(key) for key in ("max_position_embeddings", "n_positions", "n_ctx"))
    return Kind(model_type, encoder_decoder=False, positions=next((n for n in limits if isinstance(n, int)), None))


def default_device() -> str:
    """Where weights are loaded to: this process's GPU, or the CPU. Lightning numbers its processes by LOCAL_RANK."""
    import torch

    return f"cuda:{os.environ.get('LOCAL_RANK', '0')}" if torch.cuda.is_available() else "cpu"


@lru_cache(maxsize=2)
def load_backbone(name: str, precision: Precision = "fp32", device: str | None = None) -> Backbone:
    """As `read_backbone`; a second call gives the same one.

    Args:
        device: where to; None for `default_device`.
    """
    return read_backbone(name, precision, device or default_device())


def read_backbone(name: str, precision: Precision, device: str) -> Backbone:
    """Loads a backbone and its tokenizer.

    Tensors go from the file to the device one by one. safetensors files are preferred; of `.bin` files only tensors
    are read, and nothing in them is run.

    Args:
        name: alias, hub id (also `id@revision`) or folder.
        precision: of the weights; see `tfew_pl.spec.Precision`.
        device: where to.

    Raises:
        UserError: it cannot be found or read.
    """
    import pickle

    import torch
    import transformers
    from safetensors import SafetensorError

    from tfew_pl.quantization import QUANTIZED, keep_differentiable, quantization_config

    if name == POCKET_RANDOM and precision in QUANTIZED:
        raise UserError(f"backbone {name}: it has no saved weights to load in {precision}; give fp32 or bf16")
    sort = kind(name)
    folder = _weights_folder(name)
    loaders = {"t5": transformers.T5ForConditionalGeneration, "mt5": transformers.MT5ForConditionalGeneration}
    loader: Any = loaders.get(sort.model_type, transformers.AutoModelForCausalLM)
    options: dict[str, Any] = {
        "dtype": torch.float32 if precision == "fp32" else torch.bfloat16,
        "use_safetensors": weights.weight_files(folder)[0].suffix == ".safetensors",
        "weights_only": True,
        "quantization_config": quantization_config(precision),
        "device_map": None if device == "cpu" else {"": device},
    }
    try:
        with quiet_transformers():
            tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
            model, found = loader.from_pretrained(folder, output_loading_info=True, **options)
    except (OSError, ValueError, KeyError, RuntimeError, SafetensorError, pickle.UnpicklingError, EOFError) as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise UserError(f"backbone {name}: cannot load {folder}: {reason}") from error
    missing = sorted(found["missing_keys"])
    if missing:
        raise UserError(f"backbone {name}: its weights lack {len(missing)} tensors, {missing[0]} among them")
    if len(tokenizer) > model.get_input_embeddings().num_embeddings:
        raise UserError(
            f"backbone {name}: its tokenizer has {len(tokenizer)} tokens, "
            f"its embeddings {model.get_input_embeddings().num_embeddings}"
        )
    if name == POCKET_RANDOM:
        from tfew_pl.pocket.architecture import initialized

        fresh: Any = initialized(model.config.vocab_size, seed=_RANDOM_SEED)
        model = fresh.to(device=device, dtype=options["dtype"])
    if sort.encoder_decoder:
        _mend(model, tied=read_config(name).get("tie_word_embeddings", True))
    if precision in QUANTIZED:
        keep_differentiable(model)
        _note_digest(model, folder)
    # Eager attention is the fastest on a CPU at these lengths; SDPA elsewhere.
    model.set_attn_implementation("sdpa" if torch.cuda.is_available() else "eager")
    return Backbone(name, model.eval(), tokenizer, sort)


def _weights_folder(name: str) -> Path:
    """The folder of a backbone's files, downloaded if they come from the hub."""
    alias = resolve(name)
    folder = _config_folder(name)
    if not alias.is_local:
        commit = revision(name)
        for pattern in weights.PATTERNS:
            folder = fetch(alias.source, [*_SMALL_FILES, pattern], commit, what=f"backbone {name}")
            if any(folder.glob(pattern)):
                break
    try:
        weights.weight_files(folder)
    except UserError as error:
        raise UserError(f"backbone {name}: cannot load it: {error}") from error
    return folder


def _mend(model: Any, *, tied: bool) -> None:
    """Says in a T5's configuration what transformers 5 does not, and speeds its small operations up.

    `tied` is what the saved configuration says of the head.
    """
    from tfew_pl.fused import fuse

    if not tied and model.lm_head.weight is model.shared.weight:  # saved with equal values, which transformers 5 ties
        model.lm_head = copy.deepcopy(model.lm_head)
    # transformers 5 marks every T5 as tied; left so, a later tie_weights() would overwrite an untied head.
    if model.lm_head.weight.data_ptr() != model.shared.weight.data_ptr():
        model.config.tie_word_embeddings = False
    if not hasattr(model.config, "scale_decoder_outputs"):
        model.config.scale_decoder_outputs = False  # mT5: as T5 v1.1
    fuse(model)


def _note_digest(model: Any, folder: Path) -> None:
    """Notes a quantized backbone's identity from its files: an adaptation fits it in every precision."""
    from tfew_pl.adaptation_file import digest_of

    read = weights.tensor_reader(folder)
    names = sorted(name for name, _ in model.named_parameters())
    model.known_digest = digest_of((name, read(name)) for name in names)
