import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from tfew_pl.packing import Packing
from tfew_pl.pass_costs import PassCosts

LENGTHS = st.lists(st.tuples(st.integers(1, 6), st.integers(0, 3)), min_size=1, max_size=9)
"""Of sequences, and the rows in which they are to stand."""


def _made(sequences: list[tuple[int, int]]) -> tuple[Tensor, Tensor, Packing]:
    lengths = torch.tensor([length for length, _ in sequences])
    row = torch.tensor([row for _, row in sequences]).unique(return_inverse=True)[1]  # every row has one
    mask = torch.arange(int(lengths.max())) < lengths[:, None]
    return mask, row, Packing.of(mask, row)


@given(LENGTHS)
def test_rows_hold_their_sequences_one_after_another(sequences: list[tuple[int, int]]) -> None:
    mask, row, packing = _made(sequences)
    padded = torch.arange(mask.numel()).view(*mask.shape, 1) + 1
    together = packing.together(padded)
    expected = [torch.cat([padded[i][mask[i]] for i in range(len(mask)) if row[i] == r]) for r in range(len(together))]
    used = packing.used.view(together.shape[:2])
    for found, which, of_row in zip(together, used, expected, strict=True):
        assert found[which].tolist() == of_row.tolist()
        assert which[: len(of_row)].all()
    assert together.shape[1] == max(map(len, expected))
    assert packing.apart(together)[mask].tolist() == padded[mask].tolist()
    assert packing.ids(padded[..., 0])[used].tolist() == torch.cat(expected)[:, 0].tolist()


@given(LENGTHS)
def test_gradients_go_back_to_vectors_and_not_to_padding(sequences: list[tuple[int, int]]) -> None:
    mask, _, packing = _made(sequences)
    torch.manual_seed(0)
    padded = torch.randn(*mask.shape, 2, requires_grad=True)
    weight = torch.randn(*packing.origin.shape, 2)
    (packing.together(padded) * weight).sum().backward()
    assert padded.grad is not None
    torch.testing.assert_close(padded.grad[mask], packing.apart(weight)[mask], atol=0, rtol=0)
    assert not padded.grad[~mask].any()
    packed = torch.randn(*packing.origin.shape, 2, requires_grad=True)
    weight = torch.randn(*mask.shape, 2)
    (packing.apart(packed) * weight).sum().backward()
    assert packed.grad is not None
    used = packing.used.view(packing.origin.shape)
    torch.testing.assert_close(packed.grad[used], packing.together(weight)[used], atol=0, rtol=0)
    assert not packed.grad[~used].any()


def test_sequences_may_be_seen_again() -> None:
    mask, _, packing = _made([(2, 0), (3, 0)])
    rows = packing.together(torch.arange(6.0).view(2, 3, 1))
    again = packing.take(torch.tensor([1, 0, 1])).apart(rows)
    assert again[..., 0][mask[[1, 0, 1]]].tolist() == [3, 4, 5, 0, 1, 3, 4, 5]


def test_it_pays_where_enough_padding_goes() -> None:
    _, _, packing = _made([(2, 0), (8, 0)])  # 10 of 16
    assert packing.pays(PassCosts(vector=10, pair=100, move=5))
    assert not packing.pays(PassCosts(vector=10, pair=100, move=7))
