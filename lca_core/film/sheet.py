"""How a frame is divided: title on top, the page of parameters, the loss below."""

from __future__ import annotations

from attrs import evolve, frozen

from lca_core.film.lettering import line_height
from lca_core.film.page import Stage


@frozen
class Box:
    """A rectangle of a frame, pixels."""

    x: int
    y: int
    width: int
    height: int

    def lower(self, pixels: int) -> Box:
        """Return the box so much further down."""
        return evolve(self, y=self.y + pixels)

    def left(self, taken: float) -> Box:
        """Return what is left of it where something takes so many pixels on the right."""
        return evolve(self, width=max(self.width - int(taken), 1))


@frozen
class Sheet:
    """A frame of 16:9; all parts follow from its width.

    Args:
        width: pixels, even.
    """

    width: int

    @property
    def height(self) -> int:
        """Pixels, even: films need that."""
        return 2 * round(self.width * 9 / 32)

    @property
    def margin(self) -> int:
        """Space around everything, even."""
        return 2 * max(round(self.width / 160), 3)

    @property
    def large(self) -> int:
        """Size of the title, pixels."""
        return max(round(self.width / 68), 12)

    @property
    def small(self) -> int:
        """Size of all other text, pixels."""
        return max(round(self.width / 106), 10)

    @property
    def line(self) -> int:
        """Height of a line of small text, pixels."""
        return line_height(self.small)

    @property
    def title(self) -> Box:
        """The line on top."""
        width = self.width - 2 * self.margin
        return Box(self.margin, self.margin // 2, width, line_height(self.large))

    @property
    def subtitle(self) -> Box:
        """The line below it."""
        title = self.title
        return Box(title.x, title.y + title.height, title.width, self.line)

    @property
    def loss(self) -> Box:
        """The loss, below on the left."""
        height = max(2 * round(0.055 * self.height), 4 * self.line)
        below = self.height - self.margin // 2 - self.line
        legend = max(self.title.width // 5, 17 * self.small)
        width = self.title.width - legend - 2 * self.margin
        return Box(self.margin, below - height, width, height)

    @property
    def legend(self) -> Box:
        """The colours, below on the right."""
        right, loss = self.width - self.margin, self.loss
        x = loss.x + loss.width + 2 * self.margin
        return Box(x, loss.y, right - x, self.height - loss.y)

    @property
    def page(self) -> Box:
        """What is left for the parameters; its corner is even."""
        above = self.subtitle.y + self.line + self.margin // 2
        y = above + above % 2
        return Box(self.margin, y, self.title.width, self.loss.y - self.margin // 2 - y)

    def stage(self, smallest: int) -> Stage:
        """Return the room for the parameters, `smallest` pixels each at least."""
        box = self.page
        return Stage(box.width, box.height, self.line, smallest)
