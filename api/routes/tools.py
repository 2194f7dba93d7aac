"""Tools: what runs can use, as workers publish it."""

from typing import Annotated

from fastapi import APIRouter, Path, Query

from api.problems import documented
from api.services import Caller, Held
from holdfast.errors import NotFound
from schemas.base import Name
from schemas.pages import Items
from schemas.tools import ToolSpec

router = APIRouter(prefix="/v1/tools", tags=["tools"])

ToolPath = Annotated[
    str, Path(max_length=120, pattern=r"^[a-z][a-z0-9_.-]*$", description="The tool's name.")
]


@router.get("", responses=documented())
async def list_tools(
    held: Held,
    caller: Caller,
    environment: Annotated[Name, Query(description="What is switched off there is left out.")] = "dev",
    text: Annotated[
        str | None, Query(max_length=200, description="Part of the name or the description.")
    ] = None,
) -> Items[ToolSpec]:
    """The newest version of each tool that runs can use there."""
    catalogue = await held.tools.tools(caller.tenant, environment)
    wanted = (text or "").lower()
    return Items(
        items=[tool for tool in catalogue.tools if wanted in tool.name or wanted in tool.description.lower()]
    )


@router.get("/{name}", responses=documented(404))
async def list_tool_versions(name: ToolPath, held: Held, caller: Caller) -> Items[ToolSpec]:
    """All versions of one tool."""
    found = await held.tools.versions(caller.tenant, name)
    if not found:
        raise NotFound(f"There is no tool {name}.", remedy="GET /v1/tools lists them.")
    return Items(items=found)
