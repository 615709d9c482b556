"""A package of its own: `tests/conformance/test_third_party.py` installs it and tests it there."""

collect_ignore_glob = ["*"]
