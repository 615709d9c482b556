"""Layers as frozen values: what each makes of a shape, and the weights it needs."""

from lca_core.networks.layers.images import Conv2D as Conv2D
from lca_core.networks.layers.images import GlobalAveragePool as GlobalAveragePool
from lca_core.networks.layers.images import MaxPool as MaxPool
from lca_core.networks.layers.layer import Layer as Layer
from lca_core.networks.layers.layer import Shape as Shape
from lca_core.networks.layers.layer import Weight as Weight
from lca_core.networks.layers.linear import Dense as Dense
from lca_core.networks.layers.linear import Embedding as Embedding
from lca_core.networks.layers.normalisation import BatchNorm as BatchNorm
from lca_core.networks.layers.normalisation import LayerNorm as LayerNorm
from lca_core.networks.layers.pointwise import Activation as Activation
from lca_core.networks.layers.pointwise import Dropout as Dropout
from lca_core.networks.layers.pointwise import Flatten as Flatten
from lca_core.networks.layers.residual import Residual as Residual
from lca_core.networks.layers.residual import in_order as in_order
