"""FISH mask: train the few weights with the largest Fisher information (Sung et al. 2021; Liu et al. 2022, App. D).

The paper prints 6M and 600K weights, its shares of 3 billion; of T0-3B's 2,849,757,184 they are 5,699,514 and 569,951.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from baselines.modes import evaluating
from baselines.substitution import WeightAdaptation
from tfew_pl.entries import Entries
from tfew_pl.errors import UserError
from tfew_pl.method import Method
from tfew_pl.remarks import Remarks
from tfew_pl.setting import Setting


@dataclass(frozen=True)
class FishMaskConfig:
    """How many weights are trained, and how much memory choosing them may take."""

    keep: float = 0.002
    """Share of all weights that is trained (App. D: 0.2 % and 0.02 %)."""
    fisher_chunk: int = 1 << 28
    """Weights whose Fisher information is estimated in one pass over the examples (1 GiB in fp32)."""

    def __post_init__(self) -> None:
        if not 0 < self.keep <= 1:
            raise UserError(f"keep must lie in (0, 1], not {self.keep}")
        if self.fisher_chunk < 1:
            raise UserError(f"fisher_chunk must be at least 1, not {self.fisher_chunk}")


def empirical_fisher(parameters: list[nn.Parameter], setting: Setting) -> list[Tensor]:
    """Squared gradients of the total loss, summed over the training examples, each taken alone.

    As in the release, but for dropout: the release takes them while training, where dropout is on; `FishMask` takes
    them without, whatever the recipe, since which weights matter should not hang on what was dropped.

    Args:
        parameters: frozen ones of the backbone.
        setting: gives the examples, each through a template drawn from the run's seed, and the loss.

    Returns:
        One fp32 tensor for each parameter, of its shape.
    """
    sums = [torch.zeros_like(p, dtype=torch.promote_types(p.dtype, torch.float32)) for p in parameters]
    for parameter in parameters:
        parameter.requires_grad_(True)
    try:
        with torch.enable_grad():
            for batch in setting.batches():
                gradients = torch.autograd.grad(setting.loss(batch), parameters, allow_unused=True)
                for total, gradient in zip(sums, gradients, strict=True):
                    if gradient is not None:
                        total.add_(gradient.to(total.dtype).square_())
                del gradients
    finally:
        for parameter in parameters:
            parameter.requires_grad_(False)
    return sums


def chunks(parameters: Mapping[str, nn.Parameter], most: int) -> Iterator[list[nn.Parameter]]:
    """The parameters in their order, in groups of at most so many values; a larger one is a group of its own."""
    group: list[nn.Parameter] = []
    for parameter in parameters.values():
        if group and sum(p.numel() for p in group) + parameter.numel() > most:
            yield group
            group = []
        group.append(parameter)
    if group:
        yield group


def largest(parameters: Mapping[str, nn.Parameter], count: int, setting: Setting, chunk: int) -> list[Tensor]:
    """Where the largest Fisher information is, over all parameters.

    Memory: 2 values a weight of a chunk (the sum, and one example's gradient) and 2 of every weight chosen.
    Time: ceil(weights / chunk) passes, forward and backward, over the training examples.

    Returns:
        For each parameter, the chosen places in its flattened form, in increasing order: (chosen,), int64.
    """
    device = next(iter(parameters.values())).device
    scores, places = torch.empty(0, device=device), torch.empty(0, dtype=torch.int64, device=device)
    start = 0
    for group in chunks(parameters, chunk):
        fisher = torch.cat([f.flatten() for f in empirical_fisher(group, setting)])
        best, where = fisher.topk(min(count, len(fisher)))
        scores, places = torch.cat([scores.to(best.dtype), best]), torch.cat([places, where + start])
        start += len(fisher)
        if len(scores) > count:
            scores, order = scores.topk(count)
            places = places[order]
    ends = torch.tensor([p.numel() for p in parameters.values()], device=device).cumsum(0)
    places = places.sort().values
    parts = torch.tensor_split(places, torch.searchsorted(places, ends)[:-1].cpu())
    return [part - (end - p.numel()) for part, end, p in zip(parts, ends, parameters.values(), strict=True)]


def proportional(parameters: Mapping[str, nn.Parameter], count: int) -> list[Tensor]:
    """As `largest`, without examples: so many of each parameter that there are `count`; to count on the meta device."""
    chosen, start, total = [], 0, sum(p.numel() for p in parameters.values())
    for parameter in parameters.values():
        end = start + parameter.numel()
        own = count * end // total - count * start // total
        chosen.append(torch.empty(own, dtype=torch.int64, device=parameter.device))
        start = end
    return chosen


class FishMaskAdaptation(WeightAdaptation):
    """The chosen weights' places and their values; at the start the values are the backbone's.

    With N weights in the backbone and k = keep x N chosen (5,699,514 of T0-3B at 0.2 %), memory in bytes is
    8 k: a place (int32) and a value (fp32) each, and another 4 k for gradients. A forward or backward pass makes one
    layer's weight, with its values in place, at a time: 4 x in x out bytes, and as much for its gradient in training,
    of which the k are kept. There is no dense mask and no dense copy of the model; what choosing takes before, a chunk
    of the model at a time, is with `largest`. Time: a copy of each weight in the forward pass and another in the
    backward, and the gradient of every weight as in full fine-tuning; none once merged. The file holds 8 k bytes and
    a number for every tensor of the backbone.

    Adafactor updates the chosen weights as the release has it, whose masked gradients leave the whole tensors to the
    optimizer: its averages are over rows and columns with all their zeros, and so are its root mean squares, which
    makes longer steps than the chosen values alone would take. `entries` says where they stand.
    """

    def __init__(self, backbone: nn.Module, chosen: list[Tensor]) -> None:
        super().__init__(backbone)
        with torch.no_grad():
            values = [own.flatten()[index] for own, index in zip(self._own.values(), chosen, strict=True)]
        self._take(chosen, values)
        for name in self._own:
            self._substitute(name)

    def _take(self, chosen: list[Tensor], values: list[Tensor]) -> None:
        self.values = nn.ParameterDict()
        self.places = nn.Module()
        for (name, own), index, value in zip(self._own.items(), chosen, values, strict=True):
            if len(index):
                precision = torch.promote_types(own.dtype, torch.float32)
                self.values[_key(name)] = nn.Parameter(value.to(own.device, precision).unsqueeze(0))
                self.places.register_buffer(_key(name), index.to(own.device, torch.int32))

    def weight(self, name: str) -> Tensor:
        """The backbone's weight with the trained values in their places."""
        own, key = self._own[name], _key(name)
        if key not in self.values:
            return own
        index = self.places.get_buffer(key).long()
        return own.detach().flatten().index_copy(0, index, self.values[key][0].to(own.dtype)).view_as(own)

    def entries(self) -> dict[nn.Parameter, Entries]:
        """The chosen weights, where they stand."""
        found = {}
        for name, own in self._own.items():
            if (key := _key(name)) in self.values:
                places = self.places.get_buffer(key)
                weight = own.detach()
                squares = [
                    torch.linalg.vector_norm(values, dtype=torch.float64).square()
                    for values in (weight, weight.flatten()[places.long()])
                ]
                found[self.values[key]] = Entries(own.shape, places, (squares[0] - squares[1]).float())
        return found

    def stored(self) -> dict[str, Tensor]:
        """How many weights of each tensor are trained, (1, tensors); their places and values, (1, k) each."""
        keys = [key for key in map(_key, self._own) if key in self.values]
        device = next(iter(self._own.values())).device
        counts = [self.values[key].numel() if key in self.values else 0 for key in map(_key, self._own)]
        return {
            "counts": torch.tensor([counts], dtype=torch.int32, device=device),
            "places": torch.cat([self.places.get_buffer(key) for key in keys]).unsqueeze(0),
            "values": torch.cat([self.values[key].detach() for key in keys], dim=1),
        }

    @torch.no_grad()
    def load_stored(self, tensors: Mapping[str, Tensor]) -> None:
        """Takes over what `stored` gave, which may be of other weights than those chosen here.

        Raises:
            UserError: the places are none of the backbone.
        """
        counts = tensors["counts"][0].tolist()
        places, values = tensors["places"][0].long(), tensors["values"][0]
        if len(counts) != len(self._own) or min(counts) < 0 or sum(counts) != len(places):
            raise UserError("a FISH mask's counts do not fit its places or the backbone")
        chosen = list(places.split(counts))
        for index, own in zip(chosen, self._own.values(), strict=True):
            if len(index) and not 0 <= int(index.min()) <= int(index.max()) < own.numel():
                raise UserError("a FISH mask's places are none of this backbone's")
        self._take(chosen, list(values.split(counts)))


def _key(name: str) -> str:
    return name.replace(".", "/")


class FishMask(Method):
    """Registers FISH mask with 0.2 % of the weights."""

    name = "fish-mask-0.2"
    summary = "FISH mask: train the 0.2 % of weights with the largest Fisher information (Sung et al. 2021)"
    Config: ClassVar[type] = FishMaskConfig
    recipe = {"steps": 1500, "learning_rate": 3e-4}  # noqa: RUF012 (App. D)
    remarks = Remarks(
        built="the Fisher information is taken without dropout, whatever the recipe; in the release, with dropout",
        counted="stored are a place beside each value, and a number for each tensor; the paper's 6M and 600K are its "
        "shares of 3 billion",
    )
    slotted = False
    mergeable = True
    needs_setting = True

    def build(
        self, backbone: nn.Module, *, slots: int, generator: torch.Generator, setting: Setting | None
    ) -> FishMaskAdaptation:
        parameters = dict(backbone.named_parameters())
        count = max(1, int(sum(p.numel() for p in parameters.values()) * self.config.keep))
        if setting is None:  # on the meta device only: `attach` has seen to it
            return FishMaskAdaptation(backbone, proportional(parameters, count))
        with evaluating(backbone):
            chosen = largest(parameters, count, setting, self.config.fisher_chunk)
        return FishMaskAdaptation(backbone, chosen)


@dataclass(frozen=True)
class SmallFishMaskConfig(FishMaskConfig):
    """A tenth of the weights."""

    keep: float = 0.0002


class SmallFishMask(FishMask):
    """Registers FISH mask with 0.02 % of the weights."""

    name = "fish-mask-0.02"
    summary = "FISH mask: train the 0.02 % of weights with the largest Fisher information (Sung et al. 2021)"
    Config = SmallFishMaskConfig
