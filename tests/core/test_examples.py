"""Examples of docstrings run as a reader types them, behind `help(...)`."""

import doctest
import importlib
import pkgutil

import pytest

import lca_core


def _modules():
    """Return the names of all modules of the core."""
    found = pkgutil.walk_packages(lca_core.__path__, "lca_core.")
    return [module.name for module in found if not module.name.endswith("__main__")]


@pytest.mark.parametrize("name", _modules())
def test_an_example_needs_nothing_that_it_does_not_import(name):
    """What the module happens to know is not known where the example is tried."""
    runner, said = doctest.DocTestRunner(verbose=False), []
    for one in doctest.DocTestFinder(exclude_empty=True).find(importlib.import_module(name)):
        if not one.name.rpartition(".")[2].startswith("_"):
            one.globs.clear()
            one.globs["__name__"] = "__main__"
            runner.run(one, out=said.append)
    assert not runner.failures, "".join(said)
