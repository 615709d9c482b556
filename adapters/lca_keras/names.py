"""Names of variables that do not depend on what else the process has built."""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING

from keras.src.utils.naming import to_snake_case

if TYPE_CHECKING:
    import keras


def stable_names(model: keras.Model) -> dict[int, str]:
    """Return the id of every variable -> its path, without the parts that count models.

    The model's own name is left out, and layers that Keras numbered through the whole process
    ("dense_3") are numbered by their order in the model ("dense", "dense_1").

    Args:
        model: built.

    Example:
        >>> import keras
        >>> from lca_keras.names import stable_names
        >>> layers = [keras.Input((4,)), keras.layers.Dense(3), keras.layers.Dense(2)]
        >>> list(stable_names(keras.Sequential(layers)).values())
        ['dense/kernel', 'dense/bias', 'dense_1/kernel', 'dense_1/bias']
    """
    numbering = _Numbering(model)
    taken: Counter[str] = Counter()
    names = {}
    for variable in model.variables:
        *layers, own = _inside(model, variable.path)
        where = "/".join(numbering.renamed(layers))
        name = f"{where}/{own}" if where else own
        taken[name] += 1
        # Submodels that name their layers alike: Keras' paths do not tell them apart.
        again = f"_{taken[name] - 1}" if taken[name] > 1 else ""
        names[id(variable)] = f"{where}{again}/{own}" if where else f"{own}{again}"
    return names


class _Numbering:
    """New numbers for layers with automatic names, in order of appearance."""

    def __init__(self, model: keras.Model) -> None:
        self._base = {
            layer.name: base
            for layer in model._flatten_layers(include_self=False)
            for base in [to_snake_case(type(layer).__name__)]
            if re.fullmatch(rf"{base}(_\d+)?", layer.name)
        }
        self._counts: Counter[tuple[str, ...]] = Counter()
        self._new: dict[tuple[str, ...], str] = {}

    def renamed(self, layers: list[str]) -> list[str]:
        return [self._one(tuple(layers[: depth + 1])) for depth in range(len(layers))]

    def _one(self, path: tuple[str, ...]) -> str:
        base = self._base.get(path[-1])
        if base is None:
            return path[-1]
        if path not in self._new:
            place = (*path[:-1], base)
            count = self._counts[place]
            self._counts[place] += 1
            self._new[path] = f"{base}_{count}" if count else base
        return self._new[path]


def _inside(model: keras.Model, path: str) -> list[str]:
    parts = path.split("/")
    return parts[1:] if len(parts) > 1 and parts[0] == model.name else parts
