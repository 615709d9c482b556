"""The networks in PyTorch: bare gradients, and tracked steps."""

from __future__ import annotations

from functools import partial
from itertools import pairwise
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor, nn

import lca_torch
from benchmarks.by_hand import ByHand
from benchmarks.work import (
    BLOCKS,
    HEADS,
    LENGTH,
    TOKENS,
    TRANSFORMER,
    WIDTH,
    Prepared,
    Work,
)
from lca_core import (
    Adaptive,
    Distribution,
    Oscillation,
    Sizes,
    Tallies,
    Watch,
    default_observers,
)
from lca_core.chunks import even_cuts
from lca_torch import networks

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from lca_core import Observer

EXTRA = {
    "default": [],
    "Tallies": [Tallies()],
    "Oscillation": [Oscillation()],
    "Sizes": [Sizes()],
    "Distribution": [Distribution()],
    "Watch": [Watch([("fc1.weight", (i, 7 * i)) for i in range(100)])],
}
EXTRA["all"] = [observer for extra in EXTRA.values() for observer in extra]


class Block(nn.Module):
    """Attention to what came before, then two dense layers."""

    def __init__(self) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(WIDTH), nn.LayerNorm(WIDTH)
        self.qkv, self.out = nn.Linear(WIDTH, 3 * WIDTH), nn.Linear(WIDTH, WIDTH)
        self.up, self.down = nn.Linear(WIDTH, 4 * WIDTH), nn.Linear(4 * WIDTH, WIDTH)

    def forward(self, x: Tensor) -> Tensor:
        """Return the features behind the block, shape (n, LENGTH, WIDTH)."""
        qkv = self.qkv(self.norm1(x)).unflatten(-1, (3, HEADS, WIDTH // HEADS))
        q, k, v = qkv.permute(2, 0, 3, 1, 4)
        seen = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.out(seen.transpose(1, 2).flatten(2))
        return x + self.down(F.gelu(self.up(self.norm2(x))))


class Transformer(nn.Module):
    """A small language model; logits of the next word, shape (n, TOKENS, LENGTH)."""

    def __init__(self) -> None:
        super().__init__()
        self.words, self.places = nn.Embedding(TOKENS, WIDTH), nn.Embedding(LENGTH, WIDTH)
        self.blocks = nn.Sequential(*(Block() for _ in range(BLOCKS)))
        self.head = nn.Linear(WIDTH, TOKENS)

    def forward(self, text: Tensor) -> Tensor:
        """Read every text up to every word; classes come second, as the loss wants them."""
        x = self.blocks(self.words(text) + self.places.weight)
        return self.head(x).transpose(1, 2)


def network(work: Work) -> nn.Module:
    """Return the network with its initial weights."""
    torch.manual_seed(0)
    if work.network == TRANSFORMER:
        return Transformer()
    return networks.build(work.spec, work.spec.initial(0))


def bare_gradient(
    model: nn.Module, loss_fn: nn.Module, x: Tensor, y: Tensor, size: int
) -> Callable[[], None]:
    """Return a function that makes one gradient pass over all examples, as a user would."""
    cuts = list(pairwise(even_cuts(len(y), size)))

    def run() -> None:
        model.zero_grad()
        for begin, end in cuts:
            loss = loss_fn(model(x[begin:end]), y[begin:end]) * ((end - begin) / len(y))
            loss.backward()

    return run


def mover(model: nn.Module) -> Callable[[], None]:
    """Return a function that moves the parameters a little, as an optimizer does."""
    directions = [torch.randn_like(p) * 1e-3 for p in model.parameters()]

    def move() -> None:
        with torch.no_grad():
            for p, d in zip(model.parameters(), directions, strict=True):
                p.add_(d)

    return move


def data(work: Work) -> tuple[Tensor, Tensor]:
    """Return inputs and targets."""
    x, y = map(torch.from_numpy, work.data())
    return x, y.long()


def by_hand(work: Work) -> Prepared:
    """Return a model with a step that is written by hand, in the chunks that a tracker takes."""
    tracked, model, (x, y) = prepared(work), network(work).eval(), data(work)
    bare = bare_gradient(model, nn.CrossEntropyLoss(), x, y, tracked.chunk)
    step = ByHand(model, x, y, tracked.chunk).step
    return Prepared(bare, mover(model), step, tracked.parameters, tracked.chunk)


def prepared(work: Work, *, observers: Sequence[Observer] = ()) -> Prepared:
    """Return the model with a tracker; `observers` come to the default ones."""
    x, y = data(work)
    model, loss_fn = network(work).eval(), nn.CrossEntropyLoss()
    one_gradient = Adaptive(atol=1e9, audit=None)
    layout = lca_torch.track(model, loss_fn, (x[:2], y[:2])).layout
    tracker = lca_torch.track(
        model,
        loss_fn,
        (x, y),
        integrator=one_gradient,
        observers=[*default_observers(layout), *observers],
        chunk=10**6,
    )
    size = tracker._allocator.oracles["train"].batch_size
    bare = bare_gradient(model, loss_fn, x, y, size)
    return Prepared(bare, mover(model), tracker.step, layout.parameters, size)


WAYS = {name: partial(prepared, observers=extra) for name, extra in EXTRA.items()}
WAYS["by hand"] = by_hand
