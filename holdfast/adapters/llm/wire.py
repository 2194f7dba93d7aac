"""Requests and answers in the shape of OpenAI's chat API, which both adapters speak."""

import json
from typing import Any, Literal

from pydantic_core import to_json

from holdfast.llm.failures import ContentRefused, ModelUnreachable
from holdfast.llm.tokens import estimate_input, estimate_tokens
from schemas.base import JsonObject
from schemas.chat import ChatMessage, ChatReply, ChatRequest, TokenUsage, ToolCall
from schemas.models import Deployment

Finish = Literal["stop", "length", "tool_calls", "content_filter"]
_FINISHES: dict[str, Finish] = {
    "length": "length",
    "max_tokens": "length",
    "tool_calls": "tool_calls",
    "function_call": "tool_calls",
    "content_filter": "content_filter",
}


def chat_arguments(deployment: Deployment, request: ChatRequest) -> JsonObject:
    arguments: JsonObject = {
        "messages": [_message(message) for message in request.messages],
        "max_tokens": request.max_output_tokens,
    }
    if request.temperature is not None:
        arguments["temperature"] = request.temperature
    if request.tools:
        arguments["tools"] = [{"type": "function", "function": offer.model_dump()} for offer in request.tools]
    if request.form and deployment.structured == "schema":
        form = {"name": request.form.name, "schema": request.form.json_schema, "strict": False}
        arguments["response_format"] = {"type": "json_schema", "json_schema": form}
    elif request.form and deployment.structured == "json":
        arguments["response_format"] = {"type": "json_object"}
    return arguments


def _message(message: ChatMessage) -> JsonObject:
    wire: JsonObject = {"role": message.role, "content": message.content}
    if message.tool_call_id:
        wire["tool_call_id"] = message.tool_call_id
    if message.tool_calls:
        wire["tool_calls"] = [
            {
                "id": call.id,
                "type": "function",
                "function": {"name": call.name, "arguments": json.dumps(call.arguments)},
            }
            for call in message.tool_calls
        ]
    return wire


def read_usage(usage: Any) -> TokenUsage | None:
    if usage is None or not usage.prompt_tokens:  # litellm says zero where the provider said nothing
        return None
    details = getattr(usage, "prompt_tokens_details", None)
    return TokenUsage(
        input_tokens=usage.prompt_tokens,
        output_tokens=usage.completion_tokens or 0,
        cached_tokens=getattr(details, "cached_tokens", None) or 0,
    )


class AnswerInPieces:
    """Puts a streamed answer together. An answer that stops without saying so is a broken one."""

    def __init__(self, deployment: Deployment, request: ChatRequest) -> None:
        self._deployment = deployment
        self._request = request
        self._text: list[str] = []
        self._calls: dict[int, dict[str, str]] = {}
        self._finish: str | None = None
        self._usage: TokenUsage | None = None
        self._model = ""

    def add(self, chunk: Any) -> str:
        """Takes one chunk; the text it brought comes back."""
        self._model = getattr(chunk, "model", None) or self._model
        self._usage = read_usage(getattr(chunk, "usage", None)) or self._usage
        if not chunk.choices:
            return ""
        choice = chunk.choices[0]
        self._finish = choice.finish_reason or self._finish
        for part in choice.delta.tool_calls or ():
            self._add_call(part)
        text = choice.delta.content or ""
        self._text.append(text)
        return text

    def _add_call(self, part: Any) -> None:
        call = self._calls.setdefault(part.index or 0, {"id": "", "name": "", "arguments": ""})
        call["id"] = part.id or call["id"]
        if part.function:
            call["name"] = part.function.name or call["name"]
            call["arguments"] += part.function.arguments or ""

    def whole(self) -> ChatReply:
        if self._finish is None:
            raise ModelUnreachable(
                f"Model deployment `{self._deployment.name}` broke off in the middle of its answer.",
                deployment=self._deployment.name,
            )
        calls = [tool_call(call["id"], call["name"], call["arguments"]) for call in self._calls.values()]
        return finished(
            self._deployment,
            self._request,
            text="".join(self._text),
            calls=calls,
            finish=self._finish,
            usage=self._usage,
            model=self._model,
        )


def read_completion(deployment: Deployment, request: ChatRequest, completion: Any) -> ChatReply:
    """A whole answer. A server that answers 200 with something else altogether is away, not answering."""
    choices = getattr(completion, "choices", None)
    if not choices:
        raise ModelUnreachable(
            f"Model deployment `{deployment.name}` answered with something that is no chat completion.",
            deployment=deployment.name,
        )
    message = choices[0].message
    calls = [
        tool_call(call.id, call.function.name, call.function.arguments) for call in message.tool_calls or ()
    ]
    return finished(
        deployment,
        request,
        text=message.content or "",
        calls=calls,
        finish=choices[0].finish_reason or "stop",
        usage=read_usage(getattr(completion, "usage", None)),
        model=completion.model or "",
    )


def tool_call(call_id: str, name: str, arguments: str) -> ToolCall:
    """Arguments that are no JSON object, or one too deep to be stored, are kept as `_unreadable`, for the reader to refuse."""
    try:
        read = json.loads(arguments or "{}")
        to_json(read)
    except (ValueError, RecursionError):
        read = None
    return ToolCall(
        id=call_id, name=name, arguments=read if isinstance(read, dict) else {"_unreadable": arguments}
    )


def finished(
    deployment: Deployment,
    request: ChatRequest,
    *,
    text: str,
    calls: list[ToolCall],
    finish: str,
    usage: TokenUsage | None,
    model: str,
) -> ChatReply:
    reason = _FINISHES.get(finish, "stop")
    if reason == "content_filter":
        raise ContentRefused(
            f"The provider of `{deployment.name}` withheld the answer for its content.",
            deployment=deployment.name,
        )
    if not text and not calls and reason == "stop":
        raise ModelUnreachable(
            f"Model deployment `{deployment.name}` answered with nothing.", deployment=deployment.name
        )
    counted = usage or TokenUsage(
        input_tokens=estimate_input(request), output_tokens=estimate_tokens(text), estimated=True
    )
    return ChatReply(
        text=text,
        tool_calls=tuple(calls),
        finish=reason,
        usage=counted,
        model=model,
        deployment=deployment.name,
    )
