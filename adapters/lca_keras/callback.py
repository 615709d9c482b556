"""The callback for `model.fit`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import keras

from lca_core.errors import LCAError, UnsupportedError
from lca_keras.tracking import track

if TYPE_CHECKING:
    from lca_core import Run, Tracker


class LossChangeAllocation(keras.callbacks.Callback):  # type: ignore[misc]
    """Allocate the loss change of every batch of `model.fit` to every parameter.

    The model is measured as it was compiled. A second `fit` with the same callback goes on in
    the same run; what moved the model between them counts as part of the next step. What moves
    it at the end of `fit`, as averages of the weights do, is a step of its own.

    List it behind callbacks that move the model (`EarlyStopping(restore_best_weights=True)`) and
    before those that save it (`ModelCheckpoint`, `BackupAndRestore`): with `path=`, the run
    resumes at the end of every epoch too.

    Args:
        data: what L is the mean over; see `lca_keras.track`.
        options: all other arguments of `lca_keras.track`.

    Example:
        >>> import keras, lca_keras, numpy as np
        >>> x = np.random.default_rng(0).standard_normal((32, 4)).astype("float32")
        >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(1)])
        >>> model.compile(optimizer="sgd", loss="mse")
        >>> lca = lca_keras.LossChangeAllocation(data=(x, x[:, :1]))
        >>> _ = model.fit(x, x[:, :1], batch_size=8, epochs=2, callbacks=[lca], verbose=0)
        >>> lca.run.steps
        8
    """

    def __init__(self, data: Any, **options: Any) -> None:
        super().__init__()
        self._data = data
        self._options = options
        self._tracker: Tracker | None = None
        self._tracked: keras.Model | None = None

    @property
    def tracker(self) -> Tracker:
        """The tracker; it exists from the beginning of `fit` on."""
        if self._tracked is None:
            msg = "The tracker is made when model.fit(..., callbacks=[...]) begins."
            raise LCAError(msg)
        if self._tracker is None:
            self._tracker = track(self._tracked, self._data, **self._options)
        return self._tracker

    @property
    def run(self) -> Run:
        """What is recorded so far, also behind an error inside `fit`."""
        return self.tracker._so_far()

    def on_train_begin(self, logs: Any = None) -> None:
        """Open the tracker; the first time, the model is evaluated as it stands.

        Raises:
            UnsupportedError: `steps_per_execution` hides the iterates between.
            LCAError: the callback has followed another model before.
        """
        # On JAX, reading self.model brings the trainer's state into the variables.
        model = self.model
        if model.steps_per_execution != 1:
            msg = (
                f"steps_per_execution={model.steps_per_execution} runs several updates between "
                "two calls of the callback, so the iterates between them cannot be seen. Compile "
                "with steps_per_execution=1; every=k makes the measurement cheaper."
            )
            raise UnsupportedError(msg)
        if self._tracker is not None and model is not self._tracked:
            msg = f"This callback follows another model than '{model.name}'; make one for each."
            raise LCAError(msg)
        self._tracked = model
        # A run goes on where the model stands once all callbacks have restored it.
        if not self._options.get("resume"):
            _ = self.tracker

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Open the tracker of a run that goes on."""
        _ = self.tracker

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """Record the step."""
        _ = self.model
        self.tracker.step()

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Make a point to resume from, where there is a run file; close what is open for it."""
        if self._options.get("path") is not None:
            self._checkpoint()

    def on_train_end(self, logs: Any = None) -> None:
        """Close what is open."""
        self._checkpoint()

    def _checkpoint(self) -> None:
        """Make everything up to where the model stands safe, a move behind the last batch too."""
        _ = self.model
        self.tracker.catch_up()
        self.tracker.checkpoint()
