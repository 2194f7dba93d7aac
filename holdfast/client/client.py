"""The client: one connection pool, one key, and the parts of the API as attributes."""

from types import TracebackType
from typing import Self

import httpx

from holdfast.client.access import AgentsClient, AuditClient, KeysClient
from holdfast.client.approvals import ApprovalsClient
from holdfast.client.events import EventsClient
from holdfast.client.library import LibraryClient
from holdfast.client.memory import MemoryClient
from holdfast.client.models import ModelsClient
from holdfast.client.panels import PanelsClient
from holdfast.client.policies import PoliciesClient
from holdfast.client.runs import RunsClient
from holdfast.client.schedules import SchedulesClient
from holdfast.client.tenants import RolesClient, TenantsClient
from holdfast.client.tools import ToolsClient
from holdfast.client.webhooks import WebhooksClient
from holdfast.client.wire import Wire


class Holdfast:
    """`async with Holdfast(url, key) as holdfast: run = await holdfast.runs.start(RunRequest(goal="..."))`"""

    def __init__(self, url: str, key: str, *, http: httpx.AsyncClient | None = None) -> None:
        self._http = http or httpx.AsyncClient(
            base_url=url,
            headers={"Authorization": f"Bearer {key}"},
            limits=httpx.Limits(max_connections=None, max_keepalive_connections=20),
        )
        self.wire = Wire(self._http)
        self.runs = RunsClient(self.wire)
        self.events = EventsClient(self.wire)
        self.approvals = ApprovalsClient(self.wire)
        self.agents = AgentsClient(self.wire)
        self.keys = KeysClient(self.wire)
        self.audit = AuditClient(self.wire)
        self.library = LibraryClient(self.wire)
        self.memory = MemoryClient(self.wire)
        self.policies = PoliciesClient(self.wire)
        self.models = ModelsClient(self.wire)
        self.panels = PanelsClient(self.wire)
        self.schedules = SchedulesClient(self.wire)
        self.tenants = TenantsClient(self.wire)
        self.roles = RolesClient(self.wire)
        self.tools = ToolsClient(self.wire)
        self.webhooks = WebhooksClient(self.wire)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        await self._http.aclose()
