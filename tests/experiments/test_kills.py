"""Processes are killed in the middle: nothing finished is made again, nothing is lost."""

import fcntl
import os
import signal
import subprocess
import sys
import time
from contextlib import ExitStack, contextmanager

import pytest

from experiments.made import STEPS, assert_equal, begun, command, environment, jobs
from lca_core.experiments.carrying import carry_out
from lca_core.experiments.workers import Serial

pytestmark = pytest.mark.slow
PAUSE = "0.2"
WAIT = 120.0


def until(condition, what):
    """Wait for something, not for ever, and return it."""
    end = time.monotonic() + WAIT
    while not (found := condition()):
        assert time.monotonic() < end, f"Waited in vain for {what}."
        time.sleep(0.02)
    return found


def finished(out):
    """Return (path, time of change) of everything in the runs that are finished."""
    return {
        path: path.stat().st_mtime_ns
        for job in jobs(out)
        if job.finished and ended(job)
        for path in job.place.run.rglob("*")
    }


def ended(job):
    """Whether the worker is through with the run, too: nobody holds the lock."""
    with job.place.lock.open() as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
    return True


def workers_of(marks):
    """Return run file -> the process that began it last."""
    lines = (line.rsplit(" ", 2) for line in marks.read_text().splitlines())
    return {path: int(process) for path, _, process in lines}


def alive(process):
    """Whether a process runs."""
    try:
        with open(f"/proc/{process}/stat") as file:  # noqa: PTH123 -- not a file that has a path
            return file.read().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def half(out):
    """Return the runs that are begun, with something safe, and not finished."""
    return [job for job in jobs(out) if 0 < job.place.steps() < STEPS]


def finished_and_victim(out):
    """Return what is finished, and a run that will not be for a while; nothing before."""
    before = finished(out)
    early = [job for job in half(out) if job.place.steps() <= STEPS // 3]
    return (before, early[0].place.run) if before and early else None


@pytest.fixture
def serial(tmp_path, marks):
    """Return the runs as one process makes them when it is left alone."""
    made = jobs(tmp_path / "serial")
    assert carry_out(made, Serial(), lambda _: None) == ()
    marks.unlink()
    return made


def test_a_killed_command_goes_on(tmp_path, marks, serial, monkeypatch):
    """Killed in the middle, its workers die with it; the same command makes only the rest."""
    monkeypatch.setenv("LCA_TINY_PAUSE", PAUSE)
    out = tmp_path / "out"
    flags = ("--executor", "processes:2")
    with subprocess.Popen(
        command(out, *flags), env=environment(), stdout=subprocess.DEVNULL
    ) as killed:
        until(lambda: finished_and_victim(out), "a finished and a half run")
        os.kill(killed.pid, signal.SIGKILL)
    until(lambda: not any(map(alive, workers_of(marks).values())), "the workers to die")
    before, rest = finished(out), len(half(out))
    assert before
    assert rest
    first = begun(marks)
    time.sleep(1.0)
    assert begun(marks) == first

    subprocess.run(command(out, *flags), check=True, env=environment(), stdout=subprocess.DEVNULL)
    assert {path: path.stat().st_mtime_ns for path in before} == before
    assert sum(step > 0 for _, step in begun(marks)[len(first) :]) >= 1
    for one, other in zip(serial, jobs(out), strict=True):
        assert_equal(one.place.run, other.place.run)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGHUP], ids=lambda one: one.name)
def test_an_interrupted_command_stops(number, tmp_path, marks, monkeypatch):
    """Ctrl-C, or a terminal that closes, ends command and workers soon, and says what stays."""
    monkeypatch.setenv("LCA_TINY_PAUSE", PAUSE)
    out = tmp_path / "out"
    # A command that was itself begun in the background would hand down that it ignores Ctrl-C.
    before = signal.signal(number, signal.default_int_handler)
    stopped = subprocess.Popen(
        command(out, "--executor", "processes:2"),
        env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        start_new_session=True,
    )  # fmt: skip
    signal.signal(number, before)
    until(lambda: finished_and_victim(out), "a finished and a half run")
    os.killpg(stopped.pid, number)  # as a terminal does: to all of them
    said, complained = stopped.communicate(timeout=20)
    assert "Stopped. What is finished stays; the same command goes on." in said, complained
    if number == signal.SIGINT:  # a helper of multiprocessing ignores no SIGHUP, and complains
        assert "Traceback" not in complained
    assert stopped.returncode == 128 + number  # as a shell calls it
    assert not any(map(alive, workers_of(marks).values()))
    assert any(job.finished for job in jobs(out))
    assert not all(job.finished for job in jobs(out))


@contextmanager
def started(*arguments):
    """Run a process of Dask's, and end it."""
    process = subprocess.Popen(
        [sys.executable, "-m", *arguments],
        env=environment(), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def line_with(word, process):
    """Return the first line that a process writes with a word in it."""
    for line in process.stderr:
        if word in line:
            return line
    pytest.fail(f"The process ended without '{word}'.")


def test_a_killed_dask_worker_loses_nothing(tmp_path, marks, serial, monkeypatch):
    """A worker of a real cluster dies in the middle: all is finished, nothing is made again."""
    monkeypatch.setenv("LCA_TINY_PAUSE", PAUSE)
    out = tmp_path / "out"
    scheduler = ("distributed.cli.dask_scheduler", "--host", "127.0.0.1", "--port", "0")
    worker = ("distributed.cli.dask_worker", "--nthreads", "1", "--no-nanny", "--no-dashboard")
    with ExitStack() as stack:
        boss = stack.enter_context(started(*scheduler, "--no-dashboard"))
        address = line_with("Scheduler at:", boss).split("tcp://")[1].strip()
        for _ in range(2):
            hand = stack.enter_context(
                started(*worker, "--host", "127.0.0.1", "--local-directory", str(tmp_path),
                        f"tcp://{address}")
            )  # fmt: skip
            line_with("Registered to", hand)
        whole = stack.enter_context(
            subprocess.Popen(
                command(out, "--executor", f"dask://{address}"),
                env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            )
        )  # fmt: skip
        before, victim = until(lambda: finished_and_victim(out), "a finished and a half run")
        os.kill(workers_of(marks)[str(victim)], signal.SIGKILL)
        said, complained = whole.communicate(timeout=WAIT)
    assert whole.returncode == 0, complained
    assert complained == ""
    assert "4/4 runs done" in said
    assert {path: path.stat().st_mtime_ns for path in before} == before
    assert len(begun(marks)) == 5
    assert [path for path, step in begun(marks) if step > 0] == [str(victim)]
    for one, other in zip(serial, jobs(out), strict=True):
        assert_equal(one.place.run, other.place.run)
