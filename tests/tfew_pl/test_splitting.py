import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tfew_pl.pass_costs import PassCosts
from tfew_pl.splitting import split_by_length


@settings(max_examples=50)
@given(
    lengths=st.lists(st.integers(1, 30), min_size=1, max_size=12),
    overhead=st.floats(0, 100),
    costs=st.builds(PassCosts, vector=st.just(8.0), pair=st.floats(0, 2), move=st.floats(0, 4)),
    packed=st.booleans(),
)
def test_the_split_is_the_cheapest_of_neighbors(
    lengths: list[int], overhead: float, costs: PassCosts, packed: bool
) -> None:
    mask = torch.arange(max(lengths)) < torch.tensor(lengths)[:, None]
    parts = split_by_length(mask, overhead, costs, packed=packed)
    assert sorted(torch.cat(parts).tolist()) == list(range(len(lengths)))

    def of_part(part: list[int]) -> float:
        attended = len(part) * max(part) ** 2 * costs.pair
        padded = len(part) * max(part) * costs.vector + attended
        together = sum(part) * (costs.vector + costs.move) + attended
        return overhead + (min(padded, together) if packed else padded) / costs.vector

    def cost(sizes: list[int]) -> float:
        ordered = iter(sorted(lengths))
        return sum(of_part([next(ordered) for _ in range(size)]) for size in sizes)

    found = sum(of_part([lengths[i] for i in part.tolist()]) for part in parts)
    count = len(lengths)
    for cuts in range(2 ** min(count - 1, 9)):
        sizes, size = [], 1
        for place in range(count - 1):
            if cuts >> place & 1:
                sizes.append(size)
                size = 0
            size += 1
        assert found <= cost([*sizes, size]) + 1e-6 or len(parts) == 1


def test_only_a_cpu_splits_a_batch() -> None:
    mask = torch.ones(4, 9, dtype=torch.bool, device="meta")
    assert len(split_by_length(mask, 0.0, PassCosts(1, 0, 0), packed=False)) == 1
