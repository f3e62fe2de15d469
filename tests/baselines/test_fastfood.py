import math

import numpy as np
import pytest
import torch
from scipy.linalg import hadamard
from torch import Tensor

from baselines.fastfood import Fastfood, walsh_hadamard

CPU = torch.device("cpu")


def _random(*shape: int) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(sum(shape)))


def _dense(transform: Fastfood) -> Tensor:
    """P, column by column: (outputs, inputs)."""
    return torch.stack([transform(e) for e in torch.eye(transform.inputs, dtype=torch.float64)], dim=1)


@pytest.mark.parametrize("size", [1, 2, 8, 64, 512])
def test_it_is_the_product_with_the_walsh_hadamard_matrix(size: int) -> None:
    x = _random(3, 2, size)
    expected = x @ torch.from_numpy(hadamard(size)).double()
    torch.testing.assert_close(walsh_hadamard(x), expected, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(walsh_hadamard(x.transpose(0, 1)), expected.transpose(0, 1), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("size", [1, 2, 16, 128])
def test_the_gradient_has_no_factor(size: int) -> None:
    # The release's backward pass is 1/sqrt(n) of this.
    x, w = _random(size).requires_grad_(True), _random(size) + 1
    (walsh_hadamard(x) * w).sum().backward()
    assert x.grad is not None
    torch.testing.assert_close(x.grad, torch.from_numpy(hadamard(size)).double() @ w, rtol=1e-12, atol=1e-12)
    assert torch.autograd.gradcheck(walsh_hadamard, x)
    assert torch.autograd.gradgradcheck(walsh_hadamard, x)


def test_its_argument_is_left_alone() -> None:
    x = _random(8)
    before = x.clone()
    walsh_hadamard(x).add_(1)
    assert torch.equal(x, before)
    one = _random(1)
    assert walsh_hadamard(one).data_ptr() != one.data_ptr()


def test_other_sizes_are_refused() -> None:
    for size in (0, 3, 12):
        with pytest.raises(ValueError, match=f"takes a power of two, not {size}"):
            walsh_hadamard(torch.zeros(size))


@pytest.mark.parametrize(("inputs", "outputs"), [(5, 19), (8, 8), (16, 3), (60, 9), (30, 8), (9, 1), (1, 4), (7, 64)])
def test_fastfood_is_its_dense_matrix(inputs: int, outputs: int) -> None:
    transform = Fastfood(inputs, outputs, seed=3, device=CPU).double()
    length = 2 ** math.ceil(math.log2(inputs))
    h = hadamard(length).astype(float)
    blocks = []
    for block in range(math.ceil(outputs / length)):
        b = np.diag(transform.signs[block].numpy())
        pi = np.eye(length)[transform.permutation[block].numpy()]
        g = np.diag(transform.normals[block].numpy())
        blocks.append(h @ g @ pi @ h @ b)
    expected = torch.from_numpy(np.concatenate(blocks)[:outputs, :inputs])
    torch.testing.assert_close(_dense(transform), expected, rtol=1e-10, atol=1e-12)
    theta = _random(inputs).requires_grad_(True)
    assert torch.autograd.gradcheck(transform, theta)


def test_autocast_does_not_round_it() -> None:
    transform = Fastfood(100, 1000, seed=0, device=CPU)
    theta = _random(100).float().requires_grad_(True)
    expected = transform(theta)
    (gradient,) = torch.autograd.grad(expected.square().sum(), theta)
    with torch.autocast("cpu", torch.bfloat16):
        found = transform(theta)
    (rough,) = torch.autograd.grad(found.square().sum(), theta)
    assert torch.equal(found, expected)
    assert torch.equal(rough, gradient)


def test_its_parts_are_what_they_are_called() -> None:
    transform = Fastfood(100, 1000, seed=0, device=CPU)
    assert set(transform.signs.flatten().tolist()) == {-1.0, 1.0}
    assert all(sorted(row) == list(range(128)) for row in transform.permutation.tolist())
    # The division by sqrt(outputs * sum of G^2) leaves rows of one norm.
    norms = transform.normals.square().sum(1)
    torch.testing.assert_close(norms, torch.full((8,), 1 / 1000))
    assert len({tuple(row) for row in transform.signs.tolist()}) == 8


def test_columns_have_norm_one_in_the_mean() -> None:
    for inputs, outputs in ((60, 1000), (200, 50)):
        dense = _dense(Fastfood(inputs, outputs, seed=1, device=CPU).double())
        assert float(dense.square().sum(0).mean()) == pytest.approx(1, rel=0.15)


@pytest.mark.parametrize(("inputs", "outputs"), [(100, 300), (33, 1000)])
def test_every_dimension_is_reachable(inputs: int, outputs: int) -> None:
    # The release cuts θ to the power of two from a tensor's size on: what is behind it moves nothing.
    dense = _dense(Fastfood(inputs, outputs, seed=2, device=CPU).double())
    assert int(torch.linalg.matrix_rank(dense)) == inputs
    assert float(dense.square().sum(0).min()) > 0.3


def test_the_seed_is_all_it_takes() -> None:
    first, again, other = (_dense(Fastfood(9, 40, seed, CPU).double()) for seed in (7, 7, 8))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_the_streams_are_those_of_numpy_s_frozen_generator() -> None:
    transform = Fastfood(3, 4, seed=5, device=CPU)
    random = np.random.RandomState(5)
    signs, permutation, normals = random.randint(0, 2, (1, 4)), random.permutation(4), random.standard_normal((1, 4))
    assert transform.signs.tolist() == (2 * signs - 1).tolist()
    assert transform.permutation.tolist() == [permutation.tolist()]
    scaled = torch.from_numpy(normals / np.sqrt(4 * (normals**2).sum())).float()
    torch.testing.assert_close(transform.normals, scaled)
