"""Networks from a spec compute in PyTorch what PyTorch is to compute."""

import pytest
import torch

from lca_core.networks import Conv2D
from lca_torch.networks import Convolution


@pytest.mark.parametrize("size", [1, 3])
@pytest.mark.parametrize(("examples", "channels", "side"), [(8, 4, 8), (7, 16, 28), (13, 16, 14)])
def test_gradients_of_strided_kernels_are_those_of_float64(examples, channels, side, size):
    """Images whose channels come last meet a fault of PyTorch there; what is built does without."""
    torch.manual_seed(0)
    layer = Conv2D(8, size, stride=2, padding="same", bias=False)
    made = Convolution(layer, (side, side, channels))
    x = torch.randn(examples, side, side, channels)
    up = torch.randn(made(x).shape)

    def gradient(dtype):
        made.to(dtype).zero_grad()
        (made(x.to(dtype)) * up.to(dtype)).sum().backward()
        return made.weight.grad.clone()

    exact = gradient(torch.float64)
    for _ in range(20):
        off = (gradient(torch.float32) - exact).abs().max() / exact.abs().max()
        assert off < 1e-5
