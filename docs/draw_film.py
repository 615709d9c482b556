"""Draw the images of docs/film.md, and measure what a film costs.

    python docs/draw_film.py --data-dir DIR      # about five minutes on two cores

DIR holds MNIST as IDX files. Trains the paper's FC on it for two epochs, 440 steps, or reads the
run file that `--run` names.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

import lca_core
from lca_core.film import still, write_film

if TYPE_CHECKING:
    from lca_core import Run

IMAGES = Path(__file__).parent / "images" / "film"
OPTIONS = ["--network", "fc", "--data", "mnist", "--epochs", "2", "--dense"]
POSTER, STEPS = 40, 400
PERIODS = ((1, 10), (11, 100), (101, 440))
VISIBLE = 0.1
"""Of the scale: what is weaker looks white."""

MEASURED = f"""
import lca_core, lca_core.film, pathlib, resource, sys
lca_core.film.write_film(lca_core.load(sys.argv[1]), sys.argv[2], steps=slice({STEPS}))
# Linux: what getrusage says of a process itself would count its parent's memory too.
(own,) = (int(line.split()[1]) for line in open("/proc/self/status") if "VmHWM" in line)
print(own // 1024, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss // 1024)
"""


def main() -> None:
    """Train or read, draw, measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data-dir", type=Path)
    parser.add_argument("--run", type=Path)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as out:
        path = given.run or trained(given.data_dir, Path(out))
        run = lca_core.load(path)
        IMAGES.mkdir(parents=True, exist_ok=True)
        film = write_film(run, IMAGES / "fc.gif", "train", fps=8, every=10)
        poster(run, IMAGES / "fc.png")
        print(seen(run, film.scale))
        print(cost(path, Path(out) / "film.mp4"))


def trained(data_dir: Path | None, out: Path) -> Path:
    """Run `lca run`, and return its run file."""
    where = [] if data_dir is None else ["--data-dir", str(data_dir)]
    python("from lca_core.cli import main; main()", "run", *OPTIONS, *where, "--out", str(out))
    return out / "run.zarr"


def poster(run: Run, path: Path) -> None:
    """Write one frame; a palette keeps it small."""
    image = Image.fromarray(still(run, POSTER, "train")).quantize(256, dither=Image.Dither.NONE)
    image.save(path, optimize=True)


def seen(run: Run, scale: float) -> str:
    """Return how much of the page is coloured, and how much of that is green, by time."""
    lines = []
    for first, last in PERIODS:
        steps = slice(first - 1, last)
        parts = [np.ravel(run.dense("train", name)[steps]) for name in run.layout.names]
        values = np.concatenate(parts) / scale
        visible = values[np.abs(values) >= VISIBLE]
        coloured, green = 100 * visible.size / values.size, 100 * (visible < 0).mean()
        lines.append(f"steps {first}-{last}: {coloured:.0f} % coloured, {green:.0f} % of it green")
    return "\n".join(lines)


def cost(run: Path, film: Path) -> str:
    """Return how long a film of so many steps takes, and how much memory, its own and ffmpeg's."""
    began = time.monotonic()
    own, ffmpeg = python(MEASURED, str(run), str(film)).split()
    seconds, size = time.monotonic() - began, film.stat().st_size / 2**20
    return f"{STEPS} steps: {seconds:.0f} s, {own} + {ffmpeg} MB of memory, a file of {size:.0f} MB"


def python(code: str, *arguments: str) -> str:
    """Run code in a process of its own, and return what it printed."""
    command = [sys.executable, "-c", code, *arguments]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout  # noqa: S603


if __name__ == "__main__":
    main()
