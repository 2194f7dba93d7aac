"""How a process of ours ends."""

import logging
import os
import signal
import sys
from typing import NoReturn


def heed_sigterm() -> None:
    """The kernel drops a signal for which the first process of a container has no handler: told to stop while it
    starts, it would be killed when all patience is over. As any other process, it ends at once."""
    if os.getpid() == 1:
        signal.signal(signal.SIGTERM, lambda number, _frame: os._exit(128 + number))


def leave(status: int = 0) -> NoReturn:
    """End after everything is written out.

    Below Python 3.14 the threads of Temporal's client may outlive the interpreter and crash it after correct work,
    so that a good run ends in exit code 134. There, nothing is left for the interpreter to take apart.
    """
    logging.shutdown()
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:  # whoever started us may have closed it
            stream.flush()
    if sys.version_info < (3, 14):
        os._exit(status)
    sys.exit(status)
