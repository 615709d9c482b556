"""LCA reads where the parameters are: any loop, any optimizer, no hooks."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator

import numpy as np
import pytest
import torch
from torch import nn
from torch.optim.optimizer import register_optimizer_step_post_hook
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

import lca_torch
from lca_core import Adaptive

LOSS = nn.CrossEntropyLoss()
Loop = Callable[[nn.Module, torch.Tensor, torch.Tensor], Iterator[None]]


def accumulate(model: nn.Module, x: torch.Tensor, y: torch.Tensor) -> Iterator[None]:
    """Accumulate four micro-batches and clip their gradient."""
    optimizer = torch.optim.SGD(model.parameters(), lr=0.2, momentum=0.9)
    for _ in range(6):
        optimizer.zero_grad()
        for part in torch.arange(len(y)).chunk(4):
            (LOSS(model(x[part]), y[part]) / 4).backward()
        nn.utils.clip_grad_norm_(model.parameters(), 0.5)
        optimizer.step()
        yield


def closures(model: nn.Module, x: torch.Tensor, y: torch.Tensor) -> Iterator[None]:
    """LBFGS evaluates its closure several times a step."""
    optimizer = torch.optim.LBFGS(model.parameters(), lr=0.1, max_iter=4)

    def closure() -> torch.Tensor:
        optimizer.zero_grad()
        loss = LOSS(model(x), y)
        loss.backward()
        return loss

    for _ in range(4):
        optimizer.step(closure)
        yield


def several(model: nn.Module, x: torch.Tensor, y: torch.Tensor) -> Iterator[None]:
    """One optimizer a layer."""
    first = torch.optim.Adam(model[0].parameters(), lr=0.01)
    last = torch.optim.RMSprop(model[2].parameters(), lr=0.005)
    for _ in range(6):
        model.zero_grad()
        LOSS(model(x), y).backward()
        first.step()
        last.step()
        yield


def swapped(model: nn.Module, x: torch.Tensor, y: torch.Tensor) -> Iterator[None]:
    """Weights are swapped for their moving average, in place, every third step."""
    average = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(0.5))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.2)
    for i in range(6):
        optimizer.zero_grad()
        LOSS(model(x), y).backward()
        optimizer.step()
        average.update_parameters(model)
        if i % 3 == 2:
            model.load_state_dict(average.module.state_dict())
        yield


def in_backward(model: nn.Module, x: torch.Tensor, y: torch.Tensor) -> Iterator[None]:
    """Every parameter is stepped inside backward and its gradient freed."""
    optimizers = {p: torch.optim.SGD([p], lr=0.1) for p in model.parameters()}

    def hook(parameter: torch.Tensor) -> None:
        optimizers[parameter].step()
        parameter.grad = None

    handles = [p.register_post_accumulate_grad_hook(hook) for p in model.parameters()]
    for _ in range(5):
        LOSS(model(x), y).backward()
        yield
    for handle in handles:
        handle.remove()


@pytest.mark.parametrize("loop", [accumulate, closures, several, swapped, in_backward])
def test_books_close_in_any_loop(plain, blobs, loop: Loop):
    """Every step closes and the allocations sum to the loss change seen from outside."""
    with torch.no_grad():
        before = LOSS(plain(blobs[0]), blobs[1]).item()
    with lca_torch.track(plain, LOSS, blobs) as tracker:
        for _ in loop(plain, *blobs):
            tracker.step()
    with torch.no_grad():
        after = LOSS(plain(blobs[0]), blobs[1]).item()
    run = tracker.run

    assert run.loss("train")[0] == pytest.approx(before, rel=1e-6)
    assert run.loss("train")[-1] == pytest.approx(after, rel=1e-6)
    assert np.all(run.status("train") == 0)
    assert run.allocation("train").values.sum() == pytest.approx(after - before, rel=1e-2)


def test_a_skipped_amp_step_allocates_exact_zeros_and_costs_nothing(plain, blobs):
    """GradScaler skips a step with infinite gradients silently; nothing moved, nothing is spent."""
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0**10)
    optimizer = torch.optim.SGD(plain.parameters(), lr=0.1, momentum=0.9)
    tracker = lca_torch.track(plain, LOSS, blobs)
    for i in range(4):
        optimizer.zero_grad()
        with torch.autocast("cpu", dtype=torch.bfloat16):
            loss = LOSS(plain(blobs[0]), blobs[1])
        scaler.scale(loss * (float("inf") if i == 2 else 1.0)).backward()
        scaler.step(optimizer)
        scaler.update()
        tracker.step()
    run = tracker.finish()

    assert run.evaluations("train")[2] == 0
    assert np.all(run.allocation("train", by="leaf").values[2] == 0.0)
    assert run.loss("train")[3] == run.loss("train")[2]
    assert np.all(run.allocation("train", by="leaf").values[[0, 1, 3]] != 0.0)


def test_in_a_loop_of_somebody_else_the_optimizer_calls_the_tracker(plain, blobs):
    """A hook behind every optimizer's step finds what calling `step` finds, until it is removed."""

    def somebody_elses(model: nn.Module) -> Iterator[None]:
        optimizer = torch.optim.AdamW(model.parameters(), lr=0.05)
        schedule = torch.optim.lr_scheduler.StepLR(optimizer, 2)
        scaler = torch.amp.GradScaler("cpu", init_scale=2.0**10)
        for i in range(6):
            optimizer.zero_grad()
            loss = LOSS(model(blobs[0]), blobs[1])
            scaler.scale(loss * (float("inf") if i == 2 else 1.0)).backward()
            scaler.step(optimizer)
            scaler.update()
            schedule.step()
            yield

    hooked, called = copy.deepcopy(plain), copy.deepcopy(plain)
    once = {"integrator": Adaptive(audit=None)}  # lots go by the number of the step
    with lca_torch.track(hooked, LOSS, blobs, **once) as tracker:
        hook = register_optimizer_step_post_hook(lambda *_: tracker.step())
        try:
            for _ in somebody_elses(hooked):
                pass
        finally:
            hook.remove()
    with lca_torch.track(called, LOSS, blobs, **once) as by_hand:
        for _ in somebody_elses(called):
            by_hand.step()
    stepped = [0, 1, 3, 4, 5]  # GradScaler does not let the optimizer make the third
    assert (tracker.run.steps, by_hand.run.steps) == (5, 6)
    np.testing.assert_array_equal(
        tracker.run.allocation("train", by="leaf").values,
        by_hand.run.allocation("train", by="leaf").values[stepped],
    )
    assert all(map(torch.equal, hooked.parameters(), called.parameters()))


def test_a_compiled_model_trains_and_is_measured(plain, blobs):
    """The compiled callable trains; the probe evaluates the module inside it."""
    compiled = torch.compile(plain, backend="aot_eager")
    optimizer = torch.optim.SGD(compiled.parameters(), lr=0.2)
    with lca_torch.track(compiled, LOSS, blobs) as tracker:
        for _ in range(4):
            optimizer.zero_grad()
            LOSS(compiled(blobs[0]), blobs[1]).backward()
            optimizer.step()
            tracker.step()

    assert np.all(tracker.run.status("train") == 0)
    assert tracker.run.loss("train")[-1] < tracker.run.loss("train")[0]


def test_ambient_autocast_does_not_reach_the_measurement(plain, blobs):
    """The loss is measured in the parameters' own precision unless autocast= says otherwise."""
    outside = lca_torch.track(plain, LOSS, blobs).finish().loss("train")[0]
    with torch.autocast("cpu", dtype=torch.bfloat16):
        inside = lca_torch.track(plain, LOSS, blobs).finish().loss("train")[0]
    low = lca_torch.track(plain, LOSS, blobs, autocast=torch.bfloat16).finish()

    assert inside == outside
    assert low.loss("train")[0] != outside
    assert low.loss("train")[0] == pytest.approx(outside, rel=1e-2)
    assert low.config["autocast"] == "bfloat16"
    assert low.config["eps"]["train"] == torch.finfo(torch.bfloat16).eps


def test_every_k_closes_longer_segments(plain, blobs):
    """With every=3 a segment spans three steps; the last, shorter one is closed at the end."""
    fine = copy.deepcopy(plain)
    with lca_torch.track(fine, LOSS, blobs) as tracker:
        for _ in several(fine, *blobs):
            tracker.step()
    coarse = copy.deepcopy(plain)
    with lca_torch.track(coarse, LOSS, blobs, every=4) as thinned:
        for _ in several(coarse, *blobs):
            thinned.step()

    assert list(thinned.run.iteration) == [0, 4, 6]
    np.testing.assert_array_equal(thinned.run.loss("train"), tracker.run.loss("train")[[0, 4, 6]])
    assert np.all(thinned.run.status("train") == 0)


def test_memory_does_not_grow_with_steps(plain, blobs):
    """A hundred steps later the tracker holds the same number of tensors on the device."""
    import gc

    def tensors() -> int:
        gc.collect()
        return sum(issubclass(type(o), torch.Tensor) for o in gc.get_objects())

    tracker = lca_torch.track(plain, LOSS, blobs, chunk=10)
    counts = []
    for i in range(101):
        with torch.no_grad():
            plain[0].weight *= 0.999
        tracker.step()
        if i in (10, 50, 100):  # what waits is tidied up at every tenth
            counts.append(tensors())

    assert max(counts) == min(counts)
