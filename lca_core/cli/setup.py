"""What the options ask for, as a data set, a training and a measurement."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

import click
from attrs import evolve, frozen

from lca_core.adaptive import Adaptive
from lca_core.datasets import Dataset, Source
from lca_core.integrate import Fixed
from lca_core.networks import NETWORKS
from lca_core.observers import EXTRA_OBSERVERS, Dense, WatchSample, default_observers
from lca_core.optimizers import (
    SGD,
    Adam,
    AdamW,
    Constant,
    Cosine,
    Drops,
    Optimizer,
    Override,
    RMSprop,
    Schedule,
)
from lca_core.rules import RULES
from lca_core.sampling import Sampling
from lca_core.tolerance import Tolerance
from lca_core.training import TrainingSpec

if TYPE_CHECKING:
    from pathlib import Path

    from lca_core.adapters import Mode
    from lca_core.segment import Integrator
    from lca_core.typing import Observer

OPTIMIZERS: dict[str, Optimizer] = {
    "sgd": SGD(0.01, momentum=0.9),
    "rmsprop": RMSprop(1e-3, momentum=0.9),
    "adam": Adam(1e-4),
    "adamw": AdamW(1e-4),
}
"""With the settings of the paper's code; AdamW has Adam's learning rate."""


@frozen
class TrainingSetup:
    """The options that every training has, under their own names; see `lca run --help`."""

    network: str
    data: str
    data_dir: Path | None
    examples: int | None
    optimizer: str
    lr: float | None
    momentum: float | None
    schedule: str
    drop_at: tuple[int, ...]
    warmup: float | None
    batch_size: int
    epochs: int

    def __attrs_post_init__(self) -> None:
        if bool(self.drop_at) != (self.schedule == "drops"):
            msg = "--schedule drops needs --drop-at, and nothing else takes it."
            raise click.UsageError(msg)
        if self.warmup is not None and self.schedule != "cosine":
            msg = "--warmup belongs to --schedule cosine."
            raise click.UsageError(msg)

    @property
    def source(self) -> Source:
        """Where the data set comes from."""
        return Source(self.data, self.data_dir, self.examples)

    def dataset(self) -> Dataset:
        """Return the data set, or its first examples."""
        return self.source.load()

    def spec(self, dataset: Dataset) -> TrainingSpec:
        """Return the training on a data set."""
        return TrainingSpec(
            network=NETWORKS[self.network](dataset.shape, dataset.classes),
            optimizer=Override(self.lr, self.momentum).applied(OPTIMIZERS[self.optimizer]),
            schedule=self._schedule(),
            batch_size=self.batch_size,
            epochs=self.epochs,
        )

    def _schedule(self) -> Schedule:
        if self.schedule == "drops":
            return Drops(self.drop_at)
        return Cosine(self.warmup or 0.0) if self.schedule == "cosine" else Constant()


@frozen
class Setup(TrainingSetup):
    """The options of `lca run`."""

    seed: int
    freeze: tuple[tuple[str, int], ...]
    layer_lr: tuple[tuple[str, float], ...]
    layer_momentum: tuple[tuple[str, float], ...]
    mode: Mode
    every: int
    by_class: bool
    probe: int | None
    redrawn: int | None
    stratified: bool
    observe: tuple[str, ...]
    dense: bool
    watch: int | None
    rule: str | None
    rtol: float
    atol: float
    run_rtol: float | None
    certify: bool
    audit: int | None

    def __attrs_post_init__(self) -> None:
        super().__attrs_post_init__()
        if self.by_class and self.mode != "eval":
            msg = "--by-class needs --mode eval: classes apart have other batch statistics."
            raise click.UsageError(msg)
        refining = (self.certify or None, self.audit, self.run_rtol)
        if self.rule is not None and refining != (None, None, None):
            msg = (
                "--rule is used at every step as it is: leave it out, or --certify, --audit and "
                "--run-rtol."
            )
            raise click.UsageError(msg)
        self._check_sampling()

    @property
    def sampling(self) -> Sampling:
        """What stands in the place of all examples."""
        return Sampling(self.probe, self.redrawn, self.stratified)

    @classmethod
    def unsampled(cls, **chosen: Any) -> Self:
        """Return a set-up that measures all examples at every step."""
        return cls(**chosen, every=1, by_class=False, probe=None, redrawn=None, stratified=False)

    def spec(self, dataset: Dataset) -> TrainingSpec:
        """Return the training on a data set, layers that differ included."""
        return evolve(super().spec(dataset), seed=self.seed, overrides=self._overrides())

    def dataset(self) -> Dataset:
        """Return the data set, or its first examples.

        Raises:
            BadParameter: more of them are to be drawn than there are.
        """
        dataset = super().dataset()
        there = len(dataset.train)
        if self.redrawn and self.redrawn > there:
            msg = (
                f"{self.redrawn} examples were asked for at every step, the data hold {there}. "
                "Ask for fewer, or leave it out to measure all of them."
            )
            raise click.BadParameter(msg, param_hint="--redrawn")
        return dataset

    def integrator(self) -> Integrator:
        """Return how a step is integrated."""
        if self.rule is not None:
            return Fixed(RULES[self.rule], Tolerance(self.rtol, self.atol))
        chosen = Adaptive(rtol=self.rtol, atol=self.atol, certify=self.certify)
        if self.audit is not None:
            chosen = evolve(chosen, audit=self.audit or None)
        return chosen if self.run_rtol is None else evolve(chosen, run_rtol=self.run_rtol)

    def observers(self, spec: TrainingSpec) -> tuple[Observer, ...]:
        """Return the default ones, and what else was asked for."""
        names = EXTRA_OBSERVERS if "all" in self.observe else dict.fromkeys(self.observe)
        dense = [Dense()] if self.dense else []
        watch = [WatchSample(self.watch, self.seed)] if self.watch else []
        extra = (EXTRA_OBSERVERS[name]() for name in names)
        return (*default_observers(spec.network.layout), *extra, *dense, *watch)

    def tracking(self, spec: TrainingSpec) -> dict[str, Any]:
        """Return the arguments of an adapter's `track`."""
        return {
            "mode": self.mode,
            "every": self.every,
            "integrator": self.integrator(),
            "observers": self.observers(spec),
            **({"sampling": self.sampling} if self.sampling else {}),
        }

    def _check_sampling(self) -> None:
        """Refuse options of samples that do not go together, before anything is done."""
        msg = None
        if self.stratified and not self.sampling:
            msg = "--stratified says how --probe or --redrawn draws: give one of them."
        elif self.by_class and self.sampling:
            msg = "--by-class measures all examples: leave out --probe and --redrawn, or it."
        elif self.redrawn and self.mode != "eval":
            msg = "--redrawn needs --mode eval: samples have other batch statistics than all."
        elif self.redrawn and self.redrawn % 2:
            msg = (
                "--redrawn takes an even number, for two equal subsamples tell the standard "
                f"error, got {self.redrawn}."
            )
        if msg:
            raise click.UsageError(msg)

    def _overrides(self) -> dict[str, Override]:
        """Return what is different for the layers that any option names."""
        overrides: dict[str, Override] = {}
        settings = {
            "frozen_from": self.freeze,
            "learning_rate": self.layer_lr,
            "momentum": self.layer_momentum,
        }
        for setting, pairs in settings.items():
            for layer, value in pairs:
                changed: Any = {setting: value}
                overrides[layer] = evolve(overrides.get(layer, Override()), **changed)
        return overrides
