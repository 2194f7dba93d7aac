"""Recall before a run, learning after it, feedback on it. Fulfils `holdfast.ports.Memory`."""

import asyncio
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import structlog

from holdfast.adapters.postgres.database import Database
from holdfast.adapters.postgres.knowledge_vectors import CachedEmbedder, to_text
from holdfast.adapters.postgres.memory_evidence import evidence_of
from holdfast.adapters.postgres.memory_moving import MemoryMoving
from holdfast.adapters.postgres.memory_recall import any_lesson, candidates, rarities_of
from holdfast.adapters.postgres.memory_rows import item_of
from holdfast.adapters.postgres.memory_store import EMBEDDING_PATIENCE_S
from holdfast.errors import HoldfastError
from holdfast.knowledge.ports import Embedder, Library
from holdfast.memory.commands import programs_taught
from holdfast.memory.contexts import hit_as_recalled, runbook_as_recalled, thread_as_recalled, within
from holdfast.memory.lessons import episode_of, lessons_of
from holdfast.memory.scoring import Scored, chosen, match_of, relevance, score, told
from holdfast.memory.signatures import alert_of, goal_kind
from schemas.knowledge import SearchRequest, SearchResult
from schemas.memory import (
    Cues,
    Feedback,
    FeedbackReport,
    MemoryContent,
    MemoryHit,
    MemoryItem,
    MemoryKind,
    MemoryScope,
    MemoryStatus,
    Provenance,
    RecallSettings,
    SaidOfRun,
    Signature,
    Trust,
)
from schemas.runs import RunStatus
from schemas.stages import Learned, LearnRequest, Recalled, RecallRequest, Recollection

log = structlog.get_logger(__name__)

LEARNER = "holdfast"


class PostgresMemory(MemoryMoving):
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
    ) -> None:
        cached = CachedEmbedder(database=database, embedder=embedder) if embedder else None
        super().__init__(database=database, embedder=cached)
        self._library = library
        self._settings = settings or RecallSettings()
        self._new_lessons = new_lessons
        self._token_budget = token_budget

    async def recall(self, request: RecallRequest) -> Recollection:
        """What the run should know before it plans, best first, within its token budget. What was given is noted."""
        scope = request.scope
        found = await self._runbooks(scope.tenant, request)
        cues = Cues(
            text=request.goal,
            runbooks=_sure_runbooks(request, found),
            alert=request.alert or alert_of(request.goal),
            tools=request.tools,
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
            rarities = await rarities_of(connection, cues.text)
            rows = await candidates(
                connection,
                tenant,
                cues,
                kind=kind,
                terms=list(rarities),
                model=model,
                vector=vector,
                lessons=lessons,
            )
        return [self._scored(row, cues, kind, rarities) for row in rows]

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

    async def feedback(self, tenant: str, feedback: Feedback, *, author: str) -> FeedbackReport:
        """Thumbs credit what the run was given; a lesson that hurt more than it helped is retired; a correction is learned."""
        await self._note_said(tenant, feedback, author)
        credited: list[str] = []
        if feedback.verdict is not None:
            credited = await self._credit(
                tenant, feedback.run_id, helped=feedback.verdict == "up", only=feedback.item
            )
        retired = await self._retire_harmful(tenant, credited, author) if feedback.verdict == "down" else []
        learned = None
        if feedback.correction or (feedback.comment and feedback.verdict == "down"):
            learned = await self._correction(tenant, feedback, author)
        return FeedbackReport(
            credited=tuple(credited), retired=tuple(retired), learned=learned.id if learned else None
        )

    async def said_of(self, tenant: str, run_id: str) -> Sequence[SaidOfRun]:
        """What people said of a run, newest first."""
        async with self._database.tenant(tenant) as connection:
            cursor = await connection.execute(
                """select run_id, item, verdict, comment, correction, author, at from memory_feedback
                   where run_id = %s order by id desc limit 500""",
                (run_id,),
            )
            return [SaidOfRun.model_validate(row) for row in await cursor.fetchall()]

    async def _note_said(self, tenant: str, feedback: Feedback, author: str) -> None:
        async with self._database.tenant(tenant) as connection:
            await connection.execute(
                """insert into memory_feedback (tenant, run_id, item, verdict, comment, correction, author)
                   values (%s, %s, %s, %s, %s, %s, %s)""",
                (
                    tenant,
                    feedback.run_id,
                    feedback.item,
                    feedback.verdict,
                    feedback.comment,
                    feedback.correction,
                    author,
                ),
            )

    async def _correction(self, tenant: str, feedback: Feedback, author: str) -> MemoryItem:
        async with self._database.tenant(tenant) as connection:
            cursor = await connection.execute(
                "select goal, environment from runs where id = %s", (feedback.run_id,)
            )
            row = await cursor.fetchone() or {"goal": "", "environment": ""}
            goal = row["goal"]
        meant = await self.read(tenant, feedback.item) if feedback.item else None
        about = meant.content.signature if meant else Signature(goal_kind=goal_kind(goal))
        programs = programs_taught(meant.content.data) if meant else ()
        content = MemoryContent(
            kind=MemoryKind.LESSON,
            # A complaint says what went wrong, not what to do: somebody has to make a lesson of it.
            status=MemoryStatus.ACTIVE if feedback.correction else MemoryStatus.PROPOSED,
            text=feedback.correction or f"A person was not content with this: {feedback.comment}",
            data={
                "goal": (meant.content.data.get("goal") if meant else None) or goal,
                "corrected_by": author,
                **({"programs": list(programs)} if programs else {}),
            },
            signature=about,
            scope=meant.content.scope
            if meant
            else MemoryScope(environment="" if feedback.correction else row["environment"]),
            trust=Trust.HUMAN,
            confidence=0.95,
            importance=0.8,
        )
        where = Provenance(author=author, run_id=feedback.run_id)
        return await self.put(
            tenant, content, where, replaces=meant.id if meant and feedback.correction else None
        )

    async def _retire_harmful(self, tenant: str, ids: Sequence[str], author: str) -> list[str]:
        retired = []
        for item_id in ids:
            item = await self.read(tenant, item_id)
            if item.content.kind is MemoryKind.LESSON and item.hurt > item.helped and not item.content.pinned:
                await self.reject(tenant, item_id, author=author, reason="hurt more often than it helped")
                retired.append(item_id)
        return retired

    async def _credit(
        self, tenant: str, run_id: str, *, helped: bool | None, only: str | None = None
    ) -> list[str]:
        """Count an outcome for what the run was given; a second word on the same run replaces the first."""
        if helped is None:
            return []
        async with self._database.tenant(tenant) as connection:
            cursor = await connection.execute(
                """with now as (select %(outcome)s::text as outcome), before as (
                     select u.item, u.outcome from memory_uses u
                     where u.run_id = %(run)s and (%(only)s::text is null or u.item = %(only)s) for update
                   ), noted as (
                     update memory_uses u set outcome = now.outcome from before b, now
                     where u.run_id = %(run)s and u.item = b.item returning u.item, b.outcome as was, now.outcome as new)
                   update memory_items i set
                     helped = helped + (n.new = 'helped')::int - (n.was is not distinct from 'helped')::int,
                     hurt = hurt + (n.new = 'hurt')::int - (n.was is not distinct from 'hurt')::int
                   from noted n where i.id = n.item returning i.id""",
                {"run": run_id, "only": only, "outcome": "helped" if helped else "hurt"},
            )
            return sorted(row["id"] for row in await cursor.fetchall())

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
