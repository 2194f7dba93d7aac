"""The script of a test model: rules, tried in order, that say what to answer to what.

It is data, so that it can be written in a test, kept in a file, or sent to a server in another process.
"""

import fnmatch
import json
import re
from typing import Any, Literal

from pydantic import Field

from schemas.base import JsonObject, Payload, Request

FaultKind = Literal[
    "rate_limit",
    "quota",
    "key",
    "unknown_model",
    "context",
    "content",
    "bad_request",
    "overloaded",
    "server_error",
    "credit",
    "too_large",
]

_FAULTS: dict[FaultKind, tuple[int, str, str]] = {
    "rate_limit": (429, "rate_limit_exceeded", "Rate limit reached for requests"),
    "quota": (
        429,
        "insufficient_quota",
        "You exceeded your current quota, please check your plan and billing",
    ),
    "key": (401, "invalid_api_key", "Incorrect API key provided: {key}"),
    "unknown_model": (404, "model_not_found", "The model does not exist or you do not have access to it"),
    "context": (400, "context_length_exceeded", "This model's maximum context length is 4096 tokens"),
    "content": (
        400,
        "content_policy_violation",
        "Your request was rejected as a result of our safety system",
    ),
    "bad_request": (400, "invalid_request_error", "Unrecognized request argument supplied"),
    "overloaded": (503, "overloaded", "The server is overloaded, try again later"),
    "server_error": (500, "server_error", "The server had an error while processing your request"),
    "credit": (402, "insufficient_balance", "Insufficient balance"),
    "too_large": (413, "request_too_large", "Request exceeds the maximum size"),
}


class Fault(Request):
    """An error, as the provider would word it."""

    kind: FaultKind
    retry_after_s: float | None = None
    midway: int | None = Field(
        default=None, ge=0, description="In a stream, after so many pieces, instead of at once."
    )

    @property
    def status(self) -> int:
        return _FAULTS[self.kind][0]

    def body(self, key: str) -> JsonObject:
        """`key` is what the caller sent: providers do repeat it, and a client has to cope."""
        _, code, message = _FAULTS[self.kind]
        return {"error": {"message": message.format(key=key), "type": code, "param": None, "code": code}}


class AskedTool(Request):
    name: str
    arguments: JsonObject = {}


class Reply(Request):
    """What the test model says, and how badly the line behaves while it does."""

    text: str = ""
    data: Any = Field(default=None, description="A JSON value, written out as the text.")
    tool_calls: tuple[AskedTool, ...] = ()
    finish: Literal["stop", "length", "tool_calls", "content_filter"] | None = None
    usage: tuple[int, int] | None = Field(
        default=None, description="Input and output tokens; counted if not said."
    )
    hide_usage: bool = False
    fault: Fault | None = None
    delay_s: float = Field(default=0, ge=0, description="Before the first byte.")
    piece: int = Field(default=16, ge=1, description="Characters in each piece of a stream.")
    pause_s: float = Field(default=0, ge=0, description="Between the pieces of a stream.")
    break_after: int | None = Field(default=None, ge=0, description="Pieces, after which the line is cut.")
    garbage: bool = Field(default=False, description="Answer 200 with something that is not JSON.")

    @property
    def words(self) -> str:
        return self.text if self.data is None else json.dumps(self.data, ensure_ascii=False)


class Match(Request):
    """Which calls a rule is for. All that is said must hold."""

    endpoint: Literal["chat", "embeddings"] = "chat"
    model: str = Field(default="*", description="A glob.")
    contains: tuple[str, ...] = Field(
        default=(), description="Texts that all stand somewhere in the messages."
    )
    last: str | None = Field(default=None, description="A regular expression found in the last message.")
    form: str | None = Field(default=None, description="The name of the JSON schema asked for.")
    tools: tuple[str, ...] = Field(default=(), description="Functions that are all offered.")

    def fits(self, call: "Call") -> bool:
        return (
            call.endpoint == self.endpoint
            and fnmatch.fnmatchcase(call.model, self.model)
            and all(text in call.text for text in self.contains)
            and (self.last is None or re.search(self.last, call.last) is not None)
            and (self.form is None or self.form == call.form)
            and set(self.tools) <= call.tools
        )


class Rule(Request):
    """`replies` are given in turn; the last one stays. `times` bounds how often the rule applies at all."""

    match: Match = Match()
    replies: tuple[Reply, ...] = Field(min_length=1)
    times: int | None = Field(default=None, ge=1)


Outcome = Literal["pending", "answered", "refused", "broken", "abandoned"]


class Call(Payload):
    """One request as the server received it. Keys are not kept, only whether one came."""

    endpoint: Literal["chat", "embeddings"]
    model: str
    body: JsonObject
    with_key: bool = False
    outcome: Outcome = "pending"

    @property
    def messages(self) -> list[JsonObject]:
        messages = self.body.get("messages", [])
        return messages if isinstance(messages, list) else []

    @property
    def text(self) -> str:
        return "\n".join(str(message.get("content") or "") for message in self.messages)

    @property
    def last(self) -> str:
        return str(self.messages[-1].get("content") or "") if self.messages else ""

    @property
    def form(self) -> str | None:
        wanted = self.body.get("response_format") or {}
        name = wanted.get("json_schema", {}).get("name") if isinstance(wanted, dict) else None
        return str(name) if name else None

    @property
    def tools(self) -> set[str]:
        offered = self.body.get("tools")
        functions = [each.get("function") or {} for each in offered] if isinstance(offered, list) else []
        return {str(function.get("name")) for function in functions}
