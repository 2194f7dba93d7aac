"""`Idempotency-Key` on every POST: the same key and body get the same answer, and the work is done once."""

import re
from typing import Any

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.services import LONGEST_WAIT_S, Services
from holdfast.adapters.postgres.idempotency import Claim, PostgresIdempotency
from holdfast.errors import Conflict, InvalidInput, Unprocessable
from schemas.canonical import digest_of

_KEY = re.compile(r"^[\x21-\x7e]{1,255}\Z")
_LEASE_S = 30.0
_KEPT_HEADERS = ("content-type", "location", "etag")


class KeyInFlight(Conflict):
    """A request with this key is under way."""

    code = "idempotency_in_flight"
    retryable = True


class Idempotency:
    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        key = Headers(scope=scope).get("idempotency-key") if scope["type"] == "http" else None
        if key is None or scope["method"] != "POST" or "principal" not in scope["state"]:
            await self._app(scope, receive, send)
            return
        if not _KEY.match(key):
            raise InvalidInput("An Idempotency-Key has 1 to 255 visible ASCII characters.")
        services: Services = scope["state"]["services"]
        record = Record(services.idempotency, scope, key)
        claim = await record.claim(_LEASE_S + LONGEST_WAIT_S)
        if claim.outcome == "new":
            await self._first(record, claim, receive, send)
        else:
            await _answer_again(claim)(scope, receive, send)

    async def _first(self, record: "Record", claim: Claim, receive: Receive, send: Send) -> None:
        """Do it, and keep the answer before it is sent. What failed inside may be tried again with the same key."""
        record.scope["state"]["operation"] = record.operation(claim)
        answer = Answer()
        try:
            await self._app(record.scope, receive, answer.collect)
        except BaseException:
            await record.give_up()
            raise
        await record.settle(answer)
        await answer.send(send)


class Answer:
    """What a route sent, held back until it is stored."""

    def __init__(self) -> None:
        self._messages: list[Message] = []

    async def collect(self, message: Message) -> None:
        self._messages.append(message)

    async def send(self, send: Send) -> None:
        for message in self._messages:
            await send(message)

    @property
    def status(self) -> int:
        return int(self._messages[0]["status"]) if self._messages else 500

    @property
    def headers(self) -> MutableHeaders:
        return MutableHeaders(scope=self._messages[0])

    @property
    def body(self) -> bytes:
        return b"".join(message.get("body", b"") for message in self._messages[1:])


class Record:
    """The row of one key. Keys belong to a principal: another one's key of the same name is another key."""

    def __init__(self, store: PostgresIdempotency, scope: Scope, key: str) -> None:
        self._store = store
        self.scope = scope
        principal = scope["state"]["principal"]
        self._at = (principal.tenant, f"{scope['method']} {scope['state']['rule'].path} {principal.id}", key)

    async def claim(self, lease_s: float) -> Claim:
        request = [self.scope["path"], self.scope["query_string"].decode("latin-1")]
        digest = digest_of([*request, self.scope["state"]["body"].hex()])
        return await self._store.claim(*self._at, digest=digest, lease_s=lease_s)

    def operation(self, claim: Claim) -> str:
        """The name of the work this key asks for: the same after a crash, so the work can take up its own traces."""
        return digest_of([*self._at, claim.since.isoformat()])

    async def settle(self, answer: Answer) -> None:
        if answer.status >= 500 or answer.status == 429:
            await self.give_up()
            return
        await self._store.settle(*self._at, status=answer.status, response=_kept(answer))

    async def give_up(self) -> None:
        await self._store.give_up(*self._at)


def _kept(answer: Answer) -> dict[str, Any]:
    """An answer with a secret is not kept: the database must not know what is shown once."""
    if answer.headers.get("x-shown-once") == "true":
        return {"shown_once": True}
    headers = {name: answer.headers[name] for name in _KEPT_HEADERS if name in answer.headers}
    return {"headers": headers, "body": answer.body.decode()}


def _answer_again(claim: Claim) -> ASGIApp:
    if claim.outcome == "other":
        raise Unprocessable(
            "This Idempotency-Key was used with another request.", remedy="Use a new key for a new request."
        )
    if claim.outcome == "in_flight":
        raise KeyInFlight(remedy="Ask again in a moment, with the same key.", retry_after_s=1)
    assert claim.response is not None  # noqa: S101 - `again` carries one
    if claim.response.get("shown_once"):
        raise Conflict(
            "This was done, and its secret is shown only once.",
            remedy="Rotate the key if the secret is lost.",
        )
    headers = {**claim.response["headers"], "Idempotency-Replayed": "true"}
    return Response(claim.response["body"], status_code=claim.status, headers=headers)
