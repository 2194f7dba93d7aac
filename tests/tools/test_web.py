"""`http.*` and `notify.webhook` against a real server: what is allowed goes out, and nothing else does."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace

import pytest

from holdfast.adapters.bubblewrap.sandbox import BubblewrapSandbox
from holdfast.testing.http import HttpRequest, HttpResponse, HttpServer
from holdfast.tools.builtin.web import web_tools
from holdfast.tools.declare import Tool
from schemas.sandbox import NetworkPolicy
from tests.tools.conftest import Caller, code_of


@dataclass
class Site:
    """Answers by path, and remembers who asked."""

    port: int = 0
    seen: list[HttpRequest] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def answer(self, request: HttpRequest, response: HttpResponse) -> None:
        self.seen.append(request)
        match request.path:
            case "/away":
                await response.send(b"", status=302, headers={"location": "http://169.254.169.254/latest"})
            case "/round":
                await response.send(b"", status=302, headers={"location": f"{self.url}/json"})
            case "/loop":
                await response.send(b"", status=302, headers={"location": f"{self.url}/loop"})
            case "/big":
                await response.send(b"x" * 3_000_000, headers={"content-type": "text/plain"})
            case "/binary":
                await response.send(bytes(range(256)), headers={"content-type": "application/octet-stream"})
            case "/broken":
                await response.send_json({"why": "it broke"}, status=500)
            case "/silent":
                await asyncio.Event().wait()
            case _:
                await response.send_json({"path": request.path, "method": request.method})


@pytest.fixture
async def site() -> AsyncIterator[Site]:
    found = Site()
    server = HttpServer(found.answer)
    found.port = await server.listen(host="127.0.0.1", port=0)
    yield found
    await server.close()


def reaching(tool: Tool, *hosts: str) -> Tool:
    """The tool as an operator's manifest would offer it."""
    network = NetworkPolicy(mode="allowlist", allow=hosts, allow_cidrs=("127.0.0.1/32",))
    permissions = tool.spec.permissions.model_copy(update={"network": network})
    return replace(tool, spec=tool.spec.model_copy(update={"permissions": permissions}))


@pytest.fixture
def call(sandbox: BubblewrapSandbox, site: Site) -> Caller:
    hosts = (f"127.0.0.1:{site.port}", "127.0.0.1:9", "nosuch.invalid:80", "nosuch.invalid:443")
    return Caller(*[reaching(tool, *hosts) for tool in web_tools(sandbox)])


async def test_as_shipped_it_reaches_nobody_and_says_how_to_change_that(sandbox: BubblewrapSandbox) -> None:
    result = await Caller(*web_tools(sandbox))("http.get", url="https://example.com/")
    assert code_of(result) == "unprocessable"
    assert result.error is not None
    assert "manifest" in result.error.remedy


async def test_an_answer_comes_back_with_its_status_and_headers(call: Caller, site: Site) -> None:
    result = await call(
        "http.request", url=f"{site.url}/x", method="PUT", json={"a": 1}, headers={"X-Why": "test"}
    )
    assert result.ok, result.error
    assert json.loads(result.output["text"]) == {"path": "/x", "method": "PUT"}
    sent = site.seen[0]
    assert (sent.body, sent.headers["x-why"]) == (b'{"a": 1}', "test")
    assert result.output["network"][0]["verdict"] == "allowed"
    assert result.untrusted


async def test_redirects_are_judged_anew(call: Caller, site: Site) -> None:
    assert (await call("http.get", url=f"{site.url}/round")).ok
    away = await call("http.get", url=f"{site.url}/away")
    assert code_of(away) == "network_denied"
    assert away.error is not None
    assert "169.254.169.254" in away.error.message
    assert code_of(await call("http.get", url=f"{site.url}/loop", redirects=2)) == "redirects"
    unfollowed = await call("http.get", url=f"{site.url}/loop", redirects=0)
    assert (unfollowed.ok, unfollowed.output["status"]) == (True, 302)


async def test_a_webhook_that_is_redirected_was_not_told(call: Caller, site: Site) -> None:
    result = await call("notify.webhook", url=f"{site.url}/round", text="x")
    assert code_of(result) == "redirects"
    assert [each.path for each in site.seen] == ["/round"]


@pytest.mark.parametrize(
    ("url", "code"),
    [
        ("http://localhost:1/", "network_denied"),
        ("http://10.0.0.1/", "network_denied"),
        ("https://[::1]:443/", "network_denied"),
        ("http://127.0.0.1:9/", "unreachable"),
        ("http://nosuch.invalid/", "unreachable"),
        ("https://nosuch.invalid/", "unreachable"),
        ("http://127.0.0.1:99999/", "bad_url"),
        ("http://user:word@127.0.0.1/", "bad_url"),
        ("http://[::1/", "bad_url"),
        ("file:///etc/passwd", "bad_arguments"),
        ("gopher://x/", "bad_arguments"),
        ("http://a b/", "bad_arguments"),
        ("http://", "bad_arguments"),
    ],
)
async def test_other_places_are_refused(call: Caller, url: str, code: str) -> None:
    result = await call("http.get", url=url)
    assert code_of(result) == code
    assert result.error is not None
    assert result.error.remedy


async def raw_site(answer: bytes, *, again_s: float | None = None) -> tuple[asyncio.Server, str]:
    """Says something that an HTTP library would not, once or for ever."""

    async def converse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        with contextlib.suppress(OSError):
            while again_s is not None:
                await writer.drain()
                await asyncio.sleep(again_s)
                writer.write(b"x")
        writer.close()

    server = await asyncio.start_server(converse, "127.0.0.1", 0)
    return server, f"127.0.0.1:{server.sockets[0].getsockname()[1]}"


@pytest.mark.parametrize(
    ("answer", "code", "says"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nabc", "unreachable", "97 bytes before"),
        (b"hello there\r\n\r\n", "unreachable", "no HTTP"),
    ],
)
async def test_a_broken_answer_is_never_taken_for_a_whole_one(
    sandbox: BubblewrapSandbox, answer: bytes, code: str, says: str
) -> None:
    server, place = await raw_site(answer)
    call = Caller(*[reaching(tool, place) for tool in web_tools(sandbox)])
    result = await call("http.get", url=f"http://{place}/")
    server.close()
    assert code_of(result) == code
    assert result.error is not None
    assert says in result.error.message


async def test_an_answer_that_drips_ends_with_the_time_of_the_call(sandbox: BubblewrapSandbox) -> None:
    server, place = await raw_site(b"HTTP/1.1 200 OK\r\n\r\n", again_s=0.05)
    call = Caller(*[reaching(tool, place) for tool in web_tools(sandbox)])
    result = await call("http.get", url=f"http://{place}/", timeout_s=1)
    server.close()
    assert code_of(result) == "timeout"
    assert result.error is not None
    assert "within 1 s" in result.error.message


async def test_letters_beyond_ascii_are_written_as_an_address_wants_them(call: Caller, site: Site) -> None:
    assert (await call("http.get", url=f"{site.url}/ü?q=é&r=%20")).ok
    assert site.seen[0].path == "/%C3%BC?q=%C3%A9&r=%20"


async def test_floods_bytes_errors_and_silence_all_end_in_a_result(call: Caller, site: Site) -> None:
    big = await call("http.get", url=f"{site.url}/big")
    assert (big.output["bytes"], big.output["more"], len(big.output["text"])) == (200_000, True, 200_000)
    binary = await call("http.get", url=f"{site.url}/binary")
    assert binary.ok
    assert "base64" in binary.output
    broken = await call("http.get", url=f"{site.url}/broken")
    assert (code_of(broken), broken.output["status"]) == ("http_status", 500)
    assert code_of(await call("http.get", url=f"{site.url}/silent", timeout_s=0.5)) == "timeout"


async def test_a_header_cannot_smuggle_another(call: Caller, site: Site) -> None:
    result = await call("http.get", url=f"{site.url}/x", headers={"X-A": "1\r\nX-B: 2"})
    assert (code_of(result), site.seen) == ("bad_arguments", [])


async def test_a_webhook_is_told_once_per_key(call: Caller, site: Site) -> None:
    assert (await call("notify.webhook", url=f"{site.url}/hook", text="hello", fields={"level": 2})).ok
    sent = site.seen[0]
    assert (sent.method, json.loads(sent.body)) == ("POST", {"text": "hello", "level": 2})
    assert sent.headers["idempotency-key"].startswith("sha256:")
