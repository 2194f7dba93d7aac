"""The proxy alone: rebinding, secrets, echoes, TLS names. Real sockets, real TLS, a resolver that lies."""

import asyncio
import contextlib
import ipaddress
import socket
import ssl
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from hypothesis import given
from hypothesis import strategies as st

from holdfast.adapters.bubblewrap.sandbox import BubblewrapSandbox
from holdfast.adapters.egress.decisions import Decisions
from holdfast.adapters.egress.http import BadRequest, parse_head
from holdfast.adapters.egress.proxy import EgressLimits, EgressProxy
from holdfast.adapters.egress.tls import NotTls, server_name
from holdfast.sandbox.egress import BadRule, Destination, EgressRules, canonical_host
from schemas.sandbox import NetworkDecision, NetworkPolicy, SandboxRequest, SecretHeader
from tests.sandbox.conftest import until

SECRET = "s3cret-value-of-the-api"


class OneSecret:
    async def secret(self, name: str) -> str | None:
        return SECRET if name == "api" else None


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A self-signed one for api.test, key and certificate in one file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "api.test")])
    now = datetime.now(UTC)
    built = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("api.test")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = tmp_path_factory.mktemp("tls") / "api.pem"
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path.write_bytes(private + built.public_bytes(serialization.Encoding.PEM))
    return path


@asynccontextmanager
async def echo_server(certificate: Path | None = None) -> AsyncIterator[int]:
    """Answers every request with the request itself."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(head) + head)
        await writer.drain()
        writer.close()

    context = None
    if certificate:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
    server = await asyncio.start_server(answer, "127.0.0.1", 0, ssl=context)
    async with server:
        yield int(server.sockets[0].getsockname()[1])


@asynccontextmanager
async def proxy_for(
    policy: NetworkPolicy, answers: Sequence[Sequence[str]] = (), **more: object
) -> AsyncIterator[tuple[EgressProxy, int]]:
    """A proxy on a local port; `answers` are what its resolver says, one after another."""
    left = list(answers)

    async def resolver(_: str) -> Sequence[str]:
        return left.pop(0) if len(left) > 1 else left[0] if left else ["127.0.0.1"]

    proxy = EgressProxy(EgressRules.of(policy), secrets=OneSecret(), resolver=resolver, **more)  # type: ignore[arg-type]  # of tests' own making
    listener = socket.create_server(("127.0.0.1", 0))
    port = listener.getsockname()[1]
    await proxy.start([listener])
    try:
        yield proxy, port
    finally:
        await proxy.stop()


async def said(port: int, text: bytes) -> str:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(text)
    answer = await asyncio.wait_for(reader.read(), 10)
    writer.close()
    return answer.decode("latin-1")


def allow(
    *entries: str, cidrs: Sequence[str] = ("127.0.0.0/8",), secrets: Sequence[SecretHeader] = ()
) -> NetworkPolicy:
    return NetworkPolicy(mode="allowlist", allow=entries, allow_cidrs=tuple(cidrs), secrets=tuple(secrets))


async def test_a_name_that_answers_with_an_inner_address_is_refused() -> None:
    async with echo_server() as target, proxy_for(allow(f"evil.test:{target}", cidrs=())) as (proxy, port):
        answer = await said(port, f"GET http://evil.test:{target}/ HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    assert answer.startswith("HTTP/1.1 403")
    assert proxy.decisions[0].address == "127.0.0.1"


async def test_a_refusal_is_on_record_before_its_answer_is_read() -> None:
    async with proxy_for(allow("api.test:80")) as (proxy, port):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET http://elsewhere.test/ HTTP/1.1\r\nHost: elsewhere.test\r\n\r\n")
        assert b"403" in await reader.readline()  # and the connection stays open
        assert [each.host for each in proxy.decisions] == ["elsewhere.test"]
        writer.close()


async def test_one_inner_address_among_public_ones_is_enough_to_refuse() -> None:
    async with proxy_for(allow("evil.test:80", cidrs=()), [["93.184.215.14", "10.0.0.1"]]) as (proxy, port):
        answer = await said(port, b"GET http://evil.test/ HTTP/1.1\r\nHost: x\r\n\r\n")
    assert answer.startswith("HTTP/1.1 403")
    assert proxy.decisions[0].verdict == "denied"


async def test_of_a_name_with_an_exempt_address_no_other_is_tried() -> None:
    """`localhost` has two, and a policy may name the range of one."""
    async with echo_server() as target:
        policy = allow(f"localhost:{target}")
        async with proxy_for(policy, [["::1", "169.254.169.254", "127.0.0.1"]]) as (proxy, port):
            request = f"GET http://localhost:{target}/ HTTP/1.1\r\nHost: x\r\n\r\n".encode()
            assert "200 OK" in await said(port, request)
    assert [decision.address for decision in proxy.decisions] == ["127.0.0.1"]


async def test_a_rebinding_name_is_resolved_once_and_connected_where_it_was_checked() -> None:
    async with echo_server() as target:
        policy = allow(f"evil.test:{target}", cidrs=("127.0.0.1/32",))
        async with proxy_for(policy, [["127.0.0.1"], ["169.254.169.254"]]) as (proxy, port):
            request = f"GET http://evil.test:{target}/ HTTP/1.1\r\nHost: x\r\n\r\n".encode()
            assert "200 OK" in await said(port, request)
            assert "403" in await said(port, request)
    assert [decision.address for decision in proxy.decisions] == ["127.0.0.1", "169.254.169.254"]


@pytest.mark.parametrize("form", ["/path", "http://vault.alias/path"])
async def test_a_secret_is_added_on_the_way_and_never_seen_inside(certificate: Path, form: str) -> None:
    context = ssl.create_default_context(cafile=str(certificate))
    async with echo_server(certificate) as target:
        secret = SecretHeader(
            alias_host="vault.alias", destination=f"api.test:{target}", header="X-Api-Key", secret_name="api"
        )
        async with proxy_for(allow(secrets=[secret]), tls=context) as (proxy, port):
            head = f"GET {form} HTTP/1.1\r\nHost: vault.alias\r\nx-api-key: forged\r\nAccept-Encoding: gzip\r\n\r\n"
            answer = await said(port, head.encode())
    assert "200 OK" in answer
    assert f"X-Api-Key: {'*' * len(SECRET)}" in answer
    assert SECRET not in answer
    assert "forged" not in answer
    assert f"Host: api.test:{target}" in answer
    assert SECRET not in str(proxy.decisions)


async def test_a_tool_calls_the_alias_and_never_holds_the_secret(certificate: Path, tmp_path: Path) -> None:
    context = ssl.create_default_context(cafile=str(certificate))

    async def here(_: str) -> Sequence[str]:
        return ["127.0.0.1"]

    async with echo_server(certificate) as target:
        secret = SecretHeader(
            alias_host="vault.alias", destination=f"api.test:{target}", header="X-Api-Key", secret_name="api"
        )
        sandbox = BubblewrapSandbox(store=tmp_path, secrets=OneSecret(), resolver=here, tls=context)
        program = (
            "curl -sS http://vault.alias/a; curl -sS --noproxy '*' http://vault.alias/b; env; cat /etc/hosts"
        )
        result = await sandbox.run(SandboxRequest(program=program, network=allow(secrets=[secret])))
        await sandbox.close()
    assert result.stdout.count(f"X-Api-Key: {'*' * len(SECRET)}") == 2, result.stderr
    assert SECRET not in result.model_dump_json()
    assert [(d.host, d.verdict) for d in result.network] == [("api.test", "allowed")] * 2


async def test_a_secret_goes_only_to_a_destination_that_proves_its_name(certificate: Path) -> None:
    context = ssl.create_default_context(cafile=str(certificate))
    async with echo_server(certificate) as target:
        secret = SecretHeader(
            alias_host="vault.alias",
            destination=f"other.test:{target}",
            header="X-Api-Key",
            secret_name="api",
        )
        async with proxy_for(allow(secrets=[secret]), tls=context) as (_, port):
            answer = await said(port, b"GET / HTTP/1.1\r\nHost: vault.alias\r\n\r\n")
    assert answer.startswith("HTTP/1.1 502")


async def test_a_missing_secret_is_refused() -> None:
    secret = SecretHeader(
        alias_host="vault.alias", destination="api.test:443", header="X-Api-Key", secret_name="absent"
    )
    async with proxy_for(allow(secrets=[secret])) as (_, port):
        assert "403" in await said(port, b"GET / HTTP/1.1\r\nHost: vault.alias\r\n\r\n")


async def test_a_tunnel_that_asks_for_another_name_is_cut(certificate: Path) -> None:
    async with echo_server(certificate) as target, proxy_for(allow(f"api.test:{target}")) as (proxy, port):
        for name, verdict in (("api.test", "allowed"), ("other.test", "denied")):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(f"CONNECT api.test:{target} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
            assert b"200" in await reader.readuntil(b"\r\n\r\n")
            context = ssl.create_default_context(cafile=str(certificate))
            context.check_hostname = False
            try:
                await writer.start_tls(context, server_hostname=name)
                writer.write(b"GET / HTTP/1.1\r\n\r\n")
                assert b"200 OK" in await reader.read(100)
            except (OSError, ssl.SSLError):
                assert verdict == "denied"
            writer.close()
            assert await until(lambda: [d.verdict for d in proxy.decisions][-1:] == [verdict])  # noqa: B023 - awaited in its turn
            assert proxy.decisions[-1].verdict == verdict


async def test_bytes_are_limited() -> None:
    limits = EgressLimits(bytes_down=50)
    async with (
        echo_server() as target,
        proxy_for(allow(f"127.0.0.1:{target}"), limits=limits) as (proxy, port),
    ):
        await said(port, f"GET http://127.0.0.1:{target}/{'x' * 100} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    assert "bytes" in proxy.decisions[0].reason


async def test_a_burst_is_served_up_to_the_limit() -> None:
    async with (
        echo_server() as target,
        proxy_for(allow(f"127.0.0.1:{target}"), limits=EgressLimits(at_once=4)) as (_, port),
    ):
        request = f"GET http://127.0.0.1:{target}/ HTTP/1.1\r\nHost: x\r\n\r\n".encode()
        opened = [await asyncio.open_connection("127.0.0.1", port) for _ in range(7)]
        for _, writer in opened:
            writer.write(request)
        answers = [await asyncio.wait_for(reader.read(), 10) for reader, _ in opened]
        for _, writer in opened:
            writer.close()
    assert [answer[9:12] for answer in answers] == [b"200"] * 4 + [b"403"] * 3


async def test_no_connection_hides_behind_many_others() -> None:
    async with echo_server() as target, proxy_for(allow(f"127.0.0.1:{target}")) as (proxy, port):
        many = f"GET http://127.0.0.1:{target}/ HTTP/1.1\r\nHost: x\r\n\r\n".encode()
        for _ in range(210):
            await said(port, many)
        await said(port, b"GET http://evil.test/ HTTP/1.1\r\nHost: x\r\n\r\n")
    assert (proxy.decisions[-1].host, proxy.decisions[-1].verdict) == ("evil.test", "denied")
    assert sum(decision.connections for decision in proxy.decisions) == 211
    assert len(proxy.decisions) == 202


def test_a_thousand_places_are_counted_in_a_bounded_record() -> None:
    record = Decisions()
    for number in range(1000):
        record.append(number, NetworkDecision(host=f"h{number}", port=1, verdict="denied", reason="no"))
    told = record.in_order()
    assert sum(decision.connections for decision in told) == 1000
    assert len(told) <= 301


async def test_a_chunked_body_arrives_whole() -> None:
    received = bytearray()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        received.extend(await reader.readuntil(b"0\r\n\r\n"))
        writer.write(b"HTTP/1.1 204 No Content\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    target = server.sockets[0].getsockname()[1]
    async with server, proxy_for(allow(f"127.0.0.1:{target}")) as (_, port):
        body = "3;ext=1\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"
        head = (
            f"POST http://127.0.0.1:{target}/ HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n{body}"
        )
        assert "204" in await said(port, head.encode())
    assert bytes(received).endswith(b"3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n")


@pytest.mark.parametrize(
    "entry",
    [
        "host",
        "host:0",
        "host:65536",
        "*:80",
        "*.*.com:80",
        "a b:80",
        "a\x00b:80",
        "http://a:80",
        "a:80/",
        "2130706433:80",
        "0x7f.1:80",
        "1.2.3:80",
        "[::1]",
        "a:8o",
        "@a:80",
        "",
    ],
)
def test_an_entry_that_cannot_be_meant_is_refused(entry: str) -> None:
    with pytest.raises(BadRule):
        EgressRules.of(NetworkPolicy(mode="allowlist", allow=(entry,)))


@pytest.mark.parametrize("cidr", ["0.0.0.0/0", "::/0", "10.0.0.0/7", "10.0.0.1/8", "x"])
def test_a_range_too_wide_to_be_named_is_refused(cidr: str) -> None:
    with pytest.raises(BadRule):
        EgressRules.of(NetworkPolicy(mode="allowlist", allow_cidrs=(cidr,)))


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "10.1.2.3",
        "172.16.0.1",
        "192.168.0.1",
        "169.254.169.254",
        "100.64.0.1",
        "0.0.0.0",  # noqa: S104 - an address to refuse
        "224.0.0.1",
        "255.255.255.255",
        "::1",
        "::",
        "fe80::1",
        "fc00::1",
        "ff02::1",
        "::ffff:10.0.0.1",
        "64:ff9b::a00:1",
        "2002:a00:1::",
        "2001:0:1::",
        "::7f00:1",
        "192.0.0.1",
        "198.18.0.1",
    ],
)
def test_an_inner_address_is_never_public(address: str) -> None:
    assert EgressRules.of(NetworkPolicy()).why_not_address(ipaddress.ip_address(address))


def test_a_suffix_matches_below_and_not_beside() -> None:
    rules = EgressRules.of(allow("*.example.com:443"))
    assert rules.why_not(Destination("a.b.example.com", 443)) is None
    for host in ("example.com", "badexample.com", "example.com.evil.test"):
        assert rules.why_not(Destination(host, 443))
    assert rules.why_not(Destination("a.example.com", 80))


@given(st.text(max_size=40))
def test_a_canonical_host_is_a_fixed_point_or_refused(text: str) -> None:
    try:
        host = canonical_host(text)
    except BadRule:
        return
    assert canonical_host(host) == host
    assert host.isascii()
    assert not set(host) & set("\x00 /@?#[]\\%")


@given(st.binary(max_size=200))
def test_no_bytes_break_the_readers(data: bytes) -> None:
    try:
        head = parse_head(data + b"\r\n\r\n")
        assert b"\n" not in head.forwarded("/", "host", (), frozenset()).replace(b"\r\n", b"")
    except BadRequest:
        pass
    with contextlib.suppress(NotTls):
        server_name(data)
