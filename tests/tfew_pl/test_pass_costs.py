from typing import Any

import pytest
from torch import nn

from tfew_pl.pass_costs import PassCosts


@pytest.mark.parametrize("kind", ["untied", "tied"])
@pytest.mark.parametrize("decoder", [False, True])
def test_a_vector_goes_through_every_linear_map_of_a_layer_once(kind: str, decoder: bool, make_model: Any) -> None:
    model = make_model(kind)
    block = (model.decoder if decoder else model.encoder).block[0]
    maps = {name: module for name, module in block.named_modules() if isinstance(module, nn.Linear)}
    of_the_encoder = [name for name in maps if name.endswith(("EncDecAttention.k", "EncDecAttention.v"))]
    assert len(of_the_encoder) == 2 * decoder
    own = sum(module.weight.numel() for name, module in maps.items() if name not in of_the_encoder)
    assert PassCosts.of(model.config, "cpu", decoder=decoder).vector == own


def test_sequences_pay_for_their_padding_or_for_being_moved() -> None:
    costs = PassCosts(vector=10, pair=2, move=3)
    assert costs.padded(sequences=2, longest=5) == 2 * 5 * 10 + 2 * 5 * 5 * 2
    assert costs.packed(vectors=7, sequences=2, longest=5) == 7 * (10 + 3) + 2 * 5 * 5 * 2
    assert costs.padded(sequences=1, longest=5) < costs.packed(vectors=5, sequences=1, longest=5)
