"""Where a tool may connect: the allow list, the ban on inner addresses, and the local names that carry secrets.

Pure: names and addresses in, a reason or nothing out. A name must look like a name before it is compared with
anything, so no encoding trick (NUL, decimal or octal address, trailing dot) reaches a comparison.
"""

import ipaddress
import re
from dataclasses import dataclass
from typing import Self

from schemas.sandbox import NetworkPolicy, SecretHeader

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

_LABEL = r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?"
_NAME = re.compile(rf"(?:{_LABEL}\.)*{_LABEL}")
_NUMERIC_END = re.compile(r"(?:[0-9]+|0x[0-9a-f]*)$")
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_WIDEST = {4: 8, 6: 16}
_CARRIERS = tuple(
    ipaddress.ip_network(text)
    for text in ("2002::/16", "2001::/32", "64:ff9b::/96", "64:ff9b:1::/48", "::/96")
)
"""IPv6 ranges that carry an IPv4 address inside: a way around every check on the outer one."""


class BadRule(ValueError):
    """A network policy that cannot be meant as written."""


@dataclass(frozen=True)
class Destination:
    """A host, as a name or a canonical address, and a port."""

    host: str
    port: int

    @classmethod
    def parse(cls, text: str, *, default_port: int | None = None) -> Self:
        host, port = _split(text)
        if port is None and default_port is None:
            raise BadRule(f"{text[:80]!r} names no port; write host:port")
        return cls(host=canonical_host(host), port=port or default_port or 0)


@dataclass(frozen=True)
class EgressRules:
    """A checked network policy."""

    exact: frozenset[Destination]
    suffixes: frozenset[Destination]
    exempt: tuple[Network, ...]
    aliases: dict[str, SecretHeader]

    @classmethod
    def of(cls, policy: NetworkPolicy) -> Self:
        """Raises BadRule with the entry that is wrong."""
        exact, suffixes = set(), set()
        for entry in policy.allow:
            if entry.startswith("*."):
                suffixes.add(Destination.parse(entry[2:]))
            else:
                exact.add(Destination.parse(entry))
        return cls(
            exact=frozenset(exact),
            suffixes=frozenset(suffixes),
            exempt=tuple(_named_range(text) for text in policy.allow_cidrs),
            aliases={_alias(secret): secret for secret in policy.secrets},
        )

    def why_not(self, destination: Destination) -> str | None:
        """Nothing when the list allows it. An address matches only an entry that is the same address."""
        if destination in self.exact:
            return None
        labels = destination.host.split(".")
        parents = (".".join(labels[start:]) for start in range(1, len(labels)))
        if not _is_address(destination.host) and any(
            Destination(parent, destination.port) in self.suffixes for parent in parents
        ):
            return None
        return f"{destination.host}:{destination.port} is not on the allow list"

    def why_not_address(self, address: Address) -> str | None:
        """Nothing when the address is public, or in a range the policy names."""
        if self.exempts(address):
            return None
        checked = _innermost(address)
        carried = any(checked in network for network in _CARRIERS if checked.version == 6)
        if carried or not checked.is_global or checked.is_multicast or checked.is_reserved:
            return f"{checked} is not a public address"
        return None

    def exempts(self, address: Address) -> bool:
        """Whether a range that the policy names holds it."""
        checked = _innermost(address)
        return any(checked in network for network in self.exempt if network.version == checked.version)


def _innermost(address: Address) -> Address:
    return (address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None) or address


def canonical_host(host: str) -> str:
    """Lower case, or a canonical address. Raises BadRule for everything that is neither."""
    text = host.lower().removesuffix(".")
    try:
        return str(ipaddress.ip_address(text))
    except ValueError:
        pass
    if len(text) > 253 or not _NAME.fullmatch(text) or _NUMERIC_END.fullmatch(text.rsplit(".", 1)[-1]):
        raise BadRule(f"{host[:80]!r} is neither a host name nor a canonical address")
    return text


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _split(text: str) -> tuple[str, int | None]:
    match = re.fullmatch(r"(?:\[([0-9a-fA-F:.]+)\]|([^:\[\]/@?#]+))(?::([0-9]{1,5}))?", text)
    if not match:
        raise BadRule(f"{text[:80]!r} is not of the form host:port")
    port = int(match[3]) if match[3] else None
    if port is not None and not 0 < port < 65536:
        raise BadRule(f"{text[:80]!r} has no valid port")
    return match[1] or match[2], port


def _named_range(text: str) -> Network:
    try:
        network = ipaddress.ip_network(text)
    except ValueError as error:
        raise BadRule(f"allow_cidrs: {error}") from error
    if network.prefixlen < _WIDEST[network.version]:
        raise BadRule(f"allow_cidrs: {text} is too wide to name an internal range")
    return network


def _alias(secret: SecretHeader) -> str:
    """The checked local name of a secret's destination."""
    alias = canonical_host(secret.alias_host)
    if _is_address(alias) or alias == "localhost":
        raise BadRule(f"secrets: {alias} cannot be an alias; choose a name such as api.internal")
    Destination.parse(secret.destination, default_port=443)
    if not _TOKEN.fullmatch(secret.header) or secret.header.lower() in (
        "host",
        "connection",
        "transfer-encoding",
    ):
        raise BadRule(f"secrets: {secret.header[:80]!r} cannot carry a secret")
    return alias
