"""Where the runs of an experiment lie, and what is known of each from its files."""

from __future__ import annotations

import hashlib
import json
import re
from typing import TYPE_CHECKING, Any

from attrs import frozen

from lca_core.described import difference
from lca_core.errors import ExperimentError, RunFileError
from lca_core.schema import read_root
from lca_core.whole import whole

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

_PLAIN = re.compile(r"[a-z0-9]+(?:[._=+-]+[a-z0-9]+)*")
_LONGEST = 60


def file_name(arm: str) -> str:
    """Return the name of an arm's folder: no two arms have the same, on any file system.

    Args:
        arm: any text.

    Example:
        >>> from lca_core.experiments.folder import file_name
        >>> file_name("sgd-lr=0.1"), file_name("Ends: fc1 / fc3")
        ('sgd-lr=0.1', 'ends-fc1-fc3~478972b8')
    """
    if len(arm) <= _LONGEST and _PLAIN.fullmatch(arm):
        return arm
    words = "-".join(re.findall(r"[a-z0-9._=+]+", arm.lower()))[:_LONGEST].strip(".")
    return f"{words}~{hashlib.sha256(arm.encode()).hexdigest()[:8]}"


@frozen
class Place:
    """The folder of one run.

    Args:
        folder: `OUT/runs/<arm>/seed-<n>`.
    """

    folder: Path

    @classmethod
    def of(cls, out: Path, arm: str, seed: int) -> Place:
        """Return where a run of an experiment lies; nothing is made yet."""
        return cls(out / "runs" / file_name(arm) / f"seed-{seed}")

    @property
    def run(self) -> Path:
        """The run file."""
        return self.folder / "run.zarr"

    @property
    def description(self) -> Path:
        """What the run is, in JSON."""
        return self.folder / "description.json"

    @property
    def lock(self) -> Path:
        """What a process holds that writes here."""
        return self.folder / "lock"

    def steps(self) -> int:
        """Return how many steps of the run are safe; 0 for a file that cannot be read."""
        try:
            _header, commit = read_root(self.run)
        except (RunFileError, FileNotFoundError):
            return 0
        return commit.iteration

    def check(self, description: Mapping[str, Any]) -> None:
        """Refuse a folder that holds another run.

        Args:
            description: of the run that is meant.

        Raises:
            ExperimentError: there is a run that is described otherwise, or not at all.
        """
        if not self.description.exists():
            if self.run.exists():
                self._refuse(*_unknown("is missing"))
            return
        try:
            found: Any = json.loads(self.description.read_text("utf-8"))
        except ValueError:
            found = None
        if not isinstance(found, dict):
            self._refuse(*_unknown("cannot be read"))
        for key, part in description.items():
            if found.get(key) != part:
                name, expected, got = difference(key, part, found.get(key))
                self._refuse(
                    f"another run: {name} should be {expected}, found {got}",
                    "give the same options as when it was made",
                )

    def write(self, description: Mapping[str, Any]) -> None:
        """Say what the run is, in one rename."""
        with whole(self.description) as aside:
            aside.write_text(json.dumps(description, indent=1, allow_nan=False), "utf-8")

    def mark(self) -> int:
        """Return when the description was written, by the clock of who wrote it; 0 for never."""
        try:
            return self.description.stat().st_mtime_ns
        except FileNotFoundError:
            return 0

    def _refuse(self, what: str, remedy: str) -> None:
        msg = (
            f"In '{self.folder}' lies {what}. To go on with it, or to judge it, {remedy}. "
            "Choose another --out, or delete that folder, to make this one."
        )
        raise ExperimentError(msg)


def _unknown(why: str) -> tuple[str, str]:
    """Say what a folder without a description holds, and what helps."""
    return f"a run that nothing is known of: its description.json {why}", "put that file back"
