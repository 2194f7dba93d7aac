"""The words of conditions: every variable a rule may read, its type, and where its value comes from."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from cel_expr_python import cel

from holdfast.guardian.facts.hosts import place_of
from holdfast.guardian.gist import gist_of, target_of
from schemas.actions import Action
from schemas.facts import Effect, Facts
from schemas.policies import ParameterType
from schemas.tools import ToolSpec

_STRING = cel.Type.STRING
_STRINGS = cel.Type.List(_STRING)
_PLAIN_READS = frozenset({Effect.READ, Effect.NETWORK})
_INSIDE = frozenset({"private", "internal", "loopback"})


@dataclass(frozen=True)
class View:
    """One action, as rules see it."""

    action: Action
    tool: ToolSpec
    facts: Facts

    @cached_property
    def light(self) -> dict[str, Any]:
        """Every variable that costs little to convert."""
        return {name: read(self) for name, read in _LIGHT.items()}

    @cached_property
    def full(self) -> dict[str, Any]:
        return self.light | {name: _VARIABLES[name][1](self) for name in HEAVY}

    def value(self, name: str) -> Any:
        """One variable, or None where there is none of that name."""
        if name in HEAVY:
            return _VARIABLES[name][1](self)
        return self.light.get(name)

    def hosts(self, place: str) -> list[str]:
        return [host for host, where in self._places if where == place]

    @property
    def only_hosts_unknown(self) -> bool:
        """A plain read over the network, and nothing about it is unclear but who is at the other end."""
        facts = self.facts
        outside = {f"{host} is outside" for host in self.hosts("public")}
        return _PLAIN_READS.issuperset(facts.effects) and outside.issuperset(facts.unknowns)

    @cached_property
    def _places(self) -> list[tuple[str, str]]:
        places = [(host, place_of(host)) for host in self.facts.hosts]
        return [(host, "inside" if place in _INSIDE else place) for host, place in places]


def _commands(view: View) -> list[dict[str, Any]]:
    return [
        {"binary": c.binary, "subcommand": c.subcommand, "flags": list(c.flags), "args": list(c.args)}
        for c in view.facts.commands
    ]


def _listed(name: str) -> Callable[[View], list[str]]:
    return lambda view: [str(value) for value in getattr(view.facts, name)]


ARGUMENTS = "action.arguments"
"""A map of whatever shape the tool has: guard optional ones with `has(action.arguments.name)`."""

_VARIABLES: dict[str, tuple[cel.Type, Callable[[View], Any]]] = {
    "action.tool": (_STRING, lambda view: view.action.tool),
    "action.tool_version": (_STRING, lambda view: view.action.tool_version),
    "action.environment": (_STRING, lambda view: view.action.environment),
    "action.agent": (_STRING, lambda view: view.action.agent),
    "action.runbook": (_STRING, lambda view: view.action.runbook or ""),
    "action.labels": (cel.Type.Map(_STRING, _STRING), lambda view: dict(view.action.labels)),
    "action.step": (_STRING, lambda view: view.action.step_id),
    "action.attempt": (cel.Type.INT, lambda view: view.action.attempt),
    ARGUMENTS: (cel.Type.Map(_STRING, cel.Type.DYN), lambda view: view.action.arguments),
    "action.tainted": (_STRINGS, lambda view: list(view.action.tainted)),
    "action.swayed": (cel.Type.BOOL, lambda view: view.action.swayed),
    "action.claimed_risk": (_STRING, lambda view: view.action.claimed_risk),
    "tool.effect": (_STRING, lambda view: str(view.tool.effect)),
    "tool.risk": (_STRING, lambda view: view.tool.risk),
    "tool.source": (_STRING, lambda view: view.tool.source),
    "tool.payload": (_STRING, lambda view: view.tool.payload),
    "tool.lane": (_STRING, lambda view: str(view.tool.lane)),
    "run.id": (_STRING, lambda view: view.action.run_id),
    "run.tenant": (_STRING, lambda view: view.action.tenant),
    "facts.kind": (_STRING, lambda view: view.facts.kind),
    "facts.safety": (_STRING, lambda view: view.facts.safety),
    "facts.understood": (
        cel.Type.BOOL,
        lambda view: view.facts.safety != "unknown" and not view.facts.unknowns,
    ),
    "facts.gist": (_STRING, lambda view: gist_of(view.facts)),
    "facts.target": (_STRING, lambda view: target_of(view.facts)),
    "facts.only_hosts_unknown": (cel.Type.BOOL, lambda view: view.only_hosts_unknown),
    "facts.reasons": (_STRINGS, _listed("reasons")),
    "facts.unknowns": (_STRINGS, _listed("unknowns")),
    "facts.effects": (_STRINGS, _listed("effects")),
    "facts.binaries": (_STRINGS, _listed("binaries")),
    "facts.commands": (cel.Type.List(cel.Type.Map(_STRING, cel.Type.DYN)), _commands),
    "facts.paths_read": (_STRINGS, _listed("paths_read")),
    "facts.paths_written": (_STRINGS, _listed("paths_written")),
    "facts.outside_workspace": (_STRINGS, _listed("outside_workspace")),
    "facts.sensitive_paths": (_STRINGS, _listed("sensitive_paths")),
    "facts.hosts": (_STRINGS, _listed("hosts")),
    "facts.public_hosts": (_STRINGS, lambda view: view.hosts("public")),
    "facts.inside_hosts": (_STRINGS, lambda view: view.hosts("inside")),
    "facts.metadata_hosts": (_STRINGS, lambda view: view.hosts("metadata")),
    "facts.methods": (_STRINGS, _listed("methods")),
    "facts.env_set": (_STRINGS, _listed("env_set")),
    "facts.interpreters": (_STRINGS, _listed("interpreters")),
    "facts.pipes_to_shell": (cel.Type.BOOL, lambda view: view.facts.pipes_to_shell),
    "facts.privileged": (cel.Type.BOOL, lambda view: view.facts.privileged),
    "facts.hints": (_STRINGS, _listed("hints")),
}

HEAVY = frozenset({ARGUMENTS, "facts.commands", "facts.gist", "facts.target"})
"""Few rules read these, and converting them costs as much as evaluating ten rules."""

_LIGHT = {name: read for name, (_, read) in _VARIABLES.items() if name not in HEAVY}

TYPES: dict[str, cel.Type] = {name: kind for name, (kind, _) in _VARIABLES.items()}

PARAMETER_TYPES: dict[ParameterType, cel.Type] = {
    ParameterType.STRING: _STRING,
    ParameterType.INT: cel.Type.INT,
    ParameterType.NUMBER: cel.Type.DOUBLE,
    ParameterType.BOOL: cel.Type.BOOL,
    ParameterType.STRINGS: _STRINGS,
}
