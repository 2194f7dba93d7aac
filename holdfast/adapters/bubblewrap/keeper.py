"""The supervisor of one call: fills what holds the tool, starts it, enforces every limit, brings the result home.

It runs in a process of its own with the run's uid, so that a worker that hangs or dies cannot leave a tool without
its limits: the keeper dies with the launcher, bubblewrap with the keeper, and everything inside with bubblewrap.
"""

import errno
import fcntl
import math
import os
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from holdfast.adapters.bubblewrap import kernel, workspace
from holdfast.adapters.bubblewrap.cgroups import CallGroup
from holdfast.adapters.bubblewrap.command import HOLD
from holdfast.adapters.bubblewrap.filling import copy_in
from holdfast.adapters.bubblewrap.meter import Disk, GroupMeter, Meter, TreeMeter
from holdfast.adapters.bubblewrap.spec import CallReport, CallSpec, LauncherSpec
from holdfast.adapters.bubblewrap.start import start_tool
from holdfast.adapters.bubblewrap.watch import Ending, Watch
from holdfast.adapters.bubblewrap.writing_back import copy_out
from holdfast.sandbox.profile import ALIAS_PORT, PROXY_PORT

_MIB = 1024 * 1024
_STOPPED_COPY_S = 0.1
_PRIVATE_INODES = 16
_TERMINALS = 32


class Refused(Exception):
    """The request itself cannot be met; nothing of the tool was started."""


@dataclass
class Keeper:
    """One call. The methods follow its life: hold, fill, start, watch, bring home."""

    launcher: LauncherSpec
    call: CallSpec
    control: socket.socket
    store: int
    group: CallGroup | None

    def run(self) -> CallReport:
        disk, private = self._make_file_systems()
        if self.call.proxied:
            self._hand_over_listeners()
        before = self._fill(disk.directory)
        meter = self._meter(disk, private)
        talk = self._hand_over_stream() if self.call.conversing else None
        process = start_tool(self.launcher, self.call, grouped=self.group is not None, talk=talk)
        watch = Watch(
            process=process,
            limits=self.call.limits,
            grouped=bool(self.group),
            meter=meter,
            worker=self.control,
        )
        ending = watch.until_nothing_lives()
        used = meter.usage() | {"disk_bytes": disk.peak, "inodes": disk.inodes}
        private.used()  # a tool that fills /tmp has filled a disk too
        if self.group:
            self.group.release_memory()
        files = dict(self._collected(disk.directory))
        after = self._write_back(disk.directory, before, ending)
        too_large = self._at_file_limit(after, private) if ending.failed else False
        return self._report(
            watch, ending, after, files, used, disk_full=disk.full or private.full or too_large
        )

    def _meter(self, disk: Disk, private: Disk) -> Meter:
        limits = self.call.limits
        memory, cpu = limits["memory_mb"], limits["cpu_s"]
        if self.group:
            return GroupMeter(group=self.group, disk=disk, memory_mb=memory, cpu_s=cpu)
        most = limits["open_files"]
        return TreeMeter(disk=disk, private=private, memory_mb=memory, cpu_s=cpu, open_files=most)

    def _make_file_systems(self) -> tuple[Disk, Disk]:
        limits = self.call.limits
        private_size = max(4, limits["memory_mb"] // 2) * _MIB
        kernel.mount_tmpfs(HOLD, size=private_size, inodes=max(_PRIVATE_INODES, limits["inodes"]), mode=0o700)
        for name, mode in (("shm", 0o1777), ("tmp", 0o1777), ("workspace", 0o755)):
            os.mkdir(f"{HOLD}/{name}")  # noqa: PTH102
            os.chmod(f"{HOLD}/{name}", mode)  # noqa: PTH101
        os.mkdir(f"{HOLD}/terminals")  # noqa: PTH102
        kernel.mount_terminals(f"{HOLD}/terminals", most=_TERMINALS)
        size = limits["disk_mb"] * _MIB
        kernel.mount_tmpfs(f"{HOLD}/workspace", size=size, inodes=limits["inodes"] + 1, mode=0o755)
        flags = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
        return Disk(os.open(f"{HOLD}/workspace", flags)), Disk(os.open(HOLD, flags))

    def _hand_over_listeners(self) -> None:
        """The proxy accepts in the worker, on sockets that belong to the tool's own network."""
        listeners = []
        for port in (PROXY_PORT, ALIAS_PORT):
            listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
            listener.bind(("127.0.0.1", port))
            listener.listen(64)
            listeners.append(listener)
        socket.send_fds(self.control, [b"listeners"], [listener.fileno() for listener in listeners])
        for listener in listeners:
            listener.close()

    def _hand_over_stream(self) -> int:
        """The worker speaks with the tool itself. Descriptors that a tool sends along are dropped by whoever reads
        without asking for them, as asyncio does."""
        theirs, tools = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        with theirs:
            socket.send_fds(self.control, [b"stream"], [theirs.fileno()])
        return tools.detach()

    def _fill(self, directory: int) -> workspace.Copied:
        fcntl.flock(self.store, fcntl.LOCK_EX)
        try:
            before = copy_in(self.store, directory)
            for name, text in self.call.files.items():
                workspace.place(directory, workspace.checked_name(name), text.encode())
        except (workspace.BadName, OSError) as error:
            raise Refused(
                f"the files could not be placed in the workspace: {_why_not_placed(error)}"
            ) from error
        finally:
            fcntl.flock(self.store, fcntl.LOCK_UN)
        return before

    def _write_back(self, directory: int, before: workspace.Copied, ending: Ending) -> workspace.Copied:
        if not self.call.keep_workspace:
            return workspace.Copied(largest=workspace.largest_file(directory) if ending.failed else 0)
        fcntl.flock(self.store, fcntl.LOCK_EX)  # two calls of a run write back one after the other
        seconds = _STOPPED_COPY_S if ending.stopped_by else math.inf
        return copy_out(directory, self.store, before, seconds=seconds)

    def _at_file_limit(self, after: workspace.Copied, private: Disk) -> bool:
        most: int = self.call.limits["file_mb"] * _MIB
        return after.largest >= most or workspace.largest_file(private.directory) >= most

    def _collected(self, directory: int) -> Iterator[tuple[str, dict[str, object]]]:
        room = self.call.collect_bytes
        for name in self.call.collect:
            found = workspace.collect(directory, name, room)
            room -= len(str(found.get("b64", ""))) * 3 // 4
            yield name, found

    def _report(
        self,
        watch: Watch,
        ending: Ending,
        after: workspace.Copied,
        files: dict[str, dict[str, object]],
        used: dict[str, Any],
        *,
        disk_full: bool,
    ) -> CallReport:
        out, err = watch.out.excerpt(), watch.err.excerpt()
        usage = used | {
            "wall_s": round(ending.wall_s, 4),
            "stdout_bytes": watch.out.total,
            "stderr_bytes": watch.err.total,
            "not_kept": after.left_out,
        }
        return CallReport(
            problem="" if ending.started else _why_not_started(ending, err.text),
            stopped_by=ending.stopped_by,
            exit_code=ending.exit_code,
            signal=ending.signal,
            oom_kills=watch.meter.oom_kills(),
            disk_full=disk_full,
            cpu_spent=used["cpu_s"] >= self.call.limits["cpu_s"],
            stdout=out.text,
            stderr=err.text,
            stdout_truncated=out.truncated,
            stderr_truncated=err.truncated,
            files=files,
            usage=usage,
        )


def _why_not_placed(error: Exception) -> str:
    if isinstance(error, OSError) and error.errno == errno.ENOSPC:
        return "with what the run has left there, they are more than limits.disk_mb or limits.inodes allow"
    if isinstance(error, OSError) and error.errno in (
        errno.ENOTDIR,
        errno.EISDIR,
        errno.ELOOP,
        errno.ENOTEMPTY,
    ):
        return (
            "a name stands for a file and for a directory, in the request or with what the run has left there"
        )
    return str(error)


def _why_not_started(ending: Ending, complaint: str) -> str:
    if ending.stopped_by == "cancelled":
        return ""
    said = complaint.strip()[:500] or "bubblewrap said nothing"
    return f"the sandbox could not be built: {said}"
