"""The library in a real Postgres, found by words alone."""

import asyncio
from collections.abc import Sequence

import pytest

from holdfast.adapters.postgres import knowledge_ingest
from holdfast.adapters.postgres.database import Connection, Database
from holdfast.adapters.postgres.knowledge import PostgresLibrary
from holdfast.adapters.postgres.knowledge_entries import Outcome, Ready, write_entries
from holdfast.adapters.postgres.knowledge_ingest import LibraryWriter
from holdfast.adapters.postgres.knowledge_upkeep import LibraryKeeper
from holdfast.errors import NotFound
from schemas.knowledge import DocumentDraft, DocumentKind, IngestJob, SearchFilter, SearchRequest
from tests.knowledge.victim import HashedWords

TENANT = "default"
DISK = "# Disk filling up\n\n## Meaning\n\nA file system has little space left.\n\n## Do\n\n```shell\ndf -h\n```\n"
NODE = "# KubeNodeNotReady\n\nThe kubelet of a node no longer reports.\n"


@pytest.fixture
def library(database: Database) -> PostgresLibrary:
    return PostgresLibrary(database=database)


async def test_what_is_ingested_is_found_with_its_exact_place(library: PostgresLibrary) -> None:
    report = await library.ingest(
        TENANT, [DocumentDraft(id="disk", text=DISK), DocumentDraft(id="node", text=NODE)], author="ann"
    )
    assert (report.added, report.changed, report.unchanged) == (2, 0, 0)
    result = await library.search(TENANT, SearchRequest(query="little space on the file systems"))
    best = result.hits[0]
    assert best.document.id == "disk"
    assert best.section == ("Meaning",)
    assert DISK[best.start : best.end] == best.snippet
    assert "embedding" in result.note


async def test_a_camel_case_name_is_found_by_its_words(library: PostgresLibrary) -> None:
    await library.ingest(
        TENANT, [DocumentDraft(id="disk", text=DISK), DocumentDraft(id="node", text=NODE)], author="ann"
    )
    result = await library.search(TENANT, SearchRequest(query="a node is not ready"))
    assert result.hits[0].document.id == "node"


async def test_the_same_document_twice_changes_nothing(library: PostgresLibrary) -> None:
    draft = DocumentDraft(id="disk", text=DISK)
    await library.ingest(TENANT, [draft], author="ann")
    again = await library.ingest(TENANT, [draft], author="ann")
    assert (again.added, again.changed, again.unchanged) == (0, 0, 1)
    assert (await library.read(TENANT, "disk")).version == 1


async def test_the_same_document_from_two_calls_at_once_is_one_version(library: PostgresLibrary) -> None:
    for text in ("# A\n\nFirst words.", "# A\n\nOther words."):
        drafts = [DocumentDraft(id="twice", text=text)]
        reports = await asyncio.gather(*(library.ingest(TENANT, drafts, author="t") for _ in range(4)))
        assert sum(report.added + report.changed for report in reports) == 1
        assert sum(report.unchanged for report in reports) == 3
    assert [each.version for each in await library.versions(TENANT, "twice")] == [2, 1]


async def test_a_changed_document_is_a_new_version_and_the_old_one_stays(library: PostgresLibrary) -> None:
    await library.ingest(TENANT, [DocumentDraft(id="disk", text=DISK)], author="ann")
    await library.ingest(TENANT, [DocumentDraft(id="disk", text=DISK + "\nCall Bo.\n")], author="bo")
    assert (await library.read(TENANT, "disk")).text.endswith("Call Bo.\n")
    assert (await library.read(TENANT, "disk", version=1)).text == DISK
    assert [each.version for each in await library.versions(TENANT, "disk")] == [2, 1]


async def test_another_tenant_sees_nothing(library: PostgresLibrary) -> None:
    await library.ingest(TENANT, [DocumentDraft(id="disk", text=DISK)], author="ann")
    assert (await library.search("other", SearchRequest(query="disk"))).hits == ()
    with pytest.raises(NotFound):
        await library.read("other", "disk")


async def test_a_filter_is_never_passed_by(library: PostgresLibrary) -> None:
    drafts = [DocumentDraft(id=f"d{at}", text=DISK, source="a" if at < 30 else "b") for at in range(32)]
    await library.ingest(TENANT, drafts, author="ann")
    found = await library.search(
        TENANT, SearchRequest(query="disk space", where=SearchFilter(source="b"), limit=10)
    )
    assert {hit.document.id for hit in found.hits} == {"d30", "d31"}


async def test_one_bad_document_does_not_keep_the_others_out(library: PostgresLibrary) -> None:
    report = await library.ingest(
        TENANT,
        [
            DocumentDraft(id="empty", text="\n \n"),
            DocumentDraft(id="binary", text="\x00\x01"),
            DocumentDraft(id="yaml", text="---\n: [\n---\ntext"),
            DocumentDraft(id="good", text=NODE),
            DocumentDraft(id="good", text=DISK),
        ],
        author="ann",
    )
    assert report.added == 1
    assert [failure.id for failure in report.failures] == ["empty", "binary", "yaml", "good"]
    assert report.failures[3].code == "duplicate_id"


async def test_a_sync_adds_changes_moves_and_removes(library: PostgresLibrary) -> None:
    first = [
        DocumentDraft(id="disk", text=DISK),
        DocumentDraft(id="node", text=NODE),
        DocumentDraft(id="old", text="# Old\n\nx"),
    ]
    await library.sync(TENANT, "git", first, author="ann")
    await library.ingest(
        TENANT, [DocumentDraft(id="mine", text="# Mine\n\nelsewhere", source="hand")], author="ann"
    )
    second = [DocumentDraft(id="host/disk", text=DISK), DocumentDraft(id="node", text=NODE + "\nNew.\n")]
    report = await library.sync(TENANT, "git", second, author="ann")
    assert (report.moved, report.changed, report.unchanged, report.removed, report.added) == (1, 1, 1, 1, 0)
    assert [each.id for each in await library.documents(TENANT)] == ["host/disk", "mine", "node"]
    again = await library.sync(TENANT, "git", second, author="ann")
    assert (again.unchanged, again.changed + again.added + again.moved + again.removed) == (2, 0)


async def test_a_long_sync_ends_in_time_and_the_same_call_goes_on(database: Database) -> None:
    writer = LibraryWriter(database=database, embedder=None)
    keeper = LibraryKeeper(database=database, writer=writer, patience_s=0)
    await keeper.sync(TENANT, "git", [DocumentDraft(id="gone", text=DISK)], author="ann", kept=())
    drafts = [DocumentDraft(id=f"d{at}", text=f"{DISK}{at}") for at in range(45)]
    reports = [
        await keeper.sync(TENANT, "git", [*drafts, drafts[0]], author="ann", kept=()) for _ in range(3)
    ]
    assert [(each.added, each.left, each.removed) for each in reports] == [(20, 25, 0), (20, 5, 0), (5, 0, 1)]
    assert [each.code for each in reports[-1].failures] == ["duplicate_id"]


async def test_a_sync_keeps_what_could_not_be_read_just_now(library: PostgresLibrary) -> None:
    drafts = [DocumentDraft(id=name, text=DISK + name) for name in ("a", "rules.yaml/Down", "rules.yaml.md")]
    await library.sync(TENANT, "git", drafts, author="ann")
    report = await library.sync(TENANT, "git", [], author="ann", kept=["a", "rules.yaml"])
    assert report.removed == 1
    assert [each.id for each in await library.documents(TENANT)] == ["a", "rules.yaml/Down"]


async def test_a_document_that_cannot_be_stored_keeps_no_other_out(
    library: PostgresLibrary, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def write(
        connection: Connection, tenant: str, entries: Sequence[Ready], author: str
    ) -> list[Outcome]:
        if any(entry.reading.document.id == "odd" for entry, _ in entries):
            await connection.execute("select 1 / 0")
        return await write_entries(connection, tenant, entries, author)

    monkeypatch.setattr(knowledge_ingest, "write_entries", write)
    drafts = [DocumentDraft(id=name, text=DISK + name) for name in ("one", "odd", "two")]
    report = await library.ingest(TENANT, drafts, author="ann")
    assert (report.added, [failure.id for failure in report.failures]) == (2, ["odd"])


async def test_of_two_documents_of_a_job_with_one_id_the_first_goes_in(library: PostgresLibrary) -> None:
    drafts = [DocumentDraft(id=name, text=f"# {at}\n\ntext\n") for at, name in enumerate("abca")]
    await library.jobs.stage(TENANT, "job", drafts)
    job = IngestJob(tenant=TENANT, job="job", author="ann", page=2)
    while (progress := await library.jobs.page(job)).left:
        pass
    assert progress.outcomes == {"done": 3, "failed": 1}
    assert [(each.id, each.code) for each in await library.jobs.failures(TENANT, "job")] == [
        ("a", "duplicate_id")
    ]
    assert (await library.read(TENANT, "a")).title == "0"


async def test_a_job_leaves_alone_what_was_written_or_taken_out_since(library: PostgresLibrary) -> None:
    drafts = [DocumentDraft(id=name, text=f"# Old {name}\n\ntext\n") for name in "abc"]
    await library.ingest(TENANT, drafts[1:2], author="ann")
    await library.jobs.stage(TENANT, "job", drafts)
    await library.ingest(TENANT, [DocumentDraft(id="a", text="# New a\n\ntext\n")], author="ann")
    await library.remove(TENANT, ["b"])
    assert (await library.jobs.page(IngestJob(tenant=TENANT, job="job"))).outcomes == {"done": 3}
    assert [each.title for each in await library.documents(TENANT)] == ["New a", "Old c"]


async def test_what_would_take_long_is_named_for_later_and_the_rest_goes_in(library: PostgresLibrary) -> None:
    long = "# Long\n\n" + "".join(f"## Part {at}\n\nWords.\n\n" for at in range(12))
    drafts = [DocumentDraft(id="long", text=long), DocumentDraft(id="short", text=NODE)]
    report = await library.ingest(TENANT, drafts, author="ann", most=10)
    assert (report.added, report.chunks, report.later) == (1, 1, ("long",))
    await library.ingest(TENANT, drafts, author="ann")
    again = await library.ingest(TENANT, drafts, author="ann", most=10)
    assert (again.unchanged, again.later) == (2, ())


async def test_common_words_bring_up_nothing_beside_vectors_and_still_count(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in (("knowledge_candidates.EXACT", 1), ("knowledge_query.POSTINGS", 1)):
        monkeypatch.setattr(f"holdfast.adapters.postgres.{name}", value)
    library = PostgresLibrary(database=database, embedder=HashedWords())
    await library.ingest(
        TENANT, [DocumentDraft(id="disk", text=DISK), DocumentDraft(id="node", text=NODE)], author="ann"
    )
    words = PostgresLibrary(database=database)
    for each in (library, words):
        found = await each.search(TENANT, SearchRequest(query="the disk of a node"))
        assert found.hits[0].signals
        assert {term for hit in found.hits for term in hit.words} >= {"disk"}


async def test_a_removed_document_is_not_found_and_can_come_back(library: PostgresLibrary) -> None:
    await library.ingest(TENANT, [DocumentDraft(id="disk", text=DISK)], author="ann")
    assert await library.remove(TENANT, ["disk"]) == 1
    assert (await library.search(TENANT, SearchRequest(query="disk"))).hits == ()
    with pytest.raises(NotFound):
        await library.read(TENANT, "disk")
    await library.restore(TENANT, "disk", 1, author="bo")
    assert (await library.read(TENANT, "disk")).version == 2
    assert (await library.search(TENANT, SearchRequest(query="disk"))).hits[0].document.id == "disk"


async def test_an_alert_rule_lends_its_words_to_the_runbook_it_names(library: PostgresLibrary) -> None:
    asked = SearchRequest(
        query="heartbeat lost for fifteen minutes", where=SearchFilter(kinds=(DocumentKind.RUNBOOK,))
    )
    await library.ingest(
        TENANT, [DocumentDraft(id="node", text=NODE), DocumentDraft(id="disk", text=DISK)], author="ann"
    )
    assert (await library.search(TENANT, asked)).hits == ()
    rule = DocumentDraft(
        id="rules/node",
        title="KubeNodeNotReady",
        alert="KubeNodeNotReady",
        kind=DocumentKind.ALERT_RULE,
        text="# Rule\n\nup == 0",
        questions=("The heartbeat of a node was lost for fifteen minutes.",),
    )
    await library.ingest(TENANT, [rule], author="ann")
    found = await library.search(TENANT, asked)
    assert [hit.document.id for hit in found.hits] == ["node"]
    assert (await library.read(TENANT, "node")).version == 1
    changed = DocumentDraft(id="node", text=NODE + "\nMore.\n")
    await library.ingest(TENANT, [changed], author="ann")
    assert (await library.search(TENANT, asked)).hits[0].document.id == "node"


async def test_an_alert_rule_lends_its_words_to_the_runbook_its_url_names(library: PostgresLibrary) -> None:
    rule = DocumentDraft(
        id="rules.yaml/HostOutOfBytes",
        text="# HostOutOfBytes",
        kind=DocumentKind.ALERT_RULE,
        alert="HostOutOfBytes",
        uri="https://books.example/ops/disk-filling-up.html",
        questions=("Zero bytes remain on the volume",),
    )
    await library.ingest(TENANT, [DocumentDraft(id="ops/disk", text=DISK), rule], author="ann")
    runbooks = SearchFilter(kinds=(DocumentKind.RUNBOOK,))
    found = await library.search(TENANT, SearchRequest(query="zero bytes remain", where=runbooks))
    assert [hit.document.id for hit in found.hits] == ["ops/disk"]
    moved = DocumentDraft(id="books/disk-filling-up.md", text=NODE)
    await library.ingest(TENANT, [moved], author="ann")
    found = await library.search(TENANT, SearchRequest(query="zero bytes remain", where=runbooks))
    assert {hit.document.id for hit in found.hits} == {"ops/disk", "books/disk-filling-up.md"}
