"""The film of learning: every parameter at every step; needs the extra "film"."""

from lca_core.film.colours import PALETTES as PALETTES
from lca_core.film.colours import Colours as Colours
from lca_core.film.colours import named_colours as named_colours
from lca_core.film.making import Film as Film
from lca_core.film.making import still as still
from lca_core.film.making import write_film as write_film
