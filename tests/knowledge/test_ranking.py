"""The order of results: the SQL computes the BM25 that is written down, diversity and reranking do what they say."""

import asyncio
import json
from collections import Counter
from collections.abc import Sequence

import pytest

from holdfast.adapters.embedding.reranking import HttpReranker
from holdfast.adapters.postgres.database import Database
from holdfast.adapters.postgres.knowledge import PostgresLibrary
from holdfast.knowledge.bm25 import rarity, score, weight
from holdfast.knowledge.confidence import SURE, confidence
from holdfast.knowledge.fusion import Candidate, diversified, fuse, standardised
from holdfast.knowledge.indexing import entry_of
from holdfast.knowledge.kin import is_kind, met_otherwise, with_kinds
from holdfast.knowledge.reading import read_draft
from holdfast.knowledge.terms import terms_of
from schemas.knowledge import DocumentDraft, SearchHit, SearchRequest

DRAFTS = [
    DocumentDraft(
        id="a",
        text="# Disk full\n\nThe disk of a host is full.\n\n## Do\n\nDelete what nobody needs on disk.\n",
    ),
    DocumentDraft(id="b", text="# Node down\n\nA node does not report; its disk may be full.\n"),
    DocumentDraft(id="c", text="# Queue long\n\nThe queue is long and grows.\n"),
]


async def test_the_sql_computes_the_bm25_that_is_written_down(database: Database) -> None:
    library = PostgresLibrary(database=database)
    await library.ingest("default", DRAFTS, author="ann")
    entries = {draft.id: entry_of(read_draft(draft)) for draft in DRAFTS}
    query = "full disk of a queue, full"
    times = with_kinds(Counter(terms_of(query)))
    holding = {term: sum(term in entry.frequencies for entry in entries.values()) for term in times}
    weights = {
        term: weight(rarity(len(DRAFTS), count), times[term], kind=is_kind(term))
        for term, count in holding.items()
    }
    average = sum(entry.length for entry in entries.values()) / len(DRAFTS)
    found = await library.search("default", SearchRequest(query=query, signals="lexical"))
    assert len(found.hits) == 3
    for hit in found.hits:
        entry = entries[hit.document.id]
        expected = score(weights, entry.frequencies, length=entry.length, average_length=average)
        assert hit.signals[0].raw == pytest.approx(expected, rel=1e-4)


async def test_what_is_asked_in_other_words_is_found_by_words_alone_and_says_so(database: Database) -> None:
    library = PostgresLibrary(database=database)
    await library.ingest("default", DRAFTS, author="ann")
    found = await library.search(
        "default", SearchRequest(query="the server is unreachable", signals="lexical")
    )
    assert found.hits[0].document.id == "b"
    assert found.hits[0].words == ()
    assert "has other words for node" in found.hits[0].why


def test_a_kind_counts_as_often_as_its_words_and_is_told_only_where_none_of_them_is() -> None:
    counted = with_kinds(Counter(terms_of("a host, and a machine")))
    assert (counted["host"], counted["machin"], counted["~node"]) == (1, 1, 2)
    assert met_otherwise(["~node", "~disk", "disk"]) == ["node"]


class ByLength:
    async def rerank(self, query: str, hits: Sequence[SearchHit]) -> Sequence[float]:
        return [float(len(hit.document.title)) for hit in hits]

    async def close(self) -> None:
        """Nothing is open."""


async def test_a_reranker_has_the_last_word_on_the_order(database: Database) -> None:
    library = PostgresLibrary(database=database, reranker=ByLength())
    await library.ingest("default", DRAFTS, author="ann")
    found = await library.search("default", SearchRequest(query="disk queue"))
    assert found.hits[0].document.id == "c"
    assert found.hits[0].signals[-1].name == "rerank"


def test_a_signal_that_tells_nothing_apart_adds_nothing() -> None:
    assert standardised([2.0, 2.0]) == [0.0, 0.0]
    assert standardised([]) == []
    ranked = fuse([Candidate(1, lexical=1.0), Candidate(2, lexical=3.0)], signals=["lexical"])
    assert [candidate.key for candidate in ranked] == [2, 1]


def test_of_two_that_say_the_same_the_second_steps_back() -> None:
    ranked = [Candidate(1, score=1.0), Candidate(2, score=0.9), Candidate(3, score=0.5)]
    vectors = {1: [1.0, 0.0], 2: [1.0, 0.0], 3: [0.0, 1.0]}
    assert [each.key for each in diversified(vectors, ranked, limit=3)] == [1, 3, 2]


def test_what_is_far_is_never_sure() -> None:
    assert confidence(nearest=0.3, covered=2.0) < SURE < confidence(nearest=0.6, covered=0.0)
    assert confidence(nearest=None, covered=0.2) < SURE < confidence(nearest=None, covered=1.2)


class RerankServer:
    """Speaks as Cohere's endpoint does; what it prefers is the shortest text."""

    def __init__(self) -> None:
        self.status = "200 OK"

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
        length = int(head.split("content-length: ")[1].split("\r\n")[0])
        asked = json.loads(await reader.readexactly(length))
        scored = sorted(enumerate(asked["documents"]), key=lambda pair: len(pair[1]))
        rows = [{"index": at, "relevance_score": 1 / len(text)} for at, text in scored]
        body = json.dumps({"results": rows}).encode()
        writer.write(
            f"HTTP/1.1 {self.status}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n".encode()
        )
        writer.write(body)
        await writer.drain()
        writer.close()


async def test_an_endpoint_reranks_and_its_silence_changes_nothing(database: Database) -> None:
    told = RerankServer()
    server = await asyncio.start_server(told.serve, "127.0.0.1", 0)
    reranker = HttpReranker(
        url=f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1", model="m", key="k"
    )
    library = PostgresLibrary(database=database, reranker=reranker)
    await library.ingest("default", DRAFTS, author="ann")
    request = SearchRequest(query="disk queue", limit=1)
    plain = await PostgresLibrary(database=database).search("default", SearchRequest(query="disk queue"))
    shortest = min(plain.hits, key=lambda hit: len(f"{hit.document.title}\n{hit.snippet}"))
    found = await library.search("default", request)
    assert [hit.document.id for hit in found.hits] == [shortest.document.id]
    told.status = "500 Broken"
    found = await library.search("default", request)
    assert [hit.document.id for hit in found.hits] == [plain.hits[0].document.id]
    assert "reranker" in found.note
    await reranker.close()
    server.close()
    await server.wait_closed()
