"""`holdfast runbooks` and `holdfast memory`, against a real API."""

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from holdfast.adapters.postgres.database import Database
from holdfast.adapters.postgres.payloads import PostgresPayloads
from holdfast.runtime.settings import TemporalSettings, WorkerSettings
from holdfast.runtime.temporal import HoldfastPlugin, connect
from tests.api.conftest import RunningApi, reaching, serve, until
from tests.cli.commands import Outcome, holdfast
from workers import pools

EXAMPLES = str(Path(__file__).parents[2] / "examples" / "runbooks")
Say = Callable[..., Awaitable[Outcome]]


@pytest.fixture
async def api(database_url: str, temporal_address: str) -> AsyncIterator[RunningApi]:
    """Each test has a library of its own."""
    async with serve(database_url, reaching(temporal_address)) as running:
        yield running


@pytest.fixture
def say(api: RunningApi, tmp_path: Path) -> Say:
    async def go(*words: str, given: str = "") -> Outcome:
        return await holdfast(api, *words, given=given, folder=tmp_path)

    return go


async def test_a_folder_is_added_searched_shown_and_removed(say: Say) -> None:
    added = await say("runbooks", "add", EXAMPLES)
    assert added.code == 0, added.err
    again = json.loads((await say("runbooks", "add", EXAMPLES, "--json")).out)
    assert again["unchanged"] == 8
    listed = (await say("runbooks", "ls", "--runnable")).out
    assert "disk-filling-up" in listed
    found = await say("runbooks", "search", "the disk is filling up", "--json")
    assert json.loads(found.out)["hits"][0]["document"]["id"] == "disk-filling-up"
    elsewhere = await say("runbooks", "search", "the disk is filling up", "--owner", "nobody", "--json")
    assert (elsewhere.code, json.loads(elsewhere.out)["hits"]) == (1, [])
    assert "Certificate" in (await say("runbooks", "show", "certificate-expiry")).out
    assert "removed 1 of 1" in (await say("runbooks", "rm", "certificate-expiry")).out
    assert "version 2" in (await say("runbooks", "rollback", "certificate-expiry", "1")).out
    assert "version 1" in (await say("runbooks", "show", "certificate-expiry", "--history")).out


async def test_standard_input_is_a_document_and_bad_bytes_are_refused(say: Say) -> None:
    assert (await say("runbooks", "add", "-", "--id", "mine", given="# Mine\n\nWords.\n")).code == 0
    assert (await say("runbooks", "add", "-", given="x")).code == 2
    page = "<head><title>x</title></head><h1>Mine</h1><p>Words.</p>"
    assert (await say("runbooks", "add", "-", "--id", "mine.html", given=page)).code == 0
    assert "# Mine" in (await say("runbooks", "show", "mine.html")).out


async def test_sync_takes_out_what_vanished(say: Say, tmp_path: Path) -> None:
    folder = tmp_path / "books"
    folder.mkdir()
    (folder / "a.md").write_text("# A\n\nwords")
    (folder / "b.md").write_text("# B\n\nother words")
    assert "2 added" in (await say("runbooks", "sync", str(folder))).out
    (folder / "b.md").write_bytes(b"\xff\xfe\xfd")
    half_written = await say("runbooks", "sync", str(folder))
    assert (half_written.code, "removed" in half_written.out) == (1, False)
    assert "other words" in (await say("runbooks", "show", "b")).out
    (folder / "b.md").unlink()
    assert "1 removed" in (await say("runbooks", "sync", str(folder))).out


async def test_documents_put_down_for_workers_are_read_once_there_is_one(
    api: RunningApi, say: Say, temporal_address: str
) -> None:
    put = json.loads((await say("runbooks", "add", EXAMPLES, "--later", "--json")).out)
    assert (put["done"], put["left"]) == (0, 8)
    database: Database = api.services.database
    client = await connect(HoldfastPlugin(payloads=PostgresPayloads(database)), address=temporal_address)
    desk = (await api.services.shelf.library()).jobs
    pool = pools.knowledge(desk=desk)
    async with pool.worker(client, workers=WorkerSettings(drain_s=0.1), temporal=TemporalSettings()):

        async def read() -> bool:
            return "8 read, 0 left" in (await say("runbooks", "progress", put["id"])).out

        await until(read, patience_s=30)
    assert "disk-filling-up" in (await say("runbooks", "ls")).out


async def test_a_large_document_is_waited_for_until_workers_have_read_it(
    api: RunningApi, say: Say, tmp_path: Path, temporal_address: str
) -> None:
    large = "# Large\n\n" + "".join(f"## Part {at}\n\nWords.\n\n" for at in range(301))
    (tmp_path / "large.md").write_text(large)
    client = await connect(
        HoldfastPlugin(payloads=PostgresPayloads(api.services.database)), address=temporal_address
    )
    pool = pools.knowledge(desk=(await api.services.shelf.library()).jobs)
    async with pool.worker(client, workers=WorkerSettings(drain_s=0.1), temporal=TemporalSettings()):
        added = await say("runbooks", "add", str(tmp_path / "large.md"))
        assert (added.code, "1 read by workers" in added.out) == (0, True), added.err
        ingestion = added.err.split("progress ")[1].split()[0]
        followed = await say("runbooks", "progress", ingestion, "--follow")
    assert "1 read, 0 left" in followed.out
    assert (await say("runbooks", "show", "large")).code == 0


async def test_lint_fails_on_an_error_and_names_the_line(api: RunningApi, say: Say, tmp_path: Path) -> None:
    bad = tmp_path / "bad.md"
    bad.write_text("# Bad\n\n```shell id=a needs=b\ntrue\n```\n")
    result = await say("runbooks", "lint", str(bad))
    assert result.code == 1
    assert "bad:3: error" in result.out
    assert (await say("runbooks", "lint", EXAMPLES)).code == 0
    async with api.http() as http:
        documents = [{"id": "bad", "text": bad.read_text()}]
        told = (await http.post("/v1/runbooks/lint", json={"documents": documents})).json()
    assert 3 in [finding["line"] for finding in told["items"][0]["findings"]]


async def test_memory_is_told_corrected_rolled_back_and_forgotten(say: Say, tmp_path: Path) -> None:
    words = ("db-1 belongs to Ann", "--subject", "db-1", "--attribute", "owner")
    item = (await say("memory", "add", *words)).out.strip()
    await say("memory", "snapshot", "before")
    assert "before" in (await say("memory", "snapshot")).out
    assert "Bo" in (await say("memory", "edit", item, "db-1 belongs to Bo")).out
    shown = (await say("memory", "show", item)).out
    assert "-db-1 belongs to Ann" in shown
    assert "about subject db-1, attribute owner" in shown
    assert (
        await say("memory", "edit", item, "--until", "2040-01-01", "--importance", "1", "--pin")
    ).code == 0
    assert "importance 1, until 2040-01-01" in (await say("memory", "show", item)).out
    assert "pinned" in (await say("memory", "show", item)).out
    assert (await say("memory", "edit", item)).code == 2
    placing = ("--env", "prod", "--label", "team=x", "--tool", "pager.call", "--data", "shifts=2")
    assert (await say("memory", "edit", item, *placing)).code == 0
    shown = (await say("memory", "show", item)).out
    assert "holds for environment prod, team x" in shown
    assert "about tool pager.call, subject db-1, attribute owner" in shown
    assert '"shifts":2' in (await say("memory", "show", item, "--json")).out.replace(" ", "")
    assert (await say("memory", "edit", item, "--env", "", "--label", "team=", "--data", "shifts=")).code == 0
    assert "holds for" not in (await say("memory", "show", item)).out
    assert "1 items changed" in (await say("memory", "restore", "before")).out
    assert "Ann" in (await say("memory", "ls")).out
    assert (await say("memory", "recall", "what belongs to whom on db-1 of Ann")).code in (0, 1)
    exported = (await say("memory", "export")).out
    assert item in exported
    (tmp_path / "export").write_text(exported)
    assert "read 1 items" in (await say("memory", "import", "export")).out
    (tmp_path / "broken").write_text("{}\n")
    assert (await say("memory", "import", "broken")).code == 2
    assert f"forgot {item}" in (await say("memory", "forget", item, "--yes")).out
    assert "forgotten" in (await say("memory", "ls", "--status", "forgotten")).out
