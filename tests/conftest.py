"""Tests that run side by side: two of them on two cores have a thread each."""

import os

if "PYTEST_XDIST_WORKER" in os.environ:  # before a framework is imported, which reads these then
    for name in (
        "OMP_NUM_THREADS",
        "OPENBLAS_NUM_THREADS",
        "TF_NUM_INTRAOP_THREADS",
        "TF_NUM_INTEROP_THREADS",
        "NPROC",
    ):
        os.environ.setdefault(name, "1")
