"""Programs that lie: about their end, through their output, in the files they leave."""

import base64

from schemas.sandbox import SandboxResult
from tests.sandbox.cases import Case, Check


def _error(name: str, part: str = "") -> Check:
    return lambda result: part in (result.files[name].error or "") and result.files[name].b64 is None


def _ended_by(number: int) -> Check:
    return lambda result: result.signal == number


def _content(result: SandboxResult, name: str) -> bytes:
    return base64.b64decode(result.files[name].b64 or "")


LIES = (
    Case(
        name="forged_result",
        language="sh",
        program='echo \'{"status":"ok","exit_code":0}\'; echo \'{ "exit-code": 0 }\' >&2; exit 7',
        ends=("error",),
        check=lambda r: r.exit_code == 7,
    ),
    Case(
        name="forged_status_on_every_descriptor",
        language="bash",
        program="for fd in {3..99}; do echo '{ \"exit-code\": 0 }' >&$fd; done 2>/dev/null; exit 9",
        ends=("error",),
        check=lambda r: r.exit_code == 9,
    ),
    Case(
        name="forged_status_through_proc",
        language="bash",
        program="for fd in /proc/1/fd/*; do echo '{ \"exit-code\": 0 }' > $fd; done 2>/dev/null; exit 9",
        ends=("error",),
        check=lambda r: r.exit_code == 9,
    ),
    Case(
        name="exit_137_is_no_signal",
        language="sh",
        program="exit 137",
        ends=("error",),
        check=lambda r: r.exit_code == 137,
    ),
    Case(
        name="killed_by_itself",
        language="sh",
        program="kill -9 $$",
        ends=("signal",),
        check=lambda r: r.signal == 9,
    ),
    *(
        Case(
            name=f"killed_by_signal_{number}",
            language="bash",
            program=f"kill -{number} $$; sleep 5",
            ends=("signal",),
            check=_ended_by(number),
        )
        for number in (1, 11, 15, 24, 25, 34, 40, 63)
    ),
    Case(
        name="kills_first_process",
        language="sh",
        program="kill -9 1; kill -STOP 1; kill -9 -1; exit 5",
        ends=("error", "signal"),
    ),
    Case(
        name="invalid_utf8_and_nul",
        program="import os; os.write(1, b'a\\xff\\xfe\\x00b\\xed\\xa0\\x80'); os.write(2, bytes(range(256)))",
        check=lambda r: "\x00" not in r.stdout + r.stderr and r.stdout.startswith("a") and "b" in r.stdout,
    ),
    Case(
        name="closes_everything",
        program="import os\nos.closerange(0, 256)\nos._exit(3)",
        ends=("error",),
        check=lambda r: r.exit_code == 3,
    ),
    Case(name="stdin_is_what_was_given", language="sh", program="cat", stdin="given\n", says="given"),
    Case(name="stdin_empty_ends", language="sh", program="cat; echo end", says="end", within_s=2),
    Case(
        name="argv_is_not_parsed",
        language="sh",
        program='printf "%s|" "$@"',
        argv=("--help", "a b", "$(id)", "--"),
        says="--help|a b|$(id)|--|",
    ),
    Case(
        name="collect_regular",
        language="sh",
        program="printf ok > f",
        collect=("f",),
        check=lambda r: _content(r, "f") == b"ok",
    ),
    Case(
        name="collect_symlink",
        language="sh",
        program="ln -s {host_file} f",
        collect=("f",),
        check=_error("f", "symbolic"),
    ),
    Case(
        name="collect_through_linked_directory",
        language="sh",
        program="ln -s /etc d",
        collect=("d/passwd",),
        check=_error("d/passwd"),
    ),
    Case(
        name="collect_proc_link",
        language="sh",
        program="ln -s /proc/self/root d",
        collect=("d/etc/shadow",),
        check=_error("d/etc/shadow"),
    ),
    Case(
        name="collect_hard_link",
        language="sh",
        program="echo x > a; ln a b",
        collect=("b",),
        check=_error("b", "link"),
    ),
    Case(
        name="collect_fifo",
        language="sh",
        program="mkfifo f",
        collect=("f",),
        check=_error("f", "regular"),
        within_s=3,
    ),
    Case(
        name="collect_socket",
        program="import socket\nsocket.socket(socket.AF_UNIX).bind('f')",
        collect=("f",),
        check=_error("f", "regular"),
    ),
    Case(
        name="collect_directory",
        language="sh",
        program="mkdir f",
        collect=("f",),
        check=_error("f", "directory"),
    ),
    Case(
        name="collect_parent",
        language="sh",
        program="true",
        collect=("../x", "/etc/passwd", "a/../../b"),
        check=lambda r: all(f.error for f in r.files.values()),
    ),
    Case(
        name="collect_missing",
        language="sh",
        program="true",
        collect=("nope",),
        check=_error("nope", "no such file"),
    ),
    Case(
        name="collect_unreadable",
        language="sh",
        program="echo x > f; chmod 000 f",
        collect=("f",),
        check=lambda r: _content(r, "f") == b"x\n",
    ),
    Case(
        name="collect_huge",
        program="with open('f', 'wb') as f: f.truncate(60 << 20)",
        collect=("f",),
        check=_error("f", "too large"),
    ),
    Case(
        name="collect_while_rewritten",
        language="sh",
        program="echo x > f; (while :; do ln -sf /etc/passwd f; rm -f f; echo x > f; done) & sleep 0.1",
        collect=("f",),
        check=lambda r: b"root" not in _content(r, "f"),
    ),
    Case(
        name="placed_files_follow_no_link",
        language="sh",
        program="cat in.txt",
        files={"in.txt": "placed", "deep/er/x": "1"},
        says="placed",
    ),
    Case(
        name="signals_to_everybody",
        program="import os\nfor number in (9, 15, 19):\n  try: os.kill(-1, number)\n  except ProcessLookupError: pass\nprint('on')",
        says="on",
    ),
    Case(
        name="kills_its_group",
        program="import os\nos.kill(0, 9)",
        ends=("signal",),
        check=lambda r: r.signal == 9,
    ),
    Case(
        name="output_exactly_at_the_limit",
        program="import os\nos.write(1, b'x' * 4096); os.write(2, b'y' * 4097)",
        limits={"output_kb": 4},
        check=lambda r: (r.stdout, r.stdout_truncated, r.stderr_truncated) == ("x" * 4096, False, True),
    ),
    Case(
        name="names_that_are_no_plain_paths",
        language="sh",
        program="mkdir d; echo x > d/f; echo x > f",
        collect=(
            "",
            ".",
            "..",
            "./f",
            "d/",
            "d//f",
            "/workspace/f",
            "d/../f",
            "f\x00",
            "x" * 256,
            "f/g",
            "y" * 5000,
        ),
        check=lambda r: len(r.files) == 12 and all(found.error for found in r.files.values()),
    ),
    Case(
        name="names_in_bytes",
        program=(
            "import os\nos.mkdir(b'd\\xff'); open(b'd\\xff/\\xfe', 'w').write('1'); open('a\\nb', 'w').write('2')\n"
        ),
        collect=("a\nb",),
        check=lambda r: _content(r, "a\nb") == b"2",
    ),
    Case(
        name="reopens_its_own_output",
        language="bash",
        program="for n in 1 2; do echo again > /proc/self/fd/$n; exec {fd}<>/proc/self/fd/$n; done 2>/dev/null; exit 3",
        ends=("error",),
        check=lambda r: r.exit_code == 3,
    ),
)
