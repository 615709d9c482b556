"""The promises of an LCA adapter, as tests that anyone can run on any adapter.

`python -m lca_conformance NAME ...` runs them all; the suites are also classes to derive from:

    class TestSnapshots(lca_conformance.Snapshots):
        subject = MY_ADAPTER
"""

import pytest

pytest.register_assert_rewrite("lca_conformance.suites", "lca_conformance.cases")

from lca_conformance.suites import SUITES as SUITES  # noqa: E402 - rewriting comes first
from lca_conformance.suites import Agreement as Agreement  # noqa: E402
from lca_conformance.suites import Arrays as Arrays  # noqa: E402
from lca_conformance.suites import Examples as Examples  # noqa: E402
from lca_conformance.suites import Integration as Integration  # noqa: E402
from lca_conformance.suites import Layers as Layers  # noqa: E402
from lca_conformance.suites import Layouts as Layouts  # noqa: E402
from lca_conformance.suites import Leaves as Leaves  # noqa: E402
from lca_conformance.suites import Observers as Observers  # noqa: E402
from lca_conformance.suites import Oracles as Oracles  # noqa: E402
from lca_conformance.suites import Purity as Purity  # noqa: E402
from lca_conformance.suites import Snapshots as Snapshots  # noqa: E402
from lca_conformance.suites import Training as Training  # noqa: E402
from lca_conformance.suites import Types as Types  # noqa: E402
