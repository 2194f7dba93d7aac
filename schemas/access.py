"""Who may do what: permissions, roles, principals, API keys, tenants, and the audit log's lines."""

from datetime import datetime
from enum import StrEnum
from typing import Annotated

from pydantic import Field, StringConstraints

from schemas.base import JsonObject, Name, Payload, Request


class Permission(StrEnum):
    """Everything that can be permitted. A route needs exactly one of them."""

    RUNS_READ = "runs:read"
    RUNS_WRITE = "runs:write"
    RUNS_DELETE = "runs:delete"
    EVENTS_READ = "events:read"
    APPROVALS_READ = "approvals:read"
    APPROVALS_DECIDE = "approvals:decide"
    AGENTS_READ = "agents:read"
    AGENTS_WRITE = "agents:write"
    TOOLS_READ = "tools:read"
    TOOLS_WRITE = "tools:write"
    TOOLS_CALL = "tools:call"
    POLICIES_READ = "policies:read"
    POLICIES_WRITE = "policies:write"
    FLEET_FREEZE = "fleet:freeze"
    RUNBOOKS_READ = "runbooks:read"
    RUNBOOKS_WRITE = "runbooks:write"
    MEMORY_READ = "memory:read"
    MEMORY_WRITE = "memory:write"
    MODELS_READ = "models:read"
    MODELS_WRITE = "models:write"
    MODELS_OPERATE = "models:operate"
    SCHEDULES_READ = "schedules:read"
    SCHEDULES_WRITE = "schedules:write"
    WEBHOOKS_READ = "webhooks:read"
    WEBHOOKS_WRITE = "webhooks:write"
    KEYS_READ = "keys:read"
    KEYS_WRITE = "keys:write"
    ROLES_WRITE = "roles:write"
    AUDIT_READ = "audit:read"
    METRICS_READ = "metrics:read"
    TENANTS_READ = "tenants:read"
    TENANTS_WRITE = "tenants:write"


class Role(StrEnum):
    """The roles that exist everywhere. A tenant may add its own."""

    VIEWER = "viewer"
    OPERATOR = "operator"
    APPROVER = "approver"
    POLICY_ADMIN = "policy-admin"
    ADMIN = "admin"
    PLATFORM_ADMIN = "platform-admin"


_GUARDED_READS = {
    Permission.KEYS_READ,
    Permission.AUDIT_READ,
    Permission.TENANTS_READ,
    Permission.METRICS_READ,
}
_VIEWER = frozenset(p for p in Permission if p.endswith(":read")) - _GUARDED_READS
_OPERATOR = _VIEWER | {
    Permission.RUNS_WRITE,
    Permission.TOOLS_CALL,
    Permission.RUNBOOKS_WRITE,
    Permission.MEMORY_WRITE,
    Permission.SCHEDULES_WRITE,
}
_PLATFORM = {
    Permission.TENANTS_READ,
    Permission.TENANTS_WRITE,
    Permission.METRICS_READ,
    Permission.MODELS_OPERATE,
}

ROLE_PERMISSIONS: dict[str, frozenset[Permission]] = {
    Role.VIEWER: _VIEWER,
    Role.OPERATOR: _OPERATOR,
    Role.APPROVER: _VIEWER | {Permission.APPROVALS_DECIDE},
    Role.POLICY_ADMIN: _VIEWER | {Permission.POLICIES_WRITE, Permission.FLEET_FREEZE, Permission.AUDIT_READ},
    Role.ADMIN: frozenset(Permission) - _PLATFORM,
    Role.PLATFORM_ADMIN: frozenset(Permission),
}
"""What each built-in role permits. Reading keys, the audit log, other tenants and metrics is no viewer's business."""


class Principal(Payload):
    """Who is asking: a key or a person, in one tenant, with what they may do there."""

    tenant: Name
    id: str = Field(description="`key:…` or `user:…`; what the audit log and approvals name.")
    name: str = ""
    roles: tuple[str, ...] = ()
    permissions: frozenset[Permission] = frozenset()
    only_in: dict[Name, frozenset[Permission]] = Field(
        default={}, description="What it may in single environments beyond its `permissions`."
    )
    environments: tuple[Name, ...] | None = Field(default=None, description="None means all of them.")

    def may(self, permission: Permission, environment: str | None = None) -> bool:
        """Whether it may do this there; without an environment, whether it may anywhere at all."""
        where = self.where(permission)
        return where is None or (environment in where if environment is not None else bool(where))

    def where(self, permission: Permission) -> tuple[Name, ...] | None:
        """The environments in which it may do this; None means all of them."""
        if permission in self.permissions:
            return self.environments
        named = sorted(name for name, granted in self.only_in.items() if permission in granted)
        return tuple(name for name in named if self.may_touch(name))

    def for_what(self, permission: Permission) -> "Principal":
        """The same, with its environments narrowed to those in which it may do this."""
        return self.model_copy(update={"environments": self.where(permission)})

    def may_touch(self, environment: str) -> bool:
        return self.environments is None or environment in self.environments

    def roles_in(self, environment: str) -> set[str]:
        """Its roles there: those that hold everywhere, and those bound to it."""
        bound = f"@{environment}"
        return {role.removesuffix(bound) for role in self.roles if "@" not in role or role.endswith(bound)}


RoleGrant = Annotated[
    str,
    StringConstraints(
        pattern=r"^[a-z0-9]([a-z0-9._-]{0,62}[a-z0-9])?(@[a-z0-9]([a-z0-9._-]{0,62}[a-z0-9])?)?$"
    ),
]
"""A role, or with `role@environment` a role in one environment."""


class ApiKeyDraft(Request):
    """What a user sends to make a key."""

    name: str = Field(min_length=1, max_length=120, examples=["ci"])
    roles: tuple[RoleGrant, ...] = Field(
        min_length=1, max_length=20, examples=[["viewer", "operator@staging"]]
    )
    scopes: tuple[Permission, ...] | None = Field(
        default=None, description="Narrows the roles; none means all."
    )
    environments: tuple[Name, ...] | None = Field(default=None, max_length=50)
    expires_in_s: float | None = Field(default=None, gt=0, le=86_400 * 3660)


class ApiKeyRotation(Request):
    """How long the old key still works beside the new one."""

    overlap_s: float = Field(default=86_400, ge=0, le=86_400 * 30)


class ApiKey(Payload):
    """A key as the API tells it; the secret is not in it, and not in the database."""

    id: str
    tenant: Name
    name: str
    roles: tuple[str, ...]
    scopes: tuple[str, ...] | None = None
    environments: tuple[str, ...] | None = None
    created_by: str = ""
    created_at: datetime
    expires_at: datetime | None = None
    revoked_at: datetime | None = None
    last_used_at: datetime | None = None
    rotated_from: str | None = None


class NewApiKey(ApiKey):
    """A key at the one moment its secret is shown."""

    token: str


class CustomRole(Payload):
    name: Name
    permissions: tuple[Permission, ...]
    description: str = ""


class CustomRoleDraft(Request):
    permissions: tuple[Permission, ...] = Field(min_length=1)
    description: str = Field(default="", max_length=500)


class TenantSettings(Payload):
    """What a tenant may use up. None means without a limit."""

    active_runs: int | None = Field(default=None, ge=0)
    spend_usd_a_day: float | None = Field(default=None, ge=0)


class Tenant(Payload):
    tenant: Name
    title: str = ""
    settings: TenantSettings = TenantSettings()
    created_at: datetime


class TenantLimits(Request):
    """What may be changed of a tenant."""

    title: Annotated[str, StringConstraints(max_length=200)] = ""
    active_runs: int | None = Field(default=None, ge=0, le=1_000_000)
    spend_usd_a_day: float | None = Field(default=None, ge=0, le=1e9)


class TenantDraft(TenantLimits):
    """What is sent to make one."""

    tenant: Name


class NewTenant(Tenant):
    """A tenant with its first key, shown once."""

    first_key: NewApiKey


class AuditEntry(Payload):
    """Who did what to which object from where, and what came of it."""

    at: datetime
    actor: str
    action: str
    object: str
    status: int
    origin: str = ""
    request_id: str = ""
    detail: JsonObject = {}


class AuditLine(Payload):
    """One link of the chain. `entry` is the exact text that was hashed."""

    seq: int
    entry: str
    previous: str
    hash: str


class AuditCheck(Payload):
    """Whether the chain holds; where not, the first place it breaks."""

    ok: bool
    lines: int
    broken_at: int | None = None
    why: str = ""
    head: str = ""
