"""Programs that fork, stop, outlive and burn: processes, their ends, and processor time."""

from tests.sandbox.cases import Case

_SWARM = """
import os, signal, time
signal.signal(signal.SIGCHLD, signal.SIG_IGN)
while True:
    try:
        if os.fork() == 0:
            began = time.process_time()
            while time.process_time() - began < 0.002: pass
            {end}
        time.sleep(0.001)
    except OSError: time.sleep(0.001)
"""


PROCESSES = (
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
        name="cpu_in_a_swarm_of_short_lives",
        program=_SWARM.format(end="os._exit(0)"),
        ends=("cpu",),
        limits={"cpu_s": 2, "wall_s": 40},
        check=lambda r: r.usage.cpu_s is not None and r.usage.cpu_s < 3.5,
        within_s=35,
    ),
    Case(
        name="cpu_in_a_swarm_that_kills_itself",
        program=_SWARM.format(end="os.kill(os.getpid(), signal.SIGKILL)"),
        ends=("cpu",),
        limits={"cpu_s": 2, "wall_s": 40},
        check=lambda r: r.usage.cpu_s is not None and r.usage.cpu_s < 3.5,
        within_s=35,
    ),
    Case(
        name="cpu_of_short_commands_is_counted_once",
        language="sh",
        program="i=0; while [ $i -lt 150 ]; do /bin/true; i=$((i+1)); done; echo done",
        says="done",
        limits={"cpu_s": 4, "wall_s": 40},
        within_s=35,
    ),
    Case(
        name="a_watched_tree_goes_on_where_it_stood",
        program=(
            "import os, signal, time\nseen = []\nsignal.signal(signal.SIGCONT, lambda *_: seen.append(1))\n"
            "stopped = os.fork()\nif not stopped: time.sleep(60)\nos.kill(stopped, signal.SIGSTOP)\n"
            "x = [bytes(1 << 20) for _ in range(20)]\nfor _ in range(200): y = bytearray(20 << 20)\n"
            "print(open(f'/proc/{stopped}/stat').read().rsplit(')', 1)[1].split()[0])\nos.kill(stopped, signal.SIGKILL)"
        ),
        check=lambda r: r.stdout == "T\n",
        limits={"memory_mb": 64, "wall_s": 60, "cpu_s": 60},
        within_s=60,
    ),
)
