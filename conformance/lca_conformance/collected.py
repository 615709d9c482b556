"""What the command collects: every suite, under its own name."""

from lca_conformance.suites import SUITES

globals().update({suite.__name__: suite for suite in SUITES})
