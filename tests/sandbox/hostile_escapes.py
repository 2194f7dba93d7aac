"""Programs that want out: other namespaces, the kernel's large interfaces, host files, other processes."""

from tests.sandbox.cases import Case, wants

ESCAPES = (
    wants("call(165, b'none', b'/tmp', b'tmpfs', 0, 0)", name="mount"),
    wants("call(166, b'/proc', 2)", name="umount"),
    wants("call(155, b'/', b'/')", name="pivot_root"),
    wants("os.chroot('/tmp')", name="chroot"),
    wants("call(428, -100, b'/', 0)", name="open_tree"),
    wants("call(430, b'tmpfs', 0)", name="fsopen"),
    wants("call(272, 0x10000000)", name="unshare_user"),
    wants("call(272, 0x00020000)", name="unshare_mount"),
    wants("call(56, 0x10000000 | 17, 0, 0, 0, 0) == 0 and os._exit(0)", name="clone_user"),
    wants("call(435, ctypes.create_string_buffer(88), 88)", name="clone3"),
    wants("fd = os.open('/proc/1/ns/mnt', os.O_RDONLY)\ncall(308, fd, 0)", name="setns"),
    wants("call(101, 16, 1, 0, 0)", name="ptrace_attach"),
    wants("b = ctypes.create_string_buffer(16)\ncall(310, 1, b, 1, b, 1, 0)", name="process_vm_readv"),
    wants("open('/proc/1/mem', 'r+b', 0)", name="proc_mem_write"),
    wants("open('/proc/self/oom_score_adj', 'w').write('-1000')", name="oom_score"),
    wants("open('/proc/sys/kernel/core_pattern', 'w').write('|/workspace/x')", name="core_pattern"),
    wants("open('/proc/sysrq-trigger', 'w').write('b')", name="sysrq"),
    wants("open('/proc/kcore', 'rb').read(16)", name="kcore"),
    wants("open('/dev/mem', 'rb')", name="dev_mem"),
    wants("open('/dev/kmsg', 'rb')", name="dev_kmsg"),
    wants(
        "os.mknod('/workspace/disk', 0o60666, os.makedev(254, 0)); open('/workspace/disk', 'rb').read(1)",
        name="mknod",
    ),
    wants("call(321, 0, ctypes.create_string_buffer(128), 128)", name="bpf"),
    wants("call(298, ctypes.create_string_buffer(120), 0, -1, -1, 0)", name="perf_event_open"),
    wants("call(250, 0, -3, 1)", name="keyctl"),
    wants("call(248, b'user', b'a', b'b', 1, -3)", name="add_key"),
    wants("call(425, 8, ctypes.create_string_buffer(120))", name="io_uring"),
    wants("call(323, 1)", name="userfaultfd"),
    wants("call(175, 0, 0, b'')", name="init_module"),
    wants("call(246, 0, 0, 0, 0)", name="kexec"),
    wants("call(169, 0xfee1dead, 672274793, 0, 0)", name="reboot"),
    Case(
        name="x32_getpid",
        program="import ctypes\nprint('ESC' + 'APED', ctypes.CDLL(None).syscall(ctypes.c_long(0x40000000 + 39)))",
        ends=("signal",),
    ),
    wants("call(500)", name="unknown_call"),
    wants("call(438, 1, 0, 0)", name="pidfd_getfd"),
    wants(
        "call(303, -100, b'/', ctypes.create_string_buffer(64), ctypes.create_string_buffer(8), 0)",
        name="name_to_handle",
    ),
    wants("socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0)", name="netlink"),
    wants("socket.socket(40, socket.SOCK_STREAM)", name="vsock"),
    wants("socket.socket(38, socket.SOCK_SEQPACKET)", name="af_alg"),
    wants("socket.socket(socket.AF_PACKET, socket.SOCK_RAW)", name="raw_packet"),
    wants("socket.socket(socket.AF_INET, socket.SOCK_RAW, 1)", name="raw_icmp"),
    wants(
        "import fcntl, pty\nm, s = pty.openpty()\nfcntl.ioctl(s, 0x5412, b'x')",
        name="tiocsti",
    ),
    wants(
        "import pty\nm, s = pty.openpty()\ncall(16, s, 0x5412 | (1 << 32), b'x')",
        name="tiocsti_high_bits",
    ),
    wants("os.setuid(0)", name="setuid"),
    wants("os.setgroups([0])", name="setgroups"),
    wants("os.open('/usr/bin/planted', os.O_CREAT | os.O_WRONLY)", name="write_usr"),
    wants("os.open('/planted', os.O_CREAT | os.O_WRONLY)", name="write_root"),
    wants("os.open('/etc/passwd', os.O_WRONLY)", name="write_etc"),
    wants("os.open('/run/tool/program', os.O_WRONLY)", name="write_own_program"),
    wants("os.rename('/dev/null', '/dev/zero')", name="replace_device"),
    wants("open('{host_file}').read()", name="host_file"),
    wants("open('/proc/1/root{host_file}').read()", name="host_file_through_proc_root"),
    wants("os.symlink('{host_file}', 'link')\nopen('link').read()", name="host_file_through_link"),
    wants("os.link('/usr/bin/passwd', 'hard')", name="hard_link_out"),
    wants("os.kill({worker_pid}, 0)", name="signal_worker"),
    Case(
        name="int80",
        program=(
            "import ctypes, mmap\n"
            "m = mmap.mmap(-1, 4096, prot=7)\n"
            "m.write(bytes.fromhex('b814000000cd80c3'))\n"  # mov eax, 20 (getpid on i386); int 0x80; ret
            "f = ctypes.CFUNCTYPE(ctypes.c_int)(ctypes.addressof(ctypes.c_char.from_buffer(m)))\n"
            "print('ESC' + 'APED', f())\n"
        ),
        ends=("signal", "error"),
    ),
    Case(
        name="nothing_in_proc_can_be_written_that_counts",
        program=(
            "import os\n"
            "def opens(path):\n"
            "  try: os.close(os.open(path, os.O_WRONLY)); return True\n  except OSError: return False\n"
            "tuned = [os.path.join(r, f) for r, _, fs in os.walk('/proc/sys') for f in fs]\n"
            "own = ['/proc/self/' + name for name in os.listdir('/proc/self')]\n"
            "print([path for path in tuned + own if opens(path)])\n"
        ),
        says="[]",
    ),
    Case(
        name="only_three_families_of_sockets",
        program=(
            "import socket\nmade = set()\n"
            "for family in range(64):\n  for kind in (1, 2, 3, 5):\n"
            "    try: socket.socket(family, kind).close(); made.add(family)\n    except OSError: pass\n"
            "print(sorted(made))\n"
        ),
        says="[1, 2, 10]",
    ),
    Case(
        name="sees_no_host_process",
        program="import os; print(sorted(int(p) for p in os.listdir('/proc') if p.isdigit()))",
        check=lambda r: len(r.stdout.split(",")) <= 3,
    ),
    Case(
        name="environment_is_empty",
        language="sh",
        program="env; cat /proc/*/environ | tr '\\0' '\\n'",
        check=lambda r: "{token}" not in r.stdout and "SECRET" not in r.stdout,
    ),
    Case(
        name="no_inherited_descriptors",
        language="sh",
        program="ls /proc/self/fd | sort -n | tr '\\n' ' '",
        check=lambda r: r.stdout.split()[:3] == ["0", "1", "2"] and len(r.stdout.split()) == 4,
    ),
    Case(
        name="no_capabilities",
        language="sh",
        program="grep Cap /proc/self/status",
        check=lambda r: r.stdout.count("0000000000000000") == 5,
    ),
    Case(
        name="setuid_programs_do_nothing",
        language="sh",
        program="su -c id root </dev/null; sudo -n id; passwd -S root; mount -t tmpfs x /tmp; exit 0",
        check=lambda r: "uid=0" not in r.stdout,
    ),
)
