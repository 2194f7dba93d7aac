"""Programs that want everything: memory, processes, disk, processor time, descriptors, output."""

from schemas.sandbox import SandboxResult
from tests.sandbox.cases import Case

_MIB = 1024 * 1024
_MEMORY = {"memory_mb": 64}
_STOPPED = ("memory", "error", "signal", "ok")


def _memory_was_held(result: SandboxResult) -> bool:
    slack = 2.0 if result.isolation.degraded else 1.05  # the watchdog may be kept waiting on a busy machine
    return (result.usage.memory_peak_bytes or 0) <= 64 * _MIB * slack + _MIB


def _sockets_were_held(result: SandboxResult) -> bool:
    """What waited in sockets, as the program counted it. Without a control group nobody counts it: documented."""
    if result.isolation.degraded or not result.stdout:
        return True
    return int(result.stdout) <= 80 * _MIB


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


EXHAUSTION = (
    Case(
        name="memory_one_process",
        program="x = []\nwhile True: x.append(b'x' * (1 << 20))",
        ends=("memory", "error"),
        limits=_MEMORY,
        check=_memory_was_held,
    ),
    Case(
        name="memory_many_processes",
        program="import os\nfor _ in range(8): os.fork()\nx = []\nwhile True: x.append(b'x' * (1 << 18))",
        ends=("memory", "error", "signal"),
        limits=_MEMORY,
        check=_memory_was_held,
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
        check=_memory_was_held,
    ),
    Case(
        name="memory_memfd",
        program=(
            "import os\nfd = os.memfd_create('m')\nfor _ in range(4000): os.write(fd, b'x' * (1 << 20))\nprint('ESC'+'APED')"
        ),
        ends=("memory", "error"),
        limits={**_MEMORY, "file_mb": 4000},
        check=_memory_was_held,
    ),
    Case(
        name="memory_shared_anonymous",
        program="import mmap\nm = mmap.mmap(-1, 1 << 30)\nfor i in range(0, 1 << 30, 4096): m[i] = 1\nprint('ESC'+'APED')",
        ends=("memory", "error"),
        limits=_MEMORY,
        check=_memory_was_held,
    ),
    Case(
        name="memory_dev_shm",
        language="sh",
        program="for i in 1 2 3 4 5 6 7 8; do dd if=/dev/zero of=/dev/shm/f$i bs=1M count=60 2>/dev/null; done; exit 0",
        ends=_STOPPED,
        limits=_MEMORY,
        check=_memory_was_held,
    ),
    Case(
        name="memory_tmp",
        language="sh",
        program="for i in 1 2 3 4 5 6 7 8; do dd if=/dev/zero of=/tmp/f$i bs=1M count=60 2>/dev/null; done; exit 0",
        ends=_STOPPED,
        limits=_MEMORY,
        check=_memory_was_held,
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
        check=_memory_was_held,
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
        name="fork_bomb",
        language="bash",
        program=":(){ :|:& };:; wait; sleep 1",
        ends=("ok", "error", "timeout", "memory", "cpu"),
        limits={"wall_s": 1.5, "pids": 32},
        check=lambda r: (r.usage.pids_peak or 0) <= 33,
        within_s=4,
    ),
    Case(
        name="fork_setsid_swarm",
        program=(
            "import os, signal, time\n"
            "while True:\n"
            "  try:\n"
            "    if os.fork() == 0:\n"
            "      os.setsid(); signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
            "      if os.fork(): os._exit(0)\n"
            "  except OSError: time.sleep(0.01)\n"
        ),
        ends=("timeout", "cpu", "memory"),
        limits={"wall_s": 1, "pids": 32},
        within_s=3,
    ),
    Case(
        name="stops_itself",
        language="sh",
        program="(sleep 300 & kill -STOP $!) ; kill -STOP $$",
        ends=("timeout",),
        limits={"wall_s": 0.3},
        within_s=2,
    ),
    Case(
        name="ignores_term",
        language="sh",
        program="trap '' TERM INT HUP; while :; do sleep 0.05; done",
        ends=("timeout",),
        limits={"wall_s": 0.3},
        within_s=2,
    ),
    Case(
        name="is_asked_to_end_before_it_is_killed",
        program=(
            "import os, signal, sys, time\n"
            "def end(*_): open('cleaned', 'w').write('up'); print('cleaned', flush=True); sys.exit(0)\n"
            "signal.signal(signal.SIGTERM, end)\ntime.sleep(30)\n"
        ),
        ends=("timeout",),
        limits={"wall_s": 0.5},
        says="cleaned",
        collect=("cleaned",),
        check=lambda r: r.files["cleaned"].b64 == "dXA=",
        within_s=2,
    ),
    Case(
        name="spawns_when_asked_to_end",
        language="bash",
        program="trap 'for i in {1..9}; do setsid sleep 300 & done; echo spawned' TERM; while :; do sleep 0.02; done",
        ends=("timeout",),
        limits={"wall_s": 0.5},
        within_s=2,
    ),
    Case(
        name="exits_zero_on_term",
        language="sh",
        program="trap 'exit 0' TERM; while :; do sleep 0.01; done",
        ends=("timeout",),
        limits={"wall_s": 0.3},
        within_s=2,
    ),
    Case(
        name="daemon_holds_stdout",
        language="sh",
        program="setsid sh -c 'sleep 300' & echo done",
        check=lambda r: r.stdout == "done\n",
        within_s=2,
    ),
    Case(
        name="double_fork_daemon",
        program="import os, time\nif os.fork() == 0:\n  os.setsid()\n  if os.fork() == 0: time.sleep(300)\n  os._exit(0)\nprint('done')",
        check=lambda r: r.stdout == "done\n",
        within_s=2,
    ),
    Case(
        name="cpu_two_processes",
        language="sh",
        program="while :; do :; done & while :; do :; done",
        ends=("cpu",),
        limits={"cpu_s": 0.5, "wall_s": 20},
        within_s=15,
    ),
    Case(
        name="disk_bytes",
        language="sh",
        program="i=0; while dd if=/dev/zero of=f$i bs=1M count=4 2>/dev/null; do i=$((i+1)); done; exit 1",
        ends=("disk",),
        limits={"disk_mb": 16},
        check=lambda r: (r.usage.disk_bytes or 0) <= 16 * _MIB,
    ),
    Case(
        name="disk_unlinked",
        program="fs = []\nfor i in range(100):\n  f = open('x', 'wb'); fs.append(f)\n  import os; os.unlink('x'); f.write(b'x' * (1 << 20)); f.flush()\n",
        ends=("disk", "error"),
        limits={"disk_mb": 16},
        check=lambda r: (r.usage.disk_bytes or 0) <= 16 * _MIB,
    ),
    Case(
        name="inodes",
        program="i = 0\nwhile True:\n  open(f'f{i}', 'w').close(); i += 1",
        ends=("disk",),
        limits={"inodes": 300},
    ),
    Case(
        name="inodes_in_tmp",
        program="import os\nfor i in range(5000): os.mkdir(f'/tmp/d{i}')\nprint('ESC'+'APED')",
        ends=("error", "disk"),
        limits={"inodes": 300},
    ),
    Case(
        name="file_size",
        language="sh",
        program="dd if=/dev/zero of=f bs=1M count=40",
        ends=("disk", "signal"),
        limits={"file_mb": 2},
    ),
    Case(
        name="sparse_files",
        program="for i in range(400):\n  with open(f'f{i}', 'wb') as f: f.truncate(60 << 20)\nprint('made')",
        says="made",
        within_s=8,
    ),
    Case(
        name="sparse_beyond_file_limit",
        program="open('f', 'wb').truncate(1 << 40)\nprint('ESC'+'APED')",
        ends=("error", "disk", "signal"),
    ),
    Case(
        name="many_files_do_not_delay_the_end",
        program="import time\nfor i in range(19000): open(f'f{i}', 'w').close()\nprint('made', flush=True)\ntime.sleep(60)",
        ends=("timeout",),
        says="made",
        limits={"wall_s": 3},
        within_s=4.5,
    ),
    Case(
        name="one_large_file_does_not_delay_the_end",
        program=(
            "import time\nf = open('big', 'wb')\nfor _ in range(700): f.write(b'x' * (1 << 20))\n"
            "f.flush(); print('made', flush=True)\ntime.sleep(60)"
        ),
        ends=("timeout",),
        says="made",
        limits={"wall_s": 4, "file_mb": 800},
        within_s=5.5,
    ),
    Case(
        name="deep_directories",
        program=("import os\nfor i in range(1500):\n  os.mkdir('d'); os.chdir('d')\nprint('made')"),
        says="made",
        within_s=8,
    ),
    Case(
        name="descriptors",
        program="import os\nfs = []\ntry:\n  while True: fs.append(os.open('/dev/null', 0))\nexcept OSError: print(len(fs))",
        limits={"open_files": 32},
        check=lambda r: int(r.stdout) < 32,
    ),
    Case(
        name="flood_stdout",
        language="sh",
        program="yes",
        ends=("output_limit",),
        limits={"output_kb": 64},
        check=lambda r: len(r.stdout) < 70_000 and r.stdout_truncated,
    ),
    Case(
        name="flood_both_streams",
        language="sh",
        program="yes >&2 & yes",
        ends=("output_limit",),
        limits={"output_kb": 64},
        check=lambda r: len(r.stdout) < 70_000 and len(r.stderr) < 70_000,
    ),
    Case(
        name="flood_of_bytes_that_are_no_text",
        language="sh",
        program="head -c 300000 /dev/zero; head -c 300000 /dev/urandom >&2",
        limits={"output_kb": 64},
        check=lambda r: max(len(r.stdout.encode()), len(r.stderr.encode())) < 66_000 and r.stdout_truncated,
    ),
    Case(
        name="stopped_swarm",
        program=(
            "import os, signal, time\nfor _ in range(24):\n  if os.fork() == 0:\n"
            "    os.setsid(); os.kill(os.getpid(), signal.SIGSTOP); time.sleep(300)\ntime.sleep(300)\n"
        ),
        ends=("timeout",),
        limits={"wall_s": 0.5},
        within_s=2,
    ),
    Case(
        name="output_cut_with_a_mark",
        language="sh",
        program="echo first; seq 1 10000; echo last",
        limits={"output_kb": 4},
        check=lambda r: r.stdout.startswith("first\n") and r.stdout.endswith("last\n") and "cut" in r.stdout,
    ),
    Case(
        name="watches_of_the_host",
        program=(
            "import ctypes\nlibc = ctypes.CDLL(None)\nmade = 0\n"
            "while libc.inotify_init() >= 0: made += 1\nprint(made)\n"
        ),
        check=lambda r: int(r.stdout) <= 4,
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
        check=_memory_was_held,
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
        check=_memory_was_held,
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
        name="timers_and_queued_signals",
        program=(
            "import ctypes, os, signal\nlibc = ctypes.CDLL(None)\nsignal.pthread_sigmask(signal.SIG_BLOCK, [40])\n"
            "made = 0\nwhile libc.sigqueue(os.getpid(), 40, None) == 0: made += 1\n"
            "while libc.syscall(222, 0, 0, ctypes.create_string_buffer(8)) == 0: made += 1\nprint(made)\n"
        ),
        check=lambda r: int(r.stdout) <= 2048,
    ),
    Case(
        name="zombies",
        program="import os\nmade = 0\ntry:\n  while True:\n    if os.fork() == 0: os._exit(0)\n    made += 1\nexcept OSError: print(made)",
        limits={"pids": 24},
        check=lambda r: int(r.stdout) < 24,
    ),
    Case(
        name="threads",
        program=(
            "import os, threading, time\nmade = 0\ntry:\n"
            "  while True: threading.Thread(target=time.sleep, args=(9,), daemon=True).start(); made += 1\n"
            "except RuntimeError: print(made, flush=True); os._exit(0)"
        ),
        limits={"pids": 24},
        check=lambda r: int(r.stdout) < 24,
    ),
    Case(
        name="cpu_in_children_one_after_another",
        program=(
            "import os, time\nwhile True:\n  began = time.time()\n  child = os.fork()\n"
            "  if not child:\n    while time.time() - began < 0.1: pass\n    os._exit(0)\n  os.waitpid(child, 0)\n"
        ),
        ends=("cpu",),
        limits={"cpu_s": 0.5, "wall_s": 20},
        within_s=15,
    ),
    Case(
        name="cpu_in_orphans",
        program=(
            "import os, signal, time\nsignal.signal(signal.SIGCHLD, signal.SIG_IGN)\n"
            "if os.fork(): time.sleep(30); os._exit(0)\n"
            "while True:\n  if os.fork(): os._exit(0)\n  began = time.time()\n  while time.time() - began < 0.01: pass\n"
        ),
        ends=("cpu",),
        limits={"cpu_s": 0.5, "wall_s": 20},
        within_s=15,
    ),
    Case(
        name="cpu_in_children_nobody_waits_for",
        program=(
            "import os, signal, time\nsignal.signal(signal.SIGCHLD, signal.SIG_IGN)\nwhile True:\n"
            "  if not os.fork():\n    began = time.process_time()\n"
            "    while time.process_time() - began < 0.2: pass\n    os._exit(0)\n  time.sleep(0.25)\n"
        ),
        ends=("cpu",),
        limits={"cpu_s": 0.6, "wall_s": 30},
        within_s=25,
    ),
    Case(
        name="long_paths",
        program="import os\nfor _ in range(300):\n  os.mkdir('n' * 250); os.chdir('n' * 250)\nprint('made')",
        says="made",
        within_s=8,
    ),
    Case(
        name="locked_tree",
        language="sh",
        program="mkdir -p a/b/c; echo x > a/b/c/f; chmod 000 a/b/c/f a/b/c a/b a; chmod 000 .; echo made",
        says="made",
    ),
)
