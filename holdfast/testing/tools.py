"""For tests of tools that are Python modules: they are loaded and called as a worker does, without a stack."""

from pathlib import Path
from typing import Any

from holdfast.ids import new_id
from holdfast.tools.declare import Tool
from holdfast.tools.host import RegistryToolHost
from holdfast.tools.modules import tools_of_module
from holdfast.tools.registry import Registry
from schemas.actions import Action
from schemas.tools import ToolResult


def tools_in(module: Path) -> tuple[Tool, ...]:
    """Raises BadManifest where a worker would refuse the file."""
    return tools_of_module(module.name, module.read_text())


async def call(tool: Tool, **arguments: Any) -> ToolResult:
    """One call with its arguments checked and its failures told, but neither judged nor recorded."""
    action = Action(
        tenant="default",
        run_id=new_id("run"),
        step_id="call",
        tool=tool.spec.name,
        tool_version=tool.spec.version,
        arguments=arguments,
        environment="dev",
        agent="operator",
    )
    host = RegistryToolHost(Registry([tool]))
    return await host.call(action, tool.spec, idempotency_key=action.digest)
