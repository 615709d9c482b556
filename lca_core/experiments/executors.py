"""Executors by the name that `--executor` gives them."""

from __future__ import annotations

from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

from lca_core.errors import ExperimentError, MissingExtraError, UnknownNameError
from lca_core.experiments.workers import Serial, Workers, cores, shared_cores

if TYPE_CHECKING:
    from collections.abc import Iterator
    from concurrent.futures import Executor

FORMS = "serial, processes, processes:N, dask://HOST:PORT"
"""Every name that `opened` takes."""

_DASK = "dask://"


@contextmanager
def opened(name: str, runs: int) -> Iterator[Executor]:
    """Open an executor, and close it at the end; an error inside ends what runs.

    Args:
        name: one of `FORMS`.
        runs: how many there are to carry out; more processes are of no use.

    Raises:
        UnknownNameError: there is no such executor.
        MissingExtraError: Dask is not installed.
        ExperimentError: no scheduler answers.

    Example:
        >>> from lca_core.experiments.executors import opened
        >>> with opened("serial", runs=1) as executor:
        ...     executor.submit(abs, -1).result()
        1
    """
    if name.startswith(_DASK):
        with _dask(name.removeprefix(_DASK)) as executor:
            yield executor
    elif processes := processes_of(name):
        count = max(1, min(processes, runs))
        with shared_cores(count), Workers(count) as executor:
            yield executor
    else:
        with Serial() as executor:
            yield executor


def processes_of(name: str) -> int:
    """Return how many processes on this machine a name asks for, 0 for others.

    Args:
        name: one of `FORMS`.

    Raises:
        UnknownNameError: it is none of them.

    Example:
        >>> from lca_core.experiments.executors import processes_of
        >>> processes_of("processes:3"), processes_of("serial")
        (3, 0)
    """
    kind, _, count = name.partition(":")
    if kind == "processes" and (name == kind or (count.isdecimal() and int(count) > 0)):
        return int(count) if count else cores()
    if name != "serial" and not name.startswith(_DASK):
        msg = f"No executor is called '{name}'; there are {FORMS}."
        raise UnknownNameError(msg)
    return 0


@contextmanager
def _dask(address: str) -> Iterator[Executor]:
    """Connect to a scheduler."""
    try:
        from distributed import Client
    except ImportError as error:
        raise MissingExtraError(f"The executor {_DASK}{address}", "experiments") from error
    try:
        client: Any = partial(Client, set_as_default=False)(f"tcp://{address}")
    except (OSError, ValueError) as error:
        msg = (
            f"No Dask scheduler answers at '{address}': {error}. Start one with `dask scheduler`, "
            "and give the address that it prints, without 'tcp://'."
        )
        raise ExperimentError(msg) from error
    with client, client.get_executor() as executor:
        yield executor
