"""The ports a stack was told to have: refused in one line, before anything of it starts, where somebody has them."""

from collections.abc import Mapping
from ipaddress import IPv4Address

from holdfast.embedded.ports import Claims, is_free, is_ours
from holdfast.errors import Misconfigured
from holdfast.runtime.settings import Queue, Settings
from holdfast.runtime.settings.servers import DatabaseSettings

_LAST_PORT = 65535


def choose_api_port(settings: Settings, claims: Claims) -> int:
    wanted, host = settings.api.port, settings.api.host
    if not is_ours(host):
        raise Misconfigured(
            f"{host} is no address of this machine.",
            remedy="Set HOLDFAST_API__HOST to 127.0.0.1 or 0.0.0.0.",
        )
    if "port" not in settings.api.model_fields_set:
        return claims.usual_or_free(wanted, host)
    if not _can_have(wanted, host, claims):
        raise Misconfigured(
            f"Port {wanted} is in use.",
            remedy="Set HOLDFAST_API__PORT to another, or unset it to have one chosen.",
        )
    return wanted


def require_database_port(database: DatabaseSettings, claims: Claims) -> None:
    wanted = database.port
    if database.url is None and wanted is not None and not _can_have(wanted, "127.0.0.1", claims):
        raise Misconfigured(
            f"Port {wanted} is in use.",
            remedy="Set HOLDFAST_DATABASE__PORT to another, or unset it: the stack itself needs none.",
        )


def metrics_ports(settings: Settings, claims: Claims) -> Mapping[Queue, int]:
    """One machine has one process on a port: each worker gets the next. Empty where none are wanted."""
    first, host = settings.workers.metrics_port, settings.workers.metrics_host
    if first is None:
        return {}
    ports = {queue: first + place for place, queue in enumerate(Queue)}
    for port in ports.values():
        why = _why_not(port, host, claims)
        if why:
            raise Misconfigured(
                f"The workers serve their metrics at {host}, ports {first} to {max(ports.values())}: {why}.",
                remedy=f"Set HOLDFAST_WORKERS__METRICS_PORT to the first of {len(ports)} free ports, and "
                "HOLDFAST_WORKERS__METRICS_HOST to an address of this machine.",
            )
    return ports


def _why_not(port: int, host: str, claims: Claims) -> str:
    if port > _LAST_PORT:
        return f"{port} is no port"
    if not _is_numeric(host):
        return ""  # an address of IPv6: the worker itself finds out
    if not is_ours(host):
        return f"{host} is no address of this machine"
    return "" if _can_have(port, host, claims) else f"{port} is in use"


def _is_numeric(host: str) -> bool:
    try:
        IPv4Address(host)
    except ValueError:
        return False
    return True


def _can_have(port: int, host: str, claims: Claims) -> bool:
    return is_free(port, host) and claims.take(port)
