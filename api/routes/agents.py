"""Agents: versioned roles. A write makes a new version; runs keep the one they started with."""

from typing import Annotated

from fastapi import APIRouter, Path, Response

from api.editing import IfMatch, refuse_stale, tag
from api.problems import documented
from api.services import Caller, Held
from holdfast.errors import Conflict, InvalidInput, NotFound
from holdfast.runs import DEFAULT_AGENT
from schemas.agents import AgentDraft, AgentSpec
from schemas.base import Name
from schemas.pages import Items

router = APIRouter(prefix="/v1/agents", tags=["agents"])

AgentPath = Annotated[Name, Path(description="The agent's name.")]
VersionPath = Annotated[int, Path(ge=1, le=2**31 - 1, description="The version's number.")]


@router.get("", responses=documented())
async def list_agents(held: Held, caller: Caller) -> Items[AgentSpec]:
    """The newest version of each agent, and the built-in operator."""
    found = list(await held.agents.newest(caller.tenant))
    if not any(agent.name == DEFAULT_AGENT.name for agent in found):
        found.insert(0, DEFAULT_AGENT)
    return Items(items=found)


@router.post("", status_code=201, responses=documented(409, 413, 415))
async def create_agent(draft: AgentDraft, response: Response, held: Held, caller: Caller) -> AgentSpec:
    """A new agent."""
    response.headers["Location"] = f"/v1/agents/{draft.name}"
    if await held.agents.versions(caller.tenant, draft.name):
        raise Conflict(f"There is an agent {draft.name} already.", remedy="PUT makes a new version of it.")
    return tag(await held.agents.write(caller.tenant, draft, author=caller.id), response)


@router.get("/{name}", responses=documented(404))
async def read_agent(name: AgentPath, response: Response, held: Held, caller: Caller) -> AgentSpec:
    """The newest version of an agent."""
    try:
        return tag(await held.agents.read(caller.tenant, name), response)
    except NotFound:
        if name == DEFAULT_AGENT.name:
            return tag(DEFAULT_AGENT, response)
        raise


@router.put("/{name}", responses=documented(404, 412, 413, 415))
async def write_agent(
    name: AgentPath,
    draft: AgentDraft,
    response: Response,
    held: Held,
    caller: Caller,
    if_match: IfMatch = None,
) -> AgentSpec:
    """A new version of an agent; with If-Match only if nobody wrote one in the meantime."""
    if draft.name != name:
        raise InvalidInput(f"The address names {name}, and the body {draft.name}.")
    newest = await held.agents.read(caller.tenant, name)
    refuse_stale(newest.version, if_match, what=f"Agent {name}")
    written = await held.agents.write(caller.tenant, draft, author=caller.id, after=newest.version)
    return tag(written, response)


@router.get("/{name}/versions", responses=documented(404))
async def list_agent_versions(name: AgentPath, held: Held, caller: Caller) -> Items[AgentSpec]:
    """All versions, newest first."""
    found = await held.agents.versions(caller.tenant, name)
    if not found:
        raise NotFound(f"There is no agent {name}.")
    return Items(items=found)


@router.get("/{name}/versions/{version}", responses=documented(404))
async def read_agent_version(name: AgentPath, version: VersionPath, held: Held, caller: Caller) -> AgentSpec:
    """One version."""
    return await held.agents.read(caller.tenant, name, version)
