"""The page as one text: template, style, program, library and data put together."""

from __future__ import annotations

import base64
import hashlib
from importlib import metadata, resources
from typing import TYPE_CHECKING, Any

from lca_core.errors import MissingExtraError
from lca_core.report.packing import compressed, packed

if TYPE_CHECKING:
    from collections.abc import Mapping

_PROGRAM = (
    "data", "words", "look", "state", "loss", "layers", "time", "noise", "together", "tables",
    "speak", "paper", "controls", "main",
)  # fmt: skip
_TOPICS = {
    "books": "The books.",
    "work": "The work.",
    "hurt": "Who hurt.",
    "noise": "The noise.",
    "synchrony": "Together.",
    "generalisation": "Held-out data.",
    "certainty": "How sure.",
}


def document(shown: Mapping[str, Any], told: Mapping[str, Any]) -> str:
    """Return the page.

    Args:
        shown: what the charts and tables are made of, see `packed`.
        told: what is text: the `title`, `runs` with their stories and settings, `films`,
            and whether a measure is `sampled`.

    Raises:
        MissingExtraError: plotly or Jinja2 is not installed.
    """
    try:
        from jinja2 import Environment
        from plotly.offline import get_plotlyjs
    except ImportError as error:
        raise MissingExtraError("A report", "report") from error
    library = get_plotlyjs()
    program = (
        '(() => {\n"use strict";\n' + "\n".join(_part(f"{p}.js") for p in _PROGRAM) + "})();\n"
    )
    template = Environment(autoescape=True).from_string(_part("template.html"))
    return template.render(
        told,
        topics=_TOPICS,
        version=metadata.version("loss-change-allocation"),
        policy=_policy(program, library),
        style=_part("style.css"),
        program=program,
        library=compressed(library),
        data=packed(shown),
    )


def _policy(*scripts: str) -> str:
    """Return what the browser lets the page do: run these scripts, show what is inside of it."""
    hashes = " ".join(f"'sha256-{_sha256(script)}'" for script in scripts)
    return (
        f"default-src 'none'; script-src {hashes}; style-src 'unsafe-inline'; img-src data: blob:; "
        "media-src data:; base-uri 'none'; form-action 'none'"
    )


def _sha256(text: str) -> str:
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def _part(name: str) -> str:
    return resources.files("lca_core.report").joinpath("page", name).read_text("utf-8")
