"""One call's way out: every connection is judged by name, then by address, and written down.

The proxy accepts on sockets that live in the tool's own network namespace, so nobody else can reach it and it needs
no password. Names are resolved once, here; the connection goes to an address that was checked.
"""

import asyncio
import contextlib
import ipaddress
import socket
import ssl
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

from holdfast.adapters.egress.blotting import Blotter, Unreadable, plain_answer
from holdfast.adapters.egress.decisions import Decisions
from holdfast.adapters.egress.http import BadRequest, Head, copy_body, read_head
from holdfast.adapters.egress.talk import CHUNK, Denied, Talk, Unreachable
from holdfast.adapters.egress.target import host_header, place_of, read_hello
from holdfast.sandbox.egress import Address, BadRule, Destination, EgressRules
from holdfast.sandbox.port import SecretSource
from schemas.sandbox import NetworkDecision, SecretHeader

Resolver = Callable[[str], Awaitable[Sequence[str]]]

_HEAD_S = 15.0
_CONNECT_S = 10.0
_IDLE_S = 60.0
_STREAM_LIMIT = 64 * 1024


@dataclass(frozen=True)
class EgressLimits:
    """What one call may move and hold open."""

    at_once: int = 24
    connections: int = 1000
    bytes_up: int = 64 * 1024 * 1024
    bytes_down: int = 512 * 1024 * 1024


@dataclass
class EgressProxy:
    """Start it with the listening sockets of a sandbox; stop it when the call is over."""

    rules: EgressRules
    secrets: SecretSource | None = None
    limits: EgressLimits = EgressLimits()
    resolver: Resolver | None = None
    tls: ssl.SSLContext | None = None
    _decided: Decisions = field(default_factory=Decisions)
    _servers: list[asyncio.Server] = field(default_factory=list)
    _talks: set[asyncio.Task[None]] = field(default_factory=set)
    _count: int = 0
    _up: int = 0
    _down: int = 0

    @property
    def decisions(self) -> list[NetworkDecision]:
        """In the order in which the tool connected, whichever connection ended first."""
        return self._decided.in_order()

    def taken(self) -> list[NetworkDecision]:
        """Those that ended since it was asked last."""
        return self._decided.taken()

    async def start(self, listeners: Sequence[socket.socket]) -> None:
        for listener in listeners:
            listener.setblocking(False)
            self._servers.append(
                await asyncio.start_server(self._accepted, sock=listener, limit=_STREAM_LIMIT)
            )

    async def stop(self) -> None:
        for server in self._servers:
            server.close()
        for talk in list(self._talks):
            talk.cancel()
        await asyncio.gather(*self._talks, return_exceptions=True)

    def _accepted(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._count += 1
        many = len(self._talks) >= self.limits.at_once or self._count > self.limits.connections
        talk = Talk(reader, writer, number=self._count, one_too_many=many)
        task = asyncio.get_running_loop().create_task(self._talk(talk))
        self._talks.add(task)
        task.add_done_callback(self._talks.discard)

    async def _talk(self, talk: Talk) -> None:
        try:
            await self._serve(talk)
        except (Denied, BadRule) as error:
            talk.allowed = False
            await self._refuse(talk, 403, error)
        except BadRequest as error:
            talk.allowed = False
            await self._refuse(talk, 400, error)
        except Unreachable as error:
            await self._refuse(talk, 502, error)
        except (OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, TimeoutError) as error:
            talk.reason = talk.reason or f"the connection broke off: {type(error).__name__}"
        finally:
            self._write_down(talk)
            talk.writer.close()

    async def _refuse(self, talk: Talk, code: int, why: Exception) -> None:
        """Written down first: who reads the answer may be done before this connection is closed."""
        talk.reason = str(why)
        self._write_down(talk)
        await talk.answer(code, talk.reason)

    def _write_down(self, talk: Talk) -> None:
        if not talk.written_down and (decision := talk.decision()):
            self._decided.append(talk.number, decision)
            talk.written_down = True

    async def _serve(self, talk: Talk) -> None:
        if talk.one_too_many:
            raise Denied("too many connections")
        async with asyncio.timeout(_HEAD_S):
            head = await read_head(talk.reader)
        if head is None:
            return
        talk.method = head.method[:16]
        head.length()  # a body framed two ways is refused before anything is connected
        if head.method == "CONNECT":
            await self._tunnel(talk, Destination.parse(head.target))
        else:
            await self._forward(talk, head)

    async def _forward(self, talk: Talk, head: Head) -> None:
        host, port, path = place_of(head)
        secret = self.rules.aliases.get(host) if port == 80 else None
        if secret:
            await self._forward_with_secret(talk, head, path, secret)
            return
        destination = Destination(host, port)
        if head.target.startswith("/"):
            self._name(talk, destination)
            raise Denied("only a secret's alias can be called without the proxy's address form")
        reader, writer = await self._connect(talk, destination)
        shown = host_header(destination, 80)
        await self._exchange(talk, head, reader, writer, head.forwarded(path, shown, (), frozenset()), b"")

    async def _forward_with_secret(self, talk: Talk, head: Head, path: str, secret: SecretHeader) -> None:
        destination = Destination.parse(secret.destination, default_port=443)
        self._name(talk, destination)
        value = await self.secrets.secret(secret.secret_name) if self.secrets else None
        if not value or not value.isascii() or not value.isprintable():
            raise Denied(f"the secret {secret.secret_name} is not available to this worker")
        context = self.tls or ssl.create_default_context()
        reader, writer = await self._connect(talk, destination, listed=True, tls=context)
        name = secret.header.encode()
        drop = frozenset((name.lower(), b"accept-encoding"))  # an encoded answer could not be searched
        text = head.forwarded(path, host_header(destination, 443), ((name, value.encode()),), drop)
        await self._exchange(talk, head, reader, writer, text, value.encode())

    async def _exchange(
        self,
        talk: Talk,
        head: Head,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        text: bytes,
        secret: bytes,
    ) -> None:
        """One request, one answer, then both sides are closed."""
        try:
            writer.write(text)
            self._moved(talk, up=len(text) + (head.length() or 0))
            sent = await copy_body(talk.reader, writer, head.length())
            if head.length() is None:
                self._moved(talk, up=sent)
            if secret:
                await self._pump_down_without(secret, talk, reader)
            else:
                await self._pump_down(talk, reader)
        finally:
            writer.close()

    async def _tunnel(self, talk: Talk, destination: Destination) -> None:
        """Only TLS, and only to the name that was allowed: the hello is read before anything is connected."""
        addresses = await self._checked(talk, destination)
        talk.writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        talk.answered = True
        await talk.writer.drain()
        async with asyncio.timeout(_HEAD_S):
            hello = await read_hello(talk.reader, destination.host)
        reader, writer = await self._open(talk, destination, addresses, None)
        try:
            writer.write(hello)
            self._moved(talk, up=len(hello))
            upward = asyncio.create_task(self._pump_up(talk, writer))
            try:
                await self._pump_down(talk, reader)
            finally:
                upward.cancel()
                await asyncio.gather(upward, return_exceptions=True)
        finally:
            writer.close()

    async def _connect(
        self,
        talk: Talk,
        destination: Destination,
        *,
        listed: bool = False,
        tls: ssl.SSLContext | None = None,
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        addresses = await self._checked(talk, destination, listed=listed)
        return await self._open(talk, destination, addresses, tls)

    def _name(self, talk: Talk, destination: Destination) -> None:
        talk.host, talk.port = destination.host, destination.port

    async def _checked(self, talk: Talk, destination: Destination, *, listed: bool = False) -> list[Address]:
        """Addresses that may be connected to. One inner address among them is enough to refuse them all, except where
        the policy names the range of another: `localhost` has two."""
        self._name(talk, destination)
        if not listed and (reason := self.rules.why_not(destination)):
            raise Denied(reason)
        try:
            async with asyncio.timeout(_CONNECT_S):
                found = await (self.resolver or resolve)(destination.host)
        except (OSError, TimeoutError, UnicodeError) as error:
            talk.allowed = True
            raise Unreachable(f"{destination.host} cannot be resolved") from error
        addresses = [ipaddress.ip_address(text.partition("%")[0]) for text in found]
        named = [address for address in addresses if self.rules.exempts(address)]
        for address in named or addresses:
            talk.address = str(address)
            if reason := self.rules.why_not_address(address):
                raise Denied(reason)
        talk.allowed = True
        return named or addresses

    async def _open(
        self, talk: Talk, destination: Destination, addresses: list[Address], tls: ssl.SSLContext | None
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        for address in addresses:
            talk.address = str(address)
            try:
                async with asyncio.timeout(_CONNECT_S):
                    return await asyncio.open_connection(
                        talk.address,
                        destination.port,
                        ssl=tls,
                        server_hostname=destination.host if tls else None,
                        limit=_STREAM_LIMIT,
                    )
            except (OSError, TimeoutError) as error:
                talk.reason = f"{talk.address} port {destination.port}: {type(error).__name__}"
        raise Unreachable(talk.reason or f"{destination.host} has no address")

    async def _pump_up(self, talk: Talk, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, Denied):
            while data := await talk.reader.read(CHUNK):
                self._moved(talk, up=len(data))
                writer.write(data)
                await writer.drain()
            writer.write_eof()

    async def _pump_down(self, talk: Talk, reader: asyncio.StreamReader) -> None:
        """The answer as it comes."""
        while True:
            async with asyncio.timeout(_IDLE_S):
                data = await reader.read(CHUNK)
            if not data:
                return
            await self._passed(talk, data, data)

    async def _pump_down_without(self, secret: bytes, talk: Talk, reader: asyncio.StreamReader) -> None:
        """The answer of a destination that knows the secret, which is blotted out of it."""
        blotter, pieces = Blotter(secret), plain_answer(reader)
        async with contextlib.aclosing(pieces):
            while True:
                try:
                    async with asyncio.timeout(_IDLE_S):
                        data = await anext(pieces, b"")
                except Unreadable as error:
                    raise Unreachable(str(error)) from error
                await self._passed(talk, data, blotter.feed(data) if data else blotter.rest())
                if not data:
                    return

    async def _passed(self, talk: Talk, came: bytes, goes: bytes) -> None:
        self._moved(talk, down=len(came))
        if goes:
            talk.writer.write(goes)
            talk.answered = True
            await talk.writer.drain()

    def _moved(self, talk: Talk, *, up: int = 0, down: int = 0) -> None:
        talk.up, talk.down = talk.up + up, talk.down + down
        self._up, self._down = self._up + up, self._down + down
        if self._up > self.limits.bytes_up or self._down > self.limits.bytes_down:
            raise Denied("the call has moved as many bytes as it may")


async def resolve(host: str) -> list[str]:
    """Every address of a name, in the system's order."""
    found = await asyncio.get_running_loop().getaddrinfo(host, None, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))
