from typing import Any

import pytest
import torch

from tfew_pl.banks import add_linear, linear, normal, uniform


def _draw(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(sum(shape)))


@pytest.mark.parametrize("rows", [1, 3])
@pytest.mark.parametrize("biased", [False, True])
def test_each_row_is_multiplied_by_its_own(rows: int, biased: bool) -> None:
    x, y, weight = _draw(3, 4, 5), _draw(3, 4, 6), _draw(rows, 6, 5)
    bias = _draw(rows, 6) if biased else None
    found, added = linear(x, weight, bias), add_linear(y, x, weight, 0.5)
    for row in range(3):
        own = row % rows
        product = x[row] @ weight[own].T
        torch.testing.assert_close(found[row], product if bias is None else product + bias[own])
        torch.testing.assert_close(added[row], y[row] + 0.5 * product)


def test_the_precision_is_that_of_the_activation() -> None:
    x, weight = _draw(2, 3, 4).bfloat16(), _draw(1, 4, 4)
    assert linear(x, weight, _draw(1, 4)).dtype == add_linear(x, x, weight).dtype == torch.bfloat16


@pytest.mark.parametrize(("draw", "spread"), [(normal, 0.5), (uniform, 0.5 / 3**0.5)])
def test_draws_have_their_spread_and_come_from_the_generator(draw: Any, spread: float) -> None:
    generator, cpu = torch.Generator(), torch.device("cpu")
    first = draw((50, 80), 0.5, generator.manual_seed(1), cpu)
    assert torch.equal(first, draw((50, 80), 0.5, generator.manual_seed(1), cpu))
    assert first.std().item() == pytest.approx(spread, rel=0.05)
    assert abs(first.mean().item()) < 0.03
    assert draw((10**6, 10**6), 0.5, generator, torch.device("meta")).is_meta
