"""`http.*` and `notify.webhook`: requests out of the sandbox, to the hosts that the tool's permissions name.

As shipped they name none. An operator gives them hosts with a manifest (docs/tools.md), and secrets as headers that
the egress proxy adds outside of the sandbox.
"""

import json
from collections.abc import Sequence
from typing import Annotated, Any, Literal

from pydantic import Field, StringConstraints

from holdfast.errors import Unprocessable
from holdfast.sandbox.port import Sandbox
from holdfast.tools.builtin.sandboxed import inside_tool
from holdfast.tools.declare import Tool, ToolContext
from schemas.base import JsonObject, Request
from schemas.sandbox import Limits
from schemas.tools import EffectClass, Permissions, ToolExample

_MOST_BYTES = 1_000_000
_LIMITS = Permissions(limits=Limits(wall_s=60, cpu_s=20, pids=8, output_kb=4096))
_HEADER = r"^[^\x00-\x08\x0a-\x1f]*$"
Url = Annotated[str, StringConstraints(pattern=r"^https?://[^\s\\]+$", max_length=4000)]
Headers = dict[
    Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9-]{1,100}$")],
    Annotated[str, StringConstraints(pattern=_HEADER, max_length=4000)],
]


class Fetching(Request):
    """Fetches an address with GET. Only hosts that the tool's permissions name; private addresses never."""

    url: Url
    headers: Headers = Field(default={}, max_length=40)
    timeout_s: float = Field(default=30, gt=0, le=55)
    redirects: int = Field(default=5, ge=0, le=10, description="How many redirects are followed.")
    most_bytes: int = Field(default=200_000, ge=1, le=_MOST_BYTES, description="What is kept of the answer.")


class Requesting(Fetching):
    """Sends an HTTP request. Only to hosts that the tool's permissions name; private addresses never."""

    method: Literal["GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE"] = "GET"
    body: str | None = Field(default=None, max_length=_MOST_BYTES)
    json_body: Any = Field(default=None, alias="json", description="Instead of a body: sent as JSON.")


class Notifying(Request):
    """Posts a JSON message to a webhook, such as a chat's. Repeating a call is marked with the same Idempotency-Key."""

    url: Url
    text: str = Field(default="", max_length=20_000, description="Sent as `text`, which most chats show.")
    fields: JsonObject = Field(default={}, description="Further fields of the message.")
    timeout_s: float = Field(default=20, gt=0, le=55)


def web_tools(sandbox: Sandbox) -> Sequence[Tool]:
    common: dict[str, Any] = {"payload": "http", "permissions": _LIMITS, "timeout_s": 90}
    return (
        inside_tool(
            sandbox,
            "http.get",
            program="fetch",
            arguments=Fetching,
            prepare=_prepared_get,
            told=_told,
            effect=EffectClass.READ_ONLY,
            version="1.0.2",
            examples=(
                ToolExample(
                    title="Health",
                    arguments={"url": "https://status.example.com/health"},
                    needs="a manifest over it that permits status.example.com:443",
                ),
            ),
            **common,
        ),
        inside_tool(
            sandbox,
            "http.request",
            program="fetch",
            arguments=Requesting,
            prepare=_prepared,
            told=_told,
            effect=EffectClass.IRREVERSIBLE,
            risk="medium",
            version="1.0.2",
            examples=(
                ToolExample(
                    title="Restart a service",
                    arguments={
                        "url": "https://deploy.example.com/restart",
                        "method": "POST",
                        "json": {"name": "web"},
                    },
                    needs="a manifest over it that permits deploy.example.com:443",
                ),
            ),
            **common,
        ),
        inside_tool(
            sandbox,
            "notify.webhook",
            program="fetch",
            arguments=Notifying,
            prepare=_prepared_notice,
            told=_told,
            effect=EffectClass.IRREVERSIBLE,
            version="1.0.2",
            examples=(
                ToolExample(
                    title="Tell a channel",
                    arguments={
                        "url": "https://chat.example.com/hooks/ops",
                        "text": "The disk of db-1 is full.",
                    },
                    needs="a manifest over it that permits chat.example.com:443",
                ),
            ),
            **common,
        ),
    )


def _prepared_get(asked: Fetching, context: ToolContext) -> JsonObject:
    _refuse_without_hosts(context)
    return {**asked.model_dump(mode="json"), "method": "GET"}


def _prepared(asked: Requesting, context: ToolContext) -> JsonObject:
    _refuse_without_hosts(context)
    request = asked.model_dump(mode="json", by_alias=True)
    if request.pop("json") is None:
        return request
    if asked.body is not None:
        raise Unprocessable("Both body and json are given.", remedy="Give one of them.")
    headers = {"Content-Type": "application/json", **asked.headers}
    return {**request, "body": json.dumps(asked.json_body), "headers": headers}


def _prepared_notice(asked: Notifying, context: ToolContext) -> JsonObject:
    _refuse_without_hosts(context)
    message = {**asked.fields, **({"text": asked.text} if asked.text else {})}
    headers = {"Content-Type": "application/json", "Idempotency-Key": context.idempotency_key}
    return {
        "url": asked.url,
        "method": "POST",
        "headers": headers,
        "body": json.dumps(message),
        "timeout_s": asked.timeout_s,
        "redirects": 0,
        "arrives": True,
        "most_bytes": 20_000,
    }


def _refuse_without_hosts(context: ToolContext) -> None:
    if context.spec.permissions.network.mode == "none":
        raise Unprocessable(
            f"{context.spec.key} may not connect to any host.",
            remedy=f"Give it hosts in a manifest: `run: {{builtin: {context.spec.name}}}` with permissions.network.allow.",
        )


def _told(answer: JsonObject) -> str:
    return f"{answer['status']}, {answer['bytes']} bytes from {answer['url']}"
