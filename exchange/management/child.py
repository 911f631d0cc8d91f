"""Become a command that dies with its starter: `python -m exchange.management.child STARTER_PID COMMAND…`.

A program of its own, because a function run between fork and exec in a process with threads may hang.
"""

import ctypes
import os
import signal
import sys
from collections.abc import Sequence

_PR_SET_PDEATHSIG = 1


def die_with(parent: int) -> None:
    """Ask the kernel to kill this process when `parent`, which started it, dies, even of SIGKILL.

    Linux only (prctl 2); elsewhere an orphan has to be ended by hand. The request survives exec.
    """
    if sys.platform != "linux":
        return
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it died before the kernel was asked
        sys.exit(1)


def main(words: Sequence[str]) -> None:
    """Replace this process by the command."""
    parent, *command = words
    die_with(int(parent))
    try:
        os.execvp(command[0], command)  # noqa: S606
    except OSError as error:
        sys.exit(f"{command[0]}: {error.strerror}")


if __name__ == "__main__":
    main(sys.argv[1:])
