"""The process a worker forks its keepers from: bare, single-threaded, and gone with the worker.

A worker has threads and open connections and must not fork; this interpreter has neither, so a fork costs a
millisecond. It also is the parent every keeper dies with, and it removes their control groups.
"""

import contextlib
import gc
import os
import select
import signal
import socket
import sys
from pathlib import Path

from holdfast.adapters.bubblewrap import cgroups, kernel
from holdfast.adapters.bubblewrap.keeper import Keeper, Refused
from holdfast.adapters.bubblewrap.spec import CallReport, CallSpec, LauncherReport, LauncherSpec
from holdfast.adapters.bubblewrap.start import OWN_PROCESSES
from holdfast.adapters.bubblewrap.store import open_store, uid_for

_MESSAGE = 4096


class Launcher:
    """Takes calls from one worker until it hangs up."""

    def __init__(self, worker: socket.socket, spec: LauncherSpec) -> None:
        self._worker, self._spec = worker, spec
        self._parents, self._missing = _group_parents(spec)
        self._calls: dict[int, str] = {}
        self._counter = 0
        self._wakeup = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)

    def serve(self) -> None:
        signal.set_wakeup_fd(self._wakeup[1])
        signal.signal(signal.SIGCHLD, lambda *_: None)
        gc.freeze()  # shared pages stay shared when a keeper's collector runs
        self._tell()
        poll = select.poll()
        for descriptor in (self._worker.fileno(), self._wakeup[0]):
            poll.register(descriptor, select.POLLIN)
        while True:
            ready = {descriptor for descriptor, _ in poll.poll()}
            if self._wakeup[0] in ready:
                self._bury()
            if self._worker.fileno() in ready and not self._take_call():
                break
        self._end_all()

    def _tell(self) -> None:
        report = LauncherReport(
            groups=self._parents.version if self._parents else 0,
            groups_missing=self._missing,
            drops_uid=os.geteuid() == 0,
        )
        self._worker.send(report.to_bytes())

    def _take_call(self) -> bool:
        try:
            message, descriptors, *_ = socket.recv_fds(self._worker, _MESSAGE, 2)
        except OSError:
            return False
        if not message or len(descriptors) != 2:
            return False
        self._counter += 1
        name = cgroups.group_name(self._counter) if self._parents else ""
        pid = os.fork()
        if pid == 0:
            self._keep(name, *descriptors)
        self._calls[pid] = name
        for descriptor in descriptors:
            os.close(descriptor)
        return True

    def _keep(self, group: str, control: int, spec: int) -> None:
        """In the forked child: never returns."""
        channel = socket.socket(fileno=control)
        try:
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            self._worker.close()
            with open(spec, "rb") as file:  # noqa: PTH123 - a descriptor
                file.seek(0)
                call = CallSpec.from_bytes(file.read())
            report = self._keeper(call, channel, group).run()
        except Refused as error:
            report = CallReport(refusal=str(error))
        except BaseException as error:  # noqa: BLE001 - the process edge: the worker must hear of it
            report = CallReport(problem=f"{type(error).__name__}: {error}")
        try:
            _send_report(channel, report)
        finally:
            os._exit(0)

    def _keeper(self, call: CallSpec, channel: socket.socket, name: str) -> Keeper:
        group = None
        if self._parents:
            limits = call.limits
            group = cgroups.CallGroup.create(
                self._parents, name, memory_mb=limits["memory_mb"], pids=limits["pids"] + OWN_PROCESSES
            )
        uid, gid = uid_for(call.workspace)
        store = open_store(Path(self._spec.store), call.workspace, uid=uid, gid=gid)
        if os.geteuid() == 0:
            os.setgroups([])
            os.setresgid(gid, gid, gid)
            os.setresuid(uid, uid, uid)
        kernel.be_dumpable()
        kernel.die_with_parent(signal.SIGKILL)
        if os.getppid() == 1:
            raise ProcessLookupError("the launcher has gone")
        return Keeper(
            launcher=self._spec, call=call, control=channel, store=store, group=group, uid=uid, gid=gid
        )

    def _bury(self) -> None:
        with contextlib.suppress(BlockingIOError):
            os.read(self._wakeup[0], 4096)
        with contextlib.suppress(ChildProcessError):
            while self._calls and (pid := os.waitpid(-1, os.WNOHANG)[0]):
                self._clear(self._calls.pop(pid, ""))

    def _clear(self, group: str) -> None:
        if group and self._parents:
            self._parents.remove(group)

    def _end_all(self) -> None:
        """The worker has gone, perhaps by SIGKILL: what it started ends with it."""
        for pid in self._calls:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        for pid, group in self._calls.items():
            with contextlib.suppress(ChildProcessError):
                os.waitpid(pid, 0)
            self._clear(group)


def _group_parents(spec: LauncherSpec) -> tuple[cgroups.GroupParents | None, str]:
    if not spec.use_groups:
        return None, "switched off by configuration"
    try:
        parents = cgroups.find_parents()
    except cgroups.NoControlGroups as error:
        return None, str(error)
    parents.sweep()
    return parents, ""


def _send_report(channel: socket.socket, report: CallReport) -> None:
    """Through memory, not through the socket: a message has a size limit, a result may be larger."""
    content = kernel.sealed_memory("report", report.to_bytes())
    socket.send_fds(channel, [b"report"], [content])


def main() -> None:
    os.setsid()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    worker = socket.socket(fileno=int(sys.argv[1]))
    Launcher(worker, LauncherSpec.from_bytes(worker.recv(65536))).serve()
