"""How recall holds up as a memory grows: latency by goal and by the tools of a plan, beside exact search over all items.

    python benchmarks/memory_recall.py [--items 1000 10000 50000] [--queries 100]

Items are made by a seeded generator as a tenant's memory is made up after long use: episodes for the most part, lessons on
the programs of `shell` and on structured tools, facts; words by a Zipf law, vectors in clusters. They are copied into the
tables as the product fills them and recalled through the product. "exact" measures every item in place of those a graph
brings up, and "same" is the share of what exact search recalls that is recalled.
"""

import argparse
import asyncio
import time
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from psycopg import AsyncConnection

from benchmarks.retrieval import TENANT, a_database, database_urls, vacuum
from benchmarks.retrieval_scale import Floats, Seeded, words
from holdfast.adapters.postgres.database import Database
from holdfast.adapters.postgres.knowledge_vectors import to_text
from holdfast.adapters.postgres.memory import PostgresMemory
from schemas.memory import Cues, MemoryContent, MemoryHit, MemoryKind, MemoryStatus, Signature

PROGRAMS = tuple(f"tool{n} act" for n in range(200))
TOOLS = tuple(f"service.act{n}" for n in range(50))
WORDS_EACH = 18
EVERYTHING = 10**9
_KINDS = np.array(["episode", "lesson", "fact"])
_SHARES = (0.8, 0.15, 0.05)
_ITEMS = """copy memory_items (tenant, id, version, digest, status, kind, content, terms, goal_kind, tool, programs)
  from stdin"""
_VECTORS = "copy memory_vectors (tenant, item, model, embedding) from stdin"


class Told(Seeded):
    """An embedder that gives a text the same vector each time."""

    async def embed(self, texts: Sequence[str]) -> Floats:
        return np.concatenate([self._of(text) for text in texts])

    def _of(self, text: str) -> Floats:
        self._rng = np.random.default_rng(zlib.crc32(text.encode()))
        return self.near_topic(1)


@dataclass(frozen=True)
class Made:
    """An item as the tables hold it."""

    id: str
    kind: str
    terms: Sequence[str]
    tool: str
    programs: Sequence[str]

    def row(self) -> tuple[object, ...]:
        text = " ".join(self.terms)
        content = MemoryContent(
            kind=MemoryKind(self.kind),
            status=MemoryStatus.ACTIVE,
            text=text,
            data={"programs": list(self.programs)} if self.programs else {},
            signature=Signature(goal_kind=text[:400], tool=self.tool),
        )
        digest = f"sha256:{int(self.id[4:]):064x}"
        status, about = content.status, content.signature
        return (
            *(TENANT, self.id, 1, digest, status, self.kind, content.model_dump_json()),
            *(list(self.terms), about.goal_kind, self.tool, list(self.programs)),
        )


def made(first: int, count: int) -> Iterator[Made]:
    rng = np.random.default_rng(first + 1)
    for number, kind in enumerate(rng.choice(_KINDS, count, p=_SHARES), first):
        tool, programs = "", tuple[str, ...]()
        if kind == "lesson":
            tool = "shell" if rng.random() < 0.7 else str(rng.choice(TOOLS))
            programs = (str(rng.choice(PROGRAMS)),) if tool == "shell" else ()
        yield Made(f"mem_{number:026d}", str(kind), sorted(set(words(rng, WORDS_EACH))), tool, programs)


async def fill(database: Database, embedder: Seeded, first: int, count: int) -> None:
    items = list(made(first, count))
    vectors = embedder.around(embedder.near_topic(count))
    # The owner's, for whom COPY is not held to the rows of a tenant.
    owner = AsyncConnection.connect(database_urls[id(database)], options="-c search_path=holdfast,public")
    async with await owner as connection:
        await _copy(connection, _ITEMS, (item.row() for item in items))
        rows = (
            (TENANT, item.id, embedder.model, to_text(at)) for item, at in zip(items, vectors, strict=True)
        )
        await _copy(connection, _VECTORS, rows)


async def _copy(connection: AsyncConnection, statement: str, rows: Iterable[tuple[object, ...]]) -> None:
    async with connection.cursor() as cursor, cursor.copy(statement.encode()) as copy:
        for row in rows:
            await copy.write_row(row)


def asked(queries: int, items: int) -> Iterator[Cues]:
    """Half of them of an item's own words, in other order and company; the tools and programs that lessons are about."""
    rng = np.random.default_rng(99)
    for at in range(queries):
        own = next(made(int(rng.integers(items)), 1)).terms if at % 2 else ()
        text = " ".join([*rng.permutation(own)[:6], *words(rng, 5)]) if own else " ".join(words(rng, 9))
        tools, programs = ("shell", str(rng.choice(TOOLS))), (str(rng.choice(PROGRAMS)),)
        yield Cues(text=text, tools=tools, programs=programs, environment="dev")


async def timed(memory: PostgresMemory, cues: Sequence[Cues], *, lessons: bool) -> list[Sequence[MemoryHit]]:
    """Prints the middle and the slow end; what was recalled comes back."""
    times, found = [], []
    for at, cue in enumerate([*cues[:5], *cues]):
        started = time.perf_counter()
        hits = await (memory.lessons_on if lessons else memory.search)(TENANT, cue)
        if at >= 5:
            times.append((time.perf_counter() - started) * 1000)
            found.append(hits)
    p50, p95 = np.percentile(times, [50, 95])
    print(f"{p50:10.1f}{p95:10.1f}", end="", flush=True)
    return found


def same(found: Sequence[Sequence[MemoryHit]], exact: Sequence[Sequence[MemoryHit]]) -> float:
    pairs = [
        ({hit.item.id for hit in one}, {hit.item.id for hit in other})
        for one, other in zip(found, exact, strict=True)
    ]
    return sum(len(one & other) for one, other in pairs) / max(1, sum(len(other) for _, other in pairs))


async def measure(database: Database, queries: int, items: int) -> None:
    memory = PostgresMemory(database=database, embedder=Told())
    cues = list(asked(queries, items))
    print(f"{items:10,}", end="")
    exact = PostgresMemory(database=database, embedder=Told(), exact=EVERYTHING)
    recalled = [await timed(each, cues, lessons=False) for each in (memory, exact)]
    print(f"{same(*recalled):10.3f}", end="")
    await timed(memory, cues, lessons=True)
    print()


async def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--items", type=int, nargs="+", default=[1_000, 10_000, 50_000])
    parser.add_argument("--queries", type=int, default=100)
    options = parser.parse_args()
    head = ("items", "p50 ms", "p95 ms", "exact p50", "exact p95", "same", "tools p50", "tools p95")
    print("".join(f"{name:>10}" for name in head))
    async with a_database() as database:
        written = 0
        for items in sorted(options.items):
            await fill(database, Seeded(), written, items - written)
            written = items
            await vacuum(database)
            await PostgresMemory(database=database, embedder=Seeded()).embed_missing(TENANT, limit=1)
            await measure(database, options.queries, items)


if __name__ == "__main__":
    asyncio.run(main())
