"""The numpy reference: float64, hand-written gradients, closed forms; truth for the tests."""

from lca_core.reference.demo import demo_run as demo_run
from lca_core.reference.network import forward as forward
from lca_core.reference.networks import Linear as Linear
from lca_core.reference.networks import Perceptron as Perceptron
from lca_core.reference.networks import logistic as logistic
from lca_core.reference.ops import NumpyOps as NumpyOps
from lca_core.reference.ops import snapshot as snapshot
from lca_core.reference.ops import track as track
from lca_core.reference.oracle import NetworkOracle as NetworkOracle
from lca_core.reference.problems import Polynomial as Polynomial
from lca_core.reference.problems import Quadratic as Quadratic
