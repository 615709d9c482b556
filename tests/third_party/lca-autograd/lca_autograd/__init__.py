"""Loss Change Allocation for HIPS autograd: a small adapter, made to be copied."""

from lca_autograd.adapter import ADAPTER as ADAPTER
from lca_autograd.tracking import track as track
