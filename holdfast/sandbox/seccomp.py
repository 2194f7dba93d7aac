"""The system call filter, written as classic BPF by hand: no library and no compiler stand between us and it.

A strong deny list. Anything above the newest call known here does not exist for a tool (ENOSYS), so that a kernel
upgrade never opens a door; a foreign ABI (32-bit, x32) kills the process, since its numbers mean other calls.
"""

import errno
import functools
import os
import struct
from collections.abc import Iterable
from dataclasses import dataclass

_KILL = 0x80000000
_ALLOW = 0x7FFF0000
_ERRNO = 0x00050000

_LOAD, _JUMP_EQ, _JUMP_GE, _JUMP_GT, _JUMP_SET, _RETURN = 0x20, 0x15, 0x35, 0x25, 0x45, 0x06
_AND = 0x54
_NUMBER, _ARCH, _ARG0_LOW, _ARG1_LOW, _ARG2_LOW, _ARG3_LOW = 0, 4, 16, 24, 32, 40
_ARG2_HIGH = 36

_X32_BIT = 0x40000000
_NEWEST_KNOWN = 462
_NAMESPACE_FLAGS = 0x7E020080  # CLONE_NEW{USER,PID,NET,IPC,UTS,CGROUP,NS,TIME}
_CLONE_FILES, _CLONE_THREAD = 0x400, 0x10000
_SOCKET_FAMILIES = (1, 2, 10)  # AF_UNIX, AF_INET, AF_INET6
_TERMINAL_IOCTLS = (0x5412, 0x541C, 0x5423)  # TIOCSTI, TIOCLINUX, TIOCSETD
_MAP_POPULATE, _MAP_HUGETLB, _MFD_HUGETLB = (
    0x8000,
    0x40000,
    0x4,
)  # large pages are the host's, and no group counts them
_POPULATING_ADVICE = (22, 23, 25)  # MADV_POPULATE_READ, MADV_POPULATE_WRITE, MADV_COLLAPSE
_PR_SET_SECCOMP, _PR_SET_THP_DISABLE, _PR_FUTEX_HASH, _F_SETPIPE_SZ = 22, 41, 78, 1031
_OPEN_FILE_LOCKS = (37, 38)
"""F_OFD_SETLK and F_OFD_SETLKW: the kernel shows them in every namespace as nobody's, so no count could tell whose they are."""
_SOL_SOCKET, _ATTACHING = 1, (26, 51)  # SO_ATTACH_FILTER, SO_ATTACH_REUSEPORT_CBPF
_RLIMIT_CORE = 4
_PERSONALITIES = (0x0, 0x8, 0x20000, 0x20008, 0x40000, 0xFFFFFFFF)

# name: number on x86_64, number on aarch64
_Numbers = tuple[int | None, int | None]
_DENIED: dict[str, _Numbers] = {
    # mounts and roots
    "mount": (165, 40),
    "umount2": (166, 39),
    "pivot_root": (155, 41),
    "chroot": (161, 51),
    "move_mount": (429, 429),
    "open_tree": (428, 428),
    "fsopen": (430, 430),
    "fsconfig": (431, 431),
    "fsmount": (432, 432),
    "fspick": (433, 433),
    "mount_setattr": (442, 442),
    "statmount": (457, 457),
    "listmount": (458, 458),
    # namespaces
    "unshare": (272, 97),
    "setns": (308, 268),
    # other processes
    "ptrace": (101, 117),
    "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271),
    "process_madvise": (440, 440),
    "process_mrelease": (448, 448),
    "kcmp": (312, 272),
    "pidfd_getfd": (438, 438),
    # large kernel interfaces with a long history of holes
    "bpf": (321, 280),
    "perf_event_open": (298, 241),
    "keyctl": (250, 219),
    "add_key": (248, 217),
    "request_key": (249, 218),
    "io_uring_setup": (425, 425),
    "io_uring_enter": (426, 426),
    "io_uring_register": (427, 427),
    "userfaultfd": (323, 282),
    "fanotify_init": (300, 262),
    "fanotify_mark": (301, 263),
    "vmsplice": (278, 75),
    "remap_file_pages": (216, 234),
    "modify_ldt": (154, None),
    "memfd_secret": (447, 447),
    "io_setup": (206, 0),  # its contexts are counted for the whole host
    "name_to_handle_at": (303, 264),
    "open_by_handle_at": (304, 265),
    "lsm_get_self_attr": (459, 459),
    "lsm_set_self_attr": (460, 460),
    "lsm_list_modules": (461, 461),
    # the machine itself
    "init_module": (175, 105),
    "finit_module": (313, 273),
    "delete_module": (176, 106),
    "create_module": (174, None),
    "get_kernel_syms": (177, None),
    "query_module": (178, None),
    "kexec_load": (246, 104),
    "kexec_file_load": (320, 294),
    "reboot": (169, 142),
    "swapon": (167, 224),
    "swapoff": (168, 225),
    "acct": (163, 89),
    "quotactl": (179, 60),
    "quotactl_fd": (443, 443),
    "syslog": (103, 116),
    "settimeofday": (164, 170),
    "clock_settime": (227, 112),
    "clock_adjtime": (305, 266),
    "adjtimex": (159, 171),
    "sethostname": (170, 161),
    "setdomainname": (171, 162),
    "iopl": (172, None),
    "ioperm": (173, None),
    "vhangup": (153, 58),
    "nfsservctl": (180, 42),
    "lookup_dcookie": (212, 18),
    "uselib": (134, None),
    "ustat": (136, None),
    "sysfs": (139, None),
    "_sysctl": (156, None),
    # memory of other nodes and processes
    "migrate_pages": (256, 238),
    "move_pages": (279, 239),
    "mbind": (237, 235),
    "set_mempolicy": (238, 237),
    "set_mempolicy_home_node": (450, 450),
}
_UNCOUNTED_MEMORY: dict[str, _Numbers] = {
    "memfd_create": (319, 279),
    "shmget": (29, 194),
    "semget": (64, 190),
    "msgget": (68, 186),
    "sched_setaffinity": (203, 122),
    "sched_setscheduler": (144, 119),
    "sched_setattr": (314, 274),
    "seccomp": (317, 277),
    "landlock_create_ruleset": (444, 444),
}
_CLONE3: _Numbers = (435, 435)
_CLONE: _Numbers = (56, 220)
_IOCTL: _Numbers = (16, 29)
_SOCKET: _Numbers = (41, 198)
_SOCKETPAIR: _Numbers = (53, 199)
_PERSONALITY: _Numbers = (135, 92)
_MMAP: _Numbers = (9, 222)
_MEMFD_CREATE: _Numbers = (319, 279)
_MADVISE: _Numbers = (28, 233)
_PRCTL: _Numbers = (157, 167)
_FCNTL: _Numbers = (72, 25)
_SETSOCKOPT: _Numbers = (54, 208)
_SETRLIMIT: _Numbers = (160, 164)
_PRLIMIT: _Numbers = (302, 261)

_AUDIT_ARCH = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}


class UnknownMachine(Exception):
    """No system call table is known for this machine; supported are x86_64 and aarch64."""


@dataclass(frozen=True)
class _Step:
    """One BPF instruction; a jump skips `on_true` or `on_false` instructions."""

    code: int
    value: int
    on_true: int = 0
    on_false: int = 0

    def packed(self) -> bytes:
        return struct.pack("HBBI", self.code, self.on_true, self.on_false, self.value)


@functools.cache
def seccomp_filter(machine: str | None = None, *, count_all_memory: bool = False) -> bytes:
    """The filter as an array of `struct sock_filter`, ready for the kernel.

    `count_all_memory` also refuses calls whose memory belongs to no process, and what takes much of it in one go or on
    every processor at once: needed where no control group counts it, and a watchdog must be the faster one.
    """
    machine = machine or os.uname().machine
    if machine not in _AUDIT_ARCH:
        raise UnknownMachine(
            f"no system call table for {machine}; supported: {', '.join(sorted(_AUDIT_ARCH))}"
        )
    column = 0 if machine == "x86_64" else 1
    denied = dict(_DENIED, **(_UNCOUNTED_MEMORY if count_all_memory else {}))
    steps = [
        *_own_abi_only(machine),
        *_calls_answer(
            [number for pair in denied.values() if (number := pair[column]) is not None], errno.EPERM
        ),
        *_calls_answer([n for n in (_CLONE3[column],) if n is not None], errno.ENOSYS),
        *_when_called(_CLONE[column], _clone_of_one_kind()),
        *_when_called(_IOCTL[column], _refuse_values(_ARG1_LOW, _TERMINAL_IOCTLS)),
        *_when_called(_SOCKET[column], _allow_values(_ARG0_LOW, _SOCKET_FAMILIES, errno.EAFNOSUPPORT)),
        *_when_called(_SOCKETPAIR[column], _allow_values(_ARG0_LOW, _SOCKET_FAMILIES, errno.EAFNOSUPPORT)),
        *_when_called(_PERSONALITY[column], _allow_values(_ARG0_LOW, _PERSONALITIES, errno.EPERM)),
        *_when_called(_SETRLIMIT[column], _core_limit_stays(_ARG0_LOW, [])),
        *_when_called(_PRLIMIT[column], _core_limit_stays(_ARG1_LOW, _nothing_is_set())),
        *_when_called(_FCNTL[column], _locks_and_pipes_of_its_own(count_all_memory=count_all_memory)),
        *_when_called(_MEMFD_CREATE[column], _refuse_bits(_ARG1_LOW, _MFD_HUGETLB)),
        *_when_called(
            _MMAP[column], _refuse_bits(_ARG3_LOW, _MAP_HUGETLB | (_MAP_POPULATE if count_all_memory else 0))
        ),
        *(_hasty_memory(column) if count_all_memory else ()),
        _Step(_RETURN, _ALLOW),
    ]
    return b"".join(step.packed() for step in steps)


def _core_limit_stays(argument: int, unless: list[_Step]) -> list[_Step]:
    """At one, where the kernel starts no handler of crashes either. A program that sets it to zero is told that it has."""
    return [
        _Step(_LOAD, argument),
        _Step(_JUMP_EQ, _RLIMIT_CORE, on_true=1),
        _Step(_RETURN, _ALLOW),
        *unless,
        _Step(_RETURN, _ERRNO),
    ]


def _nothing_is_set() -> list[_Step]:
    """A null pointer for the new limit: the old one is only read."""
    return [
        _Step(_LOAD, _ARG2_LOW),
        _Step(_JUMP_EQ, 0, on_false=3),
        _Step(_LOAD, _ARG2_HIGH),
        _Step(_JUMP_EQ, 0, on_false=1),
        _Step(_RETURN, _ALLOW),
    ]


def _clone_of_one_kind() -> list[_Step]:
    """Processes and threads, but nothing between: the file locks of a process that shares its descriptors with its parent
    outlive it, and the kernel shows locks of no dead process to whoever counts them."""
    return [
        *_refuse_bits(_ARG0_LOW, _NAMESPACE_FLAGS)[:-1],
        _Step(_AND, _CLONE_FILES | _CLONE_THREAD),
        _Step(_JUMP_EQ, _CLONE_FILES, on_false=1),
        _Step(_RETURN, _ERRNO | errno.EPERM),
        _Step(_RETURN, _ALLOW),
    ]


def _locks_and_pipes_of_its_own(*, count_all_memory: bool) -> list[_Step]:
    """Locks of open files end as on a kernel that has none."""
    return [
        *_refuse_values(_ARG1_LOW, _OPEN_FILE_LOCKS, errno.EINVAL)[:-1],
        *_refuse_values(_ARG1_LOW, (_F_SETPIPE_SZ,) if count_all_memory else ()),
    ]


def _hasty_memory(column: int) -> list[_Step]:
    return [
        *_when_called(_MADVISE[column], _refuse_values(_ARG2_LOW, _POPULATING_ADVICE)),
        *_when_called(
            _PRCTL[column], _refuse_values(_ARG0_LOW, (_PR_SET_SECCOMP, _PR_SET_THP_DISABLE, _PR_FUTEX_HASH))
        ),
        *_when_called(
            _SETSOCKOPT[column],
            [
                _Step(_LOAD, _ARG1_LOW),
                _Step(_JUMP_EQ, _SOL_SOCKET, on_true=1),
                _Step(_RETURN, _ALLOW),
                *_refuse_values(_ARG2_LOW, _ATTACHING),
            ],
        ),
    ]


def _own_abi_only(machine: str) -> list[_Step]:
    steps = [
        _Step(_LOAD, _ARCH),
        _Step(_JUMP_EQ, _AUDIT_ARCH[machine], on_true=1),
        _Step(_RETURN, _KILL),
        _Step(_LOAD, _NUMBER),
    ]
    if machine == "x86_64":
        steps += [_Step(_JUMP_GE, _X32_BIT, on_false=1), _Step(_RETURN, _KILL)]
    return [*steps, _Step(_JUMP_GT, _NEWEST_KNOWN, on_false=1), _Step(_RETURN, _ERRNO | errno.ENOSYS)]


def _calls_answer(numbers: Iterable[int], error: int) -> list[_Step]:
    """Two steps a call, so that no jump is longer than the eight bits BPF has for it."""
    steps: list[_Step] = []
    for number in sorted(numbers):
        steps += [_Step(_JUMP_EQ, number, on_false=1), _Step(_RETURN, _ERRNO | error)]
    return steps


def _when_called(number: int | None, body: list[_Step]) -> list[_Step]:
    """`body` ends with a return on every path, so the accumulator need not be restored."""
    if number is None:
        return []
    return [_Step(_JUMP_EQ, number, on_false=len(body)), *body]


def _refuse_bits(argument: int, bits: int) -> list[_Step]:
    return [
        _Step(_LOAD, argument),
        _Step(_JUMP_SET, bits, on_false=1),
        _Step(_RETURN, _ERRNO | errno.EPERM),
        _Step(_RETURN, _ALLOW),
    ]


def _refuse_values(argument: int, values: tuple[int, ...], error: int = errno.EPERM) -> list[_Step]:
    """Only the low half is compared: the kernel reads an `unsigned int`, and garbage above it must not help."""
    steps = [_Step(_LOAD, argument)]
    for value in values:
        steps += [_Step(_JUMP_EQ, value, on_false=1), _Step(_RETURN, _ERRNO | error)]
    return [*steps, _Step(_RETURN, _ALLOW)]


def _allow_values(argument: int, values: tuple[int, ...], error: int) -> list[_Step]:
    steps = [_Step(_LOAD, argument)]
    for value in values:
        steps += [_Step(_JUMP_EQ, value, on_false=1), _Step(_RETURN, _ALLOW)]
    return [*steps, _Step(_RETURN, _ERRNO | error)]
