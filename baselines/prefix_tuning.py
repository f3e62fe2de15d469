"""Prefix tuning: learned keys and values before those of every attention (Li & Liang 2021; Liu et al. 2022, App. D).

The paper's 576K are 576 x 1,024: keys and values of 2 tokens in 72 attentions of T0-3B, 589,824 without the MLPs.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from baselines.modes import evaluating
from tfew_pl.banks import normal, uniform
from tfew_pl.errors import UserError
from tfew_pl.method import Adaptation, Method
from tfew_pl.remarks import Remarks
from tfew_pl.setting import Setting

ENCODER, DECODER, CROSS = "encoder", "decoder", "cross"
"""Encoder self-attention, decoder self-attention, cross-attention: one first layer of the MLP each (release)."""


@dataclass(frozen=True)
class PrefixTuningConfig:
    """Length of the prefixes, their reparameterization and the texts that they start from."""

    tokens: int = 2
    """Keys and values before those of the sequence: as many as T5's tokenizer makes tokens of either text. Where a
    tokenizer makes more or fewer, the text is cut or repeated."""
    hidden_size: int = 512
    """Of the two-layer MLP (App. D)."""
    input_text: str = "Question:"
    """Its keys and values start the prefixes in encoder self-attention and cross-attention (App. D)."""
    target_text: str = "Answer:"
    """Its keys and values start the prefixes in decoder self-attention (App. D)."""

    def __post_init__(self) -> None:
        for name in ("tokens", "hidden_size"):
            if getattr(self, name) < 1:
                raise UserError(f"{name} must be at least 1, not {getattr(self, name)}")


def attentions(backbone: Any) -> dict[str, dict[str, nn.Module]]:
    """A T5's attentions, by kind and path."""
    found: dict[str, dict[str, nn.Module]] = {ENCODER: {}, DECODER: {}, CROSS: {}}
    for path, module in backbone.named_modules():
        if path.endswith(".SelfAttention"):
            found[ENCODER if path.startswith("encoder.") else DECODER][_key(path)] = module
        elif path.endswith(".EncDecAttention"):
            found[CROSS][_key(path)] = module
    return found


def _key(path: str) -> str:
    return path.replace(".", "/")


@torch.no_grad()
def keys_and_values(backbone: Any, input_ids: Tensor, target_ids: Tensor) -> dict[str, Tensor]:
    """What a pair of texts gives at every attention: keys and values side by side, (tokens, 2 inner) each."""
    outputs: dict[str, Tensor] = {}
    handles = []
    for kind in attentions(backbone).values():
        for key, attention in kind.items():
            for name in ("k", "v"):

                def keep(_map: nn.Module, _inputs: Any, output: Tensor, place: str = f"{key}/{name}") -> None:
                    outputs[place] = output[0]

                handles.append(attention.get_submodule(name).register_forward_hook(keep))
    try:
        with evaluating(backbone):
            states = backbone.encoder(input_ids=input_ids).last_hidden_state
            backbone.decoder(input_ids=target_ids, encoder_hidden_states=states, use_cache=False)
    finally:
        for handle in handles:
            handle.remove()
    keys = [key for kind in attentions(backbone).values() for key in kind]
    return {key: torch.cat([outputs[f"{key}/k"], outputs[f"{key}/v"]], dim=-1) for key in keys}


class Reparameterization(nn.Module):
    """Prefixes of the attentions of one kind: an MLP of vectors, whose first layer they share (release).

    Symbols: tokens, of the prefix; inner, heads x d_kv; hidden, the MLP's size. Prefix = W_2 tanh(W_1 e + b_1) + b_2,
    with embeddings e (slots, tokens, d_model), W_1 (slots, hidden, d_model), and for each attention
    W_2 (slots, 2 inner, hidden) and b_2.
    """

    def __init__(self, of: Mapping[str, Any], slots: int, tokens: int, hidden: int, generator: torch.Generator) -> None:
        super().__init__()
        first = next(iter(of.values()))
        width, inner, device = first.d_model, first.inner_dim, first.q.weight.device

        def bank(*shape: int, inputs: int) -> nn.Parameter:  # as torch's Linear starts
            return nn.Parameter(uniform((slots, *shape), inputs**-0.5, generator, device))

        self.embedding = nn.Parameter(normal((slots, tokens, width), 1.0, generator, device))  # as its Embedding does
        self.weight, self.bias = bank(hidden, width, inputs=width), bank(hidden, inputs=width)
        self.weights = nn.ParameterDict({key: bank(2 * inner, hidden, inputs=hidden) for key in of})
        self.biases = nn.ParameterDict({key: bank(2 * inner, inputs=hidden) for key in of})

    def _hidden(self) -> Tensor:
        """(slots, tokens, hidden)"""
        return (self.embedding @ self.weight.mT + self.bias.unsqueeze(1)).tanh()

    def forward(self, key: str) -> Tensor:
        """An attention's prefix: (slots, tokens, 2 inner), keys and values side by side."""
        return self._hidden() @ self.weights[key].mT + self.biases[key].unsqueeze(1)

    @torch.no_grad()
    def fit(self, key: str, target: Tensor) -> None:
        """Moves an attention's W_2 by the least that gives it a prefix, (tokens, 2 inner).

        The release trains the whole MLP towards the same target for a thousand steps; a prefix is shorter than the
        MLP is wide, so that a solution in closed form exists.
        """
        weight = self.weights[key]
        missing = target.to(weight.device, torch.float64) - self(key).double()  # (slots, tokens, 2 inner)
        change = torch.linalg.pinv(self._hidden().double()) @ missing  # (slots, hidden, 2 inner)
        weight.add_(change.mT.to(weight.dtype))


class PrefixTuningAdaptation(Adaptation):
    """Keys and values that stand before those of the sequence, (slots, tokens, 2 inner) for every attention.

    They take the positions before the sequence: a query's distance to them is what the relative position bias sees
    (release). In cross-attention, which has no positions, they stand before the encoder's states. While training
    they come from MLPs, which are dropped when the prefixes are stored: a loaded adaptation has the prefixes
    only. Keys and values are not cached between calls.

    Symbols: A attentions, P prefix tokens, i = heads x d_kv, d = d_model, h = hidden size. Memory, in values a slot:
    2 A P i deployed (589,824 on T0-3B), 3 (P d + h d + h) + 2 A i (h + 1) while training (154,449,408 on T0-3B), and
    P keys and values more an example and attention. Time: P more keys a query; in training also
    A P h (d + 2 i) multiplications a pass, whatever the batch.
    """

    def __init__(
        self,
        backbone: Any,
        slots: int,
        config: PrefixTuningConfig,
        generator: torch.Generator,
        texts: tuple[Tensor, Tensor] | None,
    ) -> None:
        super().__init__(slots)
        of = attentions(backbone)
        self._tokens = config.tokens
        self.mlps = nn.ModuleDict(
            {kind: Reparameterization(of[kind], slots, config.tokens, config.hidden_size, generator) for kind in of}
        )
        self.prefixes = nn.ParameterDict()
        self._kinds = {key: kind for kind, members in of.items() for key in members}
        if texts is not None:
            for key, target in keys_and_values(backbone, *texts).items():
                self._mlp(key).fit(key, target)
        for kind, members in of.items():
            for key, attention in members.items():
                self._put_before(key, attention, kind)
        for of_model in (backbone.config, backbone.decoder.config):  # a plain call would use a cache, needlessly
            self.on_detach(partial(setattr, of_model, "use_cache", of_model.use_cache))
            of_model.use_cache = False

    def _mlp(self, key: str) -> Reparameterization:
        mlp = self.mlps[self._kinds[key]]
        assert isinstance(mlp, Reparameterization)  # noqa: S101 (what was put there)
        return mlp

    def prefix(self, key: str) -> Tensor:
        """An attention's prefix: (slots, tokens, 2 inner), keys and values side by side."""
        if key in self.prefixes:
            return self.prefixes[key]
        prefix: Tensor = self._mlp(key)(key)
        return prefix

    def _put_before(self, key: str, attention: Any, kind: str) -> None:
        """The attention is given as many more states to attend to; what its maps make of them is replaced."""
        tokens = self._tokens
        under_way: list[Tensor] = []

        def lengthen(attention: Any, inputs: tuple[Tensor, ...], named: dict[str, Any]) -> Any:
            if named.get("past_key_values") is not None:
                raise UserError("prefix tuning does not work with a cache: pass use_cache=False")
            queries = inputs[0].shape[1]
            states = named["key_value_states"] if kind == CROSS else inputs[0]  # (rows, length, d_model)
            rows = len(states)
            under_way[:] = self.select(self.prefix(key), rows).to(states.dtype).expand(rows, -1, -1).chunk(2, dim=-1)
            named = {**named, "key_value_states": F.pad(states, (0, 0, tokens, 0))}
            mask = named.get("mask")
            if mask is not None:
                named["mask"] = F.pad(mask, (tokens, 0), value=mask.dtype == torch.bool)
            elif kind == DECODER:  # said outright, since an attention is causal by itself only over its own states
                named["mask"] = _causal(queries, tokens, states)
            if kind != CROSS and named.get("position_bias") is None:  # the first block's, which the others share
                named["position_bias"] = _bias(attention, states, queries, tokens, named.get("position"))
            return inputs, named

        self.on_detach(attention.register_forward_pre_hook(lengthen, with_kwargs=True).remove)
        for number, linear in enumerate((attention.k, attention.v)):

            def replace(_map: nn.Module, _inputs: Any, output: Tensor, number: int = number) -> Tensor:
                return torch.cat([under_way[number], output[:, tokens:]], dim=1)

            self.on_detach(linear.register_forward_hook(replace).remove)
        self.on_detach(attention.register_forward_hook(lambda *_: under_way.clear(), always_call=True).remove)

    @torch.no_grad()
    def stored(self) -> dict[str, Tensor]:
        """The prefixes, without the MLPs: (slots, tokens, 2 inner) for every attention."""
        return {key: self.prefix(key).detach() for key in self._kinds}

    @torch.no_grad()
    def load_stored(self, tensors: Mapping[str, Tensor]) -> None:
        """Takes over stored prefixes, and drops the MLPs."""
        device = next(self.parameters()).device
        self.prefixes = nn.ParameterDict(
            {key: nn.Parameter(tensor.detach().to(device, copy=True)) for key, tensor in tensors.items()}
        )
        self.mlps = nn.ModuleDict()


def _bias(attention: Any, states: Tensor, queries: int, tokens: int, position: Tensor | None) -> Tensor:
    """(1 or rows, heads, queries, tokens + length), of relative positions, those of the prefix before all others."""
    bias: Tensor
    if position is None:
        keys = tokens + states.shape[1]
        bias = attention.compute_bias(queries, keys, device=states.device, past_seen_tokens=tokens)
    else:
        before = torch.arange(-tokens, 0, device=position.device).expand(len(position), -1)
        bias = attention.bias_between(position, torch.cat([before, position], dim=1))
    return bias


def _causal(queries: int, tokens: int, states: Tensor) -> Tensor:
    """(1, 1, queries, tokens + queries): the smallest number at later positions, 0 at the prefix and up to the own."""
    least = states.new_full((queries, tokens + queries), torch.finfo(states.dtype).min)
    return least.triu(tokens + 1)[None, None]


class PrefixTuning(Method):
    """Registers prefix tuning."""

    name = "prefix-tuning"
    summary = "prefix tuning: learned keys and values in every attention (Li & Liang 2021)"
    Config = PrefixTuningConfig
    recipe: ClassVar[Mapping[str, Any]] = {"steps": 1000, "learning_rate": 3e-3}  # App. D
    remarks = Remarks(
        release={"learning_rate": 1e-2},  # its configuration file
        built="as in the release, but fitted to the texts' keys and values in closed form, not by a thousand steps",
        counted="what is trained are MLPs that make the prefixes, and that are dropped after training: 153,859,584 "
        "values more than are kept; the paper's 576K are the 576 x 1,024 = 589,824 that are",
    )
    needs_setting = True

    def build(
        self, backbone: nn.Module, *, slots: int, generator: torch.Generator, setting: Setting | None
    ) -> PrefixTuningAdaptation:
        texts = None if setting is None else self._tokens(setting, next(backbone.parameters()).device)
        return PrefixTuningAdaptation(backbone, slots, self.config, generator, texts)

    def _tokens(self, setting: Setting, device: torch.device) -> tuple[Tensor, Tensor]:
        ids = []
        for text in (self.config.input_text, self.config.target_text):
            tokens = setting.tokenizer(text, add_special_tokens=False)["input_ids"]
            if not tokens:
                raise UserError(f"method {self.name}: the text {text!r} has no token, so there would be no prefix")
            length = self.config.tokens
            ids.append(torch.tensor([(tokens * length)[:length]], device=device))
        return ids[0], ids[1]
