"""Bearer tokens of an OIDC issuer: signature, issuer, audience, time and algorithm, or nobody comes in."""

import asyncio
import time
from typing import Annotated, Any

import httpx
import jwt
from pydantic import BaseModel, ConfigDict, StringConstraints, ValidationError

from holdfast.errors import Unauthenticated, Unavailable
from holdfast.runtime.settings import AuthSettings
from schemas.base import Name

_FRESH_S = 600.0
_REFETCH_S = 10.0


class Claims(BaseModel):
    model_config = ConfigDict(frozen=True)

    subject: Annotated[str, StringConstraints(pattern=r"^[^\x00-\x20\x7f]{1,200}$")]
    tenant: Name
    name: str = ""
    roles: tuple[str, ...] = ()
    environments: tuple[Name, ...] | None = None


class TokenReader:
    """Keeps the issuer's keys, and looks again when a token names one it has not seen."""

    def __init__(self, settings: AuthSettings, *, http: httpx.AsyncClient) -> None:
        self._settings = settings
        self._http = http
        self._keys: dict[str, jwt.PyJWK] = {}
        self._fetched = -_FRESH_S
        self._lock = asyncio.Lock()

    async def read(self, token: str) -> Claims:
        try:
            key_id = str(jwt.get_unverified_header(token).get("kid", ""))
            key = await self._key(key_id)
            claims = jwt.decode(
                token,
                key,
                algorithms=list(self._settings.oidc_algorithms),
                audience=self._settings.oidc_audience,
                issuer=self._settings.oidc_issuer,
                leeway=self._settings.clock_skew_s,
                options={"require": ["exp", "iat", "sub", "aud", "iss"]},
            )
            return self._claims(claims)
        except (jwt.PyJWTError, ValidationError) as error:
            raise Unauthenticated(
                f"This token is not accepted: {type(error).__name__}.",
                remedy="Get a new one from the issuer.",
            ) from error

    def _claims(self, claims: dict[str, Any]) -> Claims:
        return Claims.model_validate(
            {
                "subject": claims["sub"],
                "tenant": claims.get(self._settings.oidc_tenant_claim),
                "name": str(claims.get("name") or claims.get("email") or ""),
                "roles": claims.get(self._settings.oidc_roles_claim) or (),
                "environments": claims.get("environments"),
            }
        )

    async def _key(self, key_id: str) -> jwt.PyJWK:
        async with self._lock:
            age = time.monotonic() - self._fetched
            if age > _FRESH_S or (key_id not in self._keys and age > _REFETCH_S):
                await self._fetch()
        if key_id not in self._keys:
            raise jwt.InvalidKeyError("no such key")
        return self._keys[key_id]

    async def _fetch(self) -> None:
        try:
            found = jwt.PyJWKSet.from_dict(await self._get(await self._address()))
        except (httpx.HTTPError, ValueError, KeyError, jwt.PyJWTError) as error:
            if self._keys:  # they are still the issuer's last word; ask again soon
                self._fetched = time.monotonic() - _FRESH_S + _REFETCH_S
                return
            raise Unavailable(
                "The token issuer's keys cannot be read.", remedy="Is the issuer up?"
            ) from error
        self._keys = {str(key.key_id): key for key in found.keys}
        self._fetched = time.monotonic()

    async def _address(self) -> str:
        if self._settings.oidc_jwks_url:
            return self._settings.oidc_jwks_url
        issuer = str(self._settings.oidc_issuer).rstrip("/")
        return str((await self._get(f"{issuer}/.well-known/openid-configuration"))["jwks_uri"])

    async def _get(self, url: str) -> dict[str, Any]:
        answer = await self._http.get(url, timeout=5.0)
        answer.raise_for_status()
        return dict(answer.json())
