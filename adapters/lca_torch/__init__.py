"""Loss Change Allocation for PyTorch, in any training loop."""

from lca_torch.losses import BatchLoss as BatchLoss
from lca_torch.ops import TorchOps as TorchOps
from lca_torch.oracle import TorchOracle as TorchOracle
from lca_torch.tracking import track as track
