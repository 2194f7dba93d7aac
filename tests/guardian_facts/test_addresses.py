"""Addresses as the guardian reads them, beside where the clients would really go: where it calls an address understood, all
of them agree on the host. Nothing is sent."""

import contextlib
import urllib.request
from collections.abc import Iterator
from urllib.parse import urlsplit

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.guardian.facts import ActionView, default_decision, extract_facts
from holdfast.guardian.facts.hosts import normal_host, place_of
from holdfast.guardian.reading import facts_of as read_facts
from holdfast.guardian.trials import request_of
from schemas.base import JsonObject
from schemas.facts import Effect, Facts
from schemas.policies import Example
from schemas.tools import EffectClass, ToolSpec
from schemas.verdicts import Decision


def facts_of(url: str, **arguments: object) -> Facts:
    return extract_facts(ActionView(tool="http.get", kind="http", arguments={"url": url, **arguments}))


def hosts_by_the_clients(url: str) -> Iterator[str]:
    """The fetcher inside the sandbox, the client of the platform, and the proxy between."""
    request = urllib.request.Request(url)  # noqa: S310 - it is only read
    yield urlsplit(f"//{request.host}").hostname or ""
    with contextlib.suppress(httpx.InvalidURL):
        yield httpx.URL(url).raw_host.decode()
    yield urlsplit(request.full_url).hostname or ""


PIECES = [
    *(
        "http://",
        "https://",
        "localhost",
        "evil.com",
        "127.0.0.1",
        "[::1]",
        "169.254.169.254",
        "0x7f.1",
        "2130706433",
    ),
    *(
        "@",
        "#",
        "?",
        "/",
        "\\",
        ":",
        ":80",
        "%40",
        "%2e",
        "%2f",
        "%00",
        "..",
        ".",
        "\u3002",
        "\uff0e",
        "\u2488",
        ";",
        "&",
    ),
    *(
        "\t",
        "\r\n",
        " ",
        "\x00",
        "\u200b",
        "\u00ad",
        "\u202e",
        "user:pass",
        "b\u00fccher",
        "\uff4c",
        "xn--",
        "//",
        "[",
        "]",
        "-",
    ),
]


@settings(max_examples=1500, deadline=None)
@given(st.lists(st.sampled_from(PIECES), min_size=1, max_size=6))
def test_where_an_address_is_allowed_every_client_goes_where_the_guardian_says(pieces: list[str]) -> None:
    url = "http://" + "".join(pieces)
    facts = facts_of(url)
    if default_decision(facts) is not Decision.ALLOW:
        return
    for host in hosts_by_the_clients(url):
        assert (normal_host(host),) == facts.hosts, url


@pytest.mark.parametrize(
    "url",
    [
        "http://localhost@evil.com/",
        "http://evil.com@localhost/",
        "http://localhost\\@evil.com/",
        "http://evil\u3002com/",
        "http://127\u30020\u30020\u30021/",
        "http://local%68ost/",
        "http://127%2e0%2e0%2e1/",
        "http://local\u00adhost/",
        "http://\uff4cocalhost/",
        "http://localhost:99999/",
        "http://localhost:80:90/",
        "http://localhost/\r\nHost: evil.com",
        " http://localhost/",
        "http://.localhost/",
        "http://a..b/",
        "file:///etc/passwd",
        "http+unix://%2frun%2fdocker.sock/",
        "//localhost/",
        "http:localhost",
        "http://198.18.0.1/",
        "http://255.255.255.255/",
        "http://[2001:0:7f00:1::]/",
        "http://100.64.0.1/",
        "http://127.0.0.1.nip.io/",
    ],
)
def test_an_address_that_is_odd_or_outside_asks(url: str) -> None:
    assert default_decision(facts_of(url)) is not Decision.ALLOW


@pytest.mark.parametrize(
    "host",
    [
        *(
            "169.254.169.254",
            "0xa9fea9fe",
            "2852039166",
            "169.254.43518",
            "0251.0376.0251.0376",
            "169.254.169.254.",
        ),
        *(
            "::ffff:a9fe:a9fe",
            "64:ff9b::a9fe:a9fe",
            "2002:a9fe:a9fe::1",
            "::a9fe:a9fe",
            "fd00:ec2::254",
            "fe80::1",
        ),
        *(
            "169.254.169.254.nip.io",
            "169-254-169-254.sslip.io",
            "metadata.google.internal.",
            "metadata.tencentyun.com",
        ),
        *("instance-data.ec2.internal", "169\u3002254\u3002169\u3002254"),
    ],
)
def test_a_metadata_service_is_known_in_every_spelling(host: str) -> None:
    assert place_of(normal_host(host)) == "metadata"


@pytest.mark.parametrize(
    ("headers", "effect"),
    [
        ({"X-HTTP-Method-Override": "DELETE"}, Effect.WRITE),
        ({"x-method-override": "PUT"}, Effect.WRITE),
        ({"Metadata-Flavor": "Google"}, Effect.SECRET),
        ({"X-aws-ec2-metadata-token": "t"}, Effect.SECRET),
        ({"Authorization ": "Bearer t"}, Effect.SECRET),
    ],
)
def test_a_header_may_do_more_than_the_method_says(headers: dict[str, str], effect: Effect) -> None:
    assert effect in facts_of("http://localhost/", headers=headers).effects


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "evil.com"},
        {"Transfer-Encoding": "chunked"},
        {"A": "b\r\nHost: evil.com"},
        {"A\n": "b"},
        ["Host"],
    ],
)
def test_a_header_that_changes_who_is_meant_is_not_understood(headers: object) -> None:
    assert facts_of("http://localhost/", headers=headers).unknowns


def test_a_tool_that_posts_what_it_is_given_is_no_read() -> None:
    schema: JsonObject = {"properties": {"url": {}, "text": {}}}
    spec = ToolSpec(
        name="notify",
        description="Tells.",
        payload="http",
        effect=EffectClass.IRREVERSIBLE,
        input_schema=schema,
    )
    example = Example(payload="http", arguments={"url": "http://localhost/hook", "text": "x"})
    facts = read_facts(spec, request_of(example, tool=spec).action)
    assert {Effect.WRITE, Effect.EGRESS} <= set(facts.effects)
    reading = spec.model_copy(update={"effect": EffectClass.READ_ONLY})
    assert Effect.WRITE not in read_facts(reading, request_of(example, tool=reading).action).effects


@pytest.mark.parametrize(
    "url",
    [
        "http://localhost:8080/healthz",
        "http://10.0.0.7/status?x=1#top",
        "http://[::1]/",
        "http://web-1.prod.svc/",
    ],
)
def test_a_plain_address_inside_is_read(url: str) -> None:
    assert default_decision(facts_of(url, headers={"Accept": "text/plain"})) is Decision.ALLOW
