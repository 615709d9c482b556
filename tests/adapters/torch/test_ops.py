"""Sums are those of float64, however large the tensor."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from lca_torch.ops import WIDENED_AT_ONCE, TorchOps


@pytest.mark.parametrize("shape", [(1_500, 1_501), (3, 1_000_003), (2_000_003,), (2, 1_100, 1_000)])
@pytest.mark.parametrize("kind", [np.float32, np.bool_])
def test_a_large_tensor_is_summed_as_if_at_once(shape, kind):
    """Cut along any axis into pieces that do not divide it, nothing is lost or counted twice."""
    drawn = np.random.default_rng(0).standard_normal(shape)
    values = (drawn > 0 if kind is np.bool_ else drawn + 1).astype(kind)
    assert values.size > WIDENED_AT_ONCE
    tensor, exact = torch.from_numpy(values), values.astype(np.float64)
    for keep in (None, *range(len(shape))):
        others = tuple(axis for axis in range(len(shape)) if axis != keep)
        expected = exact.sum(axis=others)
        found = TorchOps().sum(tensor, keep=keep)
        assert found.shape == expected.shape
        np.testing.assert_allclose(found.numpy(), expected, rtol=1e-12, atol=1e-9)
