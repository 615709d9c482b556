"""What every suite has: an adapter under test."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import pytest

from lca_core.adapters import find_adapter

if TYPE_CHECKING:
    from lca_core.adapters import Adapter


class Suite:
    """Tests of one promise: derive and set `subject`, or use `python -m lca_conformance`."""

    subject: ClassVar[Adapter | None] = None

    @pytest.fixture
    def adapter(self) -> Adapter:
        """Return the adapter under test."""
        if self.subject is None:
            pytest.fail(f"Set `subject` of {type(self).__name__} to the adapter under test.")
        return self.subject

    @pytest.fixture
    def pair(self, adapter: Adapter) -> tuple[Adapter, Adapter]:
        """Return two adapters to compare: the one under test, and the float64 reference."""
        return adapter, find_adapter("numpy")
