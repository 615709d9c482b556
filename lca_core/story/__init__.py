"""What happened, in plain words: one passage a topic, every number with how sure it is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lca_core.story.books import books_passage
from lca_core.story.certainty import certainty_passage
from lca_core.story.generalisation import generalisation_passage
from lca_core.story.hurt import hurt_passage
from lca_core.story.loss import loss_passage
from lca_core.story.noise import noise_passage
from lca_core.story.passage import Passage as Passage
from lca_core.story.synchrony import synchrony_passage
from lca_core.story.work import work_passage

if TYPE_CHECKING:
    from lca_core.run import Run

_PASSAGES = {
    "loss": loss_passage,
    "books": books_passage,
    "work": work_passage,
    "hurt": hurt_passage,
    "noise": noise_passage,
    "synchrony": synchrony_passage,
    "generalisation": generalisation_passage,
    "certainty": certainty_passage,
}


def story(run: Run, measure: str) -> tuple[Passage, ...]:
    """Return what a run tells, in the order in which one would ask.

    A topic of which the run holds nothing has no passage; a run without steps has the first alone.

    Args:
        run: a finished run.
        measure: its name.

    Raises:
        NotRecordedError: there is no such measure.

    Example:
        >>> from lca_core.reference import demo_run
        >>> from lca_core.story import story
        >>> loss, *_ = story(demo_run(), "train")
        >>> print(loss.text)
        The train loss fell by 1.0896, from 1.3544 to 0.26480, over 20 steps; half of it by step 2.
    """
    told = {topic: tell(run, measure) for topic, tell in _PASSAGES.items()}
    return tuple(Passage(topic, text) for topic, text in told.items() if text)
