"""Sends a webhook's message over HTTP. The name is resolved once, checked, and the very address that was checked is the
one that is called: a name that points elsewhere a moment later changes nothing. Redirects are not followed."""

import asyncio
import json
import socket
import time
from urllib.parse import urlsplit

import httpx

from holdfast.adapters.postgres.webhooks import Message, PostgresWebhooks
from holdfast.errors import Forbidden
from holdfast.webhooks import DeliveryFailed, ReceiverGone, refuse_private, signatures
from schemas.webhooks import DeliveryRef, DeliveryStatus

_TIMEOUT_S = 10.0


class WebhookSender:
    """Fulfils the port `Deliveries`."""

    def __init__(
        self, *, webhooks: PostgresWebhooks, http: httpx.AsyncClient, private_targets: bool = False
    ) -> None:
        self._webhooks = webhooks
        self._http = http
        self._private_targets = private_targets

    async def send(self, ref: DeliveryRef) -> None:
        message = await self._webhooks.message(ref)
        if message is None:
            return
        try:
            await self._post(ref, message)
        except DeliveryFailed as error:
            await self._webhooks.attempted(ref, DeliveryStatus.PENDING, error=error.message)
            raise
        await self._webhooks.attempted(ref, DeliveryStatus.DELIVERED)

    async def bury(self, ref: DeliveryRef, why: str) -> None:
        await self._webhooks.bury(ref, why)

    async def _post(self, ref: DeliveryRef, message: Message) -> None:
        target = urlsplit(message.url)
        host = target.hostname or ""
        address = await self._address(host, target.port or (443 if target.scheme == "https" else 80))
        body, headers = _signed(ref, message)
        pinned = httpx.URL(message.url).copy_with(host=address)
        try:
            async with self._http.stream(
                "POST",
                pinned,
                content=body,
                headers={**headers, "Host": target.netloc.rpartition("@")[2]},
                extensions={"sni_hostname": host},
                timeout=_TIMEOUT_S,
                follow_redirects=False,
            ) as response:
                status = response.status_code
        except httpx.HTTPError as error:
            raise DeliveryFailed(f"{host} does not answer: {type(error).__name__}.") from error
        if status == httpx.codes.GONE:
            raise ReceiverGone(f"{host} answered 410.")
        if not 200 <= status < 300:
            raise DeliveryFailed(f"{host} answered {status}.")

    async def _address(self, host: str, port: int) -> str:
        """The one address this message goes to."""
        try:
            found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except OSError as error:
            raise DeliveryFailed(f"{host} cannot be found.") from error
        addresses = [str(entry[4][0]) for entry in found]
        if not self._private_targets:
            try:
                refuse_private(addresses, host)
            except Forbidden as error:
                raise ReceiverGone(error.message) from error
        return addresses[0]


def _signed(ref: DeliveryRef, message: Message) -> tuple[bytes, dict[str, str]]:
    event = message.event
    body = json.dumps(
        {"type": event.type, "timestamp": event.at.isoformat(), "data": event.model_dump(mode="json")}
    ).encode()
    timestamp = int(time.time())
    return body, {
        "Content-Type": "application/json",
        "User-Agent": "Holdfast-Webhooks/1",
        "webhook-id": ref.id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": signatures(message.secrets, message_id=ref.id, timestamp=timestamp, body=body),
    }
