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
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from holdfast.adapters.bubblewrap import group_parents, kernel
from holdfast.adapters.bubblewrap.identity import Identity, NoSafeUid, identity_for
from holdfast.adapters.bubblewrap.rehearsal import rehearse
from holdfast.adapters.bubblewrap.spare import READY, Spare, map_ids, send_report
from holdfast.adapters.bubblewrap.spec import CallReport, LauncherReport, LauncherSpec
from holdfast.adapters.bubblewrap.store import open_store
from holdfast.sandbox.seccomp import seccomp_filter


@dataclass(frozen=True)
class Call:
    """What a spare gets: the caller's socket, the call's description, the run's store."""

    descriptors: tuple[int, int, int]
    identity: Identity


@dataclass
class Waiting:
    """A spare as its parent sees it: being made, ready, or already with the call that could not wait for it."""

    pid: int
    channel: socket.socket
    ready: bool = False
    problem: str = ""
    call: Call | None = None

    @property
    def idle(self) -> bool:
        """Whether all it will say has been heard. Until then its end is heard of on its channel."""
        return self.ready and not self.problem


class Launcher:
    """Takes calls from one worker until it hangs up."""

    def __init__(self, worker: socket.socket, spec: LauncherSpec) -> None:
        self._worker, self._spec = worker, spec
        self._parents, self._missing = _group_parents(spec)
        self._own_uid = identity_for("").own
        self._groups: dict[int, str] = {}
        self._spare: Waiting | None = None
        self._made: dict[int, Waiting] = {}
        self._poll = select.poll()
        self._counter = 0
        self._pid = os.getpid()
        self._wakeup = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)

    def serve(self) -> None:
        kernel.adopt_orphans()
        signal.set_wakeup_fd(self._wakeup[1])
        signal.signal(signal.SIGCHLD, lambda *_: None)
        seccomp_filter(count_all_memory=self._parents is None)  # remembered by every fork
        if not self._spec.one_call:
            rehearse(self._spec)
        gc.freeze()  # shared pages stay shared when a keeper's collector runs
        self._tell()
        for descriptor in (self._worker.fileno(), self._wakeup[0]):
            self._poll.register(descriptor, select.POLLIN)
        while True:
            if not self._spare and not (self._spec.one_call and self._counter):
                self._spare = self._fork_spare()
            ready = {descriptor for descriptor, _ in self._poll.poll()}
            for spare in [self._made[descriptor] for descriptor in ready & self._made.keys()]:
                self._heard_of(spare)
            if self._wakeup[0] in ready:
                self._bury()
            if self._worker.fileno() in ready and not self._take_call():
                break
        self._end_all()

    def _tell(self) -> None:
        report = LauncherReport(
            groups=self._parents.version if self._parents else 0,
            groups_missing=self._missing,
            drops_uid=self._own_uid,
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
        caller, spec = descriptors
        try:
            identity = identity_for(message.decode())
            store = open_store(Path(self._spec.store), message.decode(), identity)
        except OSError as error:
            self._refuse((caller, spec), str(error))
            return True
        spare = self._next_spare()
        spare.call = Call(descriptors=(caller, spec, store), identity=identity)
        if spare.ready:
            self._hand_over(spare, spare.call)
        return True

    def _next_spare(self) -> Waiting:
        """One that failed is not asked to fail again, and no other is made before a call comes: on a machine that
        cannot make any, that would go on for ever."""
        spare, self._spare = self._spare, None
        if spare and spare.problem:
            spare.channel.close()
            spare = None
        return spare or self._fork_spare()

    def _heard_of(self, spare: Waiting) -> None:
        """It has made what it needs, or failed to, or died over it."""
        self._poll.unregister(spare.channel)
        del self._made[spare.channel.fileno()]
        try:
            said = spare.channel.recv(4096).decode()
        except OSError:
            said = ""
        spare.ready, spare.problem = True, "" if said == READY else said or "the spare died"
        if spare.call:
            self._hand_over(spare, spare.call)

    def _hand_over(self, spare: Waiting, call: Call) -> None:
        with spare.channel:
            if spare.problem:
                self._refuse(call.descriptors, spare.problem)
                return
            try:
                if self._own_uid:
                    map_ids(str(spare.pid), call.identity)
                socket.send_fds(spare.channel, [b"call"], call.descriptors)
            except OSError as error:
                self._refuse(call.descriptors, f"{type(error).__name__}: {error}")
                return
        for descriptor in call.descriptors:
            os.close(descriptor)

    def _refuse(self, descriptors: Sequence[int], problem: str) -> None:
        """A full disk, a machine without namespaces: the worker hears of it, and the next call is tried anew."""
        with socket.socket(fileno=descriptors[0]) as caller, contextlib.suppress(OSError):
            send_report(caller, CallReport(problem=problem))
        for descriptor in descriptors[1:]:
            os.close(descriptor)

    def _fork_spare(self) -> Waiting:
        self._counter += 1
        group = group_parents.group_name(self._counter) if self._parents else ""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        pid = os.fork()
        if pid == 0:
            ours.close()
            self._let_go()
            self._become_spare(group, theirs)
        theirs.close()
        self._groups[pid] = group
        spare = Waiting(pid=pid, channel=ours)
        self._made[ours.fileno()] = spare
        self._poll.register(ours, select.POLLIN)
        return spare

    def _let_go(self) -> None:
        """In the child: a caller waits for the end of its socket, so nobody else may hold it open."""
        self._worker.close()
        for other in self._made.values():
            other.channel.close()
            for descriptor in other.call.descriptors if other.call else ():
                os.close(descriptor)

    def _become_spare(self, group: str, channel: socket.socket) -> NoReturn:
        try:
            Spare(
                launcher=self._spec,
                launcher_pid=self._pid,
                channel=channel,
                parents=self._parents,
                group_name=group,
                own_uid=self._own_uid,
            ).run()
        finally:
            os._exit(0)

    def _bury(self) -> None:
        with contextlib.suppress(BlockingIOError):
            os.read(self._wakeup[0], 4096)
        with contextlib.suppress(ChildProcessError):
            while self._groups and (pid := os.waitpid(-1, os.WNOHANG)[0]):
                self._clear(self._groups.pop(pid, ""))
                if self._spare and self._spare.pid == pid and self._spare.idle:
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


def _group_parents(spec: LauncherSpec) -> tuple[group_parents.GroupParents | None, str]:
    if not spec.use_groups:
        return None, "switched off by configuration"
    try:
        parents = group_parents.find_parents()
    except group_parents.NoControlGroups as error:
        return None, str(error)
    parents.sweep()
    return parents, ""


def main() -> None:
    os.setsid()
    os.umask(0o022)  # the worker's may be any, and what is made here would not even be ours to open
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
