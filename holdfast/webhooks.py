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
_HANDED_OUT = ipaddress.IPv6Network("2000::/3")
_TRANSLATED = ipaddress.IPv6Network("64:ff9b::/96")
_STANDING_FOR = tuple(map(ipaddress.IPv6Network, ("2001::/32", "2002::/16", "3fff::/20")))
"""Teredo, 6to4, and documentation that older Pythons do not know as such."""


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
        if not _is_public(ipaddress.ip_address(address.partition("%")[0])):
            raise Forbidden(
                f"{host} is at {address}, which is no public address.",
                remedy="HOLDFAST_API__WEBHOOK_PRIVATE_TARGETS=true allows private receivers.",
            )


def _is_public(ip: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
    """Of IPv6, what is handed out to hosts, without the ranges that stand for an IPv4 address or for examples; where a
    gateway translates (RFC 6052), the IPv4 address it would call decides."""
    if isinstance(ip, ipaddress.IPv4Address):
        return ip.is_global and not ip.is_multicast
    if ip in _TRANSLATED:
        return _is_public(ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF))
    return ip in _HANDED_OUT and ip.is_global and not any(ip in network for network in _STANDING_FOR)
