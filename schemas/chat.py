"""The conversation with a model: what is asked of it, and what it says."""

from enum import StrEnum
from typing import Literal

from pydantic import Field

from schemas.base import JsonObject, Name, Payload


class TaskClass(StrEnum):
    """What a call is for. Routes, statistics and prices per task are kept by it."""

    PLAN = "plan"
    JUDGE = "judge"
    REACT = "react"
    ANSWER = "answer"
    SUMMARISE = "summarise"
    CODE = "code"
    EMBED = "embed"
    PANEL = "panel"


class ToolCall(Payload):
    id: str
    name: str
    arguments: JsonObject = {}


class ChatMessage(Payload):
    role: Literal["system", "user", "assistant", "tool"]
    content: str = ""
    tool_calls: tuple[ToolCall, ...] = ()
    tool_call_id: str | None = None


class OutputForm(Payload):
    """The JSON an answer must be. `json_schema` is sent to models that can be bound to one."""

    name: Name
    json_schema: JsonObject


class ToolOffer(Payload):
    """A function the model may ask to have called."""

    name: str
    description: str = ""
    parameters: JsonObject = {"type": "object"}


class ChatRequest(Payload):
    messages: tuple[ChatMessage, ...]
    form: OutputForm | None = None
    tools: tuple[ToolOffer, ...] = ()
    max_output_tokens: int = Field(default=4096, ge=1)
    temperature: float | None = Field(default=0, description="None leaves it to the model.")
    timeout_s: float = Field(default=120, gt=0, description="For the whole call, a stream's end included.")


class TokenUsage(Payload):
    input_tokens: int = 0
    output_tokens: int = 0
    cached_tokens: int = Field(default=0, description="Of the input tokens, those the provider had cached.")
    estimated: bool = Field(default=False, description="Counted by us, as the provider did not say.")


class ChatReply(Payload):
    """What one model said to one request. `call_id` names the row of the spend ledger."""

    text: str = ""
    tool_calls: tuple[ToolCall, ...] = ()
    finish: Literal["stop", "length", "tool_calls", "content_filter"] = "stop"
    usage: TokenUsage = TokenUsage()
    model: str = Field(default="", description="As the provider names it in its answer.")
    deployment: str = ""
    call_id: str = ""
    cost_usd: float = 0
    latency_ms: float = 0


class EmbedReply(Payload):
    vectors: tuple[tuple[float, ...], ...]
    usage: TokenUsage = TokenUsage()
    model: str = ""
