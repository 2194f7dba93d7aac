"""Programs that knock on every other door of the kernel: old calls, odd socket families, terminals, handles."""

from tests.sandbox.cases import Case, wants

_BUFFER = "ctypes.create_string_buffer(256)"

INTERFACES = (
    wants("call(442, -100, b'/', 0, ctypes.create_string_buffer(32), 32)", name="mount_setattr"),
    wants("call(429, -100, b'/usr', -100, b'/tmp', 0)", name="move_mount"),
    wants(f"call(304, -100, {_BUFFER}, 0)", name="open_by_handle_at"),
    wants("call(300, 0, 0)", name="fanotify_init"),
    wants("call(443, 0, 0, 0, 0)", name="quotactl_fd"),
    wants("call(163, b'/workspace/acct')", name="acct"),
    wants("call(167, b'/workspace/swap', 0)", name="swapon"),
    wants(f"call(103, 3, {_BUFFER}, 256)", name="syslog"),
    wants("import time\ntime.clock_settime(time.CLOCK_REALTIME, 1)", name="clock_settime"),
    wants(
        "call(159, ctypes.create_string_buffer(256)) and None\ncall(305, 0, ctypes.create_string_buffer(b'\\x02', 256))",
        name="adjtime",
    ),
    wants("socket.sethostname('owned')", name="sethostname"),
    wants("call(172, 3)", name="iopl"),
    wants(f"call(154, 1, {_BUFFER}, 16)", name="modify_ldt"),
    wants("call(135, 0x0400000)", name="read_implies_exec"),
    wants("call(447, 0)", name="memfd_secret"),
    wants(f"call(278, 1, {_BUFFER}, 1, 0)", name="vmsplice"),
    wants("call(440, 1, ctypes.create_string_buffer(16), 1, 4, 0)", name="process_madvise"),
    wants("call(312, 1, os.getpid(), 0, 0, 0)", name="kcmp"),
    wants(f"call(206, 64, {_BUFFER})", name="linux_aio"),
    wants("call(467, -100, b'/', 0, ctypes.create_string_buffer(32), 32)", name="call_newer_than_the_filter"),
    wants("call(56, 0x7E020000 | 17, 0, 0, 0, 0) == 0 and os._exit(0)", name="clone_every_namespace"),
    wants(
        "call(56, 0x10000000 | 17 | (1 << 40), 0, 0, 0, 0) == 0 and os._exit(0)", name="clone_with_high_bits"
    ),
    *(
        wants(
            f"socket.socket({family}, socket.SOCK_RAW if {family} in (15, 16) else socket.SOCK_DGRAM)",
            name=f"socket_family_{family}",
        )
        for family in (3, 15, 16, 17, 21, 29, 30, 31, 39, 41, 44)
    ),
    wants("import pty, fcntl\nm, s = pty.openpty()\nfcntl.ioctl(s, 0x541C, b'\\x02')", name="tioclinux"),
    wants(
        "import pty, fcntl, struct\nm, s = pty.openpty()\nfcntl.ioctl(s, 0x5423, struct.pack('i', 2))",
        name="line_discipline",
    ),
    wants("os.open('/dev/tty', os.O_RDWR)", name="no_terminal"),
    wants("os.chmod('/proc/1/exe', 0o777)", name="chmod_of_bubblewrap"),
    wants("os.utime('/proc/1/exe', (1, 1))", name="utime_of_bubblewrap"),
    wants("os.open('/proc/1/exe', os.O_WRONLY)", name="write_of_bubblewrap"),
    wants("os.setxattr('/proc/1/exe', 'user.x', b'x')", name="attribute_of_bubblewrap"),
    wants("os.truncate('/proc/self/fd/0', 1 << 30)", name="grow_own_input", stdin="x"),
    wants("open('/proc/self/uid_map', 'w').write('0 1000 1')", name="uid_map"),
    wants(
        "open('/proc/1/mem', 'rb', 0).seek(0x400000); os.pread(os.open('/proc/1/mem', os.O_RDWR), 8, 0x400000)",
        name="memory_of_the_first_process",
    ),
    wants("os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(50))", name="realtime_priority"),
    wants("os.setpriority(os.PRIO_PROCESS, 0, -10)", name="higher_priority"),
    wants(
        "import resource\nresource.setrlimit(resource.RLIMIT_NPROC, (10**6, 10**6))", name="raise_own_limits"
    ),
    wants(
        "import resource\nresource.prlimit(1, resource.RLIMIT_NOFILE, (10**6, 10**6))",
        name="raise_limits_of_another",
    ),
    wants("os.setxattr('/workspace', 'trusted.overlay.opaque', b'y')", name="trusted_attribute"),
    wants(
        "os.mknod('/workspace/null', 0o20666, os.makedev(1, 3)); open('/workspace/null', 'wb').write(b'x')",
        name="device_in_workspace",
    ),
    Case(
        name="stdin_cannot_be_rewritten",
        program="import os\ntry: os.pwrite(os.open('/proc/self/fd/0', os.O_RDWR), b'X', 0); print('ESC' + 'APED')\nexcept OSError: print('held')",
        stdin="given",
        says="held",
    ),
    Case(
        name="sees_nothing_of_the_host",
        language="sh",
        program="cat /proc/cmdline /proc/interrupts /proc/keys /proc/kcore; ls /sys /root /home /boot /var; true",
        check=lambda r: r.stdout == "",
    ),
)
