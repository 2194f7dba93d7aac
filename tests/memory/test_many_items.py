"""Recall from a memory too large to be measured whole: a graph, a few words, the latest; the same is recalled."""

import pytest

from holdfast.adapters.embedding.minilm import MiniLM
from holdfast.adapters.postgres.database import Database
from holdfast.adapters.postgres.memory import PostgresMemory
from schemas.memory import Cues, MemoryDraft, MemoryKind, MemoryScope, Signature

TENANT = "default"
FIELDS = ("disk", "queue", "certificate", "login", "backup", "replica")
THINGS = ("web", "shop", "billing", "mail", "search")


@pytest.fixture
async def embedder() -> MiniLM:
    found = MiniLM.find()
    assert found is not None, "the bundled model is among the packages of the tests"
    return found


async def _filled(memory: PostgresMemory) -> None:
    for field in FIELDS:
        for thing in THINGS:
            text = f"The {field} of {thing} is looked after by the {thing} crew."
            await memory.add(TENANT, MemoryDraft(text=text), author="ann")
    lesson = MemoryDraft(
        kind=MemoryKind.LESSON,
        text="Drain a node with its daemon sets left alone.",
        data={"programs": ["kubectl drain"]},
        signature=Signature(tool="shell"),
        scope=MemoryScope(environment="dev"),
    )
    await memory.add(TENANT, lesson, author="ann")


async def test_the_graph_recalls_what_exact_search_does(database: Database, embedder: MiniLM) -> None:
    exact = PostgresMemory(database=database, embedder=embedder)
    await _filled(exact)
    async with database.tenant(TENANT) as connection:
        await connection.execute("select index_memory_vectors(%s, %s)", (embedder.model, embedder.dimensions))
    by_graph = PostgresMemory(database=database, embedder=embedder, exact=0)
    cues = [
        Cues(text="who looks after the disk of billing", environment="dev"),
        Cues(text="the mail certificate", environment="prod"),
        Cues(text="take it out", tools=("shell",), programs=("kubectl drain",), environment="dev"),
        Cues(text="take it out", tools=("shell",), programs=("kubectl drain",), environment="prod"),
    ]
    for each in cues:
        found = [(hit.item.id, hit.match) for hit in await exact.search(TENANT, each)]
        assert [(hit.item.id, hit.match) for hit in await by_graph.search(TENANT, each)] == found
    assert await exact.search(TENANT, cues[0])
    assert [hit.match for hit in await by_graph.search(TENANT, cues[2])] == ["related"]
    assert await by_graph.search(TENANT, cues[3]) == []
    assert await by_graph.search("other", cues[0]) == []


async def test_episodes_of_one_goal_hide_no_lesson_on_it(database: Database) -> None:
    memory = PostgresMemory(database=database)
    about = Signature(goal_kind="restart web")
    lesson = MemoryDraft(kind=MemoryKind.LESSON, text="Drain it first.", signature=about)
    told = await memory.add(TENANT, lesson, author="ann")
    for number in range(70):
        episode = MemoryDraft(kind=MemoryKind.EPISODE, text=f"Done, the {number}th time.", signature=about)
        await memory.add(TENANT, episode, author="ann")
    hits = await memory.search(TENANT, Cues(text="restart web"))
    assert told.id in [hit.item.id for hit in hits]


async def test_words_of_what_is_retired_are_searched_no_more(database: Database) -> None:
    memory = PostgresMemory(database=database)
    item = await memory.add(TENANT, MemoryDraft(text="The quorum is three."), author="ann")
    assert await _postings(database) == {"quorum", "three"}
    await memory.reject(TENANT, item.id, author="ann")
    assert await _postings(database) == set()
    await memory.confirm(TENANT, item.id, author="ann")
    await memory.forget(TENANT, item.id, author="ann")
    assert await _postings(database) == set()


async def _postings(database: Database) -> set[str]:
    async with database.tenant(TENANT) as connection:
        cursor = await connection.execute("select term from memory_postings")
        return {row["term"] for row in await cursor.fetchall()}
