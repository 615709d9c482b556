"""What a run is trained with, kept in its file: it goes on with the same, or not at all."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from attrs import define, evolve, field

from lca_core.described import difference
from lca_core.errors import ResumeError
from lca_core.names import META, TRAINING
from lca_core.whole import whole

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from lca_core.datasets import Dataset
    from lca_core.tracker import Tracker
    from lca_core.training import TrainingSpec

_PLACE = f"{TRAINING}/{META}"
"""A group of the run file that holds nothing but attributes."""


@define
class TrainedWith:
    """The settings of a training: compared with those of a run, or written into its file.

    Args:
        path: the run file.
        backend: what the adapter calls itself, however it was spelled.
        spec: network and optimizer.
        dataset: examples.
    """

    path: Path
    backend: str
    spec: TrainingSpec
    dataset: Dataset
    _written: bool = field(default=False, init=False)

    def describe(self) -> dict[str, Any]:
        """Return the settings as they look after a way through a file."""
        examples = {"train": len(self.dataset.train), "val": len(self.dataset.val)}
        data = {"name": self.dataset.name, "examples": examples}
        settings = {"backend": self.backend, "data": data, **self.spec.describe()}
        plain: dict[str, Any] = json.loads(json.dumps(settings))
        return plain

    def check(self) -> None:
        """Refuse to go on with a run that was trained otherwise; one that tells nothing passes.

        Raises:
            ResumeError: a setting differs.
        """
        before = self._read()
        for name, now in self.describe().items():
            was = before.get(name, now)
            if was != now and not (name == "epochs" and self._same_course(was)):
                raise ResumeError(self._refusal(*difference(name, now, was)))

    def __call__(self, tracker: Tracker) -> None:
        """Write the settings after the first step: what can be resumed is checked by then."""
        if not self._written and self.path.exists():
            self._write()
            self._written = True

    def _same_course(self, epochs: int) -> bool:
        """Return whether learning rates move as they do in a training of so many epochs."""
        examples = len(self.dataset.train)
        other = evolve(self.spec, epochs=epochs)
        pairs = zip(self.spec.factors(examples), other.factors(examples), strict=False)
        return all(one == another for one, another in pairs)

    def _refusal(self, name: str, now: Any, was: Any) -> str:
        before, after = ("nothing" if value is None else value for value in (was, now))
        schedule = type(self.spec.schedule).__name__
        why = f", and the course of {schedule} depends on them" if name == "epochs" else ""
        return (
            f"The run in '{self.path}' was trained with {name} = {before}, now it is {after}{why}. "
            "Resume with the same settings, or begin another run: choose another --out, or pass "
            "--overwrite."
        )

    def _read(self) -> Mapping[str, Any]:
        """Return the settings in the file; nothing where an earlier version wrote none."""
        place = self.path / _PLACE
        if not place.exists():
            return {}
        found: dict[str, Any] = json.loads(place.read_bytes())["attributes"]
        return found

    def _write(self) -> None:
        """Write the settings in one rename."""
        place = self.path / _PLACE
        place.parent.mkdir(exist_ok=True)
        group = {"zarr_format": 3, "node_type": "group", "attributes": self.describe()}
        with whole(place) as aside:
            aside.write_text(json.dumps(group, indent=1), "utf-8")
