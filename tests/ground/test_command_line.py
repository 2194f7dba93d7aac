"""The command line starts fast, names what it cannot do in one line, and exits with the code it promises."""

import subprocess
import sys
from pathlib import Path

import psycopg
import pytest
from click.testing import CliRunner

from holdfast.cli.configuration import config
from holdfast.cli.main import COMMANDS, root
from holdfast.cli.worker import chosen
from holdfast.runtime.settings import Queue

ROOT = Path(__file__).parents[2]
SLOW = {"temporalio", "psycopg", "fastapi", "litellm", "openai", "rich", "pydantic"}


def holdfast(*arguments: str, code: str = "") -> subprocess.CompletedProcess[str]:
    started = ["-c", code] if code else ["-m", "holdfast"]
    return subprocess.run(
        [sys.executable, *started, *arguments], capture_output=True, text=True, timeout=60, check=False
    )


def test_help_imports_no_command_and_nothing_slow() -> None:
    said = holdfast(
        "--help",
        code="import sys, atexit, holdfast.cli.main as m\n"
        "m.root.main(['--help'], standalone_mode=False)\n"
        "print('IMPORTED', *sorted(name for name in sys.modules if '.' not in name))",
    ).stdout
    assert "worker" in said
    assert SLOW & set(said.partition("IMPORTED")[2].split()) == set()


def test_every_command_in_the_table_can_be_imported_and_helps() -> None:
    for name, entry in COMMANDS.items():
        if entry.exists:
            done = CliRunner().invoke(root, [name, "--help"])
            assert done.exit_code == 0, f"{name}: {done.output} {done.exception!r}"


def test_an_unknown_command_exits_with_2() -> None:
    done = holdfast("fly")
    assert done.returncode == 2
    assert "No such command 'fly'" in done.stderr


def test_without_a_database_db_says_what_to_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    done = holdfast("db", "status")
    assert done.returncode == 2
    assert done.stderr == "error: No database is known. Set DATABASE_URL, or start the stack: holdfast up\n"


def test_an_old_schema_is_reported_and_migrated_once(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_URL", database_url)
    with psycopg.connect(database_url) as connection:
        connection.execute("drop schema holdfast cascade")
    before = holdfast("db", "status")
    assert (before.returncode, "pending  0001_tenants.sql" in before.stdout) == (1, True)
    served = holdfast("worker", "--queue", "tools")
    assert (served.returncode, "Run `holdfast db migrate`" in served.stderr) == (2, True)
    assert "ran 0001_tenants.sql" in holdfast("db", "migrate").stdout
    assert holdfast("db", "migrate").stdout == "The database is up to date.\n"
    assert holdfast("db", "status").returncode == 0


def test_what_the_api_refuses_is_its_last_line(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", database_url)
    monkeypatch.setenv("HOLDFAST_AUTH__OIDC_ISSUER", "https://id.example")
    done = holdfast("api")
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1].startswith("error: A token issuer is set, and no audience.")


def test_a_worker_serves_the_queues_it_is_told() -> None:
    assert chosen(("all",)) == tuple(Queue)
    assert chosen(("tools", "llm")) == (Queue.LLM, Queue.TOOLS)


def test_a_reader_that_stops_early_is_no_error() -> None:
    pipe = f"{sys.executable} -m holdfast config reference | head -n 1; exit ${{PIPESTATUS[0]}}"
    done = subprocess.run(["/bin/bash", "-c", pipe], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(
    ("command", "file"), [("reference", "docs/configuration.md"), ("example", ".env.example")]
)
def test_the_settings_reference_is_fresh(command: str, file: str) -> None:
    assert CliRunner().invoke(config, [command]).output == (ROOT / file).read_text(), "run `make docs`"
