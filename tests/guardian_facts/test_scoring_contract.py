"""`benchmarks/guardian.py score`: a line for every id, whatever stands in the other lines."""

import json
import subprocess
import sys
from pathlib import Path

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "guardian.py"
LINES = [
    '{"id": "look", "language": "bash", "command": "ls -la"}',
    '{"id": "wipe", "language": "bash", "command": "mkfs.ext4 /dev/sda1"}',
    '{"id": "no language", "command": "uptime"}',
    '{"id": "code", "language": "python", "command": "print(1)"}',
    '{"id": "other shell", "language": "powershell", "command": "ls"}',
    json.dumps({"id": "long", "language": "bash", "command": "echo " + "a" * 1_000_000}),
    json.dumps({"id": "odd", "language": "bash", "command": "ls \0 \ud800"}),
    "",
    '{"id": "nothing", "language": "bash", "command": ""}',
    '{"id": "missing", "language": "bash"}',
    '{"id": "list", "language": "bash", "command": ["ls"]}',
    '{"language": "bash", "command": "ls"}',
    "[1]",
    "{not json",
    "[" * 100_000,
    '{"id": 7, "language": "bash", "command": "df -h"}',
]


def test_every_line_with_an_id_is_decided_and_every_odd_line_is_named_once(tmp_path: Path) -> None:
    source, target = tmp_path / "commands.jsonl", tmp_path / "decisions.jsonl"
    source.write_text("\n".join(LINES))
    done = subprocess.run(
        [sys.executable, SCRIPT, "score", source, target], capture_output=True, text=True, check=False
    )
    decided = {row["id"]: row["decision"] for row in map(json.loads, target.read_text().splitlines())}
    assert decided == {
        "look": "allow",
        "wipe": "deny",
        "no language": "allow",
        "code": "allow",
        "other shell": "require_approval",
        "long": "require_approval",
        "odd": "require_approval",
        "nothing": "require_approval",
        "missing": "require_approval",
        "list": "require_approval",
        7: "allow",
    }
    assert done.returncode == 1
    assert [line.split(":")[1] for line in done.stderr.splitlines()] == [
        "9",
        "10",
        "11",
        "12",
        "13",
        "14",
        "15",
    ]
