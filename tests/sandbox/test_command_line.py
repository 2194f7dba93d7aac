"""`holdfast sandbox exec` from outside: what is a request, what is a result, and how quickly it is there."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from holdfast.cli.sandbox_work import default_store

_PROJECT = Path(__file__).parents[2]


def execute(request: bytes, store: Path) -> subprocess.CompletedProcess[bytes]:
    command = [sys.executable, "-m", "holdfast.cli.sandbox", "exec", "--store", str(store)]
    return subprocess.run(command, input=request, capture_output=True, cwd=_PROJECT, check=False, timeout=60)


@pytest.mark.parametrize(
    "request_text",
    [
        b"",
        b"{",
        b"[]",
        b"\xff",
        b"{}",
        b'{"program": 1}',
        b'{"program": "x", "unknown": 1}',
        b'{"program": "x", "language": "perl"}',
        b'{"program": "x", "limits": {"pids": -1}}',
        b'{"program": "x", "limits": {"wall_s": "5"}}',
        b'{"program": "x", "limits": {"wall_s": NaN}}',
        b'{"program": "x", "limits": {"nice": 1}}',
        b'{"program": "x", "argv": "a"}',
        b'{"program": "x", "network": {"mode": "host"}}',
        b'{"program": "\\ud800"}',
    ],
)
def test_an_unusable_request_exits_with_two_and_one_line(request_text: bytes, tmp_path: Path) -> None:
    done = execute(request_text, tmp_path / "store")
    assert done.returncode == 2
    assert done.stdout == b""
    assert done.stderr.count(b"\n") == 1
    assert b"Traceback" not in done.stderr


def _in_shell(tail: str, store: Path) -> subprocess.CompletedProcess[str]:
    command = f'echo \'{{"program": "echo hi"}}\' | "$0" -m holdfast.cli.sandbox exec --store "$1" {tail}'
    return subprocess.run(
        ["/bin/bash", "-c", command, sys.executable, str(store)],
        capture_output=True,
        text=True,
        cwd=_PROJECT,
        check=False,
        timeout=60,
    )


@pytest.mark.parametrize(("tail", "code"), [("<&-", 2), (">&-", 2), (">/dev/full", 1)])
def test_without_a_place_to_read_from_or_write_to_one_line_says_so(
    tail: str, code: int, tmp_path: Path
) -> None:
    done = _in_shell(tail, tmp_path / "store")
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (code, "", 1)


def test_a_closed_standard_error_harms_nothing(tmp_path: Path) -> None:
    done = _in_shell("2>&-", tmp_path / "store")
    assert (done.returncode, json.loads(done.stdout)["stdout"]) == (0, "hi\n")


def test_an_unusable_name_is_told_short_and_without_terminal_codes(tmp_path: Path) -> None:
    done = execute(json.dumps({"program": "x", "\x1b[31m" + "y" * 9999: 1}).encode(), tmp_path / "store")
    assert done.returncode == 2
    assert b"\x1b" not in done.stderr
    assert len(done.stderr) < 500


@pytest.mark.parametrize("home", ["/nonexistent", "/proc/1/fd", "/etc/passwd", ".", ""])
def test_a_home_that_cannot_be_used_is_replaced(home: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", home)
    monkeypatch.delenv("XDG_STATE_HOME", raising=False)
    monkeypatch.setattr("os.geteuid", lambda: 54321)  # nobody's, with no entry in the table of users
    assert default_store() == Path("/tmp/holdfast-sandbox-54321")


def test_the_home_of_whoever_calls_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setattr("os.geteuid", lambda: 54321)
    if os.getuid() == 0:
        os.chown(tmp_path, 54321, -1)
        assert default_store() == tmp_path / "state/holdfast/sandbox"


def test_a_refused_request_is_a_result(tmp_path: Path) -> None:
    request = {"program": "true", "network": {"mode": "allowlist", "allow": ["no-port"]}}
    done = execute(json.dumps(request).encode(), tmp_path / "store")
    assert done.returncode == 0
    assert json.loads(done.stdout)["status"] == "refused"


def test_a_result_is_one_line_of_json_with_every_field_of_the_contract(tmp_path: Path) -> None:
    done = execute(b'{"run": "r", "program": "echo hi; exit 4", "collect": ["x"]}', tmp_path / "store")
    result = json.loads(done.stdout)
    fields = "status exit_code signal stdout stderr stdout_truncated stderr_truncated oom_killed files usage network isolation error workspace"
    assert set(result) == set(fields.split())
    assert (result["status"], result["exit_code"], result["files"]) == (
        "error",
        4,
        {"x": {"error": "no such file"}},
    )
    assert Path(result["workspace"]).is_dir()


def test_two_commands_share_a_run(tmp_path: Path) -> None:
    execute(b'{"run": "r", "program": "echo kept > f"}', tmp_path / "store")
    done = execute(b'{"run": "r", "program": "cat f"}', tmp_path / "store")
    assert json.loads(done.stdout)["stdout"] == "kept\n"


def test_the_command_imports_nothing_heavy() -> None:
    program = "import sys, holdfast.cli.sandbox_work; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, cwd=_PROJECT, check=True
    )
    assert not set(done.stdout.split()) & {"temporalio", "litellm", "fastapi", "openai", "psycopg", "httpx"}
