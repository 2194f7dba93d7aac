"""The HTTP door, and who may come in."""

from typing import Annotated

from pydantic import AfterValidator, Field

from holdfast.runtime.settings.fields import Count, HttpUrl, Port, Seconds, Section, Words

_SIGNED_BY_KEY = {f"{kind}{bits}" for kind in ("RS", "PS", "ES") for bits in (256, 384, 512)} | {"EdDSA"}


def _asymmetric(names: tuple[str, ...]) -> tuple[str, ...]:
    """A shared secret, or none, would let whoever knows the issuer's public keys in."""
    wrong = sorted(set(names) - _SIGNED_BY_KEY)
    if wrong:
        raise ValueError(f"{', '.join(wrong)} is none of {', '.join(sorted(_SIGNED_BY_KEY))}")
    return names


class ApiSettings(Section):
    """The HTTP door."""

    host: str = Field("127.0.0.1", description="Address to listen on.")
    port: Port = Field(
        8080, description="Port to listen on. `holdfast up` takes a free one where this is taken."
    )
    cors_origins: Words = Field(
        (), description="Origins whose browsers may call the API, with commas between."
    )
    body_limit_bytes: Count = Field(1_048_576, description="Largest request body.")
    upload_limit_bytes: Count = Field(67_108_864, description="Largest uploaded document or bundle.")
    concurrent_requests: Count = Field(
        200, description="Requests at once; more are answered 503 with Retry-After."
    )
    streams: Count = Field(2_000, description="Event streams at once.")
    heartbeat_s: Seconds = Field(
        15, description="Seconds between the comments that keep an event stream open."
    )
    webhook_private_targets: bool = Field(
        default=False, description="Let webhooks call private addresses, such as a chat server of your own."
    )
    approval_idle_s: Seconds = Field(
        3_600, description="Seconds a question waits for people until `approval.idle` is told, once."
    )
    look_after_s: Seconds = Field(
        10, description="Seconds between two looks for runs whose process or workflow ended without a word."
    )
    docs: bool = Field(default=True, description="Serve the OpenAPI pages under /docs.")
    drain_s: Seconds = Field(10, description="Seconds a stopping API gives its requests and streams.")


class AuthSettings(Section):
    """Who may call the API. API keys always work; bearer tokens once an issuer is set."""

    enabled: bool = Field(default=True, description="Ask for credentials. Off is refused in `prod`.")
    oidc_issuer: HttpUrl | None = Field(None, description="Issuer of bearer tokens, compared exactly.")
    oidc_audience: str | None = Field(None, description="Audience the tokens must be made for.")
    oidc_jwks_url: HttpUrl | None = Field(
        None, description="The issuer's keys; found through discovery without it."
    )
    oidc_algorithms: Annotated[Words, AfterValidator(_asymmetric)] = Field(
        ("RS256", "ES256"), description="Signature algorithms accepted."
    )
    oidc_tenant_claim: str = Field("tenant", description="Claim that names the tenant.")
    oidc_roles_claim: str = Field("roles", description="Claim that lists the roles.")
    clock_skew_s: Annotated[float, Field(ge=0, le=300)] = Field(30, description="Clock difference tolerated.")
    reads_per_s: Annotated[float, Field(gt=0)] = Field(100, description="Reading requests a second per key.")
    writes_per_s: Annotated[float, Field(gt=0)] = Field(50, description="Writing requests a second per key.")
