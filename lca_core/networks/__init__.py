"""Networks as data: layers as frozen values, their weights in one canonical layout."""

from lca_core.networks.layers import Activation as Activation
from lca_core.networks.layers import BatchNorm as BatchNorm
from lca_core.networks.layers import Conv2D as Conv2D
from lca_core.networks.layers import Dense as Dense
from lca_core.networks.layers import Dropout as Dropout
from lca_core.networks.layers import Embedding as Embedding
from lca_core.networks.layers import Flatten as Flatten
from lca_core.networks.layers import GlobalAveragePool as GlobalAveragePool
from lca_core.networks.layers import Layer as Layer
from lca_core.networks.layers import LayerNorm as LayerNorm
from lca_core.networks.layers import MaxPool as MaxPool
from lca_core.networks.layers import Residual as Residual
from lca_core.networks.layers import Weight as Weight
from lca_core.networks.paper import NETWORKS as NETWORKS
from lca_core.networks.paper import allcnn as allcnn
from lca_core.networks.paper import fc as fc
from lca_core.networks.paper import lenet as lenet
from lca_core.networks.paper import resnet as resnet
from lca_core.networks.paper import resnet20 as resnet20
from lca_core.networks.spec import NetworkSpec as NetworkSpec
from lca_core.networks.spec import Placed as Placed
