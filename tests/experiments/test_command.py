"""`lca experiment` ends in a verdict, results that any reader takes, and figures."""

import json
import re
import shutil
import subprocess

import pytest
from attrs import evolve
from click.testing import CliRunner

from experiments.made import BACKEND, OPTIONS, STEPS, begun, command, environment, jobs
from experiments.tiny import TINY, Tiny
from lca_core import load
from lca_core.cli import experiment as cli
from lca_core.cli.commands import lca
from lca_core.experiments import Planned
from lca_core.experiments.judging import left_over
from lca_core.experiments.values import plain

SERIAL = ["--executor", "serial"]


def invoked(out, *flags, options=OPTIONS):
    """Run the command in this process."""
    return CliRunner().invoke(lca, ["experiment", *options, "--out", str(out), *SERIAL, *flags])


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """Return the folder of a finished experiment, and what the command printed."""
    folder = tmp_path_factory.mktemp("whole")
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("LCA_TINY_MARKS", str(folder / "marks.txt"))
        result = invoked(folder / "out")
    assert result.exit_code == 0, result.output
    return folder / "out", result.stdout


def refuse(word):
    """Refuse what is not JSON."""
    pytest.fail(f"{word} is not JSON")


def test_results_are_strict_json(whole):
    """Everything is in results.json, and what is not finite is null."""
    out, _ = whole
    found = json.loads((out / "results.json").read_text(), parse_constant=refuse)
    assert (found["experiment"], found["claim"]) == ("tiny", TINY.claim)
    assert found["verdict"] == "agrees"
    assert found["results"]["unknown"] is None
    assert found["results"]["means"]["Fast, it is"] < found["results"]["means"]["slow"] < 0
    assert found["settings"]["base"]["epochs"] == 4
    assert found["settings"]["seeds"] == [0, 1]
    assert found["versions"]["numpy"]
    assert found["missing"] == []
    assert [(one["arm"], one["seed"]) for one in found["runs"]] == [
        (arm, seed) for arm in ("slow", "Fast, it is") for seed in (0, 1)
    ]


def test_how_the_books_closed_is_told(whole):
    """Gradients a step, |Σ gap| / |Δloss| and statuses of every run are those of its file."""
    out, printed = whole
    found = json.loads((out / "results.json").read_text())
    shares = {}
    for job, one in zip(jobs(out), found["runs"], strict=True):
        run = load(job.place.run)
        for measure in ("train", "val"):
            told, loss = one["measures"][measure], run.loss(measure)
            share = abs(run.gap(measure).sum()) / abs(loss[-1] - loss[0])
            assert told["left_over"] == pytest.approx(share, rel=1e-12)
            assert told["steps"] == sum(told["statuses"].values()) == STEPS
            spent = 1 + run.evaluations(measure).sum()
            assert told["gradients_a_step"] == pytest.approx(spent / STEPS)
            shares[f"{job} ({measure})"] = share
    worst = max(shares, key=shares.get)
    assert f"The worst books are those of {worst}" in printed
    assert f"{shares[worst]:.1g} of the loss change" in printed


def test_a_loss_that_stands_still_leaves_nothing_or_everything():
    """Where the loss did not change, what is left over is nothing or infinitely much of it."""

    class Still:
        def __init__(self, gap):
            self._gap = gap

        def loss(self, _):
            import numpy as np

            return np.array([1.0, 1.0])

        def gap(self, _):
            import numpy as np

            return np.array([self._gap])

        def finite(self, _):
            return [True]

    assert left_over(Still(0.0), "train") == 0.0
    assert left_over(Still(0.5), "train") == float("inf")


def test_the_verdict_is_a_page(whole):
    """verdict.md has claim, verdict, text, figure, books, and a command that makes it again."""
    out, _ = whole
    page = (out / "verdict.md").read_text()
    for part in ("# tiny", TINY.claim, "agrees", "slow: -", "![means](means.png)", "worst books"):
        assert part in page
    assert (out / "means.png").read_bytes().startswith(b"\x89PNG")
    again = re.search(r"```console\n(.*)\n```", page)[1]
    expected = " ".join(OPTIONS).replace(OPTIONS[0], f"lca experiment {OPTIONS[0]}")
    for word in expected.split():
        assert word in again.split()
    assert not [path for path in out.iterdir() if path.name.startswith(".")]


def test_the_same_command_trains_nothing_again(whole, marks):
    """What is finished is judged again, and nothing else happens."""
    out, printed = whole
    before = {path: path.stat().st_mtime_ns for path in (out / "runs").rglob("*")}
    result = invoked(out)
    assert result.exit_code == 0
    assert begun(marks) == []
    assert {path: path.stat().st_mtime_ns for path in (out / "runs").rglob("*")} == before
    assert "4 of them there already" in result.stdout
    assert result.stdout[result.stdout.index("slow: -") :] in printed


def test_other_options_are_refused(whole, marks):
    """Another training in the same folder is one error line; nothing is begun."""
    result = invoked(whole[0], "--momentum", "0.5")
    assert result.exit_code == 1
    assert "training.optimizer.momentum should be 0.5, found 0.9" in result.stderr
    assert "Traceback" not in result.stderr
    assert begun(marks) == []


def test_failures_are_listed_and_tried_again(tmp_path, marks, monkeypatch):
    """A run that fails is named at the end; the rest is judged; again makes only that one."""
    faulty = tmp_path / "faulty"
    faulty.touch()
    monkeypatch.setenv("LCA_TINY_FAULTY", str(faulty))
    monkeypatch.setenv("LCA_TINY_FAULT", "2 raise")
    options = [*OPTIONS[:-1], "3"]
    result = invoked(tmp_path / "out", options=options)
    assert result.exit_code == 1
    assert "slow, seed 2: RuntimeError: It does not work." in result.stdout
    assert "2 runs failed; the same command tries them again" in result.stdout
    found = json.loads((tmp_path / "out" / "results.json").read_text())
    assert [one["seed"] for one in found["missing"]] == [2, 2]
    assert len(found["runs"]) == 4

    faulty.unlink()
    before = len(begun(marks))
    result = invoked(tmp_path / "out", options=options)
    assert result.exit_code == 0
    assert len(begun(marks)) == before + 2
    assert json.loads((tmp_path / "out" / "results.json").read_text())["missing"] == []


def test_an_arm_without_runs_is_not_judged(tmp_path, marks, monkeypatch):
    """Where an arm has nothing, that is said, and no verdict is written."""
    (tmp_path / "faulty").touch()
    monkeypatch.setenv("LCA_TINY_FAULTY", str(tmp_path / "faulty"))
    monkeypatch.setenv("LCA_TINY_FAULT", "0 raise")
    result = invoked(tmp_path / "out", options=[*OPTIONS[:-1], "1"])
    assert result.exit_code == 1
    assert "2 arms of 2 without a finished run: slow and Fast, it is" in result.stderr
    assert "slow, seed 0: RuntimeError" in result.stdout
    assert not (tmp_path / "out" / "verdict.md").exists()


def test_a_damaged_run_stops_no_other(tmp_path, marks):
    """A finished run whose file is damaged is left out and named, or else told and made anew."""
    options = [*OPTIONS[:-1], "3"]
    assert invoked(tmp_path, options=options).exit_code == 0
    shutil.rmtree(tmp_path / "runs" / "slow" / "seed-1" / "run.zarr" / "loss")
    before = len(begun(marks))
    judged = invoked(tmp_path, "--judge-only", options=options)
    assert judged.exit_code == 0
    assert "Damaged, and left out: slow, seed 1." in judged.stdout
    assert "Not finished" not in judged.stdout
    assert len(begun(marks)) == before
    assert len(json.loads((tmp_path / "results.json").read_text())["runs"]) == 5
    mended = invoked(tmp_path, options=options)
    assert mended.exit_code == 0
    assert "6 runs in 2 arms, 5 of them there already." in mended.stdout
    assert "Damaged, and made anew: slow, seed 1." in mended.stdout
    assert "6/6 runs done  72/72 steps" in mended.stdout
    assert len(begun(marks)) == before + 1
    assert json.loads((tmp_path / "results.json").read_text())["missing"] == []


def test_judge_only_makes_nothing(tmp_path, marks):
    """--judge-only judges what is there, and begins no run."""
    result = invoked(tmp_path, "--judge-only")
    assert result.exit_code == 1
    assert "without a finished run" in result.stderr
    assert "without --judge-only, makes what is missing" in result.stderr
    assert begun(marks) == []
    assert list(tmp_path.iterdir()) == []


def test_too_few_seeds_are_the_experiment_s_own_error(tmp_path, marks):
    """What an experiment cannot judge is one line."""
    result = invoked(tmp_path, options=[*OPTIONS[:-1], "1"])
    assert result.exit_code == 1
    assert "Two seeds are needed" in result.stderr.splitlines()[-1]


def test_every_and_mode_fill_what_the_experiment_leaves_open(tmp_path, marks):
    """--every reaches the runs; where the experiment sets it itself, it is refused."""
    options = [*OPTIONS[:-1], "2"]
    assert invoked(tmp_path, "--every", "5", options=options).exit_code == 0
    job = jobs(tmp_path / "plain")[0]
    run = load(tmp_path / job.place.run.relative_to(tmp_path / "plain"))
    assert run.config["every"] == 5
    assert run.iteration.tolist() == [0, 5, 10, 12]


class Sets(Tiny):
    """Measures every second step."""

    def plan(self, base, seeds):
        """Set `every`."""
        return tuple(
            Planned(one.arm, one.spec, {**one.tracking, "every": 2})
            for one in super().plan(base, seeds)
        )


def test_what_the_experiment_sets_is_not_overruled(tmp_path, marks, monkeypatch):
    """An option against the experiment's own setting is refused by name."""
    monkeypatch.setattr(cli, "find_experiment", lambda _: Sets())
    result = invoked(tmp_path, "--every", "5")
    assert result.exit_code == 1
    assert "--every 5 was given" in result.stderr
    assert "every = 2: leave the option out" in result.stderr


def test_the_list(monkeypatch):
    """--list prints names and claims; the help names them too."""
    monkeypatch.setattr(cli, "EXPERIMENTS", {"tiny": TINY, "other": evolve(TINY, claim="No.")})
    result = CliRunner().invoke(lca, ["experiment", "--list"])
    assert result.exit_code == 0
    for word in ("tiny", TINY.claim, "other", "No."):
        assert word in result.stdout


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "Missing NAME"),
        (["tiny"], "Missing --out"),
        (["nothing", "--out", "x"], "No experiment is called 'nothing'"),
        (["no.module:X", "--out", "x"], "no experiment at 'no.module:X'"),
        (["json:dumps", "--out", "x"], "'json:dumps' is not an experiment: it has no name, claim"),
        ([*OPTIONS, "--out", "x", "--executor", "cluster"], "No executor is called 'cluster'"),
        ([*OPTIONS, "--out", "x", "--backend", "none"], "No backend is called 'none'"),
        ([*OPTIONS, "--out", "x", "--seed", "1"], "No such option"),
    ],
)
def test_refusals(arguments, words, tmp_path, monkeypatch):
    """What cannot be meant is one line that says so, before anything is written."""
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(lca, ["experiment", *arguments])
    assert result.exit_code in (1, 2)
    assert words in result.stderr
    assert not list(tmp_path.iterdir())


def test_strict_values():
    """Numbers of numpy, tuples and keys of any type come out as JSON has them."""
    import numpy as np

    value = {1: (np.float64("inf"), np.int64(2)), "a": np.array([1.0, np.nan]), "b": [None, "x"]}
    assert plain(value) == {"1": [None, 2], "a": [1.0, None], "b": [None, "x"]}


@pytest.mark.slow
def test_a_process_of_its_own(tmp_path, marks):
    """The command as a user starts it, with processes: same results as in this process."""
    done = subprocess.run(
        command(tmp_path / "out", "--executor", "processes:2"),
        check=True, capture_output=True, text=True, env=environment(), cwd=tmp_path,
    )  # fmt: skip
    assert done.stderr == ""
    assert "The verdict: agrees." in done.stdout
    assert "4/4 runs done  48/48 steps" in done.stdout
    assert len(begun(marks)) == 4
    assert BACKEND in (tmp_path / "out" / "verdict.md").read_text()


def test_fields_are_set_from_the_command_line(tmp_path):
    """`--set` changes a field of an experiment, and the written command says so again."""
    options = [
        "freeze", "--backend", "numpy", "--network", "fc", "--data", "digits", "--examples", "60",
        "--batch-size", "20", "--epochs", "2", "--seeds", "2",
    ]  # fmt: skip
    done = invoked(tmp_path, "--set", "step=4", "--set", "layer=fc2", options=options)
    assert done.exit_code == 0, done.output
    found = json.loads((tmp_path / "results.json").read_text())
    assert found["results"]["step"] == 4
    assert found["results"]["against_plain"]["fc2 frozen from step 4"]["frozen"] == "fc2"
    assert "--set step=4 --set layer=fc2" in (tmp_path / "verdict.md").read_text()


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ("late=4", "'freeze' has no field 'late' to set to '4'; it has step, layer"),
        ("step=soon", "'step' of 'freeze' holds 30, so that 'soon' does not suit it"),
        ("name=mine", "has no field 'name'"),
        ("step", "give FIELD=VALUE"),
    ],
)
def test_fields_that_cannot_be_set(tmp_path, setting, said):
    """A field that is not there, or a value that does not suit it, is refused before any run."""
    refused = invoked(tmp_path, "--set", setting, options=["freeze"])
    assert refused.exit_code != 0
    assert said in " ".join(refused.output.split()) + str(refused.exception)
    assert not any(tmp_path.iterdir())
