"""A forked process that waits for its call, with everything made that no call decides: group, namespaces, loopback.

Making them waits for locks and grace periods of the kernel, longer the busier the machine is; here they are waited
for while nobody does. What belongs to one call, its uid above all, comes with it.
"""

import contextlib
import gc
import os
import resource
import signal
import socket
from dataclasses import dataclass, replace
from pathlib import Path

from holdfast.adapters.bubblewrap import kernel
from holdfast.adapters.bubblewrap.cgroups import CallGroup
from holdfast.adapters.bubblewrap.group_parents import GroupParents
from holdfast.adapters.bubblewrap.identity import Identity
from holdfast.adapters.bubblewrap.keeper import Keeper, Refused
from holdfast.adapters.bubblewrap.meter import OWN_PROCESSES, WATCH_PRIORITY
from holdfast.adapters.bubblewrap.rehearsal import rehearse
from holdfast.adapters.bubblewrap.spec import CallReport, CallSpec, LauncherSpec
from holdfast.sandbox.profile import USER_ID

_OPEN_PLACE = Path("/run")
"""Every machine has it, and bubblewrap needs nothing of it."""

READY = "ready"
"""A spare's first and only word, unless it says what went wrong."""


def map_ids(process: str, identity: Identity) -> None:
    """One uid inside stands for one outside. Whoever writes this must hold both, or be the host's root."""
    for path, text in (
        ("setgroups", "deny"),
        ("uid_map", f"{USER_ID} {identity.uid} 1"),
        ("gid_map", f"{USER_ID} {identity.gid} 1"),
    ):
        with open(f"/proc/{process}/{path}", "w") as file:  # noqa: PTH123
            file.write(text)


def _within_reach(bwrap: str) -> str:
    """Where a call's uid can start it. A checkout below `/root` is closed to everybody else, so what holds bubblewrap
    and its libraries is shown in an open place, to this call alone."""
    path = Path(bwrap)
    closed = next((parent for parent in path.parents if not parent.stat().st_mode & 0o001), None)
    if closed is None or closed == path.parent:
        return bwrap
    shown = closed / path.relative_to(closed).parts[0]
    kernel.bind_in_namespace_of_own(str(shown), str(_OPEN_PLACE))
    return str(_OPEN_PLACE / path.relative_to(shown))


_MOST = {
    "user/max_inotify_instances": "4",
    "user/max_inotify_watches": "8192",
    "net/ipv4/tcp_max_tw_buckets": "4096",
}
"""What watches files is counted for whoever made the namespace too: as root for the host's root, who has 128. Connections
that have ended are remembered for a minute, and counted for nobody."""


def _limit_what_is_shared() -> None:
    for name, most in _MOST.items():
        with contextlib.suppress(FileNotFoundError), open(f"/proc/sys/{name}", "w") as file:  # noqa: PTH123
            file.write(most)


@dataclass
class Spare:
    """Lives in the child. `own_uid` says that the launcher is root and gives each call a uid of its own."""

    launcher: LauncherSpec
    launcher_pid: int
    channel: socket.socket
    parents: GroupParents | None
    group_name: str
    own_uid: bool

    def run(self) -> None:
        gc.disable()  # a short life: collecting would only copy the launcher's pages
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        kernel.die_with_parent(signal.SIGKILL)
        try:
            group = self._prepared()
        except OSError as error:
            self.channel.send(str(error).encode()[:4096])
            return
        self.channel.send(READY.encode())
        _, descriptors = kernel.receive(self.channel, 3)
        if len(descriptors) == 3:
            self.channel.close()
            caller, spec, store = descriptors
            worker = socket.socket(fileno=caller)
            send_report(worker, self._kept(group, worker, spec, store))

    def _prepared(self) -> CallGroup | None:
        group = None
        if self.parents:
            group = CallGroup.create(self.parents, self.group_name)
            group.join()
        if self.own_uid:
            self.launcher = replace(self.launcher, bwrap=_within_reach(self.launcher.bwrap))
            os.setgroups([])
        if group is None:
            with contextlib.suppress(
                ValueError
            ):  # its own watchdog holds the memory, and only root may come first
                resource.setrlimit(resource.RLIMIT_RTPRIO, (WATCH_PRIORITY, WATCH_PRIORITY))
        # Asked before: inside, until it is mapped, everybody is `nobody`.
        ours = Identity(os.geteuid(), os.getegid(), own=False)
        kernel.unshare(kernel.NEW_NAMESPACES)
        if not self.own_uid:
            map_ids("self", ours)
        _limit_what_is_shared()
        kernel.raise_loopback()
        kernel.bind_read_only(self.launcher.bwrap)
        if not self.launcher.one_call:
            rehearse(self.launcher)
        return group

    def _kept(self, group: CallGroup | None, worker: socket.socket, spec: int, store: int) -> CallReport:
        try:
            with open(spec, "rb") as file:
                file.seek(0)
                call = CallSpec.from_bytes(file.read())
            if group:
                group.limit_processes(call.limits["pids"] + OWN_PROCESSES)
            self._become_tool_user()
            return Keeper(launcher=self.launcher, call=call, control=worker, store=store, group=group).run()
        except Refused as error:
            return CallReport(refusal=str(error))
        except BaseException as error:  # noqa: BLE001 - the process edge: the worker must hear of it
            return CallReport(problem=f"{type(error).__name__}: {error}")

    def _become_tool_user(self) -> None:
        """The launcher has written who that is outside; from here nothing of root is left."""
        if self.own_uid:
            os.setresgid(USER_ID, USER_ID, USER_ID)
            os.setresuid(USER_ID, USER_ID, USER_ID)
        kernel.be_dumpable()
        kernel.die_with_parent(signal.SIGKILL)  # once more: a change of uid or namespace forgets it
        if os.getppid() != self.launcher_pid:
            raise ProcessLookupError("the launcher has gone")


def send_report(channel: socket.socket, report: CallReport) -> None:
    """Through memory, not through the socket: a message has a size limit, a result may be larger."""
    content = kernel.sealed_memory("report", report.to_bytes())
    socket.send_fds(channel, [b"report"], [content])
    os.close(content)
