"""How an OpenAI-compatible server words its answers."""

import base64
import json
import struct
from collections.abc import Iterator, Sequence

from holdfast.testing.script import Call, Reply, Rule
from schemas.base import JsonObject

_CREATED = 1_700_000_000


NOT_JSON: JsonObject = {
    "error": {"message": "The body is no JSON object.", "type": "invalid_request_error", "code": None}
}


def models_named(rules: Sequence[object]) -> JsonObject:
    """Every model that a rule names; any other name is answered as well, where a rule fits."""
    named = [rule.match.model for rule in rules if isinstance(rule, Rule)]
    names = dict.fromkeys(["test", *(name for name in named if not set("*?[") & set(name))])
    data = [{"id": name, "object": "model", "created": _CREATED, "owned_by": "test"} for name in names]
    return {"object": "list", "data": data}


def embeddings(call: Call, reply: Reply, vectors: Sequence[Sequence[float]]) -> JsonObject:
    """As numbers, or packed as clients ask for it by themselves."""
    packed = call.body.get("encoding_format") == "base64"
    data = [
        {"object": "embedding", "index": place, "embedding": _packed(vector) if packed else list(vector)}
        for place, vector in enumerate(vectors)
    ]
    return {"object": "list", "model": call.model, "data": data, "usage": usage_of(call, reply)}


def _packed(vector: Sequence[float]) -> str:
    return base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode()


def usage_of(call: Call, reply: Reply) -> JsonObject:
    asked, said = reply.usage or (max(1, len(call.text) // 4), max(1, len(reply.words) // 4))
    return {"prompt_tokens": asked, "completion_tokens": said, "total_tokens": asked + said}


def finish_of(reply: Reply) -> str:
    return reply.finish or ("tool_calls" if reply.tool_calls else "stop")


def completion(call: Call, reply: Reply, number: int) -> JsonObject:
    message: JsonObject = {"role": "assistant", "content": reply.words or None}
    if reply.tool_calls:
        message["tool_calls"] = _tool_calls(reply, indexed=False)
    whole: JsonObject = {
        "id": f"chatcmpl-{number}",
        "object": "chat.completion",
        "created": _CREATED,
        "model": call.model,
        "choices": [{"index": 0, "message": message, "finish_reason": finish_of(reply), "logprobs": None}],
    }
    return whole if reply.hide_usage else {**whole, "usage": usage_of(call, reply)}


def pieces(call: Call, reply: Reply, number: int) -> Iterator[JsonObject]:
    """The chunks of a streamed answer, the closing ones included."""
    yield _chunk(call, number, {"role": "assistant", "content": ""})
    words = reply.words
    for start in range(0, len(words), reply.piece):
        yield _chunk(call, number, {"content": words[start : start + reply.piece]})
    if reply.tool_calls:
        yield _chunk(call, number, {"tool_calls": _tool_calls(reply, indexed=True)})
    yield _chunk(call, number, {}, finish=finish_of(reply))
    options = call.body.get("stream_options") or {}
    if options.get("include_usage") and not reply.hide_usage:
        yield {**_chunk(call, number, {}), "choices": [], "usage": usage_of(call, reply)}


def _chunk(call: Call, number: int, delta: JsonObject, *, finish: str | None = None) -> JsonObject:
    return {
        "id": f"chatcmpl-{number}",
        "object": "chat.completion.chunk",
        "created": _CREATED,
        "model": call.model,
        "choices": [{"index": 0, "delta": delta, "finish_reason": finish}],
    }


def _tool_calls(reply: Reply, *, indexed: bool) -> list[JsonObject]:
    return [
        {
            "id": f"call_{place}",
            "type": "function",
            "function": {"name": asked.name, "arguments": json.dumps(asked.arguments)},
            **({"index": place} if indexed else {}),
        }
        for place, asked in enumerate(reply.tool_calls)
    ]
