"""Any executor makes the same runs; what fails there stops nothing else."""

import os
import sys
import time
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest

from experiments.made import STEPS, assert_equal, begun, jobs
from lca_core.errors import MissingExtraError, UnknownNameError, WorkerError
from lca_core.experiments.carrying import carry_out
from lca_core.experiments.executors import opened, processes_of
from lca_core.experiments.job import carried
from lca_core.experiments.workers import Serial, cores, shared_cores


def ignore(_):
    """Do nothing as a run ends."""


def test_the_same_runs_everywhere(tmp_path, marks):
    """Serial, threads and processes make bit for bit the same runs, each once."""
    made = {name: jobs(tmp_path / name, seeds=[1]) for name in ("serial", "threads", "processes")}
    ended = []
    assert carry_out(made["serial"], Serial(), ended.append) == ()
    assert [one.job for one in ended] == list(made["serial"])
    with ThreadPoolExecutor(3) as threads:
        assert carry_out(made["threads"], threads, ignore) == ()
    with opened("processes:2", 2) as processes:
        assert carry_out(made["processes"], processes, ignore) == ()
    for name in ("threads", "processes"):
        for one, other in zip(made["serial"], made[name], strict=True):
            assert_equal(one.place.run, other.place.run)
    assert len(begun(marks)) == len(set(begun(marks))) == 6


@pytest.mark.parametrize(("fault", "executor"), [("raise", "serial"), ("die", "processes:2")])
def test_what_fails_fails_alone(tmp_path, marks, monkeypatch, fault, executor):
    """A run that raises, or whose process dies, is named with its error; the others are made."""
    faulty = tmp_path / "faulty"
    faulty.touch()
    monkeypatch.setenv("LCA_TINY_FAULTY", str(faulty))
    monkeypatch.setenv("LCA_TINY_FAULT", f"1 {fault}")
    planned = jobs(tmp_path)
    with opened(executor, len(planned)) as hands:
        failures = carry_out(planned, hands, ignore)
    assert sorted(map(str, (one.job for one in failures))) == [
        "Fast, it is, seed 1",
        "slow, seed 1",
    ]
    kind = {"raise": RuntimeError, "die": WorkerError}[fault]
    assert all(type(one.error) is kind for one in failures)
    assert [job.finished for job in planned] == [True, False] * 2

    faulty.unlink()
    before = begun(marks)
    missing = [job for job in planned if not job.finished]
    assert carry_out(missing, Serial(), ignore) == ()
    again = begun(marks)[len(before) :]
    assert [(path, step > 0) for path, step in again] == [
        (str(job.place.run), True) for job in missing
    ]


def test_what_the_executor_gives_up_has_failed(tmp_path):
    """A run that a scheduler cancels counts as failed."""

    class GivesUp(Serial):
        def submit(self, fn, /, *args, **kwargs):
            future = Future()
            future.cancel()
            future.set_running_or_notify_cancel()
            return future

    (failure, *_) = carry_out(jobs(tmp_path), GivesUp(), ignore)
    assert isinstance(failure.error, WorkerError)


def test_an_interrupt_cancels_what_waits(tmp_path, marks):
    """Stopped in the middle, nothing more is begun."""
    planned = jobs(tmp_path, seeds=range(5))

    def stop(_):
        raise KeyboardInterrupt

    with ThreadPoolExecutor(1) as threads, pytest.raises(KeyboardInterrupt):
        carry_out(planned, threads, stop)
    assert len(begun(marks)) <= 3


def test_an_interrupt_ends_the_processes(tmp_path, marks, monkeypatch):
    """After an error the workers of this machine are gone at once, not when their runs end."""
    monkeypatch.setenv("LCA_TINY_PAUSE", "5")
    planned, begin = jobs(tmp_path), time.monotonic()

    def stopped():
        with opened("processes:2", 4) as processes:
            for job in planned:
                processes.submit(carried, job)
            while len(begun(marks)) < 2:
                time.sleep(0.05)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stopped()
    assert time.monotonic() - begin < 5 * STEPS / 2
    time.sleep(0.2)
    for process in {line.rsplit(" ", 1)[1] for line in marks.read_text().splitlines()}:
        assert not Path(f"/proc/{process}").exists() or _is_over(process)
    assert not any(job.finished for job in planned)


def _is_over(process):
    return " Z " in Path(f"/proc/{process}/stat").read_text()


def environ(name):
    """Return a variable, in a worker."""
    return os.environ.get(name)


def test_processes_share_the_cores(monkeypatch):
    """A worker is told how many threads to use before numpy is there; the user's word stands."""
    monkeypatch.setenv("MKL_NUM_THREADS", "7")
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    with opened("processes:2", 2) as processes:
        told = processes.submit(environ, "OMP_NUM_THREADS").result()
        own = processes.submit(environ, "MKL_NUM_THREADS").result()
    assert told == str(max(1, cores() // 2))
    assert own == "7"
    assert "OMP_NUM_THREADS" not in os.environ
    with shared_cores(10_000):
        assert os.environ["NPROC"] == "1"


@pytest.mark.parametrize("name", ["", "process", "processes:0", "processes:x", "dask", "threads"])
def test_unknown_executors(name):
    """A name that means nothing is an error that says what there is."""
    with pytest.raises(UnknownNameError, match="serial, processes, processes:N, dask://"):
        processes_of(name)


def test_no_more_processes_than_runs():
    """Two runs start two processes at most."""
    with opened("processes:64", 2) as processes:
        ids = {processes.submit(os.getpid).result() for _ in range(8)}
    assert 1 <= len(ids) <= 2
    assert os.getpid() not in ids


def test_dask_is_optional(monkeypatch):
    """Without distributed, one sentence says how to install it."""
    monkeypatch.setitem(sys.modules, "distributed", None)
    with (
        pytest.raises(MissingExtraError, match=r"loss-change-allocation\[experiments\]"),
        opened("dask://localhost:1", 1),
    ):
        pass


def test_serial_lets_an_interrupt_through():
    """Ctrl-C stops a serial session at once, an error only its own call."""
    executor = Serial()

    def interrupt():
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        executor.submit(interrupt)
    assert isinstance(executor.submit(lambda: 1 / 0).exception(), ZeroDivisionError)
