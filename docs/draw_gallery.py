"""Draw every figure of docs/figures.md: trains on the bundled digits, twice.

    python docs/draw_gallery.py            # about a minute on two cores

The first run finds the parameters that helped and hurt most; the second watches them.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from lca_core import Watch, default_observers
from lca_core.adapters import find_adapter
from lca_core.datasets import digits
from lca_core.figures import FIGURES, save
from lca_core.networks import fc
from lca_core.observers import EXTRA_OBSERVERS
from lca_core.optimizers import SGD
from lca_core.training import TrainingSpec

if TYPE_CHECKING:
    from lca_core import Run

IMAGES = Path(__file__).parent / "images" / "gallery"
SPEC = TrainingSpec(network=fc((8, 8, 1)), optimizer=SGD(0.05, 0.9), batch_size=50, epochs=8)


def main() -> None:
    """Train twice, draw everything."""
    default = default_observers(SPEC.network.layout)
    first = trained(default)
    extra = [observer() for observer in EXTRA_OBSERVERS.values()]
    run = trained([*default, *extra, Watch.extremes(first, "train")])
    IMAGES.mkdir(exist_ok=True)
    for name, draw in FIGURES.items():
        save(draw(run, "train"), IMAGES / f"{name}.png")
    print(f"Drew {len(FIGURES)} figures in {IMAGES}.")


def trained(observers: Any) -> Run:
    """Return a run by class."""
    tracking = {"observers": observers}
    adapter = find_adapter("torch")
    return adapter.train(SPEC, digits(), on_step=lambda _: None, tracking=tracking, by_class=True)


if __name__ == "__main__":
    main()
