"""A secret that comes back is blotted out, however it is written and wherever the pieces end."""

import asyncio
import base64
import json
from collections.abc import Sequence
from urllib.parse import quote

import pytest

from holdfast.adapters.egress.blotting import Blotter, Unreadable, plain_answer

TOKEN = 's3cr3t/tok+en-"Zebra"&9981'
SECRET = f"Bearer {TOKEN}"


def blotted(text: bytes, *, secret: str = SECRET, step: int = 7) -> bytes:
    blotter = Blotter(secret.encode())
    pieces = [blotter.feed(text[at : at + step]) for at in range(0, len(text), step)]
    return b"".join([*pieces, blotter.rest()])


@pytest.mark.parametrize("step", [1, 7, 1000])
@pytest.mark.parametrize(
    "written",
    [
        SECRET,
        TOKEN,
        quote(TOKEN, safe=""),
        json.dumps(TOKEN)[1:-1],
        json.dumps(TOKEN)[1:-1].replace("/", "\\/"),
        TOKEN.encode().hex(),
    ],
)
def test_it_goes_however_it_is_written(written: str, step: int) -> None:
    text = f"before {written} after {written}".encode()
    stars = b"*" * len(written.encode())
    assert blotted(text, step=step) == b"before " + stars + b" after " + stars


@pytest.mark.parametrize("before", ["", "u:", "us:", "user:"])
def test_base64_gives_no_more_than_an_edge_of_it(before: str) -> None:
    found = blotted(base64.b64encode(f"{before}{SECRET}".encode()))
    shown = base64.b64decode(found.replace(b"*", b"A"))
    assert b"Zebra" not in shown
    assert b"tok" not in shown


def test_of_a_login_the_password_goes_too() -> None:
    secret = "Basic " + base64.b64encode(b"user:long-password").decode()
    assert blotted(b"you are user with long-password", secret=secret) == b"you are user with *************"


def test_other_words_stay_as_they_are() -> None:
    text = b"Bearer of news, Zebra and all " * 50
    assert blotted(text) == text


async def answered(raw: bytes) -> Sequence[bytes]:
    reader = asyncio.StreamReader()
    reader.feed_data(raw)
    reader.feed_eof()
    return [piece async for piece in plain_answer(reader)]


async def test_chunks_are_put_together_so_that_nothing_hides_between_them() -> None:
    chunks = b"".join(b"1\r\n" + bytes([letter]) + b"\r\n" for letter in SECRET.encode())
    head, *body = await answered(
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
        + chunks
        + b"0\r\n\r\n"
    )
    assert head == b"HTTP/1.1 200 OK\r\n\r\n"
    assert b"".join(body).decode() == SECRET


@pytest.mark.parametrize("raw", [b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n\x1f", b"no http", b""])
async def test_what_cannot_be_searched_is_refused(raw: bytes) -> None:
    with pytest.raises(Unreadable):
        await answered(raw)
