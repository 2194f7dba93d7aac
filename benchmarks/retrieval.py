"""How well and how fast runbooks are found: MRR@10, nDCG@10, Recall@5 and latency, for each signal and fused.

    python benchmarks/retrieval.py --corpus corpus.jsonl --queries queries.jsonl [--previous corpus-prev.jsonl]

The corpus goes in through the product, the queries go out through it. A line of the corpus has `id`, `title`, `text`
and optionally `source`, `component`, `alert`, `updated_at`; a line of the queries has `query`, `kind` (`alert`,
`operator`, `filtered`, `none`), `relevant` (document id to grade, 2 or 1) and optionally `filter`.
"""

import argparse
import asyncio
import json
import math
import os
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Literal, LiteralString

import numpy as np
from psycopg import AsyncConnection

from holdfast.adapters.embedding.minilm import MiniLM
from holdfast.adapters.postgres.database import Database
from holdfast.adapters.postgres.knowledge import PostgresLibrary
from holdfast.adapters.postgres.migrate import migrate
from holdfast.embedded.postgres import THROWAWAY, EmbeddedPostgres
from holdfast.knowledge.ports import Embedder
from schemas.knowledge import DocumentDraft, IngestReport, SearchFilter, SearchRequest, SearchResult

Line = dict[str, Any]
SIGNALS: tuple[Literal["lexical", "dense", "hybrid"], ...] = ("lexical", "dense", "hybrid")
TENANT = "default"
_BATCH = 50


database_urls: dict[int, str] = {}
"""The owner's URL of each database given out: upkeep is the owner's work."""


async def as_owner(database: Database, statement: LiteralString) -> None:
    async with await AsyncConnection.connect(database_urls[id(database)], autocommit=True) as connection:
        await connection.execute(statement)


async def vacuum(database: Database) -> None:
    """What autovacuum does on a live server within a minute, done now."""
    await as_owner(database, "vacuum (analyze)")


@asynccontextmanager
async def a_database() -> AsyncIterator[Database]:
    """The one of DATABASE_URL, or a real server of our own that is thrown away."""
    url = os.environ.get("DATABASE_URL")
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        server = None
        if url is None:
            server = EmbeddedPostgres(Path(folder), log=Path(folder) / "log", options=THROWAWAY)
            await server.start()
            url = server.url
        await migrate(url)
        database = await Database.open(url)
        database_urls[id(database)] = url
        yield database
        await database.close()
        if server is not None:
            await server.stop()


def read_lines(path: Path) -> list[Line]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]


def draft_of(line: Line) -> DocumentDraft:
    known = ("id", "title", "text", "source", "component", "alert", "updated_at")
    return DocumentDraft.model_validate({key: line[key] for key in known if line.get(key) is not None})


async def ingest(library: PostgresLibrary, lines: Sequence[Line], *, what: str) -> IngestReport:
    total = IngestReport()
    started = time.perf_counter()
    for first in range(0, len(lines), _BATCH):
        drafts = [draft_of(line) for line in lines[first : first + _BATCH]]
        report = await library.ingest(TENANT, drafts, author="benchmark")
        total = _sum(total, report)
        progress(f"{what}: {min(first + _BATCH, len(lines))} of {len(lines)} documents")
    took = time.perf_counter() - started
    share = total.embedded / total.chunks if total.chunks else 0
    print(
        f"{what}: {total.added} added, {total.changed} changed, {total.unchanged} unchanged,"
        f" {len(total.failures)} failed; {total.embedded} of {total.chunks} chunks embedded ({share:.1%}); {took:.1f} s"
    )
    return total


def _sum(left: IngestReport, right: IngestReport) -> IngestReport:
    names = ("added", "changed", "unchanged", "chunks", "embedded")
    counted = {name: getattr(left, name) + getattr(right, name) for name in names}
    return IngestReport(**counted, failures=left.failures + right.failures)


def progress(text: str) -> None:
    if sys.stderr.isatty():
        print(f"\r{text}\x1b[K", end="", file=sys.stderr, flush=True)


async def ask(
    library: PostgresLibrary, line: Line, signals: Literal["lexical", "dense", "hybrid"]
) -> SearchResult:
    where = SearchFilter.model_validate(line.get("filter") or {})
    return await library.search(
        TENANT, SearchRequest(query=line["query"][:4000], limit=10, where=where, signals=signals)
    )


def scores(ranked: Sequence[str], relevant: dict[str, int]) -> tuple[float, float, float]:
    """Reciprocal rank, nDCG at 10, recall at 5."""
    best = [name for name, grade in relevant.items() if grade == 2]
    reciprocal = next((1 / at for at, name in enumerate(ranked[:10], 1) if name in best), 0.0)
    gain = {2: 3.0, 1: 1.0}
    got = sum(
        gain.get(relevant.get(name, 0), 0) / math.log2(at + 1) for at, name in enumerate(ranked[:10], 1)
    )
    ideal = sorted((gain.get(grade, 0) for grade in relevant.values()), reverse=True)[:10]
    most = sum(value / math.log2(at + 1) for at, value in enumerate(ideal, 1))
    recall = sum(name in best for name in ranked[:5]) / len(best) if best else 0.0
    return reciprocal, (got / most if most else 0.0), recall


async def measure(library: PostgresLibrary, queries: Sequence[Line]) -> None:
    print(f"\n{'signal':9}{'kind':10}{'n':>5}{'MRR@10':>9}{'nDCG@10':>9}{'R@5':>8}{'p50 ms':>9}{'p95 ms':>9}")
    for signals in SIGNALS:
        rows: dict[str, list[tuple[float, float, float]]] = {}
        times: list[float] = []
        answered: dict[str, list[bool]] = {}
        for line in queries:
            started = time.perf_counter()
            result = await ask(library, line, signals)
            times.append((time.perf_counter() - started) * 1000)
            answered.setdefault(line["kind"], []).append(result.answered)
            if line["kind"] != "none":
                ranked = [hit.document.id for hit in result.hits]
                rows.setdefault(line["kind"], []).append(scores(ranked, line["relevant"]))
        _report(signals, rows, times)
        _report_answers(signals, answered)


def _report(signals: str, rows: dict[str, list[tuple[float, float, float]]], times: list[float]) -> None:
    ranked = {"all": rows.get("alert", []) + rows.get("operator", []), **rows}
    p50, p95 = np.percentile(times, [50, 95])
    for kind, values in ranked.items():
        if values:
            mrr, ndcg, recall = np.mean(values, axis=0)
            latency = f"{p50:9.1f}{p95:9.1f}" if kind == "all" else ""
            print(f"{signals:9}{kind:10}{len(values):5}{mrr:9.3f}{ndcg:9.3f}{recall:8.3f}{latency}")


def _report_answers(signals: str, answered: dict[str, list[bool]]) -> None:
    shares = ", ".join(f"{kind} {np.mean(values):.1%}" for kind, values in sorted(answered.items()))
    print(f"{signals:9}answered: {shares}")


async def incremental(library: PostgresLibrary, previous: Sequence[Line], corpus: Sequence[Line]) -> None:
    """The update of a collection from its older to its newer state, and the same update again."""
    sources = {line.get("source") for line in previous}
    await ingest(library, previous, what="previous")
    await ingest(library, [line for line in corpus if line.get("source") in sources], what="update")
    await ingest(library, [line for line in corpus if line.get("source") in sources], what="update again")


async def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--corpus", type=Path, required=True)
    parser.add_argument("--queries", type=Path, required=True)
    parser.add_argument(
        "--previous", type=Path, help="an older state of a part of the corpus, ingested first"
    )
    parser.add_argument("--model-folder", type=Path, help="where the MiniLM files are, if not installed")
    parser.add_argument("--no-model", action="store_true", help="search by words alone")
    options = parser.parse_args()
    corpus, queries = read_lines(options.corpus), read_lines(options.queries)
    embedder: Embedder | None = None if options.no_model else MiniLM.find(options.model_folder)
    print(f"embedding model: {embedder.model if embedder else 'none, words alone'}")
    async with a_database() as database:
        library = PostgresLibrary(database=database, embedder=embedder)
        if options.previous:
            await incremental(library, read_lines(options.previous), corpus)
        await ingest(library, corpus, what="corpus")
        await ingest(library, corpus, what="corpus again")
        await vacuum(database)
        await measure(library, queries)


if __name__ == "__main__":
    asyncio.run(main())
