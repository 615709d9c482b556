"""What the command collects: every suite, under its own name."""

from lca_conformance.suites import (
    Agreement,
    Arrays,
    Examples,
    Integration,
    Layers,
    Layouts,
    Leaves,
    Oracles,
    Purity,
    Snapshots,
    Training,
    Types,
)

__all__ = [
    "Agreement",
    "Arrays",
    "Examples",
    "Integration",
    "Layers",
    "Layouts",
    "Leaves",
    "Oracles",
    "Purity",
    "Snapshots",
    "Training",
    "Types",
]
