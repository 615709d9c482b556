"""Memory that is kept between evaluations makes them faster: the tracked ones and the bare."""

from __future__ import annotations

import platform

import pytest

from benchmarks.processes import found_by

CHUNKS = {"lenet": 185, "allcnn": 7, "resnet20": 13, "transformer": 135}
"""What the tracker finds by itself."""


@pytest.mark.slow
@pytest.mark.bench
@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another library allocates")
@pytest.mark.parametrize("network", CHUNKS)
def test_kept_memory_is_faster_memory(benchmark, noted, network):
    """A pass of gradients does not get slower by it, whoever makes the pass."""
    case = {"network": network, "chunk": CHUNKS[network]}
    found = benchmark.pedantic(found_by, ("heap_process",), case, rounds=1)
    noted("pass, memory kept / given back", f"torch {network}", **found)
    assert found["ratio"] < 1.1
