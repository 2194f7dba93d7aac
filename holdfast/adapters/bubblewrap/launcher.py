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
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from holdfast.adapters.bubblewrap import cgroups, kernel
from holdfast.adapters.bubblewrap.identity import NoSafeUid, identity_for
from holdfast.adapters.bubblewrap.keeper import Keeper, Refused
from holdfast.adapters.bubblewrap.meter import OWN_PROCESSES
from holdfast.adapters.bubblewrap.spec import CallReport, CallSpec, LauncherReport, LauncherSpec
from holdfast.adapters.bubblewrap.store import open_store
from holdfast.sandbox.seccomp import seccomp_filter


@dataclass
class Spare:
    """A forked process that waits for its call, already in a control group of its own."""

    pid: int
    channel: socket.socket


class Launcher:
    """Takes calls from one worker until it hangs up."""

    def __init__(self, worker: socket.socket, spec: LauncherSpec) -> None:
        self._worker, self._spec = worker, spec
        self._parents, self._missing = _group_parents(spec)
        self._drops_uid = identity_for("").own
        self._groups: dict[int, str] = {}
        self._spare: Spare | None = None
        self._counter = 0
        self._pid = os.getpid()
        self._wakeup = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)

    def serve(self) -> None:
        kernel.adopt_orphans()
        signal.set_wakeup_fd(self._wakeup[1])
        signal.signal(signal.SIGCHLD, lambda *_: None)
        seccomp_filter(count_all_memory=self._parents is None)  # remembered by every fork
        gc.freeze()  # shared pages stay shared when a keeper's collector runs
        self._tell()
        poll = select.poll()
        for descriptor in (self._worker.fileno(), self._wakeup[0]):
            poll.register(descriptor, select.POLLIN)
        while True:
            self._spare = self._spare or self._fork_spare()
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
            drops_uid=self._drops_uid,
            landlock=kernel.landlock_can_scope(),
        )
        self._worker.send(report.to_bytes())

    def _take_call(self) -> bool:
        try:
            message, descriptors = kernel.receive(self._worker, 2)
        except OSError:
            return False
        if not message or len(descriptors) != 2:
            return False
        spare = self._spare or self._fork_spare()
        self._spare = None
        with spare.channel, contextlib.suppress(OSError):  # a dead spare is a call that reports nothing
            socket.send_fds(spare.channel, [b"call"], descriptors)
        for descriptor in descriptors:
            os.close(descriptor)
        return True

    def _fork_spare(self) -> Spare:
        self._counter += 1
        group = cgroups.group_name(self._counter) if self._parents else ""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        pid = os.fork()
        if pid == 0:
            ours.close()
            self._worker.close()
            self._become_keeper(group, theirs)
        theirs.close()
        self._groups[pid] = group
        return Spare(pid=pid, channel=ours)

    def _become_keeper(self, name: str, launcher: socket.socket) -> NoReturn:
        """In the forked child: prepare what is slow, wait for a call, keep it, end."""
        try:
            gc.disable()  # a short life: collecting would only copy the launcher's pages
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            kernel.die_with_parent(signal.SIGKILL)
            group, problem = self._join_group(name)
            _, descriptors = kernel.receive(launcher, 2)
            if len(descriptors) == 2:
                launcher.close()
                control, spec = descriptors
                self._keep(group, problem, socket.socket(fileno=control), spec)
        finally:
            os._exit(0)

    def _join_group(self, name: str) -> tuple[cgroups.CallGroup | None, str]:
        if not self._parents:
            return None, ""
        try:
            group = cgroups.CallGroup.create(self._parents, name)
            group.join()
        except OSError as error:
            return None, f"the control group could not be made: {error}"
        return group, ""

    def _keep(self, group: cgroups.CallGroup | None, problem: str, worker: socket.socket, spec: int) -> None:
        try:
            with open(spec, "rb") as file:
                file.seek(0)
                call = CallSpec.from_bytes(file.read())
            report = CallReport(problem=problem) if problem else self._keeper(call, worker, group).run()
        except Refused as error:
            report = CallReport(refusal=str(error))
        except BaseException as error:  # noqa: BLE001 - the process edge: the worker must hear of it
            report = CallReport(problem=f"{type(error).__name__}: {error}")
        _send_report(worker, report)

    def _keeper(self, call: CallSpec, worker: socket.socket, group: cgroups.CallGroup | None) -> Keeper:
        if group:
            group.limit_processes(call.limits["pids"] + OWN_PROCESSES)
        identity = identity_for(call.workspace)
        store = open_store(Path(self._spec.store), call.workspace, identity)
        if identity.own:
            os.setgroups([])
            os.setresgid(identity.gid, identity.gid, identity.gid)
            os.setresuid(identity.uid, identity.uid, identity.uid)
        kernel.be_dumpable()
        kernel.die_with_parent(signal.SIGKILL)  # once more: a change of uid forgets it
        if os.getppid() != self._pid:
            raise ProcessLookupError("the launcher has gone")
        return Keeper(
            launcher=self._spec, call=call, control=worker, store=store, group=group, identity=identity
        )

    def _bury(self) -> None:
        with contextlib.suppress(BlockingIOError):
            os.read(self._wakeup[0], 4096)
        with contextlib.suppress(ChildProcessError):
            while self._groups and (pid := os.waitpid(-1, os.WNOHANG)[0]):
                self._clear(self._groups.pop(pid, ""))
                if self._spare and self._spare.pid == pid:
                    self._spare.channel.close()
                    self._spare = None

    def _clear(self, group: str) -> None:
        if group and self._parents:
            self._parents.remove(group)

    def _end_all(self) -> None:
        """The worker has gone, perhaps by SIGKILL: what it started ends with it."""
        for pid in self._groups:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        with contextlib.suppress(ChildProcessError):
            while True:  # keepers, and whatever they leave to us
                self._clear(self._groups.pop(os.waitpid(-1, 0)[0], ""))


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
    spec = LauncherSpec.from_bytes(worker.recv(65536))
    try:
        launcher = Launcher(worker, spec)
    except (NoSafeUid, OSError) as error:
        worker.send(LauncherReport(problem=str(error)).to_bytes())
        return
    launcher.serve()
