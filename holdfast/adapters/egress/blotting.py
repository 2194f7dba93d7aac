"""A secret in an answer, blotted out: as it was sent, and as a destination may write what it was sent.

An answer is taken out of its chunks first, as a secret could lie across two of them; one that is compressed is refused.
"""

import asyncio
import base64
import binascii
import html
import json
import re
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from urllib.parse import quote

_CHUNK = 65536
_HEAD_LIMIT = 64 * 1024
_LEAST = 8
_SIZE = re.compile(rb"([0-9A-Fa-f]{1,12})[ \t]*(?:;[^\r\n]*)?")


class Unreadable(Exception):
    """The answer cannot be searched for the secret."""


class Blotter:
    """Takes the answer piece by piece, and gives it back a little later, without the secret."""

    def __init__(self, secret: bytes) -> None:
        forms = sorted(set(forms_of(secret)), key=len, reverse=True)
        self._forms = re.compile(b"|".join(map(re.escape, forms)))
        self._keep = len(forms[0]) - 1
        self._held = b""

    def feed(self, data: bytes) -> bytes:
        held = self._forms.sub(_stars, self._held + data)
        cut = max(0, len(held) - self._keep)
        self._held = held[cut:]
        return held[:cut]

    def rest(self) -> bytes:
        return self._held


def _stars(match: re.Match[bytes]) -> bytes:
    return b"*" * len(match[0])


def forms_of(secret: bytes) -> Iterator[bytes]:
    """The value itself, and what it is likely to be written as. Of `Bearer x`, x alone as well."""
    yield secret
    scheme, _, word = secret.rpartition(b" ")
    parts = [secret] if not scheme else [secret, word]
    if scheme.lower() == b"basic":
        parts += _login(word)
    for part in parts:
        if len(part) >= _LEAST:
            yield part
            yield from _written(part)


def _login(word: bytes) -> list[bytes]:
    try:
        login = base64.b64decode(word, validate=True)
    except binascii.Error:
        return []
    return [login, login.partition(b":")[2]]


def _written(part: bytes) -> Iterator[bytes]:
    text = part.decode("latin-1")
    yield quote(text, safe="").encode()
    for as_json in (json.dumps(text)[1:-1], json.dumps(text)[1:-1].replace("/", "\\/")):
        yield as_json.encode()
    yield html.escape(text).encode()
    yield part.hex().encode()
    yield part.hex().upper().encode()
    for before in range(3):  # base64 depends on where in the text it begins
        encoded = base64.b64encode(b"\0" * before + part)
        inner = encoded[-(-before * 8 // 6) : (before + len(part)) * 8 // 6]
        yield inner
        yield inner.replace(b"+", b"-").replace(b"/", b"_")


async def plain_answer(reader: asyncio.StreamReader) -> AsyncGenerator[bytes]:
    """The head, and then the body without its chunks: the end of the connection is the end of it."""
    head = await _head(reader)
    while head[9:10] == b"1":  # an interim answer
        head = await _head(reader)
    if re.search(rb"(?im)^content-encoding:[ \t]*(?!identity[ \t]*\r)", head):
        raise Unreadable("the answer is compressed, and cannot be searched for the secret")
    chunked = re.search(rb"(?im)^transfer-encoding:[^\r\n]*chunked[ \t]*\r\n", head)
    yield head.replace(chunked[0], b"") if chunked else head
    pieces = _chunks(reader) if chunked else _all(reader)
    async for piece in pieces:
        yield piece


async def _head(reader: asyncio.StreamReader) -> bytes:
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except (asyncio.IncompleteReadError, asyncio.LimitOverrunError) as error:
        raise Unreadable("the answer has no head") from error
    if len(head) > _HEAD_LIMIT or not head.startswith(b"HTTP/1."):
        raise Unreadable("the answer is no HTTP")
    return head


async def _all(reader: asyncio.StreamReader) -> AsyncIterator[bytes]:
    while data := await reader.read(_CHUNK):
        yield data


async def _chunks(reader: asyncio.StreamReader) -> AsyncIterator[bytes]:
    """An answer that breaks off in the middle ends there."""
    while left := _size(await _line(reader)):
        while left and (data := await reader.read(min(left, _CHUNK))):
            left -= len(data)
            yield data
        if left or await _line(reader):
            return


async def _line(reader: asyncio.StreamReader) -> bytes:
    try:
        return (await reader.readline()).rstrip(b"\r\n")
    except ValueError as error:
        raise Unreadable("a line of the answer is too long") from error


def _size(line: bytes) -> int:
    found = _SIZE.fullmatch(line)
    return int(found[1], 16) if found else 0
