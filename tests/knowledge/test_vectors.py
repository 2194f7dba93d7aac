"""Vectors beside words: hybrid search, the cache, a second model, and an ingestion that survives its worker.

The embedder here is small and real in what matters: like texts are near, unlike ones are not, and it counts its work.
"""

import asyncio
from collections.abc import Sequence

import pytest
from temporalio.client import Client
from temporalio.worker import Worker

from activities.ingest import IngestActivities
from holdfast.adapters.postgres.database import Database
from holdfast.adapters.postgres.knowledge import PostgresLibrary
from holdfast.errors import ModelRefused
from holdfast.knowledge.ports import Vectors
from schemas.knowledge import DocumentDraft, IngestJob, IngestProgress, SearchFilter, SearchRequest
from tests.knowledge.victim import TENANT, HashedWords
from workflows.ingest import Ingestion


def _drafts(count: int = 6) -> list[DocumentDraft]:
    texts = ["The disk is full and writes fail.", "A node does not report.", "Certificates expire soon."]
    return [
        DocumentDraft(id=f"d{at}", text=f"# Book {at}\n\n{texts[at % 3]}\n\n## More\n\nNumber {at}.\n")
        for at in range(count)
    ]


async def test_a_meaning_is_found_where_no_word_is_shared(database: Database) -> None:
    library = PostgresLibrary(database=database, embedder=HashedWords())
    await library.ingest(TENANT, _drafts(3), author="ann")
    result = await library.search(TENANT, SearchRequest(query="storage volume"))
    assert result.hits[0].document.id == "d0"
    assert {signal.name for signal in result.hits[0].signals} == {"lexical", "dense"}
    assert result.model == "words"


async def test_unchanged_chunks_are_not_embedded_again(database: Database) -> None:
    embedder = HashedWords()
    library = PostgresLibrary(database=database, embedder=embedder)
    await library.ingest(TENANT, _drafts(), author="ann")
    before = embedder.embedded
    assert (await library.ingest(TENANT, _drafts(), author="ann")).embedded == 0
    assert embedder.embedded == before
    changed = _drafts()[0].model_copy(update={"text": _drafts()[0].text + "\n## New\n\nOne more.\n"})
    report = await library.ingest(TENANT, [changed], author="ann")
    assert (report.chunks, report.embedded) == (3, 1)


async def test_documents_from_before_the_model_get_their_vectors_and_no_new_version(
    database: Database,
) -> None:
    await PostgresLibrary(database=database).ingest(TENANT, _drafts(), author="ann")
    library = PostgresLibrary(database=database, embedder=HashedWords())
    assert (await library.ingest(TENANT, _drafts(), author="ann")).unchanged == 6
    result = await library.search(TENANT, SearchRequest(query="storage volume", signals="dense", limit=2))
    assert {hit.document.id for hit in result.hits} == {"d0", "d3"}
    assert (await library.read(TENANT, "d0")).version == 1


async def test_a_library_moves_to_another_model_while_the_old_one_answers(database: Database) -> None:
    old, new = HashedWords("old", 64), HashedWords("new", 32)
    await PostgresLibrary(database=database, embedder=old).ingest(TENANT, _drafts(), author="ann")
    library = PostgresLibrary(database=database, embedder=new, before=old)
    job = IngestJob(tenant=TENANT, job="move", work="embed", page=4)
    assert (await library.jobs.page(job)).left == 2
    assert (await library.search(TENANT, SearchRequest(query="storage"))).model == "old"
    await library.jobs.finish(job)
    assert (await library.search(TENANT, SearchRequest(query="storage"))).model == "old"
    assert (await library.jobs.page(job)).left == 0
    await library.jobs.finish(job)
    result = await library.search(TENANT, SearchRequest(query="storage volume"))
    assert result.model == "new"
    assert result.hits[0].document.id in ("d0", "d3")


async def test_a_job_tells_how_far_a_document_is_that_takes_long(database: Database) -> None:
    heard: list[IngestProgress] = []

    class Asked(HashedWords):
        async def embed(self, texts: Sequence[str]) -> Vectors:
            heard.append(await library.jobs.progress(TENANT, "job"))
            return await super().embed(texts)

    library = PostgresLibrary(database=database, embedder=Asked())
    long = "# Long\n\n" + "".join(f"## Part {at}\n\nAbout number {at}.\n\n" for at in range(150))
    await library.jobs.stage(TENANT, "job", [DocumentDraft(id="long", text=long)])
    done = await library.jobs.page(IngestJob(tenant=TENANT, job="job"))
    assert [each.embedded for each in heard] == [0, 64, 128]
    assert {(each.left, each.passages) for each in heard} == {(1, 152)}
    assert (done.left, done.passages) == (0, 0)


async def test_no_graph_is_begun_while_documents_of_a_job_wait(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("holdfast.adapters.postgres.knowledge_growth.EXACT", 1)

    async def graphs() -> int:
        async with database.tenant(TENANT) as connection:
            found = await connection.execute(
                "select from pg_indexes where indexname like 'knowledge_hnsw_%'",
            )
            return found.rowcount

    library = PostgresLibrary(database=database, embedder=HashedWords())
    await library.jobs.stage(TENANT, "job", _drafts())
    other = [DocumentDraft(id="other", text="# Other\n\nWords.\n")]
    await library.ingest(TENANT, other, author="ann")
    assert await graphs() == 0
    job = IngestJob(tenant=TENANT, job="job")
    await library.jobs.page(job)
    await library.jobs.finish(job)
    assert await graphs() == 1


async def test_a_model_that_is_not_at_hand_leaves_words_and_says_so(database: Database) -> None:
    await PostgresLibrary(database=database, embedder=HashedWords()).ingest(TENANT, _drafts(), author="ann")
    result = await PostgresLibrary(database=database).search(TENANT, SearchRequest(query="full disk"))
    assert result.hits[0].document.id == "d0"
    assert "words alone" in result.note


@pytest.mark.parametrize(
    "limits", [(1_500, 10_000), (1, 10_000), (1, 1)], ids=["all", "own vectors", "graph"]
)
async def test_a_filter_returns_all_that_pass_above_the_exact_limit_too(
    database: Database, monkeypatch: pytest.MonkeyPatch, limits: tuple[int, int]
) -> None:
    for name, limit in zip(("EXACT_DOCUMENTS", "OWN_DOCUMENTS"), limits, strict=True):
        monkeypatch.setattr(f"holdfast.adapters.postgres.knowledge_candidates.{name}", limit)
    library = PostgresLibrary(database=database, embedder=HashedWords())
    drafts = [
        draft.model_copy(update={"source": "few" if at < 4 else "many"})
        for at, draft in enumerate(_drafts(40))
    ]
    await library.ingest(TENANT, drafts, author="ann")
    async with database.tenant(TENANT) as connection:
        await connection.execute("update knowledge_totals set chunks = 1000000")
        await connection.execute("select index_vectors('words', 64)")
    found = await library.search(
        TENANT, SearchRequest(query="storage", where=SearchFilter(source="few"), signals="dense")
    )
    assert len(found.hits) == 4
    whole = await library.search(TENANT, SearchRequest(query="storage volume", signals="dense", limit=5))
    assert all(int(hit.document.id[1:]) % 3 == 0 for hit in whole.hits)


class Dying:
    """A desk whose worker dies after some pages, before its answer is heard."""

    def __init__(self, library: PostgresLibrary, deaths: int) -> None:
        self._library = library
        self._deaths = deaths

    async def page(self, job: IngestJob) -> IngestProgress:
        progress = await self._library.jobs.page(job)
        if self._deaths:
            self._deaths -= 1
            raise ConnectionError("the worker died")
        return progress

    async def finish(self, job: IngestJob) -> IngestProgress:
        return await self._library.jobs.finish(job)


async def test_a_durable_ingestion_ends_whole_though_its_pages_die(
    database: Database, temporal_client: Client
) -> None:
    library = PostgresLibrary(database=database, embedder=HashedWords())
    drafts = [*_drafts(30), DocumentDraft(id="bad", text=" ")]
    assert await library.jobs.stage(TENANT, "job", drafts) == 31
    assert await library.jobs.stage(TENANT, "job", drafts) == 31
    desk = IngestActivities(desk=Dying(library, deaths=2))
    queue = "knowledge"
    client = temporal_client
    async with Worker(
        client, task_queue=queue, workflows=[Ingestion], activities=[desk.ingest_page, desk.ingest_finish]
    ):
        job = IngestJob(tenant=TENANT, job="job", author="ann", page=10)
        async with asyncio.timeout(60):
            progress = await client.execute_workflow(
                Ingestion.run, job, id=f"ingest-{id(database)}", task_queue=queue
            )
    assert (progress.left, progress.outcomes) == (0, {"done": 30, "failed": 1})
    documents = await library.documents(TENANT)
    assert len(documents) == 30
    assert {document.version for document in documents} == {1}


class Asker:
    """Thinks of one question for each passage, and counts the passages it was shown."""

    def __init__(self) -> None:
        self.shown = 0

    async def questions(self, tenant: str, title: str, passages: Sequence[str]) -> Sequence[Sequence[str]]:
        self.shown += len(passages)
        return [["Why do my letters bounce?"] if "writes fail" in passage else [] for passage in passages]


async def test_questions_of_a_model_find_a_runbook_and_outlive_an_edit_of_another_passage(
    database: Database,
) -> None:
    library, asker = PostgresLibrary(database=database, embedder=HashedWords()), Asker()
    await library.ingest(TENANT, _drafts(), author="ann")
    desk, job = library.questions(asker), IngestJob(tenant=TENANT, job="ask", work="questions", page=4)
    assert [(await desk.page(job)).left, (await desk.page(job)).left, (await desk.page(job)).done] == [
        2,
        0,
        0,
    ]
    found = await library.search(TENANT, SearchRequest(query="letters bounce", limit=2))
    assert {hit.document.id for hit in found.hits} == {"d0", "d3"}
    assert (await library.read(TENANT, "d0")).version == 1
    before = asker.shown
    edited = _drafts()[0].model_copy(update={"text": _drafts()[0].text + "\n## New\n\nOne more.\n"})
    await library.ingest(TENANT, [edited], author="bo")
    found = await library.search(TENANT, SearchRequest(query="letters bounce", limit=2))
    assert {hit.document.id for hit in found.hits} == {"d0", "d3"}
    await desk.page(job)
    assert asker.shown == before + 1
    assert (await library.ingest(TENANT, [edited], author="bo")).unchanged == 1


class Stubborn(Asker):
    """Makes nothing of the first document it is shown."""

    async def questions(self, tenant: str, title: str, passages: Sequence[str]) -> Sequence[Sequence[str]]:
        if not self.shown:
            self.shown = 1
            raise ModelRefused("The model did not keep to the form.")
        return await super().questions(tenant, title, passages)


async def test_a_document_that_a_model_makes_nothing_of_holds_no_other_up(database: Database) -> None:
    library, asker = PostgresLibrary(database=database, embedder=HashedWords()), Stubborn()
    await library.ingest(TENANT, _drafts(), author="ann")
    job = IngestJob(tenant=TENANT, job="ask", work="questions", page=4)
    desk = library.questions(asker)
    assert [(await desk.page(job)).left, (await desk.page(job)).left] == [2, 0]
    found = await library.search(TENANT, SearchRequest(query="letters bounce", limit=2))
    assert "d3" in {hit.document.id for hit in found.hits}
