"""What a run answers with."""

import numpy as np
import pytest

from lca_core.errors import NotRecordedError
from lca_core.results import Grouped


def test_a_group_is_found_by_its_name():
    """The values of a label are its column, whatever axes are in front; others are told what is."""
    values = np.arange(6.0).reshape(3, 2)
    assert Grouped(("a", "b"), values)["b"].tolist() == [1.0, 3.0, 5.0]
    assert Grouped(("a", "b"), values[0])["a"] == 0.0
    with pytest.raises(KeyError) as found:
        Grouped(("a", "b"), values)["c"]
    assert str(found.value) == "There is no group 'c'; the groups are ['a', 'b']."
    assert isinstance(found.value, NotRecordedError)
