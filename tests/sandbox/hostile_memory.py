"""Programs that want all the memory there is, in every place where some can be had."""

from schemas.sandbox import SandboxResult
from tests.sandbox.cases import Case

_MIB = 1024 * 1024
_MEMORY = {"memory_mb": 64}
_STOPPED = ("memory", "error", "signal", "ok")


def memory_was_held(result: SandboxResult) -> bool:
    slack = 1.5 if result.isolation.degraded else 1.05  # between two looks of the watchdog
    return (result.usage.memory_peak_bytes or 0) <= 64 * _MIB * slack + _MIB


def _sockets_were_held(result: SandboxResult) -> bool:
    """What waited in sockets, as the program counted it, if it came to that."""
    return not result.stdout or int(result.stdout) <= 80 * _MIB


_FILL_SOCKETS = """
import socket
def tcp():
    s = socket.create_server(('127.0.0.1', 0)); c = socket.create_connection(s.getsockname()); return c, s.accept()[0]
sent, kept = 0, []
for _ in range(300):
    try: c, a = {made}
    except OSError: break
    c.settimeout(0.01); kept += [c, a]
    try:
        for _ in range(200): sent += c.send(b'x' * 32768)
    except OSError: pass
print(sent)
"""


_FILL_PAIRS = """
import os, socket, time
class End:
    def __init__(self, number): self.number = number; os.set_blocking(number, False)
    def setblocking(self, _): pass
    def send(self, data): return os.write(self.number, data)
def pipe():
    r, w = os.pipe()
    return End(w), End(r)
kept = []
try:
    while True:
        a, b = {made}
        kept += [{kept}]
        a.setblocking(False)
        try:
            while True: a.send(b'x' * 65536)
        except BlockingIOError: pass
        {after}
except OSError: pass
time.sleep(0.3)
"""


MEMORY = (
    Case(
        name="memory_one_process",
        program="x = []\nwhile True: x.append(b'x' * (1 << 20))",
        ends=("memory", "error"),
        limits=_MEMORY,
        check=memory_was_held,
    ),
    Case(
        name="memory_many_processes",
        program="import os\nfor _ in range(8): os.fork()\nx = []\nwhile True: x.append(b'x' * (1 << 18))",
        ends=("memory", "error", "signal"),
        limits=_MEMORY,
        check=memory_was_held,
    ),
    Case(
        name="memory_in_children_only",
        program=(
            "import os\nfor _ in range(40):\n"
            "  if os.fork() == 0:\n    x = b'x' * (8 << 20)\n    import time; time.sleep(30)\n"
            "import time; time.sleep(3)\n"
        ),
        ends=("memory", "error", "signal"),
        limits=_MEMORY,
        check=memory_was_held,
    ),
    Case(
        name="memory_memfd",
        program=(
            "import os\nfd = os.memfd_create('m')\nfor _ in range(4000): os.write(fd, b'x' * (1 << 20))\nprint('ESC'+'APED')"
        ),
        ends=("memory", "error"),
        limits={**_MEMORY, "file_mb": 4000},
        check=memory_was_held,
    ),
    Case(
        name="memory_shared_anonymous",
        program="import mmap\nm = mmap.mmap(-1, 1 << 30)\nfor i in range(0, 1 << 30, 4096): m[i] = 1\nprint('ESC'+'APED')",
        ends=("memory", "error"),
        limits=_MEMORY,
        check=memory_was_held,
    ),
    Case(
        name="memory_dev_shm",
        language="sh",
        program="for i in 1 2 3 4 5 6 7 8; do dd if=/dev/zero of=/dev/shm/f$i bs=1M count=60 2>/dev/null; done; exit 0",
        ends=_STOPPED,
        limits=_MEMORY,
        check=memory_was_held,
    ),
    Case(
        name="memory_tmp",
        language="sh",
        program="for i in 1 2 3 4 5 6 7 8; do dd if=/dev/zero of=/tmp/f$i bs=1M count=60 2>/dev/null; done; exit 0",
        ends=_STOPPED,
        limits=_MEMORY,
        check=memory_was_held,
    ),
    Case(
        name="memory_sysv",
        program=(
            "import ctypes\nc = ctypes.CDLL(None)\nc.shmat.restype = ctypes.c_void_p\n"
            "for _ in range(64):\n  i = c.shmget(0, 32 << 20, 0o1600)\n  if i < 0: raise OSError('refused')\n"
            "  p = c.shmat(i, None, 0); ctypes.memset(p, 1, 32 << 20); c.shmdt(ctypes.c_void_p(p))\nprint('ESC'+'APED')\n"
        ),
        ends=("memory", "error", "signal"),
        limits=_MEMORY,
        check=memory_was_held,
    ),
    Case(
        name="memory_in_tcp_sockets",
        program=_FILL_SOCKETS.format(made="tcp()"),
        ends=("ok", "memory", "error", "timeout"),
        limits=_MEMORY | {"open_files": 1024},
        check=_sockets_were_held,
    ),
    Case(
        name="memory_in_unix_sockets",
        program=_FILL_SOCKETS.format(made="socket.socketpair()"),
        ends=("ok", "memory", "error"),
        limits=_MEMORY | {"open_files": 1024},
        check=_sockets_were_held,
    ),
    Case(
        name="memory_in_semaphores",
        program="import ctypes\nc = ctypes.CDLL(None)\nfor _ in range(400):\n  if c.semget(0, 32000, 0o1600) < 0: raise OSError('refused')\nprint('ESC'+'APED')",
        ends=("memory", "error"),
        limits=_MEMORY,
    ),
    Case(
        name="memory_in_message_queues",
        program=(
            "import ctypes\nc = ctypes.CDLL(None)\nb = b'\\1' + b'\\0' * 7 + b'x' * 8000\nsent = 0\n"
            "for _ in range(20000):\n  q = c.msgget(0, 0o1600)\n  if q < 0: raise OSError('refused')\n"
            "  while c.msgsnd(q, b, 8000, 0o4000) == 0: sent += 8000\n"
            "if sent > 128 << 20: print('ESC'+'APED')\n"
        ),
        ends=("memory", "error"),
        limits=_MEMORY,
    ),
    Case(
        name="memory_in_page_tables",
        program=(
            "import mmap\nkept = []\n"
            "for _ in range(40):\n"
            "  m = mmap.mmap(-1, 1 << 33, flags=mmap.MAP_PRIVATE | mmap.MAP_NORESERVE if hasattr(mmap, 'MAP_NORESERVE')"
            " else mmap.MAP_PRIVATE | 0x4000)\n"
            "  kept.append(m)\n  for at in range(0, 1 << 33, 1 << 21): m[at] = 1\nprint('ESC'+'APED')\n"
        ),
        ends=("memory", "error"),
        limits=_MEMORY,
        check=memory_was_held,
    ),
    Case(
        name="memory_of_threads",
        program=(
            "import threading, ctypes\nthreading.stack_size(256 << 20)\n"
            "def fill(): ctypes.memset(ctypes.create_string_buffer(100 << 20), 1, 100 << 20)\n"
            "for _ in range(20): threading.Thread(target=fill).start()\nprint('ESC'+'APED')\n"
        ),
        ends=("memory", "error"),
        limits=_MEMORY,
        check=memory_was_held,
    ),
    Case(
        name="mapped_workspace_is_no_memory",
        program=(
            "import mmap\nf = open('big', 'w+b'); f.truncate(200 << 20); m = mmap.mmap(f.fileno(), 200 << 20)\n"
            "for at in range(0, 200 << 20, 4096): m[at] = 1\nprint('written')\n"
        ),
        says="written",
        limits=_MEMORY | {"file_mb": 300},
    ),
    Case(
        name="mapped_tmp_beyond_its_size",
        program=(
            "import mmap\nf = open('/tmp/big', 'w+b'); f.truncate(200 << 20); m = mmap.mmap(f.fileno(), 200 << 20)\n"
            "for at in range(0, 200 << 20, 4096): m[at] = 1\nprint('ESC'+'APED')\n"
        ),
        ends=("disk", "memory"),
        limits=_MEMORY | {"file_mb": 300},
    ),
    Case(
        name="full_tmp",
        language="sh",
        program="dd if=/dev/zero of=/tmp/x bs=1M count=200",
        ends=("disk", "memory"),
        limits=_MEMORY,
    ),
    Case(
        name="memory_in_shared_pages_that_dead_children_left",
        program=(
            "import mmap, os, signal, time\nsignal.signal(signal.SIGCHLD, signal.SIG_IGN)\nm = mmap.mmap(-1, 1 << 30)\n"
            "for at in range(0, 1 << 30, 4 << 20):\n  if os.fork() == 0:\n"
            "    for i in range(at, at + (4 << 20), 4096): m[i] = 1\n    os._exit(0)\n  time.sleep(0.003)\n"
            "print('ESC'+'APED')"
        ),
        ends=("memory",),
        limits=_MEMORY,
        check=memory_was_held,
    ),
    Case(
        name="memory_in_shared_pages_that_nobody_maps_now",
        program=(
            "import mmap\nm = mmap.mmap(-1, 1 << 30)\nfor i in range(0, 1 << 30, 4096):\n  m[i] = 1\n"
            "  if i % (1 << 20) == 0: m.madvise(mmap.MADV_DONTNEED)\nprint('ESC'+'APED')"
        ),
        ends=("memory",),
        limits=_MEMORY,
        check=memory_was_held,
    ),
    Case(
        name="memory_that_was_shared_until_written",
        program=(
            "import os, time\nx = bytearray(30 << 20)\nfor _ in range(40):\n  if os.fork() == 0:\n"
            "    for i in range(0, len(x), 4096): x[i] = 2\n    time.sleep(30)\ntime.sleep(5)\nprint('ESC'+'APED')"
        ),
        ends=("memory",),
        limits=_MEMORY,
        check=memory_was_held,
    ),
    Case(
        name="memory_of_processes_that_hide_theirs",
        program=(
            "import ctypes, os\nctypes.CDLL(None).prctl(4, 0, 0, 0, 0)\nfor _ in range(4): os.fork()\nx = []\n"
            "while True: x.append(b'x' * (1 << 18))"
        ),
        ends=("memory",),
        limits=_MEMORY,
        check=memory_was_held,
    ),
    Case(
        name="memory_asked_for_at_once",
        program="x = b'x' * (1 << 31)\nprint('ESC'+'APED')",
        ends=("memory",),
        limits=_MEMORY,
        check=memory_was_held,
    ),
    Case(
        name="memory_in_sockets_whose_sender_has_closed",
        program=_FILL_PAIRS.format(made="socket.socketpair()", kept="b", after="a.close()"),
        ends=("memory", "error"),
        limits=_MEMORY | {"open_files": 2000},
        check=memory_was_held,
    ),
    Case(
        name="memory_in_pipes",
        program=_FILL_PAIRS.format(made="pipe()", kept="a, b", after="pass"),
        ends=("memory", "error", "ok"),
        limits=_MEMORY | {"open_files": 4000},
        check=memory_was_held,
    ),
    Case(
        name="memory_taken_together_by_threads_of_many",
        program=(
            "import os, threading\nfor _ in range(4): os.fork()\n"
            "def fill():\n  x = []\n  while True: x.append(b'x' * (1 << 16))\n"
            "for _ in range(3): threading.Thread(target=fill).start()\n"
        ),
        ends=("memory", "error"),
        limits=_MEMORY,
        check=memory_was_held,
    ),
    Case(
        name="memory_taken_by_sixty_at_one_word",
        program=(
            "import ctypes, mmap, os, time\nr, w = os.pipe()\nfor _ in range(60):\n  if os.fork() == 0:\n"
            "    os.close(w); os.read(r, 1); m = mmap.mmap(-1, 16 << 20)\n"
            "    ctypes.memset((ctypes.c_char * len(m)).from_buffer(m), 1, len(m)); time.sleep(9)\n"
            "os.close(w); time.sleep(5); print('ESC'+'APED')"
        ),
        ends=("memory",),
        limits=_MEMORY,
        check=memory_was_held,
    ),
    Case(
        name="memory_in_mappings_of_one_page",
        program=(
            "import ctypes, os, signal\nlibc = ctypes.CDLL(None)\nlibc.mmap.restype = ctypes.c_void_p\n"
            "libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, *[ctypes.c_int] * 3, ctypes.c_long]\n"
            "for _ in range(5): os.fork()\nwhile True:\n  for kind in (0, 1):\n"
            "    if libc.mmap(None, 4096, kind, 0x22, -1, 0) == 2**64 - 1: signal.pause()"
        ),
        ends=("memory",),
        limits=_MEMORY | {"wall_s": 60},
        within_s=60,
    ),
    Case(
        name="a_large_shared_mapping_that_is_hardly_used_is_no_memory",
        program=(
            "import mmap, os\nm = mmap.mmap(-1, 1 << 29)\nfor i in range(3):\n  if os.fork() == 0: m[i << 20] = 1; os._exit(0)\n"
            "  os.wait()\nprint('fine')"
        ),
        says="fine",
        limits=_MEMORY,
    ),
)
