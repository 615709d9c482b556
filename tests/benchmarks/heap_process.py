"""Times a bare gradient pass of PyTorch before and after its memory is kept; prints both."""

from __future__ import annotations

import json
import statistics
import sys

import torch
from torch import nn

from benchmarks.on_torch import bare_gradient, network
from benchmarks.ratio import seconds
from benchmarks.work import Work
from lca_torch.memory import keep_what_is_freed

ROUNDS = 25

if __name__ == "__main__":
    case = json.loads(sys.argv[1])
    work = Work(case["network"])
    x, y = map(torch.from_numpy, work.data())
    model, loss_fn = network(work).eval(), nn.CrossEntropyLoss()
    bare = bare_gradient(model, loss_fn, x, y.long(), case["chunk"])

    def taken() -> float:
        """Return the usual time of a pass."""
        return statistics.median([seconds(bare) for _ in range(3 + ROUNDS)][3:])

    before = taken()
    keep_what_is_freed(torch.device("cpu"))
    sys.stdout.write(json.dumps({"ratio": taken() / before, "before": before}))
