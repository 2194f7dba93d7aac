"""How a process of ours ends."""

import logging
import os
import sys
from typing import NoReturn


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
