"""The small data set that scikit-learn brings along."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from lca_core.datasets.split import hold_out
from lca_core.errors import MissingExtraError

if TYPE_CHECKING:
    from lca_core.datasets.split import Dataset


def digits(validation: int = 297) -> Dataset:
    """Return scikit-learn's 1,797 handwritten digits of 8 x 8 pixels; nothing is downloaded.

    Args:
        validation: examples held out, drawn without replacement by `default_rng(0)`.

    Raises:
        MissingExtraError: scikit-learn is not installed.

    Example:
        >>> from lca_core.datasets import digits
        >>> digits().train.inputs.shape
        (1500, 8, 8, 1)

    Source: E. Alpaydin and C. Kaynak, Optical Recognition of Handwritten Digits, UCI, 1998.
    """
    try:
        from sklearn.datasets import load_digits
    except ImportError as error:
        raise MissingExtraError("The digits data set", "cli") from error
    bunch = load_digits()
    images = bunch.images.astype(np.uint8)[..., np.newaxis]
    return hold_out("digits", images, bunch.target, validation, white=16)
