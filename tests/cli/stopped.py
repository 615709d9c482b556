"""A command in a process of its own, which a signal stops."""

from __future__ import annotations

import signal
import subprocess
import sys
import time

# Where a shell started the tests in the background, Python would inherit deaf ears.
_CODE = """import signal
signal.signal(signal.SIGINT, signal.default_int_handler)
if hasattr(signal, "SIGHUP"): signal.signal(signal.SIGHUP, signal.SIG_DFL)
from lca_core.cli import main; main()
"""

STOPS = [signal.SIGINT, signal.SIGTERM, *([signal.SIGHUP] if hasattr(signal, "SIGHUP") else [])]


def stopped(arguments, number, begun, **pipes):
    """Return status, output and complaints of a command that gets a signal once it has begun.

    Args:
        arguments: of `lca`.
        number: of the signal.
        begun: returns whether it is time.
        pipes: as of `subprocess.Popen`.
    """
    command = [sys.executable, "-c", _CODE, *map(str, arguments)]
    with subprocess.Popen(command, text=True, **pipes) as running:
        try:
            while running.poll() is None and not begun():
                time.sleep(0.01)
            running.send_signal(number)
            words, complained = running.communicate(timeout=60)
        finally:
            running.kill()
    return running.returncode, words, complained
