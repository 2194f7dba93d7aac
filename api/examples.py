"""Examples for the OpenAPI document: bodies as people would write them, and answers made up from their schema."""

import re
from collections.abc import Mapping
from typing import Any

from schemas.base import JsonObject

_UNIQUE = "01kc4m8x2vq7n3e5t9w1z6y0ab"
_DIGEST = "sha256:7ef787f494dc60fb5b8d5ef29d928b86903870b479d437f072fe2ffb4115b400"
_AT = "2026-03-02T09:30:00Z"
_DOCUMENT: JsonObject = {
    "id": "team/disk",
    "text": "# Disk filling up\n\n1. See how full it is: `df -h`\n",
    "media": "markdown",
}
_POLICY: JsonObject = {
    "name": "no-ls-in-prod",
    "effect": "deny",
    "scope": {"environments": ["prod"]},
    "when": "'ls' in facts.binaries",
    "message": "Nobody lists files in production.",
    "examples": {
        "match": [{"environment": "prod", "arguments": {"command": "ls"}}],
        "not_match": [{"environment": "prod", "arguments": {"command": "df -h"}}],
    },
}

BODIES: Mapping[str, JsonObject] = {
    "RunRequest": {"goal": "Find what fills the disk", "environment": "staging", "labels": {"team": "db"}},
    "PauseRequest": {"reason": "The database is being moved."},
    "ResumeRequest": {"step": "restart", "arguments": {"service": "nginx"}},
    "CancelRequest": {"mode": "graceful", "reason": "No longer needed."},
    "ForkRequest": {"from_step": "restart"},
    "PostRequest": {"name": "deploy.finished", "data": {"version": "1.4.2"}},
    "InstructionRequest": {"text": "Leave /var/log/audit alone."},
    "DecisionRequest": {"decision": "approve", "digest": _DIGEST, "comment": "Checked with the owner."},
    "DelegationRequest": {"to": "database-on-call", "comment": "They know what hangs on it."},
    "AgentDraft": {
        "name": "keeper",
        "description": "Keeps hosts healthy.",
        "instructions": "Prefer what can be undone.",
        "tools": ["sys.*", "shell"],
    },
    "ToolSwitch": {"enabled": False, "environment": "prod"},
    "ToolCallRequest": {"arguments": {"path": "/var"}, "environment": "dev"},
    "PolicyDraft": {"document": _POLICY, "change_note": "After the incident of Monday."},
    "ActivationRequest": {"policies": [{"name": "no-ls-in-prod", "version": 2}], "note": "Reviewed."},
    "RollbackRequest": {"note": "It denied too much."},
    "TrialRequest": {"action": {"environment": "prod", "arguments": {"command": "rm -rf /srv/cache"}}},
    "BacktestRequest": {"drafts": [_POLICY], "days": 7},
    "FreezeDraft": {"environment": "prod", "reason": "An incident is under way."},
    "FreezeFilter": {"where": {"environment": "prod"}},
    "ApiKeyDraft": {"name": "ci", "roles": ["operator@staging"], "expires_in_s": 7776000},
    "ApiKeyRotation": {"overlap_s": 86400},
    "TenantDraft": {"tenant": "acme", "title": "Acme Inc.", "active_runs": 50, "spend_usd_a_day": 20},
    "TenantLimits": {"title": "Acme Inc.", "active_runs": 100, "spend_usd_a_day": 40},
    "CustomRoleDraft": {"permissions": ["runs:read", "approvals:decide"], "description": "The on-call."},
    "SyncRequest": {"source": "git:runbooks", "documents": [_DOCUMENT]},
    "LintRequest": {"documents": [_DOCUMENT]},
    "IngestionRequest": {"documents": [_DOCUMENT]},
    "UploadRequest": {"documents": [_DOCUMENT]},
    "FilesRequest": {"files": [{"id": "team/disk.md", "data": "IyBEaXNrIGZpbGxpbmcgdXAK"}]},
    "LibraryJobRequest": {"work": "embed"},
    "SearchRequest": {"query": "disk is full on the mail server", "limit": 5},
    "DocumentRollback": {"id": "team/disk", "version": 1},
    "MemoryDraft": {"kind": "fact", "text": "The mail spool is on /dev/vdb1."},
    "RecallQuery": {"text": "Find what fills the disk", "environment": "staging"},
    "MemoryEdit": {"text": "The mail spool is on /dev/vdc1.", "reason": "It was moved."},
    "MemoryJudgement": {"reason": "Seen again today."},
    "MemoryRollback": {"version": 1},
    "RunFeedback": {"verdict": "up", "comment": "Found it at once."},
    "SnapshotRequest": {"name": "before-the-move", "note": "As it was in March."},
    "MemoryRestore": {"at": _AT},
    "AgentSpendLimit": {"agent": "keeper", "period": "day", "limit_usd": 5},
    "PriceDraft": {"model": "openai/house", "input": 1, "output": 3},
    "ConsensusRequest": {
        "question": "Is it safe to fail over now?",
        "choices": ["yes", "no"],
        "method": "vote",
    },
    "ScheduleDraft": {
        "name": "nightly",
        "run": {"goal": "Report on the health of the hosts"},
        "cron": ["0 3 * * 1-5"],
        "time_zone": "Europe/Berlin",
    },
    "ScheduleNote": {"note": "Holidays."},
    "TriggerRequest": {"overlap": "allow_all"},
    "BackfillRequest": {"start_at": "2026-03-01T00:00:00Z", "end_at": "2026-03-02T00:00:00Z"},
    "WebhookDraft": {"url": "https://hooks.example.com/holdfast", "events": ["run.ended", "approval.*"]},
    "SecretRotation": {"overlap_s": 86400},
    "Message": {"jsonrpc": "2.0", "id": 1, "method": "tools/list"},
}
"""By the name of the schema."""

_VALUES: Mapping[str, Any] = {
    "run_id": f"run_{_UNIQUE}",
    "tenant": "default",
    "environment": "staging",
    "agent": "operator",
    "goal": "Find what fills the disk",
    "tool": "shell",
    "tool_version": "1.0.0",
    "step_id": "find_large",
    "approval_id": f"apr_{_UNIQUE}",
    "text": "The mail spool is on /dev/vdb1.",
    "author": "key:0123456789ab",
    "created_by": "key:0123456789ab",
    "requested_by": "key:0123456789ab",
    "by": "user:alice",
    "approver": "user:alice",
    "model": "openai/gpt-5",
    "deployment": "main",
    "url": "https://hooks.example.com/holdfast",
    "token": "hf_0123456789ab_…",
    "secret": "whsec_…",
    "next": None,
    "name": "disk",
    "version": 1,
    "seq": 1,
    "origin": "10.0.0.7",
}
"""What a field of this name holds."""
_ID = re.compile(r"\^([a-z]+_)\[0-9a-[fz]\]")
_DEEPEST = 5


def example_of(schema: JsonObject, schemas: JsonObject, *, name: str = "", depth: int = 0) -> Any:
    """A value that the schema describes: short, and the same every time."""
    if "$ref" in schema:
        return example_of(schemas[schema["$ref"].rpartition("/")[2]], schemas, name=name, depth=depth + 1)
    for given in ("const", "default"):
        if schema.get(given) not in (None, "", [], {}):
            return schema[given]
    if "enum" in schema:
        return schema["enum"][0]
    if variants := schema.get("anyOf") or schema.get("oneOf") or schema.get("allOf"):
        return (
            None
            if _optional(variants, name, depth)
            else example_of(variants[0], schemas, name=name, depth=depth)
        )
    return _of_type(schema, schemas, name, depth)


def _optional(variants: list[JsonObject], name: str, depth: int) -> bool:
    """What may be left out is shown where its name says something."""
    return {"type": "null"} in variants and (depth > 2 or name not in _VALUES or _VALUES[name] is None)


def _of_type(schema: JsonObject, schemas: JsonObject, name: str, depth: int) -> Any:
    match schema.get("type"):
        case "object" if "properties" in schema:
            return {
                member: example_of(inner, schemas, name=member, depth=depth)
                for member, inner in schema["properties"].items()
                if depth < _DEEPEST or member in schema.get("required", ())
            }
        case "array":
            inner = (
                None
                if depth >= _DEEPEST
                else example_of(schema["items"], schemas, name=name, depth=depth + 1)
            )
            return [inner] if inner else []
        case "object":
            return {}
        case "boolean":
            return False
        case "integer" | "number":
            return _VALUES.get(name) or schema.get("minimum", 0)
        case _:
            return _text(schema, name)


def _text(schema: JsonObject, name: str) -> Any:
    if schema.get("format") == "date-time":
        return _AT
    if found := _ID.match(schema.get("pattern", "")):
        return found[1] + _UNIQUE
    return _DIGEST if "sha256:" in schema.get("pattern", "") else _VALUES.get(name, "")
