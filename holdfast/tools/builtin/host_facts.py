"""`sys.*`: facts about the host a tools worker runs on. They read, in process, a fixed set of places, within bounds."""

import asyncio
import heapq
import os
import platform
import socket
import stat
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import Field

from holdfast.errors import InvalidInput, NotFound
from holdfast.tools.declare import ToolContext, declared
from schemas.base import Payload, Request
from schemas.tools import EffectClass, ToolExample

_PSEUDO = frozenset(
    [
        "proc",
        "sysfs",
        "devtmpfs",
        "devpts",
        "tmpfs",
        "cgroup",
        "cgroup2",
        "securityfs",
        "debugfs",
        "tracefs",
        "pstore",
        "bpf",
        "mqueue",
        "hugetlbfs",
        "configfs",
        "fusectl",
        "binfmt_misc",
        "autofs",
        "rpc_pipefs",
        "nsfs",
        "ramfs",
        "efivarfs",
        "squashfs",
    ]
)
_LOG_ROOTS = (Path("/var/log"),)
_STATES = {"0A": "listen", "01": "established", "06": "time_wait", "08": "close_wait"}


class Nothing(Request):
    """No arguments."""


class Filesystem(Payload):
    mount: str
    device: str
    type: str
    size_bytes: int
    used_bytes: int
    free_bytes: int
    used_percent: float
    inodes_used_percent: float


class Disks(Payload):
    filesystems: tuple[Filesystem, ...]
    fullest: Filesystem | None

    def told(self) -> str:
        return ", ".join(
            f"{each.mount} {each.used_percent:g} % of {size_text(each.size_bytes)}"
            for each in self.filesystems[:5]
        )


@declared("sys.disk", effect=EffectClass.READ_ONLY, timeout_s=20)
async def disk(arguments: Nothing, context: ToolContext) -> Disks:  # noqa: ARG001 - the shape of a tool
    """Lists the mounted file systems with their size, use and inode use, and names the fullest."""
    found = await asyncio.to_thread(lambda: tuple(_filesystems()))
    return Disks(filesystems=found, fullest=max(found, key=lambda f: f.used_percent, default=None))


class UsageQuery(Request):
    path: str = Field(default="/", max_length=4096, description="An absolute folder to look into.")
    depth: int = Field(default=2, ge=1, le=6, description="How many levels of folders to tell apart.")
    limit: int = Field(default=15, ge=1, le=200, description="How many of the largest to name.")


class Sized(Payload):
    path: str
    bytes: int


class Usage(Payload):
    path: str
    total_bytes: int
    files: int
    folders: tuple[Sized, ...]
    largest_files: tuple[Sized, ...]
    complete: bool = Field(description="False where time ran out, or a folder could not be read.")

    def told(self) -> str:
        largest = ", ".join(f"{each.path} {size_text(each.bytes)}" for each in self.folders[:3])
        return f"{size_text(self.total_bytes)} in {self.files} files below {self.path}; largest: {largest}"


@declared(
    "sys.usage",
    effect=EffectClass.READ_ONLY,
    timeout_s=60,
    examples=(ToolExample(title="What fills /var", arguments={"path": "/var", "depth": 2}),),
)
async def usage(arguments: UsageQuery, context: ToolContext) -> Usage:  # noqa: ARG001
    """Finds what uses the space below a folder, on its own file system: the largest folders and files."""
    if not arguments.path.startswith("/"):
        raise InvalidInput(f"{arguments.path!r} is not an absolute path.")
    return await asyncio.to_thread(_Survey(arguments, seconds=20).taken)


class ProcessQuery(Request):
    limit: int = Field(default=15, ge=1, le=500)
    sort: Literal["memory", "cpu"] = Field(default="memory", description="What the largest users use.")


class Process(Payload):
    pid: int
    name: str
    user_id: int
    state: str
    memory_bytes: int
    cpu_s: float
    threads: int


class Processes(Payload):
    count: int
    processes: tuple[Process, ...]

    def told(self) -> str:
        first = ", ".join(f"{each.name} {size_text(each.memory_bytes)}" for each in self.processes[:3])
        return f"{self.count} processes; first: {first}"


@declared("sys.processes", effect=EffectClass.READ_ONLY, timeout_s=20)
async def processes(arguments: ProcessQuery, context: ToolContext) -> Processes:  # noqa: ARG001
    """Lists the processes that use most memory or processor time. Command lines are left out: they hold secrets."""
    found = await asyncio.to_thread(lambda: list(_processes()))
    key = (lambda p: p.memory_bytes) if arguments.sort == "memory" else (lambda p: p.cpu_s)
    return Processes(count=len(found), processes=tuple(heapq.nlargest(arguments.limit, found, key=key)))


class HostInfo(Payload):
    hostname: str
    kernel: str
    machine: str
    cpus: int
    uptime_s: float
    load_1m: float
    load_5m: float
    load_15m: float
    memory_total_bytes: int
    memory_available_bytes: int
    memory_used_percent: float
    swap_used_bytes: int

    def told(self) -> str:
        return (
            f"{self.hostname}: {self.cpus} processors, load {self.load_1m:.2f}, "
            f"memory {self.memory_used_percent:g} % of {size_text(self.memory_total_bytes)}"
        )


@declared("sys.info", effect=EffectClass.READ_ONLY, timeout_s=10)
async def info(arguments: Nothing, context: ToolContext) -> HostInfo:  # noqa: ARG001
    """Tells the host's name, kernel, processors, uptime, load, memory and swap."""
    memory = _meminfo()
    load = os.getloadavg()
    total, available = memory.get("MemTotal", 0), memory.get("MemAvailable", 0)
    return HostInfo(
        hostname=socket.gethostname(),
        kernel=platform.release(),
        machine=platform.machine(),
        cpus=os.cpu_count() or 1,
        uptime_s=float(Path("/proc/uptime").read_text().split()[0]),  # noqa: ASYNC240 - /proc does not block
        load_1m=load[0],
        load_5m=load[1],
        load_15m=load[2],
        memory_total_bytes=total,
        memory_available_bytes=available,
        memory_used_percent=round(100 * (1 - available / total), 1) if total else 0.0,
        swap_used_bytes=memory.get("SwapTotal", 0) - memory.get("SwapFree", 0),
    )


class Port(Payload):
    protocol: str
    address: str
    port: int
    state: str
    pid: int | None = Field(default=None, description="Who holds it, where this worker may see that.")
    process: str = ""


class Ports(Payload):
    ports: tuple[Port, ...]

    def told(self) -> str:
        named = ", ".join(f"{each.port} {each.process}".strip() for each in self.ports[:8])
        return f"{len(self.ports)} sockets: {named}"


class PortQuery(Request):
    port: int | None = Field(default=None, ge=1, le=65535, description="Only this local port.")
    listening: bool = Field(default=True, description="Only sockets that listen.")


@declared("sys.ports", effect=EffectClass.READ_ONLY, timeout_s=10)
async def ports(arguments: PortQuery, context: ToolContext) -> Ports:  # noqa: ARG001
    """Lists the TCP ports in use on the host, and who holds them where that can be seen."""
    found = [
        port
        for port in await asyncio.to_thread(lambda: list(_sockets()))
        if port.state == "listen" or not arguments.listening
    ]
    chosen = [port for port in found if arguments.port in (None, port.port)]
    return Ports(ports=tuple(sorted(chosen, key=lambda port: (port.port, port.address))[:1000]))


class LogQuery(Request):
    path: str = Field(
        default="", max_length=1024, description="A file below /var/log; the system's log without it."
    )
    lines: int = Field(default=100, ge=1, le=2000)
    contains: str = Field(default="", max_length=200, description="Only lines with this text.")


class LogLines(Payload):
    path: str
    size_bytes: int
    lines: tuple[str, ...]

    def told(self) -> str:
        return f"{len(self.lines)} lines of {self.path}"


@declared(
    "sys.logs",
    effect=EffectClass.READ_ONLY,
    timeout_s=20,
    payload="file",
    examples=(
        ToolExample(title="Recent errors", arguments={"path": "/var/log/syslog", "contains": "error"}),
    ),
)
async def logs(arguments: LogQuery, context: ToolContext) -> LogLines:  # noqa: ARG001
    """Reads the last lines of a log file below /var/log."""
    return await asyncio.to_thread(_tail, arguments)


HOST_FACTS = (disk, usage, processes, info, ports, logs)


def _filesystems() -> Iterator[Filesystem]:
    seen: set[int] = set()
    for line in Path("/proc/self/mounts").read_text(errors="replace").splitlines():
        device, mount, kind, *_ = line.split(" ")
        mount = mount.encode().decode("unicode_escape")
        if kind in _PSEUDO:
            continue
        try:
            figures, number = os.statvfs(mount), Path(mount).stat().st_dev
        except OSError:
            continue
        if number in seen or figures.f_blocks == 0:
            continue
        seen.add(number)
        yield _filesystem(device, mount, kind, figures)


def _filesystem(device: str, mount: str, kind: str, figures: os.statvfs_result) -> Filesystem:
    size, free = figures.f_blocks * figures.f_frsize, figures.f_bavail * figures.f_frsize
    used = (figures.f_blocks - figures.f_bfree) * figures.f_frsize
    inodes = 100 * (1 - figures.f_ffree / figures.f_files) if figures.f_files else 0.0
    return Filesystem(
        mount=mount,
        device=device,
        type=kind,
        size_bytes=size,
        used_bytes=used,
        free_bytes=free,
        used_percent=round(100 * used / (used + free), 1) if used + free else 0.0,
        inodes_used_percent=round(inodes, 1),
    )


@dataclass
class _Survey:
    """One walk, on one file system, within a time."""

    query: UsageQuery
    seconds: float
    complete: bool = True

    def taken(self) -> Usage:
        root = os.path.realpath(self.query.path)
        try:
            device = Path(root).stat().st_dev
        except OSError as error:
            raise NotFound(f"{root} cannot be read: {error.strerror}.") from error
        self._deadline = time.monotonic() + self.seconds
        folders: dict[str, int] = {}
        files: list[tuple[int, str]] = []
        total, count = 0, 0
        base = root.rstrip("/").count("/")
        for size, path in self._files(root, device):
            total, count = total + size, count + 1
            parts = os.path.dirname(path).split("/")  # noqa: PTH120 - a hundred thousand times
            for level in range(base + 1, min(len(parts), base + 1 + self.query.depth)):
                name = "/".join(parts[: level + 1])
                folders[name] = folders.get(name, 0) + size
            heapq.heappushpop(files, (size, path)) if len(files) >= self.query.limit else heapq.heappush(
                files, (size, path)
            )
        largest = heapq.nlargest(self.query.limit, folders.items(), key=lambda item: item[1])
        return Usage(
            path=root,
            total_bytes=total,
            files=count,
            folders=tuple(Sized(path=path, bytes=size) for path, size in largest),
            largest_files=tuple(Sized(path=path, bytes=size) for size, path in sorted(files, reverse=True)),
            complete=self.complete,
        )

    def _files(self, root: str, device: int) -> Iterator[tuple[int, str]]:
        folders = [root]
        while folders:
            if time.monotonic() > self._deadline:
                self.complete = False
                return
            try:
                entries = list(os.scandir(folders.pop()))
            except OSError:
                self.complete = False
                continue
            for entry in entries:
                try:
                    status = entry.stat(follow_symlinks=False)
                except OSError:
                    continue
                if stat.S_ISDIR(status.st_mode) and status.st_dev == device:
                    folders.append(entry.path)
                elif stat.S_ISREG(status.st_mode):
                    yield status.st_blocks * 512, entry.path


def _processes() -> Iterator[Process]:
    ticks, page = os.sysconf("SC_CLK_TCK"), os.sysconf("SC_PAGE_SIZE")
    for folder in Path("/proc").iterdir():
        if not folder.name.isdigit():
            continue
        try:
            text, owner = (folder / "stat").read_text(errors="replace"), folder.stat().st_uid
        except OSError:
            continue
        name, fields = text[text.index("(") + 1 : text.rindex(")")], text[text.rindex(")") + 2 :].split()
        yield Process(
            pid=int(folder.name),
            name=name,
            user_id=owner,
            state=fields[0],
            memory_bytes=int(fields[21]) * page,
            cpu_s=round((int(fields[11]) + int(fields[12])) / ticks, 2),
            threads=int(fields[17]),
        )


def _meminfo() -> dict[str, int]:
    lines = (line.split() for line in Path("/proc/meminfo").read_text().splitlines())
    return {words[0].rstrip(":"): int(words[1]) * 1024 for words in lines if len(words) > 1}


def _sockets() -> Iterator[Port]:
    holders = _socket_holders()
    for protocol in ("tcp", "tcp6"):
        table = Path("/proc/net") / protocol
        if not table.exists():
            continue
        for line in table.read_text().splitlines()[1:]:
            fields = line.split()
            address, port = fields[1].split(":")
            pid, name = holders.get(fields[9], (None, ""))
            yield Port(
                protocol=protocol,
                address=_address(address),
                port=int(port, 16),
                state=_STATES.get(fields[3], "other"),
                pid=pid,
                process=name,
            )


def _socket_holders() -> dict[str, tuple[int, str]]:
    """The process behind each socket's inode."""
    holders: dict[str, tuple[int, str]] = {}
    for folder in Path("/proc").iterdir():
        if not folder.name.isdigit():
            continue
        try:
            name = (folder / "comm").read_text(errors="replace").strip()
            links = [str(entry.readlink()) for entry in (folder / "fd").iterdir()]
        except OSError:
            continue
        for link in links:
            if link.startswith("socket:["):
                holders[link[8:-1]] = (int(folder.name), name)
    return holders


def _address(text: str) -> str:
    words = [bytes.fromhex(text[start : start + 8])[::-1] for start in range(0, len(text), 8)]
    return socket.inet_ntop(socket.AF_INET if len(words) == 1 else socket.AF_INET6, b"".join(words))


def size_text(size: float) -> str:
    """Bytes as people say them."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if size < 1024:
            return f"{size:.0f} {unit}"
        size /= 1024
    return f"{size:.1f} TiB"


def _system_log() -> str:
    usual = (Path("/var/log") / name for name in ("syslog", "messages", "dpkg.log"))
    return str(next((path for path in usual if path.is_file()), Path("/var/log/syslog")))


def _tail(query: LogQuery) -> LogLines:
    path = Path(os.path.realpath(query.path or _system_log()))
    if not any(path.is_relative_to(root) for root in _LOG_ROOTS):
        raise InvalidInput(f"{query.path} is not below {', '.join(map(str, _LOG_ROOTS))}.")
    if not path.is_file():
        raise NotFound(f"There is no log file {path}.")
    size = path.stat().st_size
    with path.open("rb") as file:
        file.seek(max(0, size - 4_000_000))
        text = file.read(4_000_000).decode(errors="replace").replace("\0", "�")
    lines = [line[:2000] for line in text.splitlines() if query.contains.lower() in line.lower()]
    return LogLines(path=str(path), size_bytes=size, lines=tuple(lines[-query.lines :]))
