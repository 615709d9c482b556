"""One file a promise; the first line of a suite's docstring says what it promises."""

from lca_conformance.suites.agreement import Agreement as Agreement
from lca_conformance.suites.arrays import Arrays as Arrays
from lca_conformance.suites.examples import Examples as Examples
from lca_conformance.suites.integration import Integration as Integration
from lca_conformance.suites.layers import Layers as Layers
from lca_conformance.suites.layouts import Layouts as Layouts
from lca_conformance.suites.leaves import Leaves as Leaves
from lca_conformance.suites.observers import Observers as Observers
from lca_conformance.suites.oracles import Oracles as Oracles
from lca_conformance.suites.purity import Purity as Purity
from lca_conformance.suites.samples import Samples as Samples
from lca_conformance.suites.snapshots import Snapshots as Snapshots
from lca_conformance.suites.suite import Suite as Suite
from lca_conformance.suites.training import Training as Training
from lca_conformance.suites.types import Types as Types

SUITES: tuple[type[Suite], ...] = (
    Arrays,
    Snapshots,
    Oracles,
    Examples,
    Purity,
    Integration,
    Layouts,
    Leaves,
    Observers,
    Types,
    Layers,
    Training,
    Samples,
    Agreement,
)
"""In the order in which to mend an adapter: each builds on those before it."""
