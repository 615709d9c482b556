"""What a finished run tells, and how sure it is: pure functions, numpy in, numbers out."""

from lca_core.analyses.hurting import OverRuns as OverRuns
from lca_core.analyses.hurting import Verdicts as Verdicts
from lca_core.analyses.hurting import holm as holm
from lca_core.analyses.hurting import over_runs as over_runs
from lca_core.analyses.hurting import sign_test as sign_test
from lca_core.analyses.hurting import verdicts as verdicts
from lca_core.analyses.nulls import NULLS as NULLS
from lca_core.analyses.peaks import minima as minima
from lca_core.analyses.peaks import peaks as peaks
from lca_core.analyses.synchrony import Synchrony as Synchrony
from lca_core.analyses.synchrony import chance as chance
from lca_core.analyses.synchrony import coincidence as coincidence
from lca_core.analyses.synchrony import synchrony as synchrony
