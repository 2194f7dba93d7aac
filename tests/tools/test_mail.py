"""`notify.email` against a server that speaks SMTP, and against none."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from holdfast.adapters.secrets import SecretFolder
from holdfast.tools.builtin.mail import mail_tools
from tests.tools.conftest import Caller, code_of

MAIL = {
    "server": "smtp",
    "sender": "h@example.com",
    "to": ["owner@example.com"],
    "subject": "Grüße",
    "text": "ü\n.\n",
}


@dataclass
class Post:
    """As much SMTP as one plain message needs."""

    port: int = 0
    letters: list[str] = field(default_factory=list)

    async def converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 test\r\n")
        while line := (await reader.readline()).decode():
            verb = line[:4].upper()
            if verb == "DATA":
                writer.write(b"354 go on\r\n")
                self.letters.append((await reader.readuntil(b"\r\n.\r\n")).decode())
            refused = verb == "RCPT" and "nobody" in line
            if verb == "QUIT":
                writer.write(b"221 bye\r\n")
                break
            writer.write(b"550 no such person\r\n" if refused else b"250 fine\r\n")
        writer.close()


@pytest.fixture
async def post() -> AsyncIterator[Post]:
    found = Post()
    server = await asyncio.start_server(found.converse, "127.0.0.1", 0)
    found.port = server.sockets[0].getsockname()[1]
    yield found
    server.close()


def mailing(folder: Path, address: str) -> Caller:
    (folder / "smtp").write_text(address)
    (tool,) = mail_tools(SecretFolder(folder))
    permissions = tool.spec.permissions.model_copy(update={"secrets": ("smtp",)})
    return Caller(replace(tool, spec=tool.spec.model_copy(update={"permissions": permissions})))


async def test_a_message_arrives_with_an_id_that_a_repetition_shares(post: Post, tmp_path: Path) -> None:
    call = mailing(tmp_path, f"smtp://127.0.0.1:{post.port}")
    first, again = await call("notify.email", **MAIL), await call("notify.email", **MAIL)
    assert first.ok, first.error
    assert first.output["message_id"] == again.output["message_id"]
    assert f"X-Holdfast-Run: {call.run_id}" in post.letters[0]
    assert "\nDate: " in post.letters[0]


async def test_refused_people_are_named(post: Post, tmp_path: Path) -> None:
    call = mailing(tmp_path, f"smtp://127.0.0.1:{post.port}")
    result = await call("notify.email", **(MAIL | {"to": ["owner@example.com", "nobody@example.com"]}))
    assert result.output["refused"] == ["nobody@example.com"]
    assert code_of(await call("notify.email", **(MAIL | {"to": ["nobody@example.com"]}))) == "tool_failed"


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"subject": "a\r\nBcc: x@example.com"}, "bad_arguments"),
        ({"to": ["a@b, c@d"]}, "bad_arguments"),
        ({"to": []}, "bad_arguments"),
        ({"server": "other"}, "unprocessable"),
        ({}, "tool_failed"),
    ],
)
async def test_headers_are_not_smuggled_and_a_dead_server_is_said(
    tmp_path: Path, change: dict[str, object], code: str
) -> None:
    call = mailing(tmp_path, "smtp://user:hush@127.0.0.1:9")
    result = await call("notify.email", **(MAIL | change))
    assert code_of(result) == code
    assert "hush" not in result.model_dump_json()


async def silent_after(*answers: bytes) -> tuple[asyncio.Server, int]:
    """Answers so far, and then hangs up."""

    async def converse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for answer in answers:
            writer.write(answer)
            await reader.readline()
        writer.close()

    server = await asyncio.start_server(converse, "127.0.0.1", 0)
    return server, server.sockets[0].getsockname()[1]


@pytest.mark.parametrize(
    ("answers", "login", "says"),
    [
        ((b"220 x\r\n", b"250 x\r\n"), "", "may have gone out"),
        ((), "", "fell silent."),
        ((b"554 go away\r\n",), "", "cannot be reached"),
        ((b"220 x\r\n", b"250 x\r\n"), "user:hush@", "no STARTTLS"),
        ((b"220 x\r\n", b"250 x\r\n", b"553 not yours hush\r\n", b"250 x\r\n"), "", "553 not yours"),
    ],
)
async def test_what_a_server_would_not_do_is_said_with_what_may_have_happened(
    tmp_path: Path, answers: tuple[bytes, ...], login: str, says: str
) -> None:
    server, port = await silent_after(*answers)
    result = await mailing(tmp_path, f"smtp://{login}127.0.0.1:{port}")("notify.email", **MAIL)
    server.close()
    assert code_of(result) == "tool_failed"
    assert result.error is not None
    assert says in result.error.message
    assert result.error.remedy


async def test_a_message_given_up_is_not_sent_later(tmp_path: Path) -> None:
    """The server takes its time; whoever asked does not wait for it."""
    heard: list[str] = []
    greeted, given_up, ended = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def converse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        greeted.set()
        await given_up.wait()
        writer.write(b"220 at last\r\n")
        while line := (await reader.readline()).decode():
            heard.append(line[:4].upper())
            writer.write(b"250 fine\r\n")
        writer.close()
        ended.set()

    server = await asyncio.start_server(converse, "127.0.0.1", 0)
    call = mailing(tmp_path, f"smtp://127.0.0.1:{server.sockets[0].getsockname()[1]}")
    asking = asyncio.create_task(call("notify.email", **MAIL))
    await greeted.wait()
    asking.cancel()
    await asyncio.gather(asking, return_exceptions=True)
    given_up.set()
    await ended.wait()
    server.close()
    assert asking.cancelled()
    assert "MAIL" not in heard
