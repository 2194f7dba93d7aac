"""Holdfast as an MCP server: streamable HTTP, without sessions, behind the same door and keys as everything else."""

import inspect
import json
from importlib.metadata import version
from typing import Any

from fastapi import APIRouter, Response
from pydantic import ValidationError
from starlette.responses import JSONResponse

from api.mcp_tools import OFFERS, Offer
from api.problems import documented
from api.services import Caller, Held, Services
from holdfast.errors import Forbidden, HoldfastError
from schemas.access import Principal
from schemas.base import JsonObject, Payload

router = APIRouter(prefix="/v1/mcp", tags=["mcp"])

_VERSIONS = ("2025-11-25", "2025-06-18", "2025-03-26")
_NO_METHOD, _BAD_PARAMS = -32601, -32602
_INSTRUCTIONS = (
    "Holdfast runs agents on real systems; every action is judged, and some wait for a person. Start a run, follow"
    " it by its events, and decide what waits only when a person told you to."
)


class Message(Payload):
    """One JSON-RPC message of a client."""

    jsonrpc: str = "2.0"
    id: int | str | None = None
    method: str = ""
    params: JsonObject = {}


@router.post(
    "", responses={**documented(413, 415), 202: {"description": "Nothing to answer."}}, response_model=None
)
async def answer_message(message: Message, held: Held, caller: Caller) -> Response:
    """One message of an MCP client, and its answer. What needs no answer is answered 202."""
    if message.id is None or not message.method:
        return Response(status_code=202)
    match message.method:
        case "initialize":
            return _result(message, _hello(message.params))
        case "ping":
            return _result(message, {})
        case "tools/list":
            offered = [_shown(offer) for offer in OFFERS.values() if caller.may(offer.permission)]
            return _result(message, {"tools": offered})
        case "tools/call":
            return await _called(message, held, caller)
        case _:
            return _refusal(message, _NO_METHOD, f"{message.method[:100]} is not known here.")


def _hello(params: JsonObject) -> JsonObject:
    asked = params.get("protocolVersion")
    return {
        "protocolVersion": asked if asked in _VERSIONS else _VERSIONS[0],
        "capabilities": {"tools": {}},
        "serverInfo": {"name": "holdfast", "version": version("holdfast")},
        "instructions": _INSTRUCTIONS,
    }


def _shown(offer: Offer) -> JsonObject:
    return {
        "name": offer.name,
        "description": inspect.cleandoc(offer.arguments.__doc__ or ""),
        "inputSchema": offer.arguments.model_json_schema(),
        "annotations": {"readOnlyHint": offer.read_only},
    }


async def _called(message: Message, held: Services, caller: Principal) -> Response:
    name, arguments = message.params.get("name"), message.params.get("arguments") or {}
    offer = OFFERS.get(name) if isinstance(name, str) else None
    if offer is None:
        return _refusal(message, _BAD_PARAMS, f"There is no tool {str(name)[:100]!r}.")
    try:
        return _result(message, _content(await _done(offer, arguments, held, caller)))
    except HoldfastError as error:
        return _result(message, {**_content({"code": error.code, "message": str(error)}), "isError": True})
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        said = f"{'.'.join(str(part) for part in first['loc'])}: {first['msg']}"
        return _result(message, {**_content({"code": "bad_arguments", "message": said}), "isError": True})


async def _done(offer: Offer, arguments: Any, held: Services, caller: Principal) -> JsonObject:
    if not caller.may(offer.permission):
        raise Forbidden(
            f"This needs the permission {offer.permission.value}, which {caller.id} does not have."
        )
    return await offer.does(
        held, caller.for_what(offer.permission), offer.arguments.model_validate(arguments)
    )


def _content(found: JsonObject) -> JsonObject:
    text = json.dumps(found, ensure_ascii=False)
    return {"content": [{"type": "text", "text": text}], "structuredContent": found}


def _result(message: Message, result: JsonObject) -> Response:
    return JSONResponse({"jsonrpc": "2.0", "id": message.id, "result": result})


def _refusal(message: Message, code: int, said: str) -> Response:
    return JSONResponse({"jsonrpc": "2.0", "id": message.id, "error": {"code": code, "message": said}})
