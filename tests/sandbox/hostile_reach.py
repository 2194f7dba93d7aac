"""Programs that look for a way out by trying everything at once: each path, each descriptor, each process, each device."""

from tests.sandbox.cases import Case, wants

_TERMINALS = """
import os, time
total = 0
for _ in range(50):
    r, w = os.pipe()
    if os.fork() == 0:
        kept = []
        try:
            while True: kept.append(os.open('/dev/ptmx', os.O_RDWR | os.O_NOCTTY))
        except OSError: os.write(w, str(len(kept)).encode())
        time.sleep(30)
    total += int(os.read(r, 10)); os.close(r); os.close(w)
print(total)
"""

REACH = (
    Case(
        name="terminals_of_the_host",  # of which there are four thousand for everybody
        program=_TERMINALS,
        check=lambda result: 0 < int(result.stdout) <= 64,
    ),
    wants("os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(1))", name="the_priority_of_its_watchdog"),
    Case(
        name="no_directory_but_three_is_writable",
        program=(
            "import os\nfor top, dirs, _ in os.walk('/', onerror=lambda e: None):\n"
            "  if top.startswith(('/proc', '/workspace', '/tmp', '/dev/shm')): dirs[:] = []; continue\n"
            "  try:\n    open(top + '/planted', 'w').close(); print('ESC'+'APED', top)\n  except OSError: pass\nprint('looked')"
        ),
        says="looked",
    ),
    Case(
        name="no_switch_of_the_kernel_can_be_written",
        program=(
            "import os\nfor top, dirs, files in os.walk('/proc'):\n"
            "  if top == '/proc': dirs[:] = [d for d in dirs if not d.isdigit() and d not in ('self', 'thread-self')]\n"
            "  for f in files:\n    try:\n      os.close(os.open(top + '/' + f, os.O_WRONLY | os.O_NONBLOCK)); print('ESC'+'APED', top, f)\n"
            "    except OSError: pass\nprint('looked')"
        ),
        says="looked",
    ),
    Case(
        name="only_harmless_devices_are_there",
        program=(
            "import os, stat\nfor top, dirs, files in os.walk('/dev'):\n  for f in files:\n    p = top + '/' + f\n"
            "    s = os.stat(p) if os.path.exists(p) else None\n"
            "    if s and (stat.S_ISBLK(s.st_mode) or stat.S_ISCHR(s.st_mode) and (os.major(s.st_rdev), os.minor(s.st_rdev)) not in"
            " {(1, 3), (1, 5), (1, 7), (1, 8), (1, 9), (5, 0), (5, 2)} and os.major(s.st_rdev) != 136): print('ESC'+'APED', p)\n"
            "print('looked')"
        ),
        says="looked",
    ),
    Case(
        name="no_descriptor_but_three_is_open",
        program=(
            "import os\nfor n in range(3, 1024):\n  try: os.fstat(n)\n  except OSError: continue\n"
            "  link = os.readlink(f'/proc/self/fd/{n}')\n  if link != '/run/tool/program': print('ESC'+'APED', n, link)\nprint('looked')"
        ),
        says="looked",
    ),
    Case(
        name="every_process_leads_to_the_same_root",
        program=(
            "import os\nown = os.stat('/')\nfor p in filter(str.isdigit, os.listdir('/proc')):\n"
            "  for way in ('root', 'cwd', 'fd/0', 'fd/1', 'fd/2', 'map_files', 'task/' + p + '/root'):\n"
            "    for up in ('', '/..', '/../../../..'):\n      try:\n"
            "        if '{token}' in open(f'/proc/{p}/{way}{up}{host_file}').read(): print('ESC'+'APED')\n"
            "      except OSError: pass\n"
            "  try:\n    if os.stat(f'/proc/{p}/root').st_ino != own.st_ino: print('ESC'+'APED', p)\n  except OSError: pass\nprint('looked')"
        ),
        says="looked",
    ),
    Case(
        name="the_first_process_tells_nothing",
        program=(
            "import os\nfor f in ('environ', 'cmdline', 'maps', 'mem', 'fd', 'cwd', 'root', 'exe', 'ns/net', 'status', 'stack', 'mountinfo'):\n"
            "  try: print('ESC'+'APED', f, os.listdir('/proc/1/' + f) if f == 'fd' else open('/proc/1/' + f, 'rb').read(9))\n"
            "  except OSError: pass\nprint('looked')"
        ),
        says="looked",
    ),
    Case(
        name="nothing_of_the_host_is_mounted",
        program=(
            "import os\nfor p in ('/root', '/home', '/var', '/boot', '/srv', '/opt', '/mnt', '/media', '/sys', '/work', '/etc/shadow',"
            " '/etc/ssh', '/etc/machine-id', '/run/systemd', '/run/docker.sock', '/var/run/docker.sock', '/proc/kcore', '{host_file}'):\n"
            "  try:\n    d = os.listdir(p) if os.path.isdir(p) else open(p, 'rb').read(1)\n    if d: print('ESC'+'APED', p, d)\n"
            "  except OSError: pass\nprint('looked')"
        ),
        says="looked",
    ),
    Case(
        name="a_setuid_program_gains_nothing",
        language="sh",
        program=(
            "cp /usr/bin/id own; chmod 6755 own; ./own -u; find / -xdev -perm /6000 -type f 2>/dev/null | while read f; do"
            " echo x | timeout 2 $f --version >/dev/null 2>&1; done; su -c id root </dev/null 2>&1 | grep -q uid=0 && echo ESC''APED;"
            " grep -E '^(Cap|NoNewPrivs)' /proc/self/status"
        ),
        check=lambda r: (
            r.stdout.startswith("1000\n")
            and "NoNewPrivs:\t1" in r.stdout
            and "CapBnd:\t0000000000000000" in r.stdout
        ),
    ),
    Case(
        name="calls_of_32_bits",
        program=(
            "import ctypes, mmap, os, platform\nif platform.machine() != 'x86_64': os.kill(os.getpid(), 31)\n"
            "m = mmap.mmap(-1, 4096, prot=7, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)\n"
            "m.write(bytes.fromhex('b814000000cd80c3'))\n"
            "print('ESC'+'APED', ctypes.CFUNCTYPE(ctypes.c_long)(ctypes.addressof(ctypes.c_char.from_buffer(m)))())"
        ),
        ends=("signal",),
    ),
    Case(
        name="calls_of_the_x32_kind",
        program=(
            "import ctypes, os, platform\nif platform.machine() != 'x86_64': os.kill(os.getpid(), 31)\n"
            "print('ESC'+'APED', ctypes.CDLL(None).syscall(0x40000000 + 39))"
        ),
        ends=("signal",),
    ),
    wants(
        "for d, n in ((1, 1), (1, 2), (1, 4), (1, 11), (8, 0), (253, 0)): os.mknod(f'dev{d}{n}', 0o20666 if d == 1 else 0o60666, os.makedev(d, n))",
        name="device_nodes",
    ),
    wants(
        "fd = os.open('/', os.O_RDONLY)\nos.fchdir(fd)\nfor _ in range(50): os.chdir('..')\nopen('.' + '{host_file}').read()",
        name="dot_dot_above_the_root",
    ),
    wants("os.chroot('/workspace')", name="chroot_for_a_way_up"),
    wants(
        "for f in (0x20000, 0x8000000, 0x40000000, 0x10000000, 0x4000000, 0x2000000, 0x80, 0x20000000):\n    if libc.unshare(f) == 0: break\nelse: raise OSError('none')",
        name="each_namespace_by_itself",
    ),
    wants(
        "for p in ('self', 'thread-self', str(os.getppid())):\n    for n in os.listdir(f'/proc/{p}/ns'):\n        if libc.setns(os.open(f'/proc/{p}/ns/{n}', os.O_RDONLY), 0) == 0: raise SystemExit('ESC'+'APED')\nraise OSError('none')",
        name="each_namespace_joined",
    ),
    wants("open('/proc/self/oom_score_adj', 'w').write('-1000')", name="never_the_first_to_be_killed"),
    wants("open('/proc/self/autogroup', 'w').write('-20')", name="a_larger_share_of_the_processor"),
    wants(
        "if libc.syscall(251, 1, 0, (1 << 13) | 0) < 0: raise OSError('refused')",
        name="real_time_disk_priority",
    ),
    wants(
        "libc.mlockall(3) == 0 or (_ for _ in ()).throw(OSError('refused'))\nx = bytearray(8 << 20)",
        name="locked_memory",
    ),
    wants("import resource\nresource.setrlimit(resource.RLIMIT_NPROC, (-1, -1))", name="limits_raised"),
    wants("os.setresuid(0, 0, 0)", name="uid_zero"),
    wants("os.setgroups([0])", name="groups_of_root"),
    wants(
        "import signal\nfd = os.pidfd_open(1)\nsignal.pidfd_send_signal(fd, 9)\nimport time; time.sleep(0.2)\nos.kill(1, 0)\nraise OSError('it lives')",
        name="a_handle_on_the_first_process",
    ),
    wants(
        "for n in (1, 2, 3, 9, 11, 15, 19):\n    os.kill(1, n)\nimport time; time.sleep(0.2)\nraise OSError('it lives')",
        name="every_signal_to_the_first_process",
    ),
    wants(
        "found = [p for p in range(2, 40000) if p not in (os.getpid(),) and not libc.kill(p, 0)]\nif not found: raise OSError('alone')",
        name="every_process_number_signalled",
    ),
    wants(
        "if len([l for l in open('/proc/net/unix')]) < 2: raise OSError('none')",
        name="sockets_of_the_host_listed",
    ),
    wants(
        "if [l for l in open('/proc/net/route')][1:]: print('route')\nelse: raise OSError('none')",
        name="routes_of_the_host",
    ),
    wants("call(157, 35, 1, 0x400000, 0, 0)", name="own_memory_map_rewritten"),
    wants("call(317, 1, 8, ctypes.create_string_buffer(16))", name="a_filter_that_answers_for_the_kernel"),
    wants(
        "import mmap\nm = mmap.mmap(-1, 2 << 20, flags=mmap.MAP_PRIVATE | 0x20 | 0x40000)",
        name="large_pages_of_the_host",
    ),
    wants(
        "os.symlink('/proc/self/fd', 'fds')\nos.open('fds/../1/fd/3', os.O_RDONLY)",
        name="magic_links_through_links",
    ),
    wants(
        "import socket as s\na, b = s.socketpair()\ns.send_fds(a, [b'x'], [os.open('/', os.O_RDONLY)])\n_, fds, *_ = s.recv_fds(b, 1, 1)\nos.open('../../..{host_file}', os.O_RDONLY, dir_fd=fds[0])",
        name="a_directory_passed_around",
    ),
    wants("import fcntl\nfor n in (0, 1, 2): fcntl.ioctl(n, 0x5412, b'x')", name="typing_for_the_operator"),
    wants(
        "import fcntl\nos.setsid() if os.getsid(0) != os.getpid() else None\nfcntl.ioctl(os.open('/dev/ptmx', os.O_RDWR), 0x540E, 1)\nos.open('/dev/tty', os.O_RDWR)\nfcntl.ioctl(os.open('/dev/tty', os.O_RDWR), 0x5412, b'x')",
        name="a_terminal_of_its_own_and_typing",
    ),
    wants("call(321, 5, ctypes.create_string_buffer(128), 128)", name="bpf_program_load"),
    wants("call(298, ctypes.create_string_buffer(128), 0, -1, -1, 0)", name="performance_counters"),
    wants("call(250, 0, -3, 1)\ncall(248, b'user', b'k', b'v', 1, -3)", name="the_session_keyring"),
    wants("call(323, 1)", name="faults_handled_by_the_tool"),
    wants("os.open('/dev/userfaultfd', os.O_RDWR)", name="faults_handled_by_a_device"),
    wants("call(425, 8, ctypes.create_string_buffer(128))", name="a_ring_of_calls"),
    wants("call(101, 16, os.getppid(), 0, 0)", name="attached_to_the_parent"),
    Case(
        name="crashes_that_the_host_would_handle",
        program=(
            "import os, resource\nfor limit in ((0, 0), (0, 1), (-1, -1)):\n"
            "  for set_limit in (lambda: resource.setrlimit(4, limit), lambda: resource.prlimit(0, 4, limit)):\n"
            "    try: set_limit()\n    except (OSError, ValueError): pass\n"
            "print(resource.getrlimit(4), resource.prlimit(0, 4), resource.getrlimit(7)[0], flush=True)\nos.abort()"
        ),
        ends=("signal",),
        says="(1, 1) (1, 1) 256",
    ),
)
