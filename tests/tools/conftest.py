"""Tools as a worker calls them: through the host, in the real sandbox."""

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

from holdfast.adapters.bubblewrap.sandbox import BubblewrapSandbox
from holdfast.ids import new_id
from holdfast.tools.builtin import sandboxed_tools
from holdfast.tools.declare import Tool
from holdfast.tools.host import RegistryToolHost
from holdfast.tools.manifests import Workshop
from holdfast.tools.registry import Registry
from schemas.actions import Action
from schemas.tools import ToolResult

Call = Callable[..., Awaitable[ToolResult]]


@pytest.fixture(scope="session")
async def sandbox(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[BubblewrapSandbox]:
    backend = BubblewrapSandbox(store=tmp_path_factory.mktemp("tool-store"))
    yield backend
    await backend.close()


class Caller:
    """One run that calls tools by name."""

    def __init__(self, *tools: Tool, run_id: str | None = None, step: str = "look") -> None:
        self.host = RegistryToolHost(Registry(tools))
        self.run_id = run_id or new_id("run")
        self._step = step

    async def __call__(self, name: str, **arguments: Any) -> ToolResult:
        spec = self.host.catalogue().find(name)
        assert spec is not None, name
        action = Action(
            tenant="default",
            run_id=self.run_id,
            step_id=self._step,
            tool=spec.name,
            tool_version=spec.version,
            arguments=arguments,
            environment="dev",
            agent="operator",
        )
        return await self.host.call(action, spec, idempotency_key=action.digest)


def code_of(result: ToolResult) -> str:
    """The code of its error; empty where it went well."""
    return result.error.code if result.error else ""


@pytest.fixture
def workshop(sandbox: BubblewrapSandbox) -> Workshop:
    return Workshop(builtin=Registry(sandboxed_tools(sandbox)), sandbox=sandbox)
