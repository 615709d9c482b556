"""Every layer of `lca_core.networks` forwards and backwards, one function each."""

from lca_core.reference.layers.images import convolution as convolution
from lca_core.reference.layers.images import global_average as global_average
from lca_core.reference.layers.images import max_pool as max_pool
from lca_core.reference.layers.linear import dense as dense
from lca_core.reference.layers.linear import embedding as embedding
from lca_core.reference.layers.linear import flatten as flatten
from lca_core.reference.layers.normalisation import batch_norm as batch_norm
from lca_core.reference.layers.normalisation import layer_norm as layer_norm
from lca_core.reference.layers.passes import Backward as Backward
from lca_core.reference.layers.passes import Mode as Mode
from lca_core.reference.layers.passes import Pass as Pass
from lca_core.reference.layers.passes import Weights as Weights
from lca_core.reference.layers.pointwise import activation as activation
from lca_core.reference.layers.pointwise import dropout as dropout
