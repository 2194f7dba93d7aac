"""How search holds up with size: recall of the graph against exact search, latency, rate of ingestion, size on disk.

    python benchmarks/retrieval_scale.py [--chunks 1000 10000 100000] [--queries 100]

Documents and vectors are made by a seeded generator (words by a Zipf law, vectors in clusters as real ones lie), copied
straight into the tables as the product fills them, and searched through the product: by vectors that lie in clusters ("p50",
"p95"), and with the bundled model embedding every query besides ("embedded p95"). What a database of DATABASE_URL holds
already is not written again. `--fill` writes and measures nothing: a million in one go, at a low priority, measured later.
"""

import argparse
import asyncio
import time
from collections.abc import Iterable, Iterator, Sequence
from typing import LiteralString

import numpy as np
from numpy.typing import NDArray
from psycopg import AsyncConnection

from benchmarks.retrieval import TENANT, a_database, as_owner, database_urls, vacuum
from holdfast.adapters.embedding.minilm import MiniLM
from holdfast.adapters.postgres.database import Database
from holdfast.adapters.postgres.knowledge import PostgresLibrary
from holdfast.adapters.postgres.knowledge_growth import EXACT, keep_pace
from holdfast.adapters.postgres.knowledge_vectors import declare_model, to_text
from holdfast.knowledge.ports import Embedder
from schemas.knowledge import SearchFilter, SearchRequest

DIMENSIONS = 384
CHUNKS_EACH = 3
SAYINGS_EACH = 8
WORDS_EACH = 150
VOCABULARY = 60_000
_PAGE = 500
_DROP_GRAPHS = """do $$ declare name text; begin
  for name in select indexname from pg_indexes where indexname like 'knowledge_hnsw_%' loop
    execute format('drop index holdfast.%I', name);
  end loop;
end $$"""
_DIGEST = "sha256:" + "0" * 64

Floats = NDArray[np.float32]


class Seeded:
    """An embedder whose queries lie near documents that exist."""

    model = "scale"
    dimensions = DIMENSIONS

    def __init__(self, seed: int = 7) -> None:
        self.paid: Embedder | None = None
        """Embeds every query as well, for what that costs."""
        self._rng = np.random.default_rng(seed)
        self._topics = _unit(self._rng.standard_normal((400, DIMENSIONS)))

    def near_topic(self, count: int) -> Floats:
        topic = self._topics[self._rng.integers(0, len(self._topics), count)]
        return _unit(topic + 0.06 * self._rng.standard_normal((count, DIMENSIONS)))

    def around(self, centres: Floats) -> Floats:
        return _unit(centres + 0.03 * self._rng.standard_normal(centres.shape))

    async def embed(self, texts: Sequence[str]) -> Floats:
        if self.paid is not None:
            await self.paid.embed(texts)
        return self.near_topic(len(texts))

    async def close(self) -> None:
        """Nothing is open."""


def _unit(vectors: NDArray[np.floating]) -> Floats:
    unit: Floats = (vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)).astype(np.float32)
    return unit


def words(rng: np.random.Generator, count: int) -> list[str]:
    return [f"w{at}" for at in np.minimum(rng.zipf(1.25, count), VOCABULARY)]


async def fill(database: Database, embedder: Seeded, first: int, count: int) -> float:
    """Documents `first` up to `first + count`; seconds it took."""
    rng = np.random.default_rng(first + 1)
    # Rows go in some hundred times quicker before the graph than under it.
    await as_owner(database, _DROP_GRAPHS)
    started = time.perf_counter()
    async with database.tenant(TENANT) as connection:
        await declare_model(connection, TENANT, embedder.model, DIMENSIONS)
    for page in range(first, first + count, _PAGE):
        await _write_page(database, embedder, rng, range(page, min(page + _PAGE, first + count)))
    return time.perf_counter() - started


async def _write_page(database: Database, embedder: Seeded, rng: np.random.Generator, numbers: range) -> None:
    # The owner's, for whom COPY is not held to the rows of a tenant.
    owner = AsyncConnection.connect(database_urls[id(database)], options="-c search_path=holdfast,public")
    async with await owner as connection:
        cursor = await connection.execute(
            """insert into knowledge_documents (tenant, id, kind, title, media, source, version, digest, chunks, length)
               select %s, 'doc' || n, 'runbook', 'Doc ' || n, 'text', 's' || (n %% 100), 1, %s, %s, %s
               from unnest(%s::int[]) n returning key""",
            (TENANT, _DIGEST, CHUNKS_EACH, WORDS_EACH, list(numbers)),
        )
        keys = [key for (key,) in await cursor.fetchall()]
        chunks = [
            (TENANT, key, at, "[]", "[0,1)", f"a line of a chunk {key}\n" * 12, False, _DIGEST)
            for key in keys
            for at in range(CHUNKS_EACH)
        ]
        await _copy(
            connection,
            "knowledge_chunks (tenant, document, position, path, span, text, code, digest)",
            chunks,
        )
        postings = ((TENANT, term, key, often, WORDS_EACH) for term, key, often in _postings(rng, keys))
        await _copy(connection, "knowledge_postings (tenant, term, document, frequency, length)", postings)
        positions, owners, vectors = _vectors(embedder, keys)
        rows = zip(owners, positions, map(to_text, vectors), strict=True)
        await _copy(
            connection,
            "knowledge_vectors (tenant, model, document, position, embedding)",
            ((TENANT, embedder.model, *row) for row in rows),
        )
    async with database.tenant(TENANT) as counting:
        await counting.execute(
            "select count_knowledge(%s, %s, %s)", (len(keys), len(chunks), float(WORDS_EACH * len(keys)))
        )


async def _copy(
    connection: AsyncConnection, columns: LiteralString, rows: Iterable[tuple[object, ...]]
) -> None:
    async with connection.cursor() as cursor, cursor.copy(f"copy {columns} from stdin") as copy:
        for row in rows:
            await copy.write_row(row)


def _postings(rng: np.random.Generator, keys: Sequence[int]) -> Iterator[tuple[str, int, float]]:
    for key in keys:
        terms, counts = np.unique(words(rng, WORDS_EACH), return_counts=True)
        yield from ((str(term), key, float(count)) for term, count in zip(terms, counts, strict=True))


def _vectors(embedder: Seeded, keys: Sequence[int]) -> tuple[list[int], list[int], Floats]:
    """Document by document, as the product writes them: what is read together lies together."""
    places = [-1, *range(CHUNKS_EACH), *range(-2, -2 - SAYINGS_EACH, -1)]
    vectors = embedder.around(np.repeat(embedder.near_topic(len(keys)), len(places), axis=0))
    return places * len(keys), [key for key in keys for _ in places], vectors


async def standing(database: Database) -> int:
    """How many documents are there already."""
    async with database.tenant(TENANT) as connection:
        cursor = await connection.execute("select documents from knowledge_totals")
        row = await cursor.fetchone()
    return row["documents"] if row else 0


async def graph_recall(database: Database, embedder: Seeded, queries: int) -> float:
    """Of the exact ten nearest documents and chunks, the share that the graph brings up."""
    found = 0
    for vector in embedder.near_topic(queries):
        exact = await _nearest(database, embedder, to_text(vector), exact=True)
        graph = await _nearest(database, embedder, to_text(vector), exact=False)
        found += len(exact & graph)
    return found / (10 * queries)


async def _nearest(database: Database, embedder: Seeded, vector: str, *, exact: bool) -> set[tuple[int, int]]:
    async with database.tenant(TENANT) as connection:
        await connection.execute(f"set local enable_indexscan = {'off' if exact else 'on'}")
        await connection.execute("set local hnsw.ef_search = 100")
        cursor = await connection.execute(
            f"""select document, position from knowledge_vectors
                where tenant = %s and model = '{embedder.model}' and position >= -1
                order by embedding::halfvec({DIMENSIONS}) <#> %s::halfvec({DIMENSIONS}) limit 10""",  # noqa: S608
            (TENANT, vector),
        )
        return {(row["document"], row["position"]) for row in await cursor.fetchall()}


async def latencies(library: PostgresLibrary, queries: int, where: SearchFilter) -> tuple[float, float]:
    rng = np.random.default_rng(99)
    times = []
    for at in range(queries + 10):
        text = " ".join(words(rng, 9))
        started = time.perf_counter()
        result = await library.search(TENANT, SearchRequest(query=text, where=where))
        if at >= 10:
            times.append((time.perf_counter() - started) * 1000)
        assert result.hits, "every search over so many documents finds some"
    p50, p95 = np.percentile(times, [50, 95])
    return float(p50), float(p95)


async def megabytes(database: Database) -> float:
    async with database.statement() as connection:
        cursor = await connection.execute(
            """select sum(pg_total_relation_size(c.oid)) / 1e6 as mb from pg_class c
               join pg_namespace n on n.oid = c.relnamespace
               where n.nspname = 'holdfast' and c.relname like 'knowledge\\_%' and c.relkind = 'r'"""
        )
        row = await cursor.fetchone()
    return float(row["mb"]) if row else 0.0


async def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--chunks", type=int, nargs="+", default=[1_000, 10_000, 100_000])
    parser.add_argument("--queries", type=int, default=100)
    parser.add_argument(
        "--fill", action="store_true", help="only write, into DATABASE_URL, and say how long it took"
    )
    options = parser.parse_args()
    head = (
        "chunks",
        "chunks/s",
        "graph s",
        "recall@10",
        "p50 ms",
        "p95 ms",
        "embedded p95",
        "filtered p95",
        "MB",
    )
    print("".join(f"{name:>13}" for name in head))
    async with a_database() as database:
        embedder = Seeded()
        documents = await standing(database)
        library = PostgresLibrary(database=database, embedder=embedder)
        for chunks in sorted(options.chunks):
            wanted, rate = chunks // CHUNKS_EACH, 0.0
            if wanted > documents:
                took = await fill(database, embedder, documents, wanted - documents)
                rate = (wanted - documents) * CHUNKS_EACH / took
                documents = wanted
            if options.fill:
                print(f"{chunks:13,}{rate:13,.0f}", flush=True)
                continue
            await _print_row(database, library, embedder, chunks, rate, options.queries)


async def _print_row(
    database: Database, library: PostgresLibrary, embedder: Seeded, chunks: int, rate: float, queries: int
) -> None:
    await vacuum(database)
    started = time.perf_counter()
    async with database.tenant(TENANT) as connection:
        await keep_pace(connection, TENANT, model=embedder.model, dimensions=DIMENSIONS)
    built = time.perf_counter() - started
    large = chunks + chunks // CHUNKS_EACH > EXACT
    recall = await graph_recall(database, embedder, min(queries, 30)) if large else 1.0
    p50, p95 = await latencies(library, queries, SearchFilter())
    embedder.paid = MiniLM.find()
    _, embedded = await latencies(library, queries, SearchFilter())
    embedder.paid = None
    _, filtered = await latencies(library, queries, SearchFilter(source="s7"))
    size = await megabytes(database)
    print(
        f"{chunks:13,}{rate:13,.0f}{built:13.1f}{recall:13.3f}{p50:13.1f}{p95:13.1f}{embedded:13.1f}{filtered:13.1f}{size:13,.0f}",
        flush=True,
    )


if __name__ == "__main__":
    asyncio.run(main())
