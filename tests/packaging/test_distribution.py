"""What is installed is what was promised."""

from __future__ import annotations

import re
import subprocess
import sys
from importlib import metadata, resources
from pathlib import Path

import pytest

PACKAGES = ("lca_core", "lca_torch", "lca_keras", "lca_jax", "lca_conformance")


@pytest.mark.parametrize("package", PACKAGES)
def test_types_are_shipped(package):
    """Every import package carries py.typed."""
    assert resources.files(package).joinpath("py.typed").is_file()


def test_the_command_is_installed_and_says_its_version():
    """`lca --version` prints the distribution's version."""
    lca = Path(sys.executable).with_name("lca")
    shown = subprocess.run([lca, "--version"], capture_output=True, text=True, check=True)

    assert metadata.version("loss-change-allocation") in shown.stdout


def test_backends_are_found_by_entry_point():
    """`lca_core.adapters` lists the backends by name."""
    from lca_core.adapters import find_adapter

    assert find_adapter("torch").name == "torch"


def test_an_unknown_backend_is_named_with_those_installed():
    """The error lists what there is."""
    from lca_core.adapters import find_adapter
    from lca_core.errors import UnknownNameError

    with pytest.raises(UnknownNameError, match=r"'mxnet'.*'torch'"):
        find_adapter("mxnet")


def test_the_readme_has_two_one_line_commands():
    """The first two console blocks of the README are one line each: the demo, then the tests."""
    readme = Path(__file__).parents[2] / "README.md"
    if not readme.exists():
        pytest.skip("the README is not beside the tests: they run against an installed wheel")
    blocks = re.findall(r"^```console\n(.*?)^```$", readme.read_text(), re.DOTALL | re.MULTILINE)

    assert [block.count("\n") for block in blocks[:2]] == [1, 1]
    assert "lca demo" in blocks[0]
    assert "pytest" in blocks[1]
