"""One paragraph of the story."""

from __future__ import annotations

from attrs import frozen


@frozen
class Passage:
    """What the run tells of one topic.

    Args:
        topic: "loss", "books", "work", "hurt", "noise", "synchrony", "generalisation" or
            "certainty".
        text: sentences without any markup; names of layers are as the user's model has them.
    """

    topic: str
    text: str
