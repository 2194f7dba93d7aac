"""Recall before a run and learning after it. Fulfils `holdfast.ports.Memory`."""

import asyncio
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import structlog

from holdfast.adapters.postgres.database import Database
from holdfast.adapters.postgres.knowledge_vectors import CachedEmbedder, to_text
from holdfast.adapters.postgres.memory_evidence import evidence_of
from holdfast.adapters.postgres.memory_feedback import MemoryFeedback
from holdfast.adapters.postgres.memory_recall import EXACT, any_lesson, candidates, words_of
from holdfast.adapters.postgres.memory_rows import item_of
from holdfast.adapters.postgres.memory_vectors import EMBEDDING_PATIENCE_S
from holdfast.errors import HoldfastError
from holdfast.knowledge.ports import Embedder, Library
from holdfast.memory.commands import programs_of
from holdfast.memory.contexts import hit_as_recalled, runbook_as_recalled, thread_as_recalled, within
from holdfast.memory.lessons import episode_of, lessons_of
from holdfast.memory.scoring import Scored, chosen, least_cosine, match_of, relevance, score, told
from holdfast.memory.signatures import alert_of, goal_kind
from schemas.knowledge import SearchRequest, SearchResult
from schemas.memory import (
    Cues,
    MemoryContent,
    MemoryHit,
    MemoryStatus,
    Provenance,
    RecallSettings,
)
from schemas.runs import RunStatus
from schemas.stages import Learned, LearnRequest, Recalled, RecallRequest, Recollection

log = structlog.get_logger(__name__)

LEARNER = "holdfast"


class PostgresMemory(MemoryFeedback):
    """Without an embedder it recalls by signature and words. Without a library it knows no runbooks."""

    def __init__(
        self,
        *,
        database: Database,
        embedder: Embedder | None = None,
        library: Library | None = None,
        settings: RecallSettings | None = None,
        new_lessons: MemoryStatus = MemoryStatus.PROPOSED,
        token_budget: int | None = None,
        exact: int = EXACT,
    ) -> None:
        cached = CachedEmbedder(database=database, embedder=embedder) if embedder else None
        super().__init__(database=database, embedder=cached)
        self._library = library
        self._settings = settings or RecallSettings()
        self._new_lessons = new_lessons
        self._token_budget = token_budget
        self._exact = exact

    async def recall(self, request: RecallRequest) -> Recollection:
        """What the run should know before it plans, best first, within its token budget. What was given is noted."""
        scope = request.scope
        found = await self._runbooks(scope.tenant, request)
        cues = Cues(
            text=request.goal,
            runbooks=_sure_runbooks(request, found),
            alert=request.alert or alert_of(request.goal),
            tools=request.tools,
            programs=tuple({name: None for call in request.calls for name in programs_of(call)}),
            error=request.error,
            labels=request.labels,
            agent=scope.agent,
            environment=scope.environment,
            thread=request.thread or "",
        )
        hits = await self.search(scope.tenant, cues)
        thread = await self._thread(scope.tenant, request) if request.thread else []
        told_items: list[Recalled] = [hit_as_recalled(hit) for hit in hits]
        books = [runbook_as_recalled(hit) for hit in (found.hits[:3] if found and found.answered else ())]
        budget = min(request.token_budget, self._token_budget or request.token_budget)
        kept = within(budget, [*told_items, *thread, *books])
        await self.note_use(scope.tenant, scope.run_id, [hit for hit in hits if _given(hit, kept)])
        return Recollection(items=tuple(kept), note=found.note if found else "")

    async def search(self, tenant: str, cues: Cues) -> Sequence[MemoryHit]:
        """The items worth knowing, each with the parts of its score and why."""
        return [_hit(each) for each in chosen(await self._found(tenant, cues), self._settings)]

    async def lessons_on(self, tenant: str, cues: Cues) -> Sequence[MemoryHit]:
        """Every lesson on the tools and programs of the cues, the best first."""
        found = await self._found(tenant, cues, lessons=True)
        return [_hit(each) for each in sorted(found, key=lambda one: (-one.score, one.item.id))]

    async def _found(self, tenant: str, cues: Cues, *, lessons: bool = False) -> Sequence[Scored]:
        model, vector = await self._embedded(cues.text)
        kind = goal_kind(cues.text)
        async with self._database.tenant(tenant) as connection:
            words = await words_of(connection, tenant, cues.text, exact=self._exact)
            rows = await candidates(
                connection,
                tenant,
                cues,
                kind=kind,
                words=words,
                model=model,
                vector=vector,
                lessons=lessons,
                least=least_cosine(self._settings.near),
                exact=self._exact,
            )
        return [self._scored(row, cues, kind, words.rarities) for row in rows]

    async def teaches(self, tenant: str, tools: Sequence[str]) -> bool:
        """Whether there is any lesson on these tools: most have none, and nothing else has to be asked."""
        async with self._database.tenant(tenant) as connection:
            return await any_lesson(connection, tools)

    async def _embedded(self, text: str) -> tuple[str, str | None]:
        """The model and the cues under it. While an endpoint is away, signatures and words have to do."""
        if self._embedder is None:
            return "", None
        try:
            async with asyncio.timeout(EMBEDDING_PATIENCE_S):
                return self._embedder.model, to_text(await self._embedder.embed_query(text))
        except (HoldfastError, TimeoutError) as error:
            log.warning("embedding_failed", model=self._embedder.model, error=type(error).__name__)
            return "", None

    def _scored(self, row: dict[str, Any], cues: Cues, kind: str, rarities: Mapping[str, float]) -> Scored:
        item = item_of(row)
        total = sum(rarities.values())
        shared = sum(rarities.get(term, 0.0) for term in row["terms"]) / total if total else 0.0
        return score(
            item,
            match=match_of(item, cues, kind),
            relevant=relevance(row["cosine"], shared),
            now=datetime.now(UTC),
            settings=self._settings,
        )

    async def note_use(self, tenant: str, run_id: str, hits: Sequence[MemoryHit]) -> None:
        """Write down what a run was given; once, however often it is told."""
        async with self._database.tenant(tenant) as connection:
            for hit in sorted(hits, key=lambda each: each.item.id):
                await connection.execute(
                    """with noted as (
                         insert into memory_uses (tenant, run_id, item, version, score) values (%s, %s, %s, %s, %s)
                         on conflict do nothing returning item)
                       update memory_items set used = used + 1, last_used_at = clock_timestamp()
                       where id in (select item from noted)""",
                    (tenant, run_id, hit.item.id, hit.item.version, hit.score),
                )

    async def learn(self, request: LearnRequest) -> Learned:
        """An episode, the lessons its evidence carries, and what its recalled items were worth."""
        scope = request.scope
        runbook = (
            next((cite.id for cite in request.plan.cites if cite.source == "runbook"), "")
            if request.plan
            else ""
        )
        async with self._database.tenant(scope.tenant) as connection:
            cursor = await connection.execute(
                "select id from memory_items where run_id = %s order by id", (scope.run_id,)
            )
            known = [row["id"] for row in await cursor.fetchall()]
            evidence = await evidence_of(connection, request)
        if known:
            return Learned(items=tuple(known))
        where = Provenance(author=LEARNER, run_id=scope.run_id)
        contents = [
            *lessons_of(request, evidence, runbook=runbook, status=self._new_lessons),
            episode_of(request, evidence, runbook=runbook),
        ]
        items = [await self.put(scope.tenant, content, _of_step(where, content)) for content in contents]
        await self._credit(scope.tenant, scope.run_id, helped=_outcome(request))
        return Learned(items=tuple(item.id for item in items))

    async def _runbooks(self, tenant: str, request: RecallRequest) -> SearchResult | None:
        if self._library is None:
            return None
        return await self._library.search(tenant, SearchRequest(query=request.goal[:4000], limit=5))

    async def _thread(self, tenant: str, request: RecallRequest) -> list[Recalled]:
        """The earlier runs of the conversation, in this environment: what was said in another stays there."""
        async with self._database.tenant(tenant) as connection:
            cursor = await connection.execute(
                """select id, goal, status, answer, count(*) over () as runs from runs
                   where thread = %s and environment = %s and id <> %s order by created_at desc limit 40""",
                (request.thread, request.scope.environment, request.scope.run_id),
            )
            rows = await cursor.fetchall()
            return thread_as_recalled(rows, runs=rows[0]["runs"] if rows else 0)


def _sure_runbooks(request: RecallRequest, found: SearchResult | None) -> tuple[str, ...]:
    """Runbooks that name what this goal is about: the one asked for, or the best of a sure search."""
    if request.runbook:
        return (request.runbook,)
    return (found.hits[0].document.id,) if found and found.answered and found.hits else ()


def _hit(each: Scored) -> MemoryHit:
    return MemoryHit(
        item=each.item, score=each.score, match=each.match, parts=dict(each.parts), why=told(each)
    )


def _given(hit: MemoryHit, kept: Sequence[Recalled]) -> bool:
    return any(each.cite.source == "memory" and each.cite.id == hit.item.id for each in kept)


def _of_step(where: Provenance, content: MemoryContent) -> Provenance:
    step = content.data.get("step")
    return where.model_copy(update={"step_id": step}) if isinstance(step, str) else where


def _outcome(request: LearnRequest) -> bool | None:
    """A run that succeeded speaks for what it was given; one that failed speaks against; others say nothing."""
    if request.status is RunStatus.SUCCEEDED:
        return True
    return False if request.status is RunStatus.FAILED else None
