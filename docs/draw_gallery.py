"""Draw every figure of docs/figures.md, and the toy of docs/method.md.

    python docs/draw_gallery.py            # a minute and a half on two cores

Trains on the bundled digits: once to find the parameters that helped and hurt most, once to watch
them, and then five seeds, five with a frozen last layer, and three for every delay of it.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from attrs import evolve

from lca_core import Watch, default_observers
from lca_core.adapters import find_adapter
from lca_core.analyses import delay
from lca_core.datasets import digits
from lca_core.figures import (
    FIGURES,
    Theme,
    allocation_over_runs,
    delay_sweep,
    save,
    toy,
    two_arms,
)
from lca_core.networks import fc
from lca_core.observers import EXTRA_OBSERVERS
from lca_core.optimizers import SGD, Override
from lca_core.training import TrainingSpec

if TYPE_CHECKING:
    from collections.abc import Iterator

    from matplotlib.figure import Figure

    from lca_core import Run

IMAGES = Path(__file__).parent / "images" / "gallery"
RATE, MOMENTUM, LAST = 0.05, 0.9, "fc3"
SPEC = TrainingSpec(network=fc((8, 8, 1)), optimizer=SGD(RATE, MOMENTUM), batch_size=50, epochs=8)
SHORT = evolve(SPEC, epochs=4)
MOMENTA = (0.0, 0.5, 0.75, 0.9)


def main() -> None:
    """Train, draw everything."""
    IMAGES.mkdir(exist_ok=True)
    for old in IMAGES.glob("*.png"):
        old.unlink()
    for name, figure in (*of_one_run(), *of_several_runs(), *of_no_run()):
        save(figure, IMAGES / f"{name}.png")
        print(f"{name}.png", flush=True)


def of_one_run() -> Iterator[tuple[str, Figure]]:
    """Yield the figures of one run by class, all observed; some in other themes too."""
    default = default_observers(SPEC.network.layout)
    first = trained(SPEC, observers=default, by_class=True)
    extra = [observer() for observer in EXTRA_OBSERVERS.values()]
    watch = Watch.extremes(first, "train")
    run = trained(SPEC, observers=[*default, *extra, watch], by_class=True)
    for name, draw in FIGURES.items():
        yield name, draw(run, "train")
    blind, dark = Theme.of("colour-blind"), Theme.of("colour-blind", dark=True)
    yield "helping-colour-blind", FIGURES["helping"](run, "train", theme=blind)
    yield "helping-dark", FIGURES["helping"](run, "train", theme=Theme.of(dark=True))
    yield "units-colour-blind", FIGURES["units"](run, "train", theme=blind)
    yield "units-colour-blind-dark", FIGURES["units"](run, "train", theme=dark)


def of_several_runs() -> Iterator[tuple[str, Figure]]:
    """Yield the figures of seeds, of two arms and of delays."""
    plain = seeds(SPEC, 5)
    yield "layers-of-runs", allocation_over_runs(plain, "train")
    frozen = seeds(evolve(SPEC, overrides={LAST: Override(frozen_from=0)}), 5)
    names = ("plain", f"{LAST} frozen")
    yield "layers-of-arms", two_arms(plain, "train", frozen, names=names)
    arms = {delay(m): seeds(evolve(SHORT, overrides={LAST: with_momentum(m)}), 3) for m in MOMENTA}
    yield "delays", delay_sweep(arms, "train", LAST)


def of_no_run() -> Iterator[tuple[str, Figure]]:
    """Yield the toy, which makes its own run."""
    yield "toy", toy()
    yield "toy-dark", toy(theme=Theme.of(dark=True))


def with_momentum(momentum: float) -> Override:
    """Return a momentum, and the learning rate that moves as far with it as with the usual one."""
    return Override(momentum=momentum, learning_rate=RATE * (1 - momentum) / (1 - MOMENTUM))


def seeds(spec: TrainingSpec, count: int) -> list[Run]:
    """Return runs that differ in their seed."""
    return [trained(evolve(spec, seed=seed)) for seed in range(count)]


def trained(spec: TrainingSpec, *, by_class: bool = False, **tracking: Any) -> Run:
    """Return a run on the digits."""
    adapter = find_adapter("torch")
    return adapter.train(
        spec, digits(), on_step=lambda _: None, tracking=tracking, by_class=by_class
    )


if __name__ == "__main__":
    main()
