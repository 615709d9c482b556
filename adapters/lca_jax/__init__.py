"""Loss Change Allocation for JAX, on any pytree."""

from lca_jax.functional import Pair as Pair
from lca_jax.functional import functional as functional
from lca_jax.ops import JaxOps as JaxOps
from lca_jax.oracle import JaxOracle as JaxOracle
from lca_jax.tracking import track as track
