"""`holdfast runbooks` and `holdfast memory`, against a real database."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from holdfast.cli.memory import memory
from holdfast.cli.runbooks import runbooks

EXAMPLES = str(Path(__file__).parents[2] / "examples" / "runbooks")
Say = Callable[..., Awaitable[Result]]


@pytest.fixture
def say(database_url: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Say:
    """Commands in a thread of their own: each brings its own event loop."""
    monkeypatch.setenv("DATABASE_URL", database_url)
    monkeypatch.setenv("HOLDFAST_KNOWLEDGE__EMBEDDING", "none")
    monkeypatch.chdir(tmp_path)
    groups = {"runbooks": runbooks, "memory": memory}

    async def go(*words: str, given: str | None = None) -> Result:
        return await asyncio.to_thread(CliRunner().invoke, groups[words[0]], list(words[1:]), input=given)

    return go


async def test_a_folder_is_added_searched_shown_and_removed(say: Say) -> None:
    assert (await say("runbooks", "add", EXAMPLES)).exit_code == 0
    again = json.loads((await say("runbooks", "add", EXAMPLES, "--json")).output)
    assert again["unchanged"] == 8
    listed = (await say("runbooks", "ls", "--runnable")).output
    assert "disk-filling-up" in listed
    found = await say("runbooks", "search", "the disk is filling up", "--json")
    assert json.loads(found.stdout)["hits"][0]["document"]["id"] == "disk-filling-up"
    assert "Certificate" in (await say("runbooks", "show", "certificate-expiry")).output
    assert "removed 1 of 1" in (await say("runbooks", "rm", "certificate-expiry")).output
    assert (await say("runbooks", "rollback", "certificate-expiry", "1")).exit_code == 0


async def test_standard_input_is_a_document_and_bad_bytes_are_refused(say: Say) -> None:
    assert (await say("runbooks", "add", "-", "--id", "mine", given="# Mine\n\nWords.\n")).exit_code == 0
    assert (await say("runbooks", "add", "-", given="x")).exit_code == 1


async def test_sync_takes_out_what_vanished(say: Say, tmp_path: Path) -> None:
    folder = tmp_path / "books"
    folder.mkdir()
    (folder / "a.md").write_text("# A\n\nwords")
    (folder / "b.md").write_text("# B\n\nother words")
    assert "2 added" in (await say("runbooks", "sync", str(folder))).output
    (folder / "b.md").unlink()
    assert "1 removed" in (await say("runbooks", "sync", str(folder))).output


async def test_lint_fails_on_an_error_and_names_the_line(say: Say, tmp_path: Path) -> None:
    bad = tmp_path / "bad.md"
    bad.write_text("# Bad\n\n```shell id=a needs=b\ntrue\n```\n")
    result = await say("runbooks", "lint", str(bad))
    assert result.exit_code == 1
    assert "bad:3: error" in result.output
    assert (await say("runbooks", "lint", EXAMPLES)).exit_code == 0


async def test_memory_is_told_corrected_rolled_back_and_forgotten(say: Say) -> None:
    item = (
        await say("memory", "add", "db-1 belongs to Ann", "--subject", "db-1", "--attribute", "owner")
    ).output.strip()
    await say("memory", "snapshot", "before")
    assert "Bo" in (await say("memory", "edit", item, "db-1 belongs to Bo")).output
    shown = (await say("memory", "show", item)).output
    assert "-db-1 belongs to Ann" in shown
    assert "1 items changed" in (await say("memory", "restore", "before")).output
    assert "Ann" in (await say("memory", "ls")).output
    assert (await say("memory", "recall", "what belongs to whom on db-1 of Ann")).exit_code in (0, 1)
    assert item in (await say("memory", "export")).output
    assert f"forgot {item}" in (await say("memory", "forget", item, "--yes")).output
    assert "forgotten" in (await say("memory", "ls", "--status", "forgotten")).output
