"""The servers Holdfast stands on, Postgres and Temporal, and how `holdfast up` keeps them."""

from typing import Annotated

from pydantic import Field, SecretStr

from holdfast.runtime.settings.fields import Count, PostgresUrl, Seconds, Section


class DatabaseSettings(Section):
    """Where Postgres is and how it is used. Without a URL, `holdfast up` starts one of its own."""

    url: PostgresUrl | None = Field(
        None, description="Postgres URL of the application. `DATABASE_URL` means the same."
    )
    migrate_url: PostgresUrl | None = Field(
        None,
        description="URL of the schema's owner, for `holdfast db migrate` and the migrations of `holdfast up`, and for nothing "
        "else; the application's URL without it.",
    )
    pool_min: Count = Field(1, description="Connections each process keeps open.")
    pool_max: Count = Field(10, description="Connections each process opens at most.")
    port: Annotated[int, Field(ge=1024, le=65535)] | None = Field(
        None,
        description="TCP port on 127.0.0.1 for the embedded Postgres, beside its socket. The password of user "
        "`holdfast` is in `.holdfast/postgres/password`.",
    )


class StackSettings(Section):
    """How `holdfast up` keeps its parts up."""

    silence_s: Seconds = Field(
        30, description="Seconds a part may leave questions unanswered before it is killed and started again."
    )


class TemporalSettings(Section):
    """How Temporal is used. Where it is, is said by Temporal's own `TEMPORAL_*` variables and TOML profiles."""

    address: str | None = Field(
        None,
        description="Read from `TEMPORAL_ADDRESS`. Without it, `holdfast up` starts a server of its own.",
    )
    profile: str | None = Field(
        None, description="Read from `TEMPORAL_PROFILE`; names a profile of Temporal's TOML."
    )
    inline_bytes: Count = Field(32_768, description="Larger payloads are stored in Postgres and referenced.")
    encryption_keys: SecretStr | None = Field(
        None,
        description="AES-256 keys for payloads, and for the secrets of webhooks, as `id:base64,older-id:base64`, the "
        "newest first. Make one with `openssl rand -base64 32`.",
    )
    deployment: str | None = Field(
        None,
        description="Worker deployment name: switches versioning on. Runs wait until a version is made current.",
    )
    build_id: str | None = Field(None, description="This build's id inside the deployment.")
    system_program: bool = Field(
        default=False,
        description="Let `holdfast up` start the `temporal` found on PATH instead of the bundled one.",
    )

    @property
    def is_given(self) -> bool:
        """Whether somebody else's Temporal is to be used."""
        return bool(self.address or self.profile)
