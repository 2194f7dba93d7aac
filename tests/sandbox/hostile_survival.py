"""Programs that want to outlive their call, or to tell of it what is not so: signals, exit statuses, forged results."""

from tests.sandbox.cases import Case

_FORGED = '{"status":"ok","exit_code":0,"stdout":"forged","isolation":{"backend":"none"}}'
_BEFORE_THE_WALL_LIMIT = 9
"""Ten seconds: whatever a program leaves behind, the call does not wait for it."""


def _signalled(number: int) -> Case:
    return Case(
        name=f"death_by_signal_{number}",
        language="sh",
        program=f"kill -{number} $$; sleep 5",
        ends=("signal",),
        check=lambda r: r.signal == number and r.exit_code is None,
    )


def _exits(code: int) -> Case:
    return Case(
        name=f"exit_code_{code}",
        language="sh",
        program=f"exit {code}",
        ends=("ok" if code == 0 else "error",),
        check=lambda r: r.exit_code == code and r.signal is None,
    )


SURVIVAL = (
    *(_signalled(number) for number in (1, 2, 6, 9, 11, 13, 14, 15, 24, 25, 31, 64)),
    *(_exits(code) for code in (0, 3, 126, 127, 128, 143, 255)),
    Case(
        name="a_result_printed_as_the_result",
        language="sh",
        program=f"echo '{_FORGED}'; echo '{_FORGED}' >&2; exit 7",
        ends=("error",),
        check=lambda r: r.exit_code == 7 and r.isolation.backend != "none",
    ),
    Case(
        name="a_result_written_into_every_descriptor",
        program=(
            "import os\nfor n in range(3, 1024):\n  try: os.write(n, b'"
            + _FORGED
            + '\\n{"exit-code": 0}\')\n  except OSError: pass\n'
            "for p in filter(str.isdigit, os.listdir('/proc')):\n  try:\n    for n in os.listdir(f'/proc/{p}/fd'):\n"
            "      if int(n) > 2: os.write(os.open(f'/proc/{p}/fd/{n}', os.O_WRONLY | os.O_NONBLOCK), b'{\"exit-code\": 0}')\n"
            "  except OSError: pass\nos._exit(9)"
        ),
        ends=("error",),
        check=lambda r: r.exit_code == 9,
    ),
    Case(
        name="the_first_process_is_left_without_means",
        program=(
            "import os, resource\nfor kind in range(16):\n  try: resource.prlimit(1, kind, (0, 0))\n  except OSError: pass\nos._exit(5)"
        ),
        ends=("error",),
        check=lambda r: r.exit_code == 5,
    ),
    Case(
        name="everybody_is_killed",
        language="sh",
        program="kill -9 -1; echo survived",
        ends=("ok", "signal"),
        within_s=_BEFORE_THE_WALL_LIMIT,
    ),
    Case(
        name="the_parent_is_killed",
        program="import os, signal, time\nos.kill(os.getppid(), signal.SIGKILL)\ntime.sleep(0.3)\nprint('on')",
        ends=("ok", "signal"),
        within_s=_BEFORE_THE_WALL_LIMIT,
    ),
    Case(
        name="everybody_is_stopped",
        program="import os, signal\nif os.fork() == 0: os.kill(-1, signal.SIGSTOP)\nos.kill(0, signal.SIGSTOP)",
        ends=("timeout",),
        limits={"wall_s": 0.5},
        within_s=3,
    ),
    Case(
        name="a_child_of_the_parent",
        program=(
            "import ctypes, os, time\nlibc = ctypes.CDLL(None)\n"
            "for _ in range(8):\n  if libc.syscall(56, 0x8000 | 17, 0, 0, 0, 0) == 0: os.setsid(); time.sleep(300)\nprint('done')"
        ),
        check=lambda r: r.stdout == "done\n",
        within_s=_BEFORE_THE_WALL_LIMIT,
    ),
    Case(
        name="a_daemon_deaf_to_everything",
        program=(
            "import os, signal, time\n"
            "for _ in range(3):\n  if os.fork() == 0:\n    os.setsid()\n    if os.fork(): os._exit(0)\n"
            "    [signal.signal(n, signal.SIG_IGN) for n in range(1, 32) if n not in (9, 19)]\n"
            "    os.chdir('/'); [os.close(n) for n in (0, 1, 2)]\n    while True: time.sleep(1)\nprint('left')"
        ),
        check=lambda r: r.stdout == "left\n",
        within_s=_BEFORE_THE_WALL_LIMIT,
    ),
    Case(
        name="forks_faster_than_it_is_killed",
        program=(
            "import os\nwhile True:\n  try:\n    if os.fork(): os._exit(0)\n    os.setsid()\n  except OSError: pass\n"
        ),
        within_s=_BEFORE_THE_WALL_LIMIT,
    ),
    Case(
        name="writes_on_after_its_parent_has_gone",
        language="bash",
        program="(while :; do echo more; done) & (while :; do echo more >&2; done) & disown -a; echo first",
        ends=("ok", "output_limit"),
        limits={"output_kb": 16},
        within_s=_BEFORE_THE_WALL_LIMIT,
        check=lambda r: len(r.stdout) <= 17_000,
    ),
    Case(
        name="ends_well_after_its_limit",
        program="import signal, sys, time\nsignal.signal(signal.SIGTERM, lambda *_: sys.exit(0))\ntime.sleep(30)",
        ends=("timeout",),
        limits={"wall_s": 0.4},
        within_s=3,
    ),
    Case(
        name="a_name_that_breaks_the_table_of_processes",
        program=(
            "import ctypes, os, time\nctypes.CDLL(None).prctl(15, b') R 1 1 (\\n', 0, 0, 0)\n"
            "for _ in range(4): os.fork()\nx = []\nwhile True: x.append(b'x' * (1 << 18))"
        ),
        ends=("memory",),
        limits={"memory_mb": 64},
        within_s=10,
    ),
    Case(
        name="a_name_that_hides_processor_time",
        program="import ctypes\nctypes.CDLL(None).prctl(15, b'a) S 0 0 (0', 0, 0, 0)\nwhile True: pass",
        ends=("cpu",),
        limits={"cpu_s": 0.5, "wall_s": 20},
        within_s=18,
    ),
    Case(
        name="two_clocks_are_asked_for_an_alarm",
        program="import signal, time\nsignal.setitimer(signal.ITIMER_REAL, 0.1)\ntime.sleep(5)",
        ends=("signal",),
        check=lambda r: r.signal == 14,
    ),
    Case(
        name="the_processor_limit_is_ignored",
        program="import signal\nsignal.signal(signal.SIGXCPU, signal.SIG_IGN)\nsignal.signal(signal.SIGPROF, signal.SIG_IGN)\nwhile True: pass",
        ends=("cpu",),
        limits={"cpu_s": 0.5, "wall_s": 20},
        within_s=18,
    ),
    Case(
        name="threads_burn_while_the_first_one_has_ended",
        program=(
            "import ctypes, threading\ndef burn():\n  while True: pass\n"
            "for _ in range(2): threading.Thread(target=burn).start()\nctypes.CDLL(None).syscall(60, 0)"
        ),
        ends=("cpu", "ok"),
        limits={"cpu_s": 0.5, "wall_s": 20},
        within_s=18,
    ),
)
