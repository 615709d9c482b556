"""Student's t distribution, where analyses look for it."""

from lca_core.students_t import interval, quantile, two_sided_p

__all__ = ["interval", "quantile", "two_sided_p"]
