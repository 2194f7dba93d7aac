"""What people say of a run: kept, counted for what the run was told, and made a lesson of where it is a correction."""

from collections.abc import Sequence

from holdfast.adapters.postgres.memory_moving import MemoryMoving
from holdfast.memory.commands import programs_taught
from holdfast.memory.signatures import goal_kind
from schemas.memory import (
    Feedback,
    FeedbackReport,
    MemoryContent,
    MemoryItem,
    MemoryKind,
    MemoryScope,
    MemoryStatus,
    Provenance,
    SaidOfRun,
    Signature,
    Trust,
)


class MemoryFeedback(MemoryMoving):
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
