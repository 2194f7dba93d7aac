"""Whether Temporal answers where the settings say; if not, why, in words a person can act on.

The SDK tells it in the words of the libraries below it, and only after processes have been started to connect. A
server that refuses our certificate does so after the handshake, so the first frame of HTTP/2 is waited for.
"""

import asyncio
import os
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from holdfast.errors import Misconfigured, Unavailable

if TYPE_CHECKING:
    from temporalio.service import TLSConfig  # a third of a second

_PATIENCE_S = 5.0
_SETTINGS_FRAME = b"\x00\x00\x00\x04\x00\x00\x00\x00\x00"
_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + _SETTINGS_FRAME
_TLS_REMEDY = "Check the TEMPORAL_TLS_* variables, or the `tls` part of the profile: {}."


async def require_temporal(address: str, *, tls: "bool | TLSConfig | None") -> None:
    """Something that speaks HTTP/2 answers there, over TLS if it is asked for."""
    host, port = _parted(address)
    context = _context(tls) if tls else None
    try:
        async with asyncio.timeout(_PATIENCE_S):
            answer = await _greeted(host, port, context, tls)
    except ssl.SSLCertVerificationError as error:
        raise Misconfigured(
            f"The certificate of Temporal at {address} is not accepted: {error.verify_message.rstrip('.')}.",
            remedy=_TLS_REMEDY.format("server CA and server name"),
        ) from error
    except (ssl.SSLError, EOFError, ConnectionResetError, BrokenPipeError) as error:
        raise _hung_up(address, error, is_tls=context is not None) from error
    except (OSError, TimeoutError, OverflowError) as error:
        raise Unavailable(
            f"Temporal cannot be reached at {address}: {str(error) or f'no answer in {_PATIENCE_S:.0f} s'}.",
            remedy="Is it up? Correct TEMPORAL_ADDRESS or the profile, or unset them to have one started.",
        ) from error
    if answer[3:4] != _SETTINGS_FRAME[3:4]:
        raise Misconfigured(
            f"What answers at {address} is no Temporal server{'' if context else ', or one behind TLS'}.",
            remedy="Correct TEMPORAL_ADDRESS or the profile.",
        )


def _parted(address: str) -> tuple[str, int]:
    host, _, port = address.rpartition(":")
    if not host or not port.isdecimal():
        raise Misconfigured(
            f"{address!r} is no address of a Temporal server.",
            remedy="Set TEMPORAL_ADDRESS, or `address` in the profile, to host:port.",
        )
    return host.strip("[]"), int(port)


async def _greeted(
    host: str, port: int, context: ssl.SSLContext | None, tls: "bool | TLSConfig | None"
) -> bytes:
    name = None if isinstance(tls, bool | None) else tls.verification_server_name or tls.domain
    reader, writer = await asyncio.open_connection(
        host, port, ssl=context, server_hostname=(name or host) if context else None
    )
    try:
        writer.write(_PREFACE)
        await writer.drain()
        return await reader.readexactly(len(_SETTINGS_FRAME))
    finally:
        writer.close()


def _hung_up(address: str, error: Exception, *, is_tls: bool) -> Misconfigured:
    if not is_tls:
        return Misconfigured(
            f"Temporal at {address} ends the connection.", remedy="Does it expect TLS? " + _all_of_tls()
        )
    said = error.reason if isinstance(error, ssl.SSLError) and error.reason else "it ends the connection"
    return Misconfigured(
        f"Temporal at {address} and we do not agree on TLS: {said.replace('_', ' ').lower()}.",
        remedy="Does it know our client certificate, and does it speak TLS? " + _all_of_tls(),
    )


def _all_of_tls() -> str:
    return _TLS_REMEDY.format("server CA, server name, client certificate and key")


def _context(tls: "bool | TLSConfig") -> ssl.SSLContext:
    """As the SDK will connect: by the given CA, or those of the system, and with our certificate, if there is one."""
    context = ssl.create_default_context()
    context.verify_flags &= ~getattr(ssl, "VERIFY_X509_STRICT", 0)  # the SDK is not strict either
    context.set_alpn_protocols(["h2"])
    if isinstance(tls, bool):
        return context
    about = "server CA"
    try:
        if tls.server_root_ca_cert:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            context.set_alpn_protocols(["h2"])
            context.load_verify_locations(cadata=tls.server_root_ca_cert.decode())
        about = "client certificate and key"
        if tls.client_cert or tls.client_private_key:
            with (
                _as_file(tls.client_cert or b"") as certificate,
                _as_file(tls.client_private_key or b"") as key,
            ):
                context.load_cert_chain(certificate, key)
    except (ssl.SSLError, ValueError) as error:
        raise Misconfigured(
            f"Temporal's {about} cannot be used.", remedy=_TLS_REMEDY.format(about)
        ) from error
    return context


@contextmanager
def _as_file(content: bytes) -> Iterator[str]:
    """`ssl` reads keys from files alone; this one is in memory, and nobody else's to open."""
    descriptor = os.memfd_create("certificate")
    try:
        os.write(descriptor, content)
        os.lseek(descriptor, 0, os.SEEK_SET)
        yield f"/proc/self/fd/{descriptor}"
    finally:
        os.close(descriptor)
