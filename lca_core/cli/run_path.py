"""Where a run is: its file, or the folder in which a command wrote one."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import click

RUN_FILE = "run.zarr"
"""What a run is called in the folder that `lca demo` and `lca run` write to."""


class RunPath(click.Path):
    """An argument that names a run."""

    def __init__(self) -> None:
        super().__init__(path_type=Path)

    def convert(
        self,
        value: str | os.PathLike[str],
        param: click.Parameter | None,
        ctx: click.Context | None,
    ) -> Any:
        """Return the path of the file."""
        path = Path(os.fspath(value))
        return super().convert(path / RUN_FILE if (path / RUN_FILE).exists() else path, param, ctx)
