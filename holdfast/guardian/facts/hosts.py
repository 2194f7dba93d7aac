"""Hosts as text: out of URLs and destinations, in one spelling, and whether they lie inside or outside."""

import ipaddress
import re
from typing import Literal
from urllib.parse import urlsplit

Place = Literal["loopback", "metadata", "private", "internal", "public"]

_URL = re.compile(r"^[a-z][a-z0-9+.-]*://", re.IGNORECASE)
_NUMBER = re.compile(r"(0x[0-9a-f]+|0[0-7]*|[1-9]\d*)\Z", re.IGNORECASE)
_METADATA = frozenset(
    {"169.254.169.254", "169.254.170.2", "100.100.100.200", "fd00:ec2::254", "168.63.129.16"}
)
_METADATA_NAMES = frozenset({"metadata.google.internal", "metadata", "metadata.goog", "instance-data"})
_INTERNAL_SUFFIXES = (
    ".svc",
    ".cluster.local",
    ".internal",
    ".local",
    ".localdomain",
    ".lan",
    ".intra",
    ".corp",
)


def host_of(text: str) -> str:
    """The host a URL names, or an empty string."""
    if not _URL.match(text):
        return ""
    try:
        host = urlsplit(text).hostname or ""
    except ValueError:
        return text[:100]
    return normal_host(host)


def normal_host(host: str) -> str:
    """Lower case, no trailing dot; every spelling of an IPv4 address (decimal, hex, octal, short) as dotted quad."""
    host = host.strip("[]").rstrip(".").lower()
    parts = host.split(".")
    if len(host) < 64 and 1 <= len(parts) <= 4 and all(_NUMBER.match(part) for part in parts):
        return _dotted_quad(parts) or host
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return host
    mapped = getattr(address, "ipv4_mapped", None)
    return str(mapped or address)


def _dotted_quad(parts: list[str]) -> str | None:
    numbers = [_number(part) for part in parts]
    last = numbers.pop()
    whole = last
    for index, number in enumerate(numbers):
        whole += number << (8 * (3 - index))
    if any(number > 255 for number in numbers) or last >= 256 ** (4 - len(numbers)):
        return None
    return str(ipaddress.IPv4Address(whole))


def _number(text: str) -> int:
    if text.lower().startswith("0x"):
        return int(text, 16)
    return int(text, 8) if text.startswith("0") and len(text) > 1 else int(text)


def place_of(host: str) -> Place:
    """Where a normal host lies. A name without dots is inside: it resolves by the local search path only."""
    if host in _METADATA or host in _METADATA_NAMES:
        return "metadata"
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return _place_of_name(host)
    if address.is_loopback or address.is_unspecified:
        return "loopback"
    if address.is_link_local:
        return "metadata"
    return "private" if address.is_private else "public"


def _place_of_name(host: str) -> Place:
    if host == "localhost" or host.endswith(".localhost"):
        return "loopback"
    if not host or len(host) > 253 or _NUMBER.match(host):
        return "public"
    if "." not in host or host.endswith(_INTERNAL_SUFFIXES):
        return "internal"
    return "public"
