"""What every backend of the sandbox must do, in the same words for each."""

import asyncio
import contextlib
import os
import shutil
import subprocess
import time
import uuid
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from holdfast.adapters.bubblewrap.sandbox import BubblewrapSandbox
from holdfast.adapters.sandbox_docker import DockerSandbox
from holdfast.adapters.sandbox_kubernetes import KubernetesSandbox
from holdfast.sandbox.limits import Ceiling
from holdfast.sandbox.port import Sandbox
from schemas.sandbox import Limits, SandboxRequest, SandboxStatus
from tests.sandbox.conftest import alive, until

_IMAGE = os.environ.get("SANDBOX_TEST_IMAGE", "python:3.11-slim")
_ENGINES = {
    "docker": ("docker", "image", "inspect", _IMAGE),
    "docker-with-runsc": ("docker", "run", "--rm", "--network=none", "--runtime=runsc", _IMAGE, "true"),
    "kubernetes": ("kubectl", "cluster-info", "--request-timeout=3s"),
}


def _answers(*command: str) -> bool:
    """Whether an engine is at hand."""
    return (
        bool(shutil.which(command[0]))
        and not subprocess.run(command, capture_output=True, check=False).returncode
    )


_PRESENT = [name for name, question in _ENGINES.items() if _answers(*question)]


@pytest.mark.parametrize("name", _ENGINES)
def test_the_contract_is_tried_on_every_engine(name: str) -> None:
    if name not in _PRESENT:
        pytest.skip(f"NO {name.upper()} ENGINE WITH {_IMAGE} HERE: the contract of its backend is NOT TESTED")


def _backend(name: str, store: Path) -> Sandbox:
    if name.startswith("docker"):
        return DockerSandbox(store=store, image=_IMAGE, runtime=name.partition("-with-")[2])
    if name == "kubernetes":
        return KubernetesSandbox(store=store, image=_IMAGE)
    return BubblewrapSandbox(store=store, use_groups=name == "bubblewrap")


@pytest.fixture(scope="module", params=["bubblewrap", "bubblewrap-without-groups", *_PRESENT])
async def backend(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Sandbox]:
    made = _backend(request.param, tmp_path_factory.mktemp("contract"))
    yield made
    await made.close()


def asked(program: str, **more: Any) -> SandboxRequest:
    return SandboxRequest.model_validate({"run": uuid.uuid4().hex, "program": program, **more}, strict=False)


async def test_a_program_runs_and_its_streams_and_code_come_back(backend: Sandbox) -> None:
    result = await backend.run(asked("echo out; echo err >&2; exit 3"))
    assert (result.status, result.exit_code) == (SandboxStatus.ERROR, 3)
    assert (result.stdout, result.stderr) == ("out\n", "err\n")


@pytest.mark.parametrize(
    ("language", "program"),
    [
        ("sh", 'echo "$1-$(cat)"'),
        ("bash", 'a=($1); echo "${a[0]}-$(cat)"'),
        ("python", "import sys; print(sys.argv[1] + '-' + sys.stdin.read())"),
    ],
)
async def test_each_language_gets_arguments_and_input(backend: Sandbox, language: str, program: str) -> None:
    result = await backend.run(asked(program, language=language, argv=("given",), stdin="typed"))
    assert result.stdout.strip() == "given-typed", result.stderr


async def test_calls_of_a_run_share_a_workspace_and_others_see_nothing(backend: Sandbox) -> None:
    first = asked(
        "mkdir -p a/b; echo kept > a/b/f; ln -s f a/b/link; chmod +x a/b/f; rm -f gone", files={"gone": "x"}
    )
    await backend.run(first)
    again = await backend.run(
        first.model_copy(update={"program": "cat a/b/link; test -x a/b/f; ls gone", "files": {}})
    )
    assert again.stdout == "kept\n"
    assert "gone" in again.stderr
    other = await backend.run(
        asked("ls -A; find / -name f -not -path '/proc/*' -not -path '/usr/*' 2>/dev/null")
    )
    assert other.stdout == ""


async def test_what_a_call_deletes_or_replaces_is_so_for_the_next(backend: Sandbox) -> None:
    first = asked("mkdir d; echo 1 > d/x; echo 2 > y; ln y z")
    await backend.run(first)
    await backend.run(
        first.model_copy(update={"program": "rm -r d; echo file > d; rm y; mkdir y; echo in > y/in"})
    )
    last = await backend.run(first.model_copy(update={"program": "cat d y/in z; ls"}))
    assert last.stdout.split() == ["file", "in", "2", "d", "y", "z"]


async def test_a_later_call_is_not_poisoned_by_an_earlier_one(backend: Sandbox) -> None:
    plant = """
for name in json os sitecustomize usercustomize; do echo "print('POISON')" > $name.py; done
mkdir -p __pycache__ .local/lib/python3.11/site-packages bin
for rc in .bashrc .profile .bash_profile .bash_login .pythonrc .env; do echo 'echo POISON' > $rc; cp $rc ~/$rc; done
for tool in ls cat python3 bash sh; do printf '#!/bin/sh\\necho POISON\\n' > $tool; chmod +x $tool; cp $tool bin; done
echo POISON > /tmp/left; echo POISON > /dev/shm/left; (sleep 100; echo POISON > late) &
"""
    first = asked(plant)
    await backend.run(first)
    for language, program in (
        ("python", "import json, os, sys; print(json.__file__, os.__file__)"),
        ("bash", "ls /tmp /dev/shm; python3 --version; bash -lc true"),
        ("sh", "ls ~; cat /tmp/left; sh -c true"),
    ):
        later = await backend.run(asked(program, language=language, run=first.run))
        assert "POISON" not in later.stdout + later.stderr
        assert "/workspace" not in later.stdout


async def test_files_are_placed_and_collected(backend: Sandbox) -> None:
    result = await backend.run(
        asked("tr a-z A-Z < dir/in > out", files={"dir/in": "text\n"}, collect=("out", "missing"))
    )
    assert result.model_dump()["files"] == {
        "out": {"ok": True, "b64": "VEVYVAo="},
        "missing": {"error": "no such file"},
    }


async def test_a_planted_link_does_not_redirect_a_placed_file(backend: Sandbox, tmp_path: Path) -> None:
    target = tmp_path / "target"
    target.write_text("untouched")
    first = asked(f"ln -s {target} in; ln -s {tmp_path} d")
    await backend.run(first)
    placed = await backend.run(asked("cat in", run=first.run, files={"in": "mine"}))
    assert placed.stdout == "mine"
    refused = await backend.run(asked("true", run=first.run, files={"d/target": "mine"}))
    assert refused.status is SandboxStatus.REFUSED
    assert target.read_text() == "untouched"


@pytest.mark.parametrize("name", ["../x", "/x", "a/../x", "", ".", "a//b", "nul\x00"])
async def test_a_name_outside_the_workspace_is_refused(backend: Sandbox, name: str) -> None:
    assert (await backend.run(asked("true", files={name: "x"}))).status is SandboxStatus.REFUSED


async def test_the_wall_limit_ends_everything_in_time(backend: Sandbox) -> None:
    """How soon after the limit is measured by the benchmark: here, long before anything would have ended by itself."""
    began, mark = time.monotonic(), _mark()
    request = asked(
        f"trap '' TERM; setsid sleep {mark} & sleep {mark} & while :; do sleep 1; done",
        limits=Limits(wall_s=0.3),
    )
    result = await backend.run(request)
    assert result.status is SandboxStatus.TIMEOUT
    assert 0.3 <= result.usage.wall_s < 50
    assert await until(lambda: not alive(request.run or "") and not _sleeping(mark))
    assert time.monotonic() - began < 100


async def test_output_before_a_timeout_is_kept(backend: Sandbox) -> None:
    """With a longer limit where the machine was too busy for the program to get that far."""
    told = ""
    for wall_s in (0.3, 1.2, 4.8, 19.2):
        result = await backend.run(
            asked("print('begun')\nwhile True: pass", language="python", limits=Limits(wall_s=wall_s))
        )
        assert result.status is SandboxStatus.TIMEOUT
        if told := result.stdout:
            break
    assert told == "begun\n"


async def test_cancelling_a_call_kills_it(backend: Sandbox) -> None:
    mark = _mark()
    request = asked(f"setsid sleep {mark} & sleep {mark}")
    task = asyncio.ensure_future(backend.run(request))
    assert await until(lambda: _sleeping(mark) == 2)
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
    assert await until(lambda: not alive(request.run or "") and not _sleeping(mark))


def _mark() -> str:
    """A time to sleep that nobody else sleeps: by it processes are known from outside, whatever isolates them."""
    return f"100.{uuid.uuid4().int}"


def _sleeping(mark: str) -> int:
    lines = [_command_line(entry) for entry in Path("/proc").iterdir() if entry.name.isdecimal()]
    return lines.count(f"sleep\0{mark}\0".encode())


def _command_line(process: Path) -> bytes:
    with contextlib.suppress(OSError):
        return (process / "cmdline").read_bytes()
    return b""


async def test_many_calls_run_at_once(backend: Sandbox) -> None:
    mark = _mark()
    tasks = [asyncio.ensure_future(backend.run(asked(f"echo {n}; sleep {mark}"))) for n in range(12)]
    assert await until(lambda: _sleeping(mark) == 12, seconds=60)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert await until(lambda: not _sleeping(mark))


async def test_calls_of_one_run_at_once_keep_each_others_files(backend: Sandbox) -> None:
    run = uuid.uuid4().hex
    await asyncio.gather(*(backend.run(asked(f"echo {n} > f{n}; sleep 0.1", run=run)) for n in range(6)))
    assert (await backend.run(asked("cat f*", run=run))).stdout.split() == [str(n) for n in range(6)]


async def test_a_workspace_larger_than_the_limit_is_refused_with_the_limits_name(backend: Sandbox) -> None:
    first = asked("head -c 3000000 /dev/zero > f")
    await backend.run(first)
    small = await backend.run(first.model_copy(update={"limits": Limits(disk_mb=1)}))
    assert small.status is SandboxStatus.REFUSED
    assert "limits.disk_mb" in (small.error or "")
    assert (await backend.run(first.model_copy(update={"program": "wc -c < f"}))).stdout.strip() == "3000000"


async def test_a_request_above_the_ceiling_is_refused(backend: Sandbox) -> None:
    result = await backend.run(asked("true", limits=Limits(pids=Ceiling().pids + 1)))
    assert result.status is SandboxStatus.REFUSED
    assert "ceiling" in (result.error or "")


async def test_a_result_says_how_it_was_held(backend: Sandbox) -> None:
    isolation = (await backend.run(asked("true"))).isolation
    assert {"seccomp", "no_capabilities", "network"} <= set(isolation.layers)


async def test_honest_programs_work(backend: Sandbox) -> None:
    program = """
import json, multiprocessing, os, socket, sqlite3, subprocess, tempfile, threading
def square(x): return x * x
with multiprocessing.Pool(2) as pool: print(pool.map(square, [1, 2, 3]))
server = socket.create_server(('127.0.0.1', 0)); socket.create_connection(server.getsockname())
sqlite3.connect('db').execute('create table t (x)')
print(subprocess.run(['git', 'init', '-q', 'repo']).returncode if os.path.exists('/usr/bin/git') else 0)
with tempfile.NamedTemporaryFile() as file: file.write(b'x')
t = threading.Thread(target=print, args=('thread',)); t.start(); t.join()
print(json.dumps({'é': '✓'}, ensure_ascii=False))
print(subprocess.run('for i in 1 2 3; do echo $i; done | sort -r | head -1', shell=True, capture_output=True, text=True).stdout)
"""
    result = await backend.run(asked(program, language="python"))
    assert result.status is SandboxStatus.OK, result.stderr
    assert result.stdout == '[1, 4, 9]\n0\nthread\n{"é": "✓"}\n3\n\n'


async def test_the_self_test_finds_every_layer(backend: Sandbox) -> None:
    health = await backend.self_test()
    assert health.healthy, [check for check in health.checks if not check.ok]


async def test_whatever_a_call_leaves_is_there_as_it_was_for_the_next(backend: Sandbox) -> None:
    leave = """
import os
os.makedirs('a/b'); os.mkdir('empty'); os.mkdir('shut'); open('shut/f', 'w').write('in')
open('a/b/f', 'w').write('text'); os.chmod('a/b/f', 0o751); os.utime('a/b/f', (1000, 2000))
os.link('a/b/f', 'hard'); os.link('a/b/f', 'a/hard'); os.symlink('a/b/f', 'soft'); os.symlink('/nowhere', 'dangling')
with open('sparse', 'wb') as file: file.truncate(30 << 20); file.seek(10 << 20); file.write(b'middle')
open(b'\\xff odd\\n', 'w').close(); open('none', 'w').close(); os.chmod('none', 0); os.mkfifo('pipe'); os.chmod('shut', 0o500)
"""
    look = """
import os
f = os.stat('a/b/f')
print(oct(f.st_mode), f.st_mtime, f.st_nlink, os.stat('hard').st_ino == f.st_ino == os.stat('a/hard').st_ino)
print(os.readlink('soft'), os.readlink('dangling'), os.listdir('empty'), os.listdir('shut'), os.path.exists('pipe'))
s = os.stat('sparse'); print(s.st_size, s.st_blocks < 4096, open('sparse', 'rb').read()[10 << 20:][:6])
print(sorted(os.listdir(b'.')), oct(os.stat('none').st_mode))
"""
    first = asked(leave, language="python")
    await backend.run(first)
    seen = [await backend.run(asked(look, language="python", run=first.run)) for _ in range(2)]
    assert seen[0].stdout == seen[1].stdout
    assert seen[0].stdout.splitlines() == [
        "0o100751 2000.0 3 True",
        "a/b/f /nowhere [] ['f'] False",
        "31457280 True b'middle'",
        "[b'a', b'dangling', b'empty', b'hard', b'none', b'shut', b'soft', b'sparse', b'\\xff odd\\n'] 0o100000",
    ], seen[0].stderr
