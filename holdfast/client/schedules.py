"""Schedules over HTTP."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from holdfast.client.wire import Wire
from schemas.base import JsonObject
from schemas.pages import Items
from schemas.schedules import BackfillRequest, Overlap, Schedule, ScheduleDraft

Verb = Literal["pause", "unpause", "trigger", "backfill"]


class SchedulesClient:
    def __init__(self, wire: Wire) -> None:
        self._wire = wire

    async def all(self) -> Sequence[Schedule]:
        """One that was made a moment ago may still be missing."""
        response = await self._wire.ask("GET", "/v1/schedules")
        return Items[Schedule].model_validate_json(response.content).items

    async def create(self, draft: ScheduleDraft) -> Schedule:
        body = draft.model_dump(mode="json", exclude_none=True)
        return Schedule.model_validate_json((await self._wire.post("/v1/schedules", body)).content)

    async def read(self, name: str) -> Schedule:
        return Schedule.model_validate_json((await self._wire.ask("GET", f"/v1/schedules/{name}")).content)

    async def change(self, name: str, changes: Mapping[str, Any]) -> Schedule:
        """The schedule with these fields of its draft changed; refused where somebody changes it at the same time."""
        standing = await self._wire.ask("GET", f"/v1/schedules/{name}")
        kept = {key: value for key, value in standing.json().items() if key in ScheduleDraft.model_fields}
        response = await self._wire.ask(
            "PUT",
            f"/v1/schedules/{name}",
            body={**kept, **changes, "run": {**kept["run"], **changes.get("run", {})}},
            headers={"If-Match": standing.headers["ETag"]},
        )
        return Schedule.model_validate_json(response.content)

    async def delete(self, name: str) -> None:
        await self._wire.ask("DELETE", f"/v1/schedules/{name}")

    async def pause(self, name: str, *, note: str = "") -> Schedule:
        return await self._command(name, "pause", {"note": note})

    async def unpause(self, name: str, *, note: str = "") -> Schedule:
        return await self._command(name, "unpause", {"note": note})

    async def trigger(self, name: str, *, overlap: Overlap | None = None) -> Schedule:
        return await self._command(name, "trigger", {"overlap": overlap} if overlap else {})

    async def backfill(self, name: str, request: BackfillRequest) -> Schedule:
        return await self._command(name, "backfill", request.model_dump(mode="json"))

    async def _command(self, name: str, verb: Verb, body: JsonObject) -> Schedule:
        response = await self._wire.post(f"/v1/schedules/{name}/{verb}", body)
        return Schedule.model_validate_json(response.content)
