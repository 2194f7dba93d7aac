"""Programs that have the kernel keep something for them that belongs to no process: locks, watches, rules, queues."""

from tests.sandbox.cases import Case
from tests.sandbox.hostile_memory import memory_was_held

_LIMITS = {"memory_mb": 64, "open_files": 1024}
_LIBC = "import ctypes, os, socket, struct\nlibc = ctypes.CDLL(None, use_errno=True)\n"
_LOCK = """
import fcntl
def lock_all(ranges, command, of=100):
    for number in range(of):
        file = os.open(f'/tmp/{number}', os.O_RDWR | os.O_CREAT)
        for at in range(ranges, 0, -1):
            fcntl.fcntl(file, command, struct.pack('hhqqi4x', at % 2, 0, at * 2, 1, 0))
"""

KERNEL = (
    Case(
        name="memory_in_locks_of_ranges",
        program=f"{_LIBC}{_LOCK}lock_all(1000, fcntl.F_SETLK)\nprint('ESC' + 'APED')",
        ends=("memory",),
        limits=_LIMITS,
    ),
    Case(
        name="memory_in_locks_of_nobody",
        program=(
            f"{_LIBC}{_LOCK}for command in (37, 38):\n  try: lock_all(1, command, of=1); print('ESC' + 'APED')\n"
            "  except OSError as error: print(error.errno)"
        ),
        says="22\n22",
        limits=_LIMITS,
    ),
    Case(
        name="memory_in_locks_of_the_dead",
        program=(
            f"{_LIBC}{_LOCK}child = libc.syscall(56, 0x400 | 17, 0, 0, 0, 0)\n"
            "if child < 0: print('held')\nelif child == 0: lock_all(1, fcntl.F_SETLK); os._exit(0)\n"
            "else: os.waitpid(child, 0); print('ESC' + 'APED')"
        ),
        says="held",
        limits=_LIMITS,
    ),
    Case(
        name="a_hundred_locks_are_no_harm",
        program=f"{_LIBC}{_LOCK}lock_all(10, fcntl.F_SETLK, of=10)\nprint('fine')",
        says="fine",
    ),
    Case(
        name="memory_in_watches_of_descriptors",
        program=(
            "import os, select, time\nr, w = os.pipe()\nfor _ in range(8):\n  if os.fork() == 0:\n"
            "    kept, watched = [], [os.eventfd(0) for _ in range(500)]\n    for _ in range(200):\n"
            "      kept.append(select.epoll())\n      for one in watched: kept[-1].register(one, 1)\n"
            "    os.write(w, b'x'); time.sleep(30)\n"
            "for _ in range(8): os.read(r, 1)\nprint('ESC' + 'APED')"
        ),
        ends=("memory", "timeout"),
        limits=_LIMITS,
        check=memory_was_held,
        within_s=20,
    ),
    Case(
        name="memory_in_pipes_that_are_on_their_way",
        program=(
            "import os, socket\nfilled, (a, b) = 0, socket.socketpair()\nkept = [a, b]\nwhile True:\n"
            "  r, w = os.pipe(); os.set_blocking(w, False)\n  try: filled += os.write(w, b'x' * 65536)\n"
            "  except BlockingIOError: pass\n  socket.send_fds(kept[-2], [b'y'], [r]); os.close(r); os.close(w)\n"
            "  if filled >> 20 > 96: print('ESC' + 'APED'); break\n"
            "  if filled % (200 << 16) == 0: kept += socket.socketpair()"
        ),
        ends=("memory", "error"),
        limits=_LIMITS | {"open_files": 4000},
        check=memory_was_held,
    ),
    Case(
        name="memory_in_tables_of_waiting_threads",
        program=(
            f"{_LIBC}for power in range(10, 23):\n  if libc.prctl(78, 1, 1 << power, 0, 0): print('held'); break\n"
            "else: print('ESC' + 'APED')"
        ),
        ends=("ok", "memory"),
        limits=_LIMITS,
        check=memory_was_held,
    ),
    Case(
        name="memory_in_rules_about_ports",
        program=(
            f"{_LIBC}rules = ctypes.create_string_buffer(struct.pack('QQQ', 0, 3, 0))\nfor _ in range(30):\n"
            "  ruleset = libc.syscall(444, rules, 16, 0)\n  if ruleset < 0: print('held'); break\n  for port in range(65536):\n"
            "    libc.syscall(445, ruleset, 2, struct.pack('QQ', 3, port), 0)\nelse: print('ESC' + 'APED')"
        ),
        ends=("ok", "memory"),
        limits=_LIMITS,
        check=memory_was_held,
    ),
    Case(
        name="memory_in_filters_of_sockets",
        program=(
            f"{_LIBC}import time\nsteps = ctypes.create_string_buffer(struct.pack('HBBI', 6, 0, 0, 0) * 900)\n"
            "program = struct.pack('H6xQ', 900, ctypes.addressof(steps))\nfor _ in range(12):\n  if os.fork() == 0:\n    kept = []\n"
            "    try:\n      while True:\n        kept.append(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)); kept[-1].setsockopt(1, 26, program)\n"
            "    except OSError as error: os.write(1, b'held' if error.errno == 1 else b'ESC' + b'APED'); time.sleep(30)\n"
            "time.sleep(3)"
        ),
        ends=("ok", "memory"),
        limits=_LIMITS,
        check=memory_was_held,
    ),
    Case(
        name="memory_in_filters_of_calls",
        program=(
            f"{_LIBC}import time\nlibc.prctl(38, 1, 0, 0, 0)\nsteps = ctypes.create_string_buffer(struct.pack('HBBI', 32, 0, 0, 0) * 3999 + struct.pack('HBBI', 6, 0, 0, 0x7fff0000))\n"
            "program = struct.pack('H6xQ', 4000, ctypes.addressof(steps))\nfor _ in range(50):\n  if os.fork() == 0:\n"
            "    while libc.prctl(22, 2, program, 0, 0) == 0: pass\n    time.sleep(30)\ntime.sleep(2)"
        ),
        ends=("ok", "memory"),
        limits=_LIMITS,
        check=memory_was_held,
    ),
    Case(
        name="memory_in_connections_that_nobody_accepts",
        program=(
            "import socket\nkept = []\nfor _ in range(8):\n  kept.append(socket.socket()); kept[-1].bind(('127.0.0.1', 0)); kept[-1].listen(4096)\n"
            "  for _ in range(4000): socket.create_connection(kept[-1].getsockname()).close()\nprint('ESC' + 'APED')"
        ),
        ends=("memory", "timeout"),
        limits=_LIMITS,
        check=memory_was_held,
        within_s=20,
    ),
)
