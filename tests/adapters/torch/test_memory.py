"""Memory of one evaluation serves the next."""

from __future__ import annotations

import gc
import platform
import subprocess
import sys
import weakref
from typing import TYPE_CHECKING

import pytest

import lca_torch

if TYPE_CHECKING:
    import torch

TRACKED = """
import resource, torch, lca_torch
from lca_core import Adaptive

torch.manual_seed(0)
layers = [torch.nn.Linear(64, 64) for _ in range(8)]
model, loss_fn = torch.nn.Sequential(*layers), torch.nn.CrossEntropyLoss()
data = torch.randn(6_000, 64), torch.randint(64, (6_000,))
optimizer = torch.optim.SGD(model.parameters(), 0.1)
tracker = lca_torch.track(model, loss_fn, data, integrator=Adaptive(audit=None, atol=1e9))
loss_fn(model(data[0]), data[1]).backward()
"""

STEPS = """
def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt

for t in range(60):
    if t == 20:
        begin = faults()
    optimizer.step()
    tracker.step()
print(tracker._allocator.oracles["train"].batch_size, (faults() - begin) / 40)
"""


GROWTH = """
def resident():
    with open("/proc/self/statm") as numbers:
        return int(numbers.read().split()[1]) * 4096 / 2**20

torch.set_num_threads(1)
for t in range(250):
    if t == 50:
        begin = resident()
    optimizer.step()
    tracker.step()
print(resident() - begin)
"""


@pytest.mark.slow
@pytest.mark.skipif(platform.system() != "Linux", reason="reads what Linux tells")
def test_what_waits_to_be_written_does_not_tear_the_heap_to_pieces():
    """In 200 steps the process grows by little more than its records (1 MiB), not by hundreds."""
    command = [sys.executable, "-c", TRACKED + GROWTH]
    printed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    assert float(printed) < 20.0


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another library allocates")
def test_steps_do_not_fetch_their_memory_from_the_system_again():
    """Activations of 10 MB are 2,500 pages; a step in its stride asks for next to none of them."""
    command = [sys.executable, "-c", TRACKED + STEPS]
    printed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    size, faults = map(float, printed.split())
    assert size == 6_000
    assert faults < 250


def test_looks_before_the_first_step_hold_nothing(plain, blobs):
    """What a forward pass made is freed when tracking begins: no graph holds itself."""
    made: list[weakref.ref[torch.Tensor]] = []

    def loss_fn(outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        scores = outputs.softmax(dim=1)
        made.extend((weakref.ref(outputs), weakref.ref(scores)))
        return 1.0 - scores.gather(1, targets[:, None]).squeeze(1)

    tracker = lca_torch.track(plain, loss_fn, blobs)
    gc.collect()
    assert made
    assert not any(one() is not None for one in made)
    tracker.finish()
