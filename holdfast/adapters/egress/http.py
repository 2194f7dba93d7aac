"""HTTP/1.1 heads, read strictly and written anew. What two readers could understand differently is refused.

The tool speaks to us; what we send on is built from what we understood, never copied, so there is no smuggling
through a disagreement between us and the destination.
"""

import asyncio
import re
from collections.abc import Iterable
from dataclasses import dataclass

_HEAD_LIMIT = 32 * 1024
_TOKEN = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_TARGET = re.compile(rb"[\x21-\x7e]+")
_VALUE = re.compile(rb"[\x20-\x7e\x80-\xff\t]*")
_LENGTH = re.compile(rb"[0-9]{1,15}")
_CHUNK_SIZE = re.compile(rb"([0-9A-Fa-f]{1,12})(?:;[\x20-\x7e\t]*)?")
_HOP_BY_HOP = frozenset(
    b"connection proxy-connection keep-alive te trailer transfer-encoding upgrade proxy-authorization "
    b"proxy-authenticate content-length host expect http2-settings".split()
)


class BadRequest(Exception):
    """The tool's request is not HTTP as we read it."""


@dataclass(frozen=True)
class Head:
    """A request's first line and headers, checked."""

    method: str
    target: str
    headers: tuple[tuple[bytes, bytes], ...]

    def values(self, name: bytes) -> list[bytes]:
        return [value for key, value in self.headers if key.lower() == name]

    @property
    def host(self) -> str:
        hosts = self.values(b"host")
        if len(hosts) != 1:
            raise BadRequest("exactly one Host header is needed")
        return hosts[0].decode("latin-1")

    def length(self) -> int | None:
        """The body's length; None for a chunked one."""
        lengths, encodings = self.values(b"content-length"), self.values(b"transfer-encoding")
        if len(lengths) + len(encodings) > 1:
            raise BadRequest("more than one header says how long the body is")
        if encodings:
            if encodings[0].lower() != b"chunked":
                raise BadRequest("the only transfer encoding understood is chunked")
            return None
        if lengths and not _LENGTH.fullmatch(lengths[0]):
            raise BadRequest("Content-Length is not a number")
        return int(lengths[0]) if lengths else 0

    def forwarded(
        self, target: str, host: str, extra: Iterable[tuple[bytes, bytes]], drop: frozenset[bytes]
    ) -> bytes:
        """The head for the destination: our own first line, Host and framing, and what else is harmless."""
        named = {token.strip().lower() for value in self.values(b"connection") for token in value.split(b",")}
        lines = [f"{self.method} {target} HTTP/1.1".encode(), b"Host: " + host.encode()]
        for key, value in self.headers:
            if key.lower() not in _HOP_BY_HOP | named | drop:
                lines.append(key + b": " + value)
        lines += [key + b": " + value for key, value in extra]
        length = self.length()
        if length is None:
            lines.append(b"Transfer-Encoding: chunked")
        elif length or self.method in ("POST", "PUT", "PATCH"):
            lines.append(b"Content-Length: %d" % length)
        return b"\r\n".join([*lines, b"Connection: close", b"", b""])


async def read_head(reader: asyncio.StreamReader) -> Head | None:
    """None when the tool hung up without a word."""
    try:
        raw = await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError as error:
        if not error.partial:
            return None
        raise BadRequest("the request ended in the middle of its head") from error
    except asyncio.LimitOverrunError as error:
        raise BadRequest("the request's head is too long") from error
    if len(raw) > _HEAD_LIMIT:
        raise BadRequest("the request's head is too long")
    return parse_head(raw)


def parse_head(raw: bytes) -> Head:
    first, *lines = raw.removesuffix(b"\r\n\r\n").split(b"\r\n")
    parts = first.split(b" ")
    if len(parts) != 3 or parts[2] not in (b"HTTP/1.1", b"HTTP/1.0"):
        raise BadRequest("the first line is not METHOD TARGET HTTP/1.1")
    if not _TOKEN.fullmatch(parts[0]) or not _TARGET.fullmatch(parts[1]):
        raise BadRequest("the first line holds a forbidden character")
    return Head(parts[0].decode(), parts[1].decode(), tuple(_header(line) for line in lines))


def _header(line: bytes) -> tuple[bytes, bytes]:
    key, colon, value = line.partition(b":")
    if not colon or not _TOKEN.fullmatch(key) or not _VALUE.fullmatch(value):
        raise BadRequest("a header is malformed")
    return key, value.strip(b" \t")


async def copy_body(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, length: int | None) -> int:
    """Forward the body exactly as framed; what follows it is never read."""
    if length is None:
        return await _copy_chunks(reader, writer)
    left = length
    while left and (data := await reader.read(min(left, 65536))):
        left -= len(data)
        writer.write(data)
        await writer.drain()
    if left:
        raise BadRequest("the body is shorter than announced")
    return length


async def _copy_chunks(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> int:
    total = 0
    while True:
        line = (await reader.readuntil(b"\r\n")).removesuffix(b"\r\n")
        match = _CHUNK_SIZE.fullmatch(line)
        if not match:
            raise BadRequest("a chunk's size is malformed")
        size = int(match[1], 16)
        writer.write(b"%x\r\n" % size)
        await copy_body(reader, writer, size)
        if await reader.readexactly(2) != b"\r\n":  # trailers are not forwarded
            raise BadRequest("a chunk is longer than announced, or trailers follow")
        writer.write(b"\r\n")
        total += size
        if not size:
            await writer.drain()
            return total
