"""The one table of routes: what each needs, and how dear it is. The door lets nothing through that is not in it."""

import re
from dataclasses import dataclass
from typing import Literal

from schemas.access import Permission

RouteClass = Literal["read", "write", "stream"]


@dataclass(frozen=True)
class Rule:
    """One route: its template, its permission (None: any known credentials), its rate class. What a route with
    `everywhere` does or tells is of all environments, so it takes a permission that holds in all of them; an `open`
    one asks nobody who they are. In an `apart` one, what a document holds that is no text keeps no other out."""

    method: str
    path: str
    permission: Permission | None
    route_class: RouteClass = "read"
    upload: bool = False
    everywhere: bool = False
    open: bool = False
    apart: bool = False


def _open(path: str) -> Rule:
    return Rule("GET", path, None, open=True)


def _read(path: str, permission: Permission | None, *, everywhere: bool = False) -> Rule:
    return Rule("GET", path, permission, everywhere=everywhere)


def _stream(path: str, permission: Permission) -> Rule:
    return Rule("GET", path, permission, "stream")


def _write(
    method: str,
    path: str,
    permission: Permission | None,
    *,
    upload: bool = False,
    everywhere: bool = False,
    apart: bool = False,
) -> Rule:
    return Rule(method, path, permission, "write", upload, everywhere, apart=apart)


RULES: tuple[Rule, ...] = (
    _open("/livez"),
    _open("/readyz"),
    _open("/openapi.json"),
    _open("/docs"),
    _read("/metrics", Permission.METRICS_READ, everywhere=True),
    _read("/v1/whoami", None),
    _write("POST", "/v1/runs", Permission.RUNS_WRITE),
    _read("/v1/runs", Permission.RUNS_READ),
    _read("/v1/runs/{run_id}", Permission.RUNS_READ),
    _stream("/v1/runs/{run_id}/events", Permission.RUNS_READ),
    _stream("/v1/runs/{run_id}/ws", Permission.RUNS_READ),
    _stream("/v1/events", Permission.EVENTS_READ),
    _write("DELETE", "/v1/runs/{run_id}", Permission.RUNS_DELETE),
    *(
        _read(f"/v1/runs/{{run_id}}/{part}", Permission.RUNS_READ)
        for part in ("plan", "steps", "story", "effects", "verdicts", "cost", "artifacts/{digest}")
    ),
    *(
        _write("POST", f"/v1/runs/{{run_id}}/{verb}", Permission.RUNS_WRITE)
        for verb in ("pause", "resume", "cancel", "fork", "events", "instructions")
    ),
    _read("/v1/approvals", Permission.APPROVALS_READ),
    _read("/v1/approvals/{approval_id}", Permission.APPROVALS_READ),
    _write("POST", "/v1/approvals/{approval_id}/decision", Permission.APPROVALS_DECIDE),
    _write("POST", "/v1/approvals/{approval_id}/delegations", Permission.APPROVALS_DECIDE),
    _read("/v1/agents", Permission.AGENTS_READ),
    _write("POST", "/v1/agents", Permission.AGENTS_WRITE, everywhere=True),
    _read("/v1/agents/{name}", Permission.AGENTS_READ),
    _write("PUT", "/v1/agents/{name}", Permission.AGENTS_WRITE, everywhere=True),
    _read("/v1/agents/{name}/versions", Permission.AGENTS_READ),
    _read("/v1/agents/{name}/versions/{version}", Permission.AGENTS_READ),
    _read("/v1/policies", Permission.POLICIES_READ),
    _write("POST", "/v1/policies", Permission.POLICIES_WRITE, everywhere=True),
    _read("/v1/policies/{name}", Permission.POLICIES_READ),
    _write("PUT", "/v1/policies/{name}", Permission.POLICIES_WRITE, everywhere=True),
    _write("DELETE", "/v1/policies/{name}", Permission.POLICIES_WRITE, everywhere=True),
    _read("/v1/policies/{name}/versions", Permission.POLICIES_READ),
    _read("/v1/policies/{name}/versions/{version}", Permission.POLICIES_READ),
    _write("DELETE", "/v1/policies/{name}/versions/{version}", Permission.POLICIES_WRITE, everywhere=True),
    _read("/v1/policies/{name}/diff", Permission.POLICIES_READ),
    _read("/v1/policies/{name}/experiment", Permission.POLICIES_READ),
    _read("/v1/policy-templates", Permission.POLICIES_READ),
    _read("/v1/policy-bundles", Permission.POLICIES_READ),
    _read("/v1/policy-bundles/active", Permission.POLICIES_READ),
    _read("/v1/policy-bundles/diff", Permission.POLICIES_READ),
    _write("POST", "/v1/policy-bundles/activate", Permission.POLICIES_WRITE, everywhere=True),
    _write("POST", "/v1/policy-bundles/rollback", Permission.POLICIES_WRITE, everywhere=True),
    _write("POST", "/v1/policy-trials", Permission.POLICIES_READ),
    _write("POST", "/v1/policy-backtests", Permission.POLICIES_WRITE, everywhere=True),
    _read("/v1/freezes", Permission.POLICIES_READ),
    _write("POST", "/v1/freezes", Permission.FLEET_FREEZE),
    _write("POST", "/v1/freezes/thaw", Permission.FLEET_FREEZE),
    _read("/v1/tools", Permission.TOOLS_READ),
    _read("/v1/tools/{name}", Permission.TOOLS_READ),
    _read("/v1/tool-states", Permission.TOOLS_READ),
    _read("/v1/tool-uses", Permission.TOOLS_READ),
    _read("/v1/tool-problems", Permission.TOOLS_READ),
    _write("PUT", "/v1/tools/{name}/switch", Permission.TOOLS_WRITE),
    _write("POST", "/v1/tools/{name}/calls", Permission.TOOLS_CALL),
    _read("/v1/keys", Permission.KEYS_READ),
    _write("POST", "/v1/keys", Permission.KEYS_WRITE),
    _read("/v1/keys/{key_id}", Permission.KEYS_READ),
    _write("DELETE", "/v1/keys/{key_id}", Permission.KEYS_WRITE),
    _write("POST", "/v1/keys/{key_id}/rotate", Permission.KEYS_WRITE),
    _read("/v1/roles", Permission.KEYS_READ),
    _read("/v1/roles/{name}", Permission.KEYS_READ),
    _write("PUT", "/v1/roles/{name}", Permission.ROLES_WRITE, everywhere=True),
    _write("DELETE", "/v1/roles/{name}", Permission.ROLES_WRITE, everywhere=True),
    _read("/v1/tenants", Permission.TENANTS_READ, everywhere=True),
    _write("POST", "/v1/tenants", Permission.TENANTS_WRITE, everywhere=True),
    _read("/v1/tenants/{tenant}", Permission.TENANTS_READ, everywhere=True),
    _write("PUT", "/v1/tenants/{tenant}", Permission.TENANTS_WRITE, everywhere=True),
    _read("/v1/webhooks", Permission.WEBHOOKS_READ),
    _write("POST", "/v1/webhooks", Permission.WEBHOOKS_WRITE),
    _read("/v1/webhooks/{webhook_id}", Permission.WEBHOOKS_READ),
    _write("PUT", "/v1/webhooks/{webhook_id}", Permission.WEBHOOKS_WRITE),
    _write("DELETE", "/v1/webhooks/{webhook_id}", Permission.WEBHOOKS_WRITE),
    _write("POST", "/v1/webhooks/{webhook_id}/rotate", Permission.WEBHOOKS_WRITE),
    _read("/v1/webhooks/{webhook_id}/deliveries", Permission.WEBHOOKS_READ),
    _write("POST", "/v1/webhooks/{webhook_id}/deliveries/{delivery_id}/retry", Permission.WEBHOOKS_WRITE),
    _read("/v1/runbooks", Permission.RUNBOOKS_READ),
    _write("POST", "/v1/runbooks", Permission.RUNBOOKS_WRITE, upload=True, apart=True),
    _write("POST", "/v1/runbooks/search", Permission.RUNBOOKS_READ),
    _write("POST", "/v1/runbooks/files", Permission.RUNBOOKS_WRITE, upload=True, apart=True),
    _write("POST", "/v1/runbooks/sync", Permission.RUNBOOKS_WRITE, upload=True, apart=True, everywhere=True),
    _write("POST", "/v1/runbooks/lint", Permission.RUNBOOKS_READ, upload=True),
    _write("POST", "/v1/ingestions", Permission.RUNBOOKS_WRITE, upload=True, apart=True),
    _read("/v1/ingestions/{ingestion_id}", Permission.RUNBOOKS_READ),
    _read("/v1/library", Permission.RUNBOOKS_READ),
    _write("POST", "/v1/library-jobs", Permission.RUNBOOKS_WRITE, everywhere=True),
    _read("/v1/runbook", Permission.RUNBOOKS_READ),
    _write("DELETE", "/v1/runbook", Permission.RUNBOOKS_WRITE),
    _read("/v1/runbook/versions", Permission.RUNBOOKS_READ),
    _write("POST", "/v1/runbook/rollback", Permission.RUNBOOKS_WRITE),
    _read("/v1/memory", Permission.MEMORY_READ),
    _write("POST", "/v1/memory", Permission.MEMORY_WRITE),
    _write("POST", "/v1/memory/search", Permission.MEMORY_READ),
    _read("/v1/memory/{memory_id}", Permission.MEMORY_READ),
    _write("PATCH", "/v1/memory/{memory_id}", Permission.MEMORY_WRITE),
    _write("DELETE", "/v1/memory/{memory_id}", Permission.MEMORY_WRITE),
    _read("/v1/memory/{memory_id}/versions", Permission.MEMORY_READ),
    *(
        _write("POST", f"/v1/memory/{{memory_id}}/{verb}", Permission.MEMORY_WRITE)
        for verb in ("confirm", "reject", "rollback")
    ),
    _read("/v1/memory/{memory_id}/trace", Permission.MEMORY_READ, everywhere=True),
    _read("/v1/runs/{run_id}/feedback", Permission.MEMORY_READ),
    _write("POST", "/v1/runs/{run_id}/feedback", Permission.MEMORY_WRITE),
    _write("DELETE", "/v1/runs/{run_id}/memory", Permission.MEMORY_WRITE, everywhere=True),
    _read("/v1/memory-snapshots", Permission.MEMORY_READ),
    _write("POST", "/v1/memory-snapshots", Permission.MEMORY_WRITE, everywhere=True),
    _write("POST", "/v1/memory-snapshots/{name}/restore", Permission.MEMORY_WRITE, everywhere=True),
    _write("POST", "/v1/memory-restore", Permission.MEMORY_WRITE, everywhere=True),
    _read("/v1/memory-export", Permission.MEMORY_READ, everywhere=True),
    _write("POST", "/v1/memory-import", Permission.MEMORY_WRITE, upload=True, everywhere=True),
    _read("/v1/models", Permission.MODELS_READ),
    _read("/v1/models/routes", Permission.MODELS_READ),
    _read("/v1/models/prices", Permission.MODELS_READ),
    _write("PUT", "/v1/models/prices", Permission.MODELS_OPERATE, everywhere=True),
    _write("POST", "/v1/models/breakers/{deployment}/retry", Permission.MODELS_OPERATE, everywhere=True),
    _read("/v1/models/spend", Permission.MODELS_READ),
    _read("/v1/models/breakers", Permission.MODELS_READ),
    _read("/v1/models/records", Permission.MODELS_READ),
    _read("/v1/models/experiments/{name}", Permission.MODELS_READ),
    _read("/v1/models/plan-cache", Permission.MODELS_READ),
    _write("PUT", "/v1/models/limits", Permission.MODELS_WRITE),
    _read("/v1/runs/{run_id}/model-calls", Permission.MODELS_READ),
    _write("POST", "/v1/consensus", Permission.RUNS_WRITE),
    _read("/v1/consensus", Permission.RUNS_READ),
    _read("/v1/consensus/analytics", Permission.MODELS_READ),
    _read("/v1/consensus/{consensus_id}", Permission.RUNS_READ),
    _read("/v1/schedules", Permission.SCHEDULES_READ),
    _write("POST", "/v1/schedules", Permission.SCHEDULES_WRITE),
    _read("/v1/schedules/{name}", Permission.SCHEDULES_READ),
    _write("PUT", "/v1/schedules/{name}", Permission.SCHEDULES_WRITE),
    _write("DELETE", "/v1/schedules/{name}", Permission.SCHEDULES_WRITE),
    *(
        _write("POST", f"/v1/schedules/{{name}}/{verb}", Permission.SCHEDULES_WRITE)
        for verb in ("pause", "unpause", "trigger", "backfill")
    ),
    _write("POST", "/v1/mcp", None),  # each tool asks for a permission of its own
    _read("/v1/audit", Permission.AUDIT_READ, everywhere=True),
    _read("/v1/audit/verify", Permission.AUDIT_READ, everywhere=True),
    _read("/v1/audit/export", Permission.AUDIT_READ, everywhere=True),
)


class Table:
    """Finds the rule of a request. Fixed segments win over parameters, as in the router."""

    def __init__(self, rules: tuple[Rule, ...] = RULES) -> None:
        ordered = sorted(rules, key=lambda rule: [part.startswith("{") for part in rule.path.split("/")])
        self._rules = [(_pattern(rule.path), rule) for rule in ordered]

    def find(self, method: str, path: str) -> Rule | None:
        """HEAD asks for what GET would answer, where that comes to an end."""
        wanted = "GET" if method == "HEAD" else method
        found = next((rule for at, rule in self._rules if rule.method == wanted and at.match(path)), None)
        return None if found is not None and method == "HEAD" and found.route_class == "stream" else found

    def methods(self, path: str) -> tuple[str, ...]:
        """The methods this path knows; none where it does not exist."""
        known = {rule.method for at, rule in self._rules if at.match(path)}
        return tuple(sorted(known | ({"HEAD"} if self.find("HEAD", path) else set())))


def _pattern(path: str) -> re.Pattern[str]:
    """`{name}` is one segment, `{name:path}` the rest."""
    parts = re.split(r"(\{[a-z_]+(?::path)?\})", path)
    regex = "".join(
        ".+" if part.endswith(":path}") else "[^/]+" if part.startswith("{") else re.escape(part)
        for part in parts
    )
    return re.compile(rf"{regex}\Z")
