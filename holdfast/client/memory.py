"""Memory over HTTP."""

from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from holdfast.client.sse import lines_of
from holdfast.client.wire import Wire
from schemas.base import JsonObject
from schemas.memory import (
    FeedbackReport,
    MemoryDraft,
    MemoryHit,
    MemoryItem,
    MemoryTrace,
    MemoryVersion,
    SaidOfRun,
    Snapshot,
)
from schemas.pages import Items
from schemas.shelf import Changed, Forgotten, Imported, RecallQuery, RunFeedback

_A_CALL = 500


class MemoryClient:
    def __init__(self, wire: Wire) -> None:
        self._wire = wire

    async def all(self, *, filters: Mapping[str, Any] | None = None) -> AsyncIterator[MemoryItem]:
        """Every item that fits; the filters are the query parameters of GET /v1/memory."""
        async for item in self._wire.items("/v1/memory", MemoryItem, query=filters):
            yield item

    async def read(self, item_id: str) -> MemoryItem:
        return MemoryItem.model_validate_json((await self._wire.ask("GET", f"/v1/memory/{item_id}")).content)

    async def versions(self, item_id: str) -> Sequence[MemoryVersion]:
        response = await self._wire.ask("GET", f"/v1/memory/{item_id}/versions")
        return Items[MemoryVersion].model_validate_json(response.content).items

    async def add(self, draft: MemoryDraft) -> MemoryItem:
        return await self._item("/v1/memory", draft.model_dump(mode="json", exclude_unset=True))

    async def recall(self, query: RecallQuery) -> Sequence[MemoryHit]:
        """What a run with this goal would be told."""
        body = query.model_dump(mode="json", exclude_unset=True)
        response = await self._wire.post("/v1/memory/search", body)
        return Items[MemoryHit].model_validate_json(response.content).items

    async def edit(
        self, item_id: str, changes: Mapping[str, Any], *, reason: str, version: int | None = None
    ) -> MemoryItem:
        """A new version with these fields changed; refused where somebody changes it at the same time, or has changed
        the `version` that these changes are made from.
        """
        standing = version or (await self.read(item_id)).version
        response = await self._wire.ask(
            "PATCH",
            f"/v1/memory/{item_id}",
            body={**changes, "reason": reason},
            headers={"If-Match": f'"{standing}"'},
        )
        return MemoryItem.model_validate_json(response.content)

    async def confirm(self, item_id: str, *, reason: str = "") -> MemoryItem:
        return await self._item(f"/v1/memory/{item_id}/confirm", {"reason": reason})

    async def reject(self, item_id: str, *, reason: str = "") -> MemoryItem:
        return await self._item(f"/v1/memory/{item_id}/reject", {"reason": reason})

    async def rollback(self, item_id: str, version: int) -> MemoryItem:
        return await self._item(f"/v1/memory/{item_id}/rollback", {"version": version})

    async def trace(self, item_id: str) -> MemoryTrace:
        """What was derived from an item, and the runs that were told it."""
        response = await self._wire.ask("GET", f"/v1/memory/{item_id}/trace")
        return MemoryTrace.model_validate_json(response.content)

    async def said_of(self, run_id: str) -> Sequence[SaidOfRun]:
        response = await self._wire.ask("GET", f"/v1/runs/{run_id}/feedback")
        return Items[SaidOfRun].model_validate_json(response.content).items

    async def restore_to(self, at: datetime) -> int:
        """Bring all memory back to a point in time; how many items changed."""
        response = await self._wire.post("/v1/memory-restore", {"at": at.isoformat()}, patience_s=600)
        return Changed.model_validate_json(response.content).changed

    async def forget(self, item_id: str, *, derived: bool = True) -> Sequence[str]:
        query = None if derived else {"derived": "false"}
        response = await self._wire.ask("DELETE", f"/v1/memory/{item_id}", query=query)
        return Forgotten.model_validate_json(response.content).ids

    async def forget_run(self, run_id: str) -> Sequence[str]:
        response = await self._wire.ask("DELETE", f"/v1/runs/{run_id}/memory")
        return Forgotten.model_validate_json(response.content).ids

    async def feedback(self, run_id: str, said: RunFeedback) -> FeedbackReport:
        body = said.model_dump(mode="json", exclude_none=True)
        response = await self._wire.post(f"/v1/runs/{run_id}/feedback", body)
        return FeedbackReport.model_validate_json(response.content)

    async def snapshots(self) -> Sequence[Snapshot]:
        response = await self._wire.ask("GET", "/v1/memory-snapshots")
        return Items[Snapshot].model_validate_json(response.content).items

    async def snapshot(self, name: str, *, note: str = "") -> Snapshot:
        response = await self._wire.post("/v1/memory-snapshots", {"name": name, "note": note})
        return Snapshot.model_validate_json(response.content)

    async def restore(self, name: str) -> int:
        response = await self._wire.post(f"/v1/memory-snapshots/{name}/restore", {}, patience_s=600)
        return Changed.model_validate_json(response.content).changed

    async def export(self) -> AsyncIterator[MemoryItem]:
        async with self._wire.stream("/v1/memory-export", query={}, headers={}) as response:
            async for line in lines_of(response.aiter_text()):
                yield MemoryItem.model_validate_json(line)

    async def import_items(self, items: Sequence[MemoryItem]) -> int:
        """How many were read. What stands already is left alone."""
        read = 0
        for first in range(0, len(items), _A_CALL):
            page = [item.model_dump(mode="json") for item in items[first : first + _A_CALL]]
            response = await self._wire.post("/v1/memory-import", {"items": page}, patience_s=600)
            read += Imported.model_validate_json(response.content).read
        return read

    async def _item(self, path: str, body: JsonObject) -> MemoryItem:
        return MemoryItem.model_validate_json((await self._wire.post(path, body)).content)
