"""What importing the core costs: no framework, no heavy optional package."""

import json
import pickle
import subprocess
import sys

import pytest

from lca_core.errors import MissingExtraError

# The core itself counts where it is installed rather than linked.
ALLOWED = {"attr", "attrs", "numpy", "lca_core"}
PROBE = """
import json, sys
before = set(sys.modules)
import {module}
names = {{name.partition(".")[0] for name in set(sys.modules) - before}}
origins = {{name: getattr(sys.modules.get(name), "__file__", None) for name in names}}
print(json.dumps({{name: origin for name, origin in origins.items()
                  if origin and "site-packages" in origin}}))
"""


def third_party(module):
    """Return the third-party top-level packages that a fresh process loads for a module."""
    probe = [sys.executable, "-c", PROBE.format(module=module)]
    done = subprocess.run(probe, capture_output=True, text=True, check=True)
    assert done.stderr == ""
    return set(json.loads(done.stdout))


@pytest.mark.parametrize(
    "module", ["lca_core", "lca_core.reference", "lca_core.training", "lca_core.film"]
)
def test_the_core_takes_attrs_and_numpy_only(module):
    """Importing the core loads attrs and numpy: no framework, no zarr, no plots."""
    loaded = third_party(module)
    heavy = {"torch", "jax", "tensorflow", "keras", "zarr", "matplotlib", "rich", "click"}
    assert not loaded & (heavy | {"sklearn", "xarray", "scipy"})
    assert loaded <= ALLOWED


def test_a_run_in_memory_needs_no_zarr():
    """Tracking, reading the run and asking for its totals loads nothing more."""
    code = "import lca_core.reference as r; r.demo_run(3).total('train')\nimport lca_core"
    assert third_party("lca_core; " + code.replace("\n", "; ")) <= ALLOWED


def test_zarr_comes_with_files_only(tmp_path):
    """Zarr is loaded when a run is written."""
    code = f"lca_core.reference; lca_core.reference.demo_run(1).save({str(tmp_path / 'run')!r})"
    assert "zarr" in third_party(code)


def test_every_public_name_is_there():
    """The names that the documents promise can be imported from lca_core."""
    import lca_core

    promised = (
        "Adaptive Allocator Fixed Layout Leaf Rule Run Snapshot Status Tracker composite load"
    )
    assert not [name for name in promised.split() if not hasattr(lca_core, name)]


def test_errors_pass_from_one_process_to_another():
    """Every error is the same behind pickle, the missing extra's remedy too."""
    error = pickle.loads(pickle.dumps(MissingExtraError("lca show", "cli")))  # noqa: S301
    assert isinstance(error, ImportError)
    assert "lca show needs the optional packages of the extra 'cli'" in str(error)
