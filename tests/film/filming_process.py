"""Films a run file in a process of its own; writes what memory it took at most, in bytes."""

import json
import resource
import sys
import tracemalloc
from pathlib import Path

import lca_core
from lca_core.film import write_film

if __name__ == "__main__":
    run, film = sys.argv[1:]
    tracemalloc.start()
    write_film(lca_core.load(run), film)
    # `ru_maxrss` of a process would count what its parent held when it was started.
    status = Path("/proc/self/status").read_text().splitlines()
    (own,) = [int(line.split()[1]) for line in status if line.startswith("VmHWM")]
    ffmpeg = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    held = tracemalloc.get_traced_memory()[1]
    json.dump({"held": held, "own": 1024 * own, "ffmpeg": 1024 * ffmpeg}, sys.stdout)
