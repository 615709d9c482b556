"""`lca plan` says before a run what `lca run` would cost, and how to type it."""

import json
import shlex
import statistics

import pytest
from click.testing import CliRunner

from lca_core.adapters import find_adapter
from lca_core.cli.commands import lca
from lca_core.cli.plan import planned
from lca_core.cli.setup import Setup
from lca_core.sampling import Sampling

SMALL = ["--backend", "numpy", "--examples", "300", "--batch-size", "30", "--epochs", "3"]


def lca_plan(*arguments):
    """Run the command `lca plan`."""
    return CliRunner().invoke(lca, ["plan", *SMALL, *map(str, arguments)])


def test_what_is_recommended_can_be_typed():
    """The last line is an `lca run` with the same training, which its own parser takes."""
    long = ("--epochs", 100)  # so that some look is seldom enough, on any machine
    training = (*long, "--freeze", "fc1@5", "--layer-lr", "fc3=0.1", "--dense")
    result = lca_plan("--budget", "1.2x", *training)
    assert result.exit_code == 0, result.output
    assert "time/training" in result.output
    assert "Within 1.20× the training's own time: look at" in result.output
    words = shlex.split(result.output.splitlines()[-1])
    assert words[:2] == ["lca", "run"]
    chosen = lca.commands["run"].make_context("run", words[2:]).params
    for name in ("backend", "out", "live"):
        chosen.pop(name)
    setup = Setup(**chosen)
    assert (setup.examples, setup.batch_size, setup.epochs, setup.dense) == (300, 30, 100, True)
    assert (setup.freeze, setup.layer_lr) == ((("fc1", 5),), (("fc3", 0.1),))
    assert setup.every > 1 or setup.sampling


def test_json():
    """--json prints the plan alone: all rows, and which is the best."""
    plan = json.loads(lca_plan("--json").output)
    assert {row["kind"] for row in plan["rows"]} == {"all", "probe", "redrawn"}
    assert plan["rows"][plan["best"]]["error"] == 0.0
    assert plan["steps"] == 30
    assert plan["alone"] > 0.0


@pytest.mark.parametrize(
    ("arguments", "words"),
    [(["--budget", "half"], "a number above 1"), (["--batch-size", 300, "--epochs", 1], "too few")],
)
def test_plans_that_cannot_be_made(arguments, words):
    """A budget that is none, and a training of one step, are refused in one line."""
    result = lca_plan(*arguments)
    assert result.exit_code == 1
    assert words in result.output


@pytest.mark.slow
@pytest.mark.alone
@pytest.mark.parametrize(
    ("kind", "sampling"),
    [("all", {}), ("probe", Sampling(probe=250)), ("redrawn", Sampling(probe=250, redrawn=250))],
)
def test_the_cost_that_was_planned(kind, sampling):
    """What runs on digits really cost is, in the median of seven, within 1.5 times."""
    given = ["--backend", "numpy", "--epochs", "20"]
    chosen = {**lca.commands["plan"].make_context("plan", given).params}
    for name in ("backend", "budget", "as_json"):
        chosen.pop(name)
    setup, adapter = Setup.unsampled(**chosen), find_adapter("numpy")
    dataset = setup.dataset()
    tracking = {**setup.tracking(setup.spec(dataset)), "sampling": sampling or None}

    def found_by_planned():
        rows = planned(setup, "numpy", None).rows
        row = next(
            row
            for row in rows
            if row.kind == kind and row.every == 1 and row.examples in (250, 1500)
        )
        trackers = []
        adapter.train(setup.spec(dataset), dataset, on_step=trackers.append, tracking=tracking)
        return trackers[-1].overhead.factor / row.factor

    # Single ones wander by half.
    assert 1 / 1.5 < statistics.median(found_by_planned() for _ in range(7)) < 1.5
