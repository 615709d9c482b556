"""The article's claims as experiments: trainings to run, and a judgement of their runs."""

from lca_core.experiments.experiment import Arms as Arms
from lca_core.experiments.experiment import Experiment as Experiment
from lca_core.experiments.experiment import Outcome as Outcome
from lca_core.experiments.experiment import Planned as Planned
from lca_core.experiments.experiment import Verdict as Verdict
