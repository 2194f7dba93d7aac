"""Bearer tokens of an issuer: what is signed, meant for us and in time comes in; nothing else does."""

import asyncio
import base64
import hmac
import json
import re
import time
from collections.abc import AsyncIterator
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from pydantic import SecretStr

from api.access import tokens
from api.app import opened
from holdfast.errors import Misconfigured
from holdfast.runtime.settings import AuthSettings, DatabaseSettings, Settings
from tests.api.conftest import RunningApi, serve, temporal_is_away

SIGNER = ec.generate_private_key(ec.SECP256R1())
OTHER = ec.generate_private_key(ec.SECP256R1())
RSA = rsa.generate_private_key(public_exponent=65537, key_size=2048)


def _public(key: ec.EllipticCurvePrivateKey, key_id: str) -> dict[str, Any]:
    made: dict[str, Any] = jwt.algorithms.ECAlgorithm.to_jwk(key.public_key(), as_dict=True)
    return {**made, "kid": key_id, "alg": "ES256", "use": "sig"}


@pytest.fixture(scope="module")
def published() -> dict[str, Any]:
    """The keys the issuer has told, by their ids; None is one it cannot tell."""
    return {"one": SIGNER}


@pytest.fixture(scope="module")
async def issuer(published: dict[str, Any]) -> AsyncIterator[str]:
    """An identity provider, as far as we ask one: its configuration and its keys."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        body: dict[str, Any] = {
            "keys": [_public(key, name) if key else "?" for name, key in published.items()]
        }
        if "openid-configuration" in head:
            body = {"jwks_uri": f"{address}/keys"}
        text = json.dumps(body)
        writer.write(
            f"HTTP/1.1 200 OK\r\nContent-Length: {len(text)}\r\nConnection: close\r\n\r\n{text}".encode()
        )
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    address = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    async with server:
        yield address


@pytest.fixture(autouse=True)
def _ask_the_issuer_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tokens, "_REFETCH_S", 0.0)


@pytest.fixture(scope="module")
async def api(module_database_url: str, issuer: str) -> AsyncIterator[RunningApi]:
    auth = AuthSettings(oidc_issuer=issuer, oidc_audience="holdfast", clock_skew_s=5)
    async with serve(module_database_url, temporal_is_away, auth=auth) as running:
        yield running


def token(
    issuer: str, *, key: Any = SIGNER, algorithm: str = "ES256", kid: str = "one", **changes: Any
) -> str:
    now = int(time.time())
    claims = {
        "iss": issuer,
        "aud": "holdfast",
        "sub": "alice",
        "name": "Alice",
        "tenant": "default",
        "roles": ["operator"],
        "iat": now,
        "exp": now + 60,
        **changes,
    }
    return jwt.encode(
        {name: value for name, value in claims.items() if value is not None}, key, algorithm, {"kid": kid}
    )


async def test_a_person_comes_in_with_the_roles_their_token_names(api: RunningApi, issuer: str) -> None:
    async with api.http(token(issuer)) as http:
        me = (await http.get("/v1/whoami")).json()
        refused = await http.get("/v1/keys")
    assert (me["id"], me["name"], me["tenant"], me["roles"]) == (
        "user:alice",
        "Alice",
        "default",
        ["operator"],
    )
    assert refused.status_code == 403


async def test_a_clock_that_is_a_little_off_is_forgiven(api: RunningApi, issuer: str) -> None:
    async with api.http(token(issuer, exp=int(time.time()) - 2)) as http:
        assert (await http.get("/v1/whoami")).status_code == 200


@pytest.mark.parametrize(
    "wrong",
    [
        {"aud": "somebody-else"},
        {"iss": "https://evil.example"},
        {"exp": 1},
        {"iat": 32_503_680_000},
        {"exp": None},
        {"sub": None},
        {"tenant": None},
        {"tenant": "../etc"},
        {"roles": "operator"},
        {"key": OTHER},
        {"kid": "unknown"},
        {"kid": "../../dev/null"},
        {"kid": "one\0"},
        {"kid": "None"},
        {"nbf": 32_503_680_000},
        {"sub": 7},
        {"sub": ""},
        {"environments": "staging"},
        {"key": RSA, "algorithm": "RS256"},
        {"key": RSA, "algorithm": "PS512"},
        {"key": "x" * 64, "algorithm": "HS256"},
        {"key": None, "algorithm": "none"},
    ],
    ids=lambda wrong: re.sub(r"<[^>]+>", "another", str(wrong)),  # a key's address would be its name
)
async def test_anything_else_stays_outside(api: RunningApi, issuer: str, wrong: dict[str, Any]) -> None:
    async with api.http(token(issuer, **wrong)) as http:
        answer = await http.get("/v1/whoami")
    assert (answer.status_code, answer.json()["code"]) == (401, "unauthenticated")


async def test_a_public_key_is_no_shared_secret(api: RunningApi, issuer: str) -> None:
    """The old trick: signing with the issuer's public key as if it were a password."""
    public = SIGNER.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    head = base64.urlsafe_b64encode(b'{"alg": "HS256", "kid": "one"}').rstrip(b"=")
    signed = head + b"." + token(issuer).split(".")[1].encode()
    mark = base64.urlsafe_b64encode(hmac.digest(public, signed, "sha256")).rstrip(b"=")
    async with api.http((signed + b"." + mark).decode()) as http:
        assert (await http.get("/v1/whoami")).status_code == 401


async def test_a_key_that_comes_in_a_token_itself_is_not_believed(api: RunningApi, issuer: str) -> None:
    """`jwk`, `jku` and `x5u` in a header name the signer's own key."""
    own = {"jwk": _public(OTHER, "one"), "jku": f"{issuer}/keys", "kid": "one"}
    claims = jwt.decode(token(issuer), options={"verify_signature": False})
    async with api.http(jwt.encode(claims, OTHER, "ES256", own)) as http:
        assert (await http.get("/v1/whoami")).status_code == 401


async def test_a_new_key_of_the_issuer_is_fetched_when_a_token_names_it(
    api: RunningApi, issuer: str, published: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    turned = token(issuer, key=OTHER, kid="two")
    async with api.http(token(issuer)) as before, api.http(turned) as http:
        assert (await before.get("/v1/whoami")).status_code == 200
        assert (await http.get("/v1/whoami")).status_code == 401
        monkeypatch.setitem(published, "two", OTHER)
        assert (await http.get("/v1/whoami")).status_code == 200
        monkeypatch.delitem(published, "one")
        monkeypatch.setattr(tokens, "_FRESH_S", 0.0)
        assert (await before.get("/v1/whoami")).status_code == 401


async def test_while_the_issuer_is_away_its_last_keys_count(
    api: RunningApi, issuer: str, published: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    async with api.http(token(issuer)) as http:
        assert (await http.get("/v1/whoami")).status_code == 200
        monkeypatch.setitem(published, "broken", None)
        monkeypatch.setattr(tokens, "_FRESH_S", 0.0)
        assert (await http.get("/v1/whoami")).status_code == 200


@pytest.mark.parametrize("algorithm", ["none", "HS256", "RS1"])
def test_an_algorithm_that_anybody_could_sign_with_cannot_be_set(algorithm: str) -> None:
    with pytest.raises(ValueError, match=f"{algorithm} is none of"):
        AuthSettings(oidc_algorithms=("ES256", algorithm))


async def test_an_issuer_without_an_audience_is_refused(database_url: str) -> None:
    settings = Settings(
        database=DatabaseSettings(url=SecretStr(database_url)),
        auth=AuthSettings(oidc_issuer="https://id.example"),
    )
    with pytest.raises(Misconfigured, match="no audience"):
        async with opened(settings, temporal_is_away):
            pass


async def test_a_role_nobody_knows_permits_nothing(api: RunningApi, issuer: str) -> None:
    async with api.http(token(issuer, roles=["emperor"])) as http:
        assert (await http.get("/v1/runs")).status_code == 403
