"""A model server for tests: OpenAI-compatible, scripted by rules, and as unreliable as the script says.

It listens on a real port and speaks the real protocol, so what is tested is what runs. A call that no rule fits is
answered with an error that says so: a test model never makes something up.
"""

import asyncio
import json
from collections import Counter
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Literal, Self

from pydantic import TypeAdapter, ValidationError

from holdfast.testing.chat_wire import NOT_JSON, completion, embeddings, models_named, pieces
from holdfast.testing.embedding import embed_by_words
from holdfast.testing.http import HttpRequest, HttpResponse, HttpServer
from holdfast.testing.script import Call, Outcome, Reply, Rule
from schemas.base import JsonObject

Responder = Callable[[Call], Reply | None]
"""A rule in code, for tests in the same process: None passes the call on to the next."""

_RULES = TypeAdapter(tuple[Rule, ...])


class ModelServer:
    """`async with ModelServer(rules) as server: ... server.base_url ... server.calls`"""

    def __init__(
        self,
        rules: Sequence[Rule | Responder] = (),
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        key: str | None = None,
        dimensions: int = 384,
    ) -> None:
        self.rules: list[Rule | Responder] = list(rules)
        self.calls: list[Call] = []
        self._host = host
        self._port = port
        self._key = key
        self._dimensions = dimensions
        self._used: Counter[int] = Counter()
        self._server = HttpServer(self._handle)
        self._changed = asyncio.Event()
        self._count = 0

    @property
    def base_url(self) -> str:
        return f"http://{self._host}:{self._port}/v1"

    async def start(self) -> None:
        self._port = await self._server.listen(host=self._host, port=self._port)

    async def stop(self) -> None:
        await self._server.close()

    async def until(self, holds: Callable[[Sequence[Call]], bool]) -> None:
        """Waits until this is true of the calls; tests wait on conditions, never for a while."""
        while not holds(self.calls):
            await self._changed.wait()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    async def _handle(self, request: HttpRequest, response: HttpResponse) -> None:
        match request.method, request.path:
            case "POST", "/v1/chat/completions":
                await self._answer("chat", request, response)
            case "POST", "/v1/embeddings":
                await self._answer("embeddings", request, response)
            case "GET", "/v1/models":
                await response.send_json(models_named(self.rules))
            case "GET", "/healthz":
                await response.send_json({"ok": True})
            case "GET", "/calls":
                await response.send_json([call.model_dump(mode="json") for call in self.calls])
            case "DELETE", "/calls":
                self.calls.clear()
                await response.send_json([])
            case "PUT", "/rules":
                await self._take_rules(request, response)
            case _:
                await response.send_json({"error": {"message": "no such path"}}, status=404)

    async def _take_rules(self, request: HttpRequest, response: HttpResponse) -> None:
        try:
            rules = _RULES.validate_json(request.body)
        except ValidationError as error:
            await response.send_json({"error": {"message": str(error)}}, status=422)
            return
        self.rules = list(rules)
        self._used.clear()
        await response.send_json({"rules": len(rules)})

    async def _answer(
        self, endpoint: Literal["chat", "embeddings"], request: HttpRequest, response: HttpResponse
    ) -> None:
        body = _object_in(request.body)
        if body is None:
            await response.send_json(NOT_JSON, status=400)
            return
        key = request.headers.get("authorization", "").removeprefix("Bearer ").strip()
        call = Call(endpoint=endpoint, model=str(body.get("model", "")), body=body, with_key=bool(key))
        number = self._count = self._count + 1
        self.calls.append(call)
        try:
            self._tell()
            outcome = await self._play(call, number, response, key)
        except (asyncio.CancelledError, ConnectionError):
            self._ended(call, "abandoned")
            raise
        self._ended(call, outcome)

    def _ended(self, call: Call, outcome: Outcome) -> None:
        """Calls that were cleared meanwhile stay so."""
        self.calls[:] = [
            each.model_copy(update={"outcome": outcome}) if each is call else each for each in self.calls
        ]
        self._tell()

    def _tell(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()

    async def _play(
        self, call: Call, number: int, response: HttpResponse, key: str
    ) -> Literal["answered", "refused", "broken"]:
        reply = (
            Reply.model_validate({"fault": {"kind": "key"}})
            if self._key not in (None, key)
            else self._reply(call)
        )
        if reply is None:
            message = f"no rule of the test model fits this call; its last message is: {call.last[:200]!r}"
            await response.send_json({"error": {"message": message, "code": "no_rule"}}, status=400)
            return "refused"
        await asyncio.sleep(reply.delay_s)
        if reply.fault and (reply.fault.midway is None or not call.body.get("stream")):
            wait = reply.fault.retry_after_s
            headers = {} if wait is None else {"retry-after": f"{wait:g}"}
            await response.send_json(reply.fault.body(key), status=reply.fault.status, headers=headers)
            return "refused"
        return await self._say(call, reply, number, response)

    async def _say(
        self, call: Call, reply: Reply, number: int, response: HttpResponse
    ) -> Literal["answered", "broken", "refused"]:
        if reply.garbage:
            await response.send(b"<html>Bad gateway</html>", headers={"content-type": "text/html"})
            return "broken"
        if call.endpoint == "embeddings":
            await self._embed(call, reply, response)
            return "answered"
        if call.body.get("stream"):
            return await self._stream(call, reply, number, response)
        if reply.break_after is not None:
            return "broken"
        await response.send_json(completion(call, reply, number))
        return "answered"

    async def _stream(
        self, call: Call, reply: Reply, number: int, response: HttpResponse
    ) -> Literal["answered", "broken", "refused"]:
        await response.start_stream()
        for place, piece in enumerate(pieces(call, reply, number)):
            if place == reply.break_after:
                return "broken"
            if reply.fault and place == reply.fault.midway:
                await response.send_event(json.dumps(reply.fault.body("")))
                await response.end_stream()
                return "refused"
            await response.send_event(json.dumps(piece))
            await asyncio.sleep(reply.pause_s)
        await response.send_event("[DONE]")
        await response.end_stream()
        return "answered"

    async def _embed(self, call: Call, reply: Reply, response: HttpResponse) -> None:
        given = call.body.get("input", [])
        texts = [given] if isinstance(given, str) else list(given)
        size = int(call.body.get("dimensions") or self._dimensions)
        await response.send_json(embeddings(call, reply, [embed_by_words(str(text), size) for text in texts]))

    def _reply(self, call: Call) -> Reply | None:
        for place, rule in enumerate(self.rules):
            if not isinstance(rule, Rule):
                reply = rule(call)
                if reply is not None:
                    return reply
            elif rule.match.fits(call) and (rule.times is None or self._used[place] < rule.times):
                self._used[place] += 1
                return rule.replies[min(self._used[place], len(rule.replies)) - 1]
        return Reply() if call.endpoint == "embeddings" else None


def _object_in(text: bytes) -> JsonObject | None:
    try:
        found = json.loads(text)
    except ValueError:
        return None
    return found if isinstance(found, dict) else None
