"""The nursery of a stack: imports what all our processes import, then forks each of them on request.

It has no thread, no event loop and no key of a model or a tool, so a fork of it is as good as a fresh start: whatever a
process opens, Temporal's client included, is opened after. `holdfast.embedded.nursery` asks it.
"""

import ctypes
import gc
import importlib
import json
import os
import selectors
import socket
import sys
from contextlib import suppress
from pathlib import Path
from typing import NoReturn

from holdfast.cli.main import main
from holdfast.embedded.nursery import Birth, News
from holdfast.embedded.parts import OURSELVES
from holdfast.runtime.process import open_log, tie_to_parent

_SHARED = (
    "holdfast.cli.worker",
    "holdfast.adapters.postgres.schema_version",
    "workers.main",
    "workers.pools",
    "workers.judging",
    "holdfast.adapters.shelf",
)
"""What at least two of our processes import. What one alone needs it imports itself, beside the others."""

_THREADS = Path("/proc/self/task")
_PR_SET_NAME, _LONGEST_NAME = 15, 15


class Nursery:
    def __init__(self, supervisor: socket.socket) -> None:
        self._supervisor = supervisor
        self._events = selectors.DefaultSelector()
        self._events.register(supervisor, selectors.EVENT_READ)
        self._heard = b""

    def serve(self) -> None:
        """Until the supervisor is gone. In a child it does not return: what it raises ends the child, as in any program."""
        while True:
            for key, _ in self._events.select():
                if isinstance(key.data, int):
                    self._bury(key.fd, key.data)
                elif heard := self._supervisor.recv(65536):
                    self._hear(heard)
                else:
                    return

    def _hear(self, heard: bytes) -> None:
        *lines, self._heard = (self._heard + heard).split(b"\n")
        for line in lines:
            self._bear(Birth.model_validate_json(line))

    def _bear(self, birth: Birth) -> None:
        parent, is_alone = os.getpid(), len([*_THREADS.iterdir()]) == 1
        pid = os.fork()
        if pid == 0:
            self._leave()
            _become(birth, parent, afresh=not is_alone)
        self._events.register(os.pidfd_open(pid), selectors.EVENT_READ, pid)
        self._tell(News(pid=pid))

    def _bury(self, pidfd: int, pid: int) -> None:
        _, status = os.waitpid(pid, 0)
        self._events.unregister(pidfd)
        os.close(pidfd)
        self._tell(News(pid=pid, exit_code=os.waitstatus_to_exitcode(status)))

    def _tell(self, news: News) -> None:
        self._supervisor.sendall(news.model_dump_json().encode() + b"\n")

    def _leave(self) -> None:
        """A child has nothing to do with its siblings."""
        for key in self._events.get_map().values():
            os.close(key.fd)
        self._events.close()
        self._supervisor.detach()


def _become(birth: Birth, parent: int, *, afresh: bool) -> NoReturn:
    """What `Child.start` does for a program, then the program itself.

    A module that started a thread, such as a profiler of the site, makes a fork unsafe: then the program is started afresh.
    """
    os.setsid()
    tie_to_parent(parent)
    os.environ.clear()
    os.environ.update(json.loads(birth.environment.read_bytes()))
    with open_log(birth.log) as log:
        os.dup2(log.fileno(), 1)
        os.dup2(log.fileno(), 2)
    if afresh:
        os.execv(OURSELVES[0], [*OURSELVES, *birth.arguments])  # noqa: S606 -- ourselves
    ctypes.CDLL(None).prctl(_PR_SET_NAME, birth.name.encode()[:_LONGEST_NAME])
    sys.argv = ["holdfast", *birth.arguments]
    main()


def _import_shared() -> None:
    """What cannot be imported, the process that needs it will say."""
    gc.disable()
    for name in _SHARED:
        with suppress(Exception, SystemExit):
            importlib.import_module(name)
    gc.enable()
    gc.freeze()  # so that collections in the children leave these pages shared


if __name__ == "__main__":
    _import_shared()
    Nursery(socket.socket(fileno=int(sys.argv[1]))).serve()
