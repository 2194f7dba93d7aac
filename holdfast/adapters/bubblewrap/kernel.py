"""The few system calls that Python 3.11 does not offer, through libc. Linux on x86_64 and aarch64 only."""

import ctypes
import fcntl
import os
import socket
import struct
from typing import Final

_libc = ctypes.CDLL(None, use_errno=True)

NEW_NAMESPACES: Final = 0x10000000 | 0x00020000 | 0x40000000  # user, mount, network
MOUNT_FLAGS: Final = 0x2 | 0x4  # nosuid, nodev
_NO_SUID, _NO_EXEC = 0x2, 0x8
_READ_ONLY, _REMOUNT, _BIND, _RECURSIVE, _PRIVATE = 0x1, 0x20, 0x1000, 0x4000, 0x40000
_NEW_MOUNTS: Final = 0x00020000
_PR_SET_PDEATHSIG, _PR_SET_DUMPABLE, _PR_SET_CHILD_SUBREAPER, _PR_SET_NO_NEW_PRIVS = 1, 4, 36, 38
_PR_SET_THP_DISABLE: Final = 41
_SYS_OPENAT2: Final = 437
_SYS_CLOSE_RANGE, _CLOSE_RANGE_CLOEXEC = 436, 4
_RESOLVE: Final = 0x01 | 0x02 | 0x04 | 0x08  # no other mounts, no magic links, no symlinks, beneath
_SIOCGIFFLAGS, _SIOCSIFFLAGS, _IFF_UP = 0x8913, 0x8914, 0x1
_PIDFD_GET_INFO: Final = (3 << 30) | (64 << 16) | (0xFF << 8) | 11
_PIDFD_INFO_EXIT: Final = 1 << 3
_SYS_SCHED_SETATTR: Final = ctypes.c_long({"x86_64": 314, "aarch64": 274}.get(os.uname().machine, -1))
_SCHED_OTHER, _SHORT_SLICE_NS = 0, 200_000
_SYS_LANDLOCK_CREATE, _SYS_LANDLOCK_RESTRICT = 444, 446
_LANDLOCK_SCOPES: Final = 0x1 | 0x2  # abstract Unix sockets, signals


def _checked(result: int, what: str) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")
    return result


def unshare(flags: int) -> None:
    _checked(_libc.unshare(ctypes.c_int(flags)), "unshare")


def mount_tmpfs(target: str, *, size: int, inodes: int, mode: int) -> None:
    options = f"size={size},nr_inodes={inodes},mode={mode:o}".encode()
    result = _libc.mount(b"tmpfs", target.encode(), b"tmpfs", ctypes.c_ulong(MOUNT_FLAGS), options)
    _checked(result, f"mount tmpfs on {target}")


def mount_terminals(target: str, *, most: int) -> None:
    """Pseudo-terminals of a call's own. Without a maximum it could take those of the whole host, of which there are few."""
    options = f"newinstance,ptmxmode=0666,mode=620,max={most}".encode()
    result = _libc.mount(b"devpts", target.encode(), b"devpts", ctypes.c_ulong(_NO_SUID | _NO_EXEC), options)
    _checked(result, f"mount devpts on {target}")


def bind_in_namespace_of_own(source: str, target: str) -> None:
    """Shows a directory in another place, to this process and to what it starts. For root alone."""
    unshare(_NEW_MOUNTS)
    _checked(_libc.mount(None, b"/", None, ctypes.c_ulong(_PRIVATE | _RECURSIVE), None), "make / private")
    flags = ctypes.c_ulong(_BIND | _RECURSIVE)
    _checked(_libc.mount(source.encode(), target.encode(), None, flags, None), f"bind {source}")


def bind_read_only(path: str) -> None:
    """Over itself. A tool of our own uid reaches bubblewrap's file through `/proc/1/exe`, past the mounts of its
    sandbox, and could change the mode of what every later call is started with."""
    target = path.encode()
    _checked(_libc.mount(target, target, None, ctypes.c_ulong(_BIND), None), f"bind {path}")
    flags = ctypes.c_ulong(_BIND | _REMOUNT | _READ_ONLY | MOUNT_FLAGS)
    _checked(_libc.mount(None, target, None, flags, None), f"remount {path}")


def die_with_parent(signal_number: int) -> None:
    """Bound to the parent's *thread*; the launcher has one only, so it means the launcher."""
    _checked(_libc.prctl(_PR_SET_PDEATHSIG, signal_number, 0, 0, 0), "prctl PDEATHSIG")


def be_dumpable() -> None:
    """After a change of uid /proc/self belongs to root, and the uid map could not be written."""
    _checked(_libc.prctl(_PR_SET_DUMPABLE, 1, 0, 0, 0), "prctl DUMPABLE")


def adopt_orphans() -> None:
    """Whoever loses its parent below us becomes our child, so that no zombie waits for a slow init."""
    _checked(_libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0), "prctl CHILD_SUBREAPER")


def refuse_new_privileges() -> None:
    _checked(_libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "prctl NO_NEW_PRIVS")


def take_memory_in_small_pages() -> None:
    """For this process and all that it starts: two megabytes a fault are more than a watchdog can count by."""
    _checked(_libc.prctl(_PR_SET_THP_DISABLE, 1, 0, 0, 0), "prctl THP_DISABLE")


def take_short_turns(pid: int, *, nice: int) -> None:
    """Ordinary priority in slices of a fraction of a millisecond, so that whoever shares a processor with this process
    waits no longer than that. Kernels before 6.12 take the priority alone."""
    attributes = struct.pack("=IIQiIQQQII", 56, _SCHED_OTHER, 0, nice, 0, _SHORT_SLICE_NS, 0, 0, 0, 0)
    result = _libc.syscall(_SYS_SCHED_SETATTR, ctypes.c_int(pid), attributes, ctypes.c_uint(0))
    _checked(result, "sched_setattr")


def receive(channel: socket.socket, most: int) -> tuple[bytes, list[int]]:
    """A message and its descriptors, which no program we start later may inherit."""
    space = socket.CMSG_LEN(most * struct.calcsize("i"))
    message, ancillary, *_ = channel.recvmsg(4096, space, socket.MSG_CMSG_CLOEXEC)  # recv_fds drops its flags
    descriptors: list[int] = []
    for level, kind, data in ancillary:
        if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
            count = len(data) // struct.calcsize("i")
            descriptors += struct.unpack(f"{count}i", data[: count * struct.calcsize("i")])
    return message, descriptors


def close_on_exec_from(lowest: int) -> None:
    """A second bolt before a program is started: whatever was left open without care is not inherited."""
    flags = ctypes.c_uint(_CLOSE_RANGE_CLOEXEC)
    call = ctypes.c_long(_SYS_CLOSE_RANGE)
    _checked(_libc.syscall(call, ctypes.c_uint(lowest), ctypes.c_uint(2**32 - 1), flags), "close_range")


def open_beneath(directory: int, path: bytes, flags: int, mode: int = 0) -> int:
    """Open below a directory: no symbolic link, no other mount, no way up, whoever races with us."""
    how = struct.pack("QQQ", flags | os.O_CLOEXEC, mode, _RESOLVE)
    result = _libc.syscall(
        ctypes.c_long(_SYS_OPENAT2), ctypes.c_int(directory), path, how, ctypes.c_size_t(len(how))
    )
    return _checked(result, "openat2")


def landlock_can_scope() -> bool:
    """Whether the kernel's Landlock knows scopes (since 6.12), and is switched on."""
    ruleset = _scoping_ruleset()
    if ruleset < 0:
        return False
    os.close(ruleset)
    return True


def scope_with_landlock() -> None:
    """Keep signals and abstract sockets inside the call. Nothing where the kernel has no such Landlock."""
    ruleset = _scoping_ruleset()
    if ruleset < 0:
        return
    try:
        restrict = ctypes.c_long(_SYS_LANDLOCK_RESTRICT)
        _checked(_libc.syscall(restrict, ctypes.c_int(ruleset), ctypes.c_uint(0)), "landlock_restrict_self")
    finally:
        os.close(ruleset)


def _scoping_ruleset() -> int:
    rules = struct.pack("QQQ", 0, 0, _LANDLOCK_SCOPES)
    size, flags = ctypes.c_size_t(len(rules)), ctypes.c_uint(0)
    return int(_libc.syscall(ctypes.c_long(_SYS_LANDLOCK_CREATE), rules, size, flags))


def raise_loopback() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as probe:
        request = struct.pack("16sH22x", b"lo", 0)
        flags = struct.unpack("16sH22x", fcntl.ioctl(probe, _SIOCGIFFLAGS, request))[1]
        fcntl.ioctl(probe, _SIOCSIFFLAGS, struct.pack("16sH22x", b"lo", flags | _IFF_UP))


def exit_status_of(pidfd: int) -> int | None:
    """The wait status of a process that somebody else has reaped. None before Linux 6.15."""
    info = bytearray(64)
    struct.pack_into("Q", info, 0, _PIDFD_INFO_EXIT)
    try:
        fcntl.ioctl(pidfd, _PIDFD_GET_INFO, info)
    except OSError:
        return None
    if not struct.unpack_from("Q", info, 0)[0] & _PIDFD_INFO_EXIT:
        return None
    return int(struct.unpack_from("i", info, 60)[0])


def sealed_memory(name: str, data: bytes) -> int:
    """A read-only file without a place; sealed, so that the tool that gets it cannot grow it."""
    descriptor = os.memfd_create(name, os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    with open(descriptor, "wb", closefd=False) as file:
        file.write(data)
    os.lseek(descriptor, 0, os.SEEK_SET)
    fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, fcntl.F_SEAL_GROW | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_WRITE)
    return descriptor
