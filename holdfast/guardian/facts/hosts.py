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
_METADATA_INSIDE = re.compile(r"(?:^|[.-])(?:169[.-]254[.-]169[.-]254|metadata|instance-data)(?=\.)")
_INSIDE = tuple(map(ipaddress.ip_network, ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7")))
_CARRIERS = tuple(map(ipaddress.IPv6Network, ("64:ff9b::/96", "64:ff9b:1::/48", "::/96")))
"""Networks whose addresses end in an IPv4 address that is meant."""
_NAME = re.compile(r"[a-z0-9_-]+(?:\.[a-z0-9_-]+)*\Z")
_DOTS = str.maketrans("\u3002\uff0e\uff61", "...")
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
    """Lower case, no trailing dot; every spelling of an IPv4 address (decimal, hex, octal, short) as dotted quad; letters
    beyond ASCII as the client will look them up."""
    host = _ascii(host.strip("[]")).rstrip(".").lower()
    parts = host.split(".")
    if len(host) < 64 and 1 <= len(parts) <= 4 and all(_NUMBER.match(part) for part in parts):
        return _dotted_quad(parts) or host
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return host
    mapped = getattr(address, "ipv4_mapped", None)
    return str(mapped or address)


def is_plain(host: str) -> bool:
    """Whether every client reads this host alike: a name of plain letters, or an address."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return len(host) <= 253 and _NAME.match(host) is not None
    return True


def _ascii(host: str) -> str:
    """`bücher.de` as `xn--bcher-kva.de`; a full stop of another script is a full stop. What no client takes stays."""
    if host.isascii():
        return host
    try:
        return host.translate(_DOTS).encode("idna").decode("ascii")
    except UnicodeError:
        return host


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
    """Where a normal host lies. A name without dots is inside: it resolves by the local search path only. What is not
    known to lie inside counts as public."""
    if host in _METADATA or host in _METADATA_NAMES or _METADATA_INSIDE.search(host):
        return "metadata"
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return _place_of_name(host)
    if address.is_loopback or address.is_unspecified:
        return "loopback"
    if address.is_link_local or str(_carried(address)) in _METADATA:
        return "metadata"
    return "private" if any(address in network for network in _INSIDE) else "public"


def _carried(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> ipaddress.IPv4Address | None:
    """The IPv4 address that a translated or tunnelled IPv6 address stands for."""
    if isinstance(address, ipaddress.IPv4Address):
        return None
    if any(address in network for network in _CARRIERS):
        return ipaddress.IPv4Address(int(address) & 0xFFFF_FFFF)
    return address.sixtofour or (address.teredo[1] if address.teredo else None)


def _place_of_name(host: str) -> Place:
    if host == "localhost" or host.endswith(".localhost"):
        return "loopback"
    if not is_plain(host) or _NUMBER.match(host):
        return "public"
    if "." not in host or host.endswith(_INTERNAL_SUFFIXES):
        return "internal"
    return "public"
