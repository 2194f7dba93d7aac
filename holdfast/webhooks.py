"""Webhooks without the wire: signatures as the Standard Webhooks specification has them, and which addresses a message
may be sent to."""

import base64
import hashlib
import hmac
import ipaddress
import secrets
from collections.abc import Sequence
from typing import Protocol

from holdfast.errors import Forbidden, HoldfastError
from schemas.webhooks import DeliveryRef

_PREFIX = "whsec_"


class DeliveryFailed(HoldfastError):
    """The receiver did not take the message."""

    code = "delivery_failed"
    status = 502
    retryable = True


class ReceiverGone(DeliveryFailed):
    """The receiver says that it is gone for good."""

    code = "receiver_gone"
    retryable = False


class Deliveries(Protocol):
    """Sends messages and keeps what became of them."""

    async def send(self, ref: DeliveryRef) -> None:
        """Send it once. Raises DeliveryFailed where the receiver did not take it."""
        ...

    async def bury(self, ref: DeliveryRef, why: str) -> None:
        """Nobody took it in all its attempts: keep it as dead."""
        ...


def new_secret() -> str:
    return _PREFIX + base64.b64encode(secrets.token_bytes(32)).decode()


def signatures(keys: Sequence[str], *, message_id: str, timestamp: int, body: bytes) -> str:
    """The value of the header while a secret is changed: one signature for each that a receiver may know."""
    return " ".join(sign(key, message_id=message_id, timestamp=timestamp, body=body) for key in keys)


def sign(secret: str, *, message_id: str, timestamp: int, body: bytes) -> str:
    """One value of the header `webhook-signature`."""
    key = base64.b64decode(secret.removeprefix(_PREFIX))
    signed = f"{message_id}.{timestamp}.".encode() + body
    return "v1," + base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()


def refuse_private(addresses: list[str], host: str) -> None:
    """Every address a name stands for must be a public one: a message of ours must not reach what only we can."""
    for address in addresses:
        ip = ipaddress.ip_address(address.partition("%")[0])
        mapped = getattr(ip, "ipv4_mapped", None) or getattr(ip, "sixtofour", None)
        if not ip.is_global or ip.is_multicast or (mapped is not None and not mapped.is_global):
            raise Forbidden(
                f"{host} is at {address}, which is no public address.",
                remedy="HOLDFAST_API__WEBHOOK_PRIVATE_TARGETS=true allows private receivers.",
            )
