"""What tracking holds in memory beyond training itself."""

from __future__ import annotations

import sys

import pytest
from benchmarks.processes import found_by

LIMIT = 4.0
FEW, MANY = 6, 24


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads the peak of memory from /proc")
def test_a_tracker_holds_a_few_copies_of_the_parameters(benchmark, noted):
    """Tracked training peaks at most 4 copies of the parameters above the same untracked."""
    alone = found_by("memory_process", steps=FEW, tracked=False)
    case = {"steps": FEW, "tracked": True}
    tracked = benchmark.pedantic(found_by, ("memory_process",), case, rounds=1)
    longer = found_by("memory_process", steps=MANY, tracked=True)
    copies, more = (
        (one["peak"] - other["peak"]) / alone["parameters"]
        for one, other in ((tracked, alone), (longer, tracked))
    )
    noted("peak memory, copies of parameters", "torch, 20.5 million", copies, LIMIT)
    noted("the same, after 18 more steps", "torch, 20.5 million", more, 0.1)

    assert copies <= LIMIT
    assert more <= 0.1
