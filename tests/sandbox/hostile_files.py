"""Programs that leave names, links and kinds of files that whoever collects, keeps or removes them might trip over."""

from tests.sandbox.cases import Case

_MIB = 1024 * 1024


def _held(*names: str) -> dict[str, object]:
    """Nothing collected under these names may be a file."""
    return {
        "collect": names,
        "check": lambda r: all(not r.files[name].ok and r.files[name].error for name in names),
    }


FILES = (
    Case(
        name="odd_names_are_collected",
        program=(
            "import os\nfor n in ('new\\nline', 'tab\\t', '\\x01', ' ', '-rf', 'a' * 255, '\\u202e', 'ü', '*', '$(id)', '\\\\'):\n"
            "  open(n, 'w').write('x')\nopen(b'\\xff\\xfe', 'w').write('x')"
        ),
        collect=("new\nline", "tab\t", "\x01", " ", "-rf", "a" * 255, "\u202e", "ü", "*", "$(id)", "\\"),
        check=lambda r: all(found.ok and found.b64 == "eA==" for found in r.files.values()),
    ),
    Case(
        name="names_that_leave_are_not_collected",
        program="pass",
        **_held(
            "../x",
            "/etc/passwd",
            "a/../b",
            ".",
            "..",
            "",
            "a//b",
            "a/",
            "./a",
            "x" * 256,
            "d/" * 600 + "f",
            "a\0b",
        ),  # type: ignore[arg-type]
    ),
    Case(
        name="kinds_that_are_no_files_are_not_collected",
        program=(
            "import os, socket\nos.mkfifo('fifo'); os.mkdir('dir'); os.symlink('/etc/passwd', 'link'); os.symlink('loop', 'loop')\n"
            "socket.socket(socket.AF_UNIX).bind('socket'); open('one', 'w').write('x'); os.link('one', 'two')\n"
            "os.symlink('/etc', 'etc'); os.symlink('/proc/self/environ', 'env'); os.symlink('{host_file}', 'host')\n"
            "os.symlink('/dev/stdin', 'stdin'); os.symlink('.', 'here'); os.symlink('/proc/1/root', 'root')"
        ),
        **_held(
            "fifo",
            "dir",
            "link",
            "loop",
            "socket",
            "one",
            "two",
            "etc/passwd",
            "env",
            "host",
            "stdin",
            "here/one",
            "root/etc/passwd",
        ),  # type: ignore[arg-type]
    ),
    Case(
        name="a_file_swapped_for_a_link_while_collected",
        program=(
            "import os, time\nos.mkdir('d'); open('d/passwd', 'w').write('mine'); os.symlink('/etc', 'e')\n"
            "if os.fork() == 0:\n  end = time.time() + 8\n  while time.time() < end:\n"
            "    os.rename('d', 'x'); os.rename('e', 'd'); os.rename('d', 'e'); os.rename('x', 'd')\n"
        ),
        collect=("d/passwd",),
        check=lambda r: not r.files["d/passwd"].ok or r.files["d/passwd"].b64 == "bWluZQ==",
    ),
    Case(
        name="a_file_that_grows_while_collected",
        program=(
            "import os\nf = open('f', 'wb')\nf.write(b'x')\nf.flush()\nif os.fork() == 0:\n  while True: f.write(b'x' * 65536); f.flush()\n"
        ),
        collect=("f",),
        limits={"file_mb": 40},
        check=lambda r: len(r.files["f"].b64 or "") < 24 * _MIB,
    ),
    Case(
        name="a_file_too_large_to_bring_back",
        program="open('f', 'wb').truncate(60 << 20)",
        **_held("f"),  # type: ignore[arg-type]
    ),
    Case(
        name="hard_links_take_entries",
        program=(
            "import os\nopen('f', 'w').close()\ntry:\n  for i in range(5000): os.link('f', f'l{i}')\nexcept OSError: pass\n"
            "print(len(os.listdir('.')))"
        ),
        limits={"inodes": 300},
        check=lambda r: int(r.stdout) <= 301,
    ),
    Case(
        name="long_links_take_room",
        program=(
            "import os\nmade = 0\ntry:\n  for i in range(100000): os.symlink('x' * 4000, f'l{i}'); made += 1\nexcept OSError: pass\nprint(made)"
        ),
        limits={"inodes": 2000, "memory_mb": 64},
        check=lambda r: int(r.stdout) <= 2000,
    ),
    Case(
        name="attributes_take_room",
        program=(
            "import os\nopen('f', 'w').close()\nset_ = 0\ntry:\n  for i in range(4000): os.setxattr('f', f'user.a{i}', b'x' * 60000); set_ += 60000\n"
            "except OSError as e: pass\nif set_ > (96 << 20): print('ESC'+'APED', set_)\nprint('done')"
        ),
        ends=("ok", "memory", "signal", "error"),
        limits={"memory_mb": 64, "disk_mb": 32},
    ),
    Case(
        name="deeper_than_any_path",
        program=(
            "import os\nfor i in range(3000): os.mkdir('deeper'); os.chdir('deeper')\nopen('bottom', 'w').write('x'); print('made')"
        ),
        says="made",
        collect=("deeper/" * 100 + "bottom",),
        check=lambda r: all(not found.ok for found in r.files.values()),
        within_s=10,
    ),
    Case(
        name="setuid_and_sticky_files_are_left",
        language="sh",
        program="cp /bin/sh s; chmod 7777 s; mkdir d; chmod 7777 d; echo made",
        says="made",
    ),
    Case(
        name="all_locks_are_taken",
        program=(
            "import fcntl\nf = open('f', 'wb+')\nf.truncate(1 << 20)\nfcntl.flock(f, fcntl.LOCK_EX)\n"
            "d = __import__('os').open('.', 0); fcntl.flock(d, fcntl.LOCK_EX)\n"
            "for i in range(0, 20000, 2): fcntl.lockf(f, fcntl.LOCK_EX, 1, i)\nprint('locked')"
        ),
        says="locked",
        within_s=12,
    ),
    Case(
        name="room_reserved_and_never_written",
        program="import os\nf = os.open('f', os.O_CREAT | os.O_WRONLY)\nos.posix_fallocate(f, 0, 60 << 20)\nprint('ESC'+'APED')",
        ends=("error", "disk"),
        limits={"disk_mb": 16},
    ),
    Case(
        name="the_working_directory_is_removed",
        language="sh",
        program="cd /; rmdir /workspace 2>/dev/null; rm -rf /workspace/* /workspace/.[!.]*; mv /workspace /tmp/w 2>/dev/null; ls -d /workspace",
        says="/workspace",
    ),
    Case(
        name="output_through_every_name_it_has",
        language="sh",
        program="echo a > /dev/stdout; echo b > /proc/self/fd/1; echo c >> /dev/fd/1; echo d > /dev/stderr; exec >&-; echo lost; exit 3",
        ends=("error",),
        check=lambda r: r.exit_code == 3 and "a" in r.stdout and "d" in r.stderr,
    ),
    Case(
        name="a_gigabyte_as_fast_as_it_can",
        language="sh",
        program="head -c 1073741824 /dev/zero",
        ends=("output_limit",),
        check=lambda r: r.stdout_truncated and len(r.stdout.encode()) < 300_000,
    ),
    Case(
        name="a_gigabyte_of_complaints_from_a_grandchild",
        language="sh",
        program="(head -c 1073741824 /dev/zero >&2) & wait",
        ends=("output_limit",),
        check=lambda r: r.stderr_truncated and len(r.stderr.encode()) < 300_000,
    ),
    Case(
        name="half_a_letter_at_each_cut",
        program="import sys\nsys.stdout.buffer.write(('ü' * 40000 + '€' * 40000).encode()[1:-1])",
        limits={"output_kb": 8},
        check=lambda r: r.stdout_truncated and len(r.stdout.encode()) <= 8 * 1024 + 64,
    ),
    Case(
        name="terminal_codes_and_lone_surrogates",
        program="import sys\nsys.stdout.buffer.write(b'\\x1b]0;owned\\x07\\x1b[2J\\xed\\xa0\\x80\\xf4\\x90\\x80\\x80\\xc0\\x80\\x00\\xef\\xbb\\xbf')",
        check=lambda r: "\0" not in r.stdout and "\ufffd" in r.stdout,
    ),
    Case(
        name="a_pipe_that_is_made_deaf",
        program=(
            "import fcntl, os\nfcntl.fcntl(1, fcntl.F_SETFL, os.O_NONBLOCK)\ntry: fcntl.fcntl(1, 1031, 4096)\nexcept OSError: pass\n"
            "for _ in range(1000):\n  try: os.write(1, b'x' * 4096)\n  except BlockingIOError: pass\nos.write(2, b'end')"
        ),
        check=lambda r: r.stderr == "end",
    ),
    Case(
        name="input_that_nobody_reads",
        language="sh",
        program="echo done",
        stdin="x" * 5_000_000,
        says="done",
    ),
    Case(
        name="input_given_back_as_it_was",
        program="import sys\nd = sys.stdin.buffer.read(); print(len(d), d[:3])",
        stdin="ü" + "x" * 3_000_000,
        says="3000002 b'\\xc3\\xbcx'",
    ),
    Case(name="an_empty_program", program="", check=lambda r: r.exit_code == 0),
    Case(
        name="a_thousand_arguments",
        language="sh",
        program='echo $#; printf "%s" "$3" | head -c 20',
        argv=("", "-x", "--", "$(id)", *(["a" * 500] * 996)),
        check=lambda r: r.stdout == "1000\n--",
    ),
    Case(
        name="more_arguments_than_bubblewrap_takes",
        program="print('ESC'+'APED')",
        argv=("x",) * 9000,
        ends=("refused",),
        check=lambda r: "stdin or files" in (r.error or ""),
    ),
)
