"""Errors of Loss Change Allocation: each says what, where, expected, got and the remedy."""

from __future__ import annotations


class LCAError(Exception):
    """Base of every error that this project raises on purpose."""


class RuleError(LCAError, ValueError):
    """A quadrature rule or an integrator's setting is not usable."""


class LeafError(LCAError, ValueError):
    """A named parameter is missing, changed shape, or became trainable later."""


class ObserverError(LCAError, ValueError):
    """Observers write one array or one of the file's own, or return what they did not declare."""


class DataError(LCAError, ValueError):
    """A data set is empty, shuffles, drops examples or changes between passes."""


class LossError(LCAError, ValueError):
    """A loss function cannot be evaluated on the data, or is not a mean over examples."""


class NetworkError(LCAError, ValueError):
    """Layers that do not fit together, or a training set-up that names what is not there."""


class AnalysisError(LCAError, ValueError):
    """An analysis was given runs, series or settings that it cannot mean anything for."""


class ExperimentError(LCAError, ValueError):
    """An experiment cannot be planned on this set-up, or judged from these runs."""


class WorkerError(LCAError, RuntimeError):
    """A process that carried out a run is gone."""


class UnsupportedError(LCAError, NotImplementedError):
    """An adapter does not build this layer, optimizer or mode."""


class RunFileError(LCAError, ValueError):
    """A run file cannot be read, or does not fit what is to be written."""


class ResumeError(LCAError, ValueError):
    """A run cannot be continued from where the model stands."""


class RunBusyError(LCAError, RuntimeError):
    """Another process is writing the run file; no `ResumeError`, after which one starts anew."""


class NotRecordedError(LCAError, LookupError):
    """The run does not hold what was asked for."""


class UnknownGroupError(NotRecordedError, KeyError):
    """The groups that were asked for have none of that name."""

    def __str__(self) -> str:
        """Return the message as it is; a `KeyError` would show it in quotes."""
        return Exception.__str__(self)


class FilmError(LCAError, ValueError):
    """A film cannot be made of these steps, in this format or at this place."""


class UnknownNameError(LCAError, LookupError):
    """There is no backend, network or data set of that name."""


class MissingExtraError(LCAError, ImportError):
    """An optional dependency is not installed."""

    def __reduce__(self) -> tuple[type[MissingExtraError], tuple[str, str]]:
        """Let it pass from one process to another: an error is made anew from its message alone."""
        return type(self), (self.need, self.extra)

    def __init__(self, need: str, extra: str) -> None:
        self.need, self.extra = need, extra
        super().__init__(
            f"{need} needs the optional packages of the extra '{extra}': "
            f'pip install "loss-change-allocation[{extra}]".'
        )
