"""Accepting a run: everything it needs is looked up once and goes into its input, so that a later edit of an agent, a
tool or a policy never changes a run under way."""

import hashlib
from collections.abc import Sequence
from typing import Protocol

from holdfast.errors import Forbidden, NotFound, Unprocessable
from holdfast.ids import new_id
from holdfast.ports import Agents
from schemas.access import Principal
from schemas.agents import AgentSpec, RunLimits
from schemas.base import Digest
from schemas.models import ModelRoutes
from schemas.runs import RunInput, RunRequest, RunState
from schemas.tools import Catalogue

DEFAULT_AGENT = AgentSpec(
    name="operator",
    description="Looks after hosts and services. What a run uses that names no agent of its own.",
    instructions="Find out before you change anything. Prefer the smallest step that answers the goal.",
)


class Catalogues(Protocol):
    async def tools(self, tenant: str, environment: str, *, patterns: Sequence[str] = ()) -> Catalogue:
        """The tools that are enabled there: the version that a pattern names, else the newest of each."""
        ...


class Bundles(Protocol):
    async def active(self, tenant: str) -> Digest | None:
        """The policy bundle in force."""
        ...


class ModelsOfNow(Protocol):
    async def current(self) -> ModelRoutes | None:
        """The models that a run which begins now keeps; None where none is configured."""
        ...


class Acceptance:
    def __init__(
        self, *, agents: Agents, catalogues: Catalogues, bundles: Bundles, models: ModelsOfNow
    ) -> None:
        self._agents = agents
        self._catalogues = catalogues
        self._bundles = bundles
        self._models = models

    async def accept(
        self, request: RunRequest, principal: Principal, *, operation: str | None = None
    ) -> RunInput:
        """The run's input. The same `operation` gives the same run id, so that a repeated request finds its run."""
        if not principal.may_touch(request.environment):
            raise Forbidden(
                f"{principal.id} may not work in environment {request.environment}.",
                remedy=f"It may in {', '.join(principal.environments or ())}.",
            )
        agent = await self._named(principal.tenant, request.agent, request.agent_version)
        catalogue = await self._catalogues.tools(principal.tenant, request.environment, patterns=agent.tools)
        return RunInput(
            run_id=run_id_for(operation),
            tenant=principal.tenant,
            goal=request.goal,
            agent=agent,
            delegates=await self._delegates(principal.tenant, agent),
            environment=request.environment,
            inputs=request.inputs,
            mode=request.mode or ("runbook" if request.runbook else agent.mode),
            runbook=request.runbook,
            on_failure=request.on_failure,
            limits=narrower(agent.limits, request.limits),
            approve_plan=request.approve_plan,
            labels={**agent.labels, **request.labels},
            thread=request.thread,
            priority=request.priority,
            requested_by=principal.id,
            bundle=await self._bundles.active(principal.tenant),
            catalogue=catalogue.allowed(agent.tools),
            models=await self._models.current(),
            state=RunState(plan=request.plan),
        )

    async def under(self, run_input: RunInput, version: int) -> RunInput:
        """The run with another version of its agent, and with the tools and delegates of that one."""
        tenant = run_input.tenant
        agent = await self._named(tenant, run_input.agent.name, version)
        catalogue = await self._catalogues.tools(tenant, run_input.environment, patterns=agent.tools)
        return run_input.model_copy(
            update={
                "agent": agent,
                "delegates": await self._delegates(tenant, agent),
                "catalogue": catalogue.allowed(agent.tools),
            }
        )

    async def _delegates(self, tenant: str, agent: AgentSpec) -> dict[str, AgentSpec]:
        """The agents it may hand steps to, and those that they may: as they are now."""
        found: dict[str, AgentSpec] = {}
        names = list(agent.delegates)
        while names:
            name = names.pop()
            if name not in found and name != agent.name:
                found[name] = await self._named(tenant, name, None)
                names.extend(found[name].delegates)
        return found

    async def _named(self, tenant: str, name: str, version: int | None) -> AgentSpec:
        """The agent that a request or another agent names, also the built-in one; its absence is the request's fault."""
        try:
            return await self._agents.read(tenant, name, version)
        except NotFound as error:
            if name == DEFAULT_AGENT.name and version in (None, DEFAULT_AGENT.version):
                return DEFAULT_AGENT
            raise Unprocessable(error.message, remedy=error.remedy) from error


def narrower(agent: RunLimits, asked: RunLimits | None) -> RunLimits:
    """The tighter of both, limit by limit: a request cannot give itself more than its agent has."""
    if asked is None:
        return agent
    return RunLimits(
        steps=min(agent.steps, asked.steps),
        wall_s=min(agent.wall_s, asked.wall_s),
        spend_usd=_least(agent.spend_usd, asked.spend_usd),
        tool_s=_least(agent.tool_s, asked.tool_s),
        replans=min(agent.replans, asked.replans),
    )


def _least(one: float | None, other: float | None) -> float | None:
    given = [value for value in (one, other) if value is not None]
    return min(given) if given else None


def run_id_for(operation: str | None) -> str:
    if operation is None:
        return new_id("run")
    return f"run_{hashlib.sha256(operation.encode()).hexdigest()[:32]}"
