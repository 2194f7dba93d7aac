"""Every setting of Holdfast: frozen, built once per entry point, its sections passed downward.

Names in the environment are `HOLDFAST_<SECTION>__<FIELD>`. docs/configuration.md and .env.example are written from
these models, so a description here is what people read.
"""

import json
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, SecretStr
from pydantic_settings import (
    BaseSettings,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

from holdfast.runtime.environment import PREFIX, WellKnownVariables
from schemas.sandbox import Limits


class Queue(StrEnum):
    """The task queues, one worker pool each."""

    ORCHESTRATION = "orchestration"
    LLM = "llm"
    TOOLS = "tools"
    KNOWLEDGE = "knowledge"


def _listed(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    if value.lstrip().startswith("["):
        return json.loads(value)  # a ValueError here is told as one of this setting
    return [word.strip() for word in value.split(",") if word.strip()]


def _asymmetric(names: tuple[str, ...]) -> tuple[str, ...]:
    """A shared secret, or none, would let whoever knows the issuer's public keys in."""
    wrong = sorted(set(names) - _SIGNED_BY_KEY)
    if wrong:
        raise ValueError(f"{', '.join(wrong)} is none of {', '.join(sorted(_SIGNED_BY_KEY))}")
    return names


_SIGNED_BY_KEY = {f"{kind}{bits}" for kind in ("RS", "PS", "ES") for bits in (256, 384, 512)} | {"EdDSA"}
Words = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_listed)]
"""Written with commas between, as people expect; a JSON list is understood too."""


def _of_postgres(value: Any) -> Any:
    url = value.get_secret_value() if isinstance(value, SecretStr) else value
    if isinstance(url, str) and not url.startswith(("postgresql://", "postgres://")):
        raise ValueError("must be a URL such as postgresql://user:password@host:5432/database")
    return value


def _of_http(value: Any) -> Any:
    if isinstance(value, str) and not value.startswith(("http://", "https://")):
        raise ValueError("must be a URL with http:// or https://")
    return value


PostgresUrl = Annotated[SecretStr, BeforeValidator(_of_postgres)]
HttpUrl = Annotated[str, BeforeValidator(_of_http)]
Port = Annotated[int, Field(ge=1, le=65535)]
Count = Annotated[int, Field(ge=1)]
Seconds = Annotated[float, Field(gt=0)]
Days = Annotated[int, Field(ge=1)]


class Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class DatabaseSettings(Section):
    """Where Postgres is and how it is used. Without a URL, `holdfast up` starts one of its own."""

    url: PostgresUrl | None = Field(
        None, description="Postgres URL of the application. `DATABASE_URL` means the same."
    )
    migrate_url: PostgresUrl | None = Field(
        None,
        description="URL of the schema's owner, for `holdfast db migrate`; the application's URL without it.",
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


class WorkerSettings(Section):
    """How much each worker process does at once."""

    orchestration_slots: Count = Field(100, description="Workflow tasks and local activities at once.")
    llm_slots: Count = Field(32, description="Model calls at once.")
    tools_slots: Count = Field(8, description="Sandboxed tool calls at once.")
    knowledge_slots: Count = Field(8, description="Recall, ingestion and learning at once.")
    cached_runs: Annotated[int, Field(ge=0)] = Field(
        500,
        description="Runs an orchestration worker keeps in memory; others are replayed from their history.",
    )
    drain_s: Seconds = Field(30, description="Seconds a stopping worker gives its activities.")
    metrics_host: str = Field("127.0.0.1", description="Address of the metrics page.")
    metrics_port: Port | None = Field(
        None, description="Port of the worker's Prometheus metrics; none without it."
    )


class Ceiling(Limits):
    """The most that a tool may ask of the sandbox, whatever its own limits say."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=False)

    wall_s: Seconds = Field(900, description="Seconds on the clock.")
    cpu_s: Seconds = Field(900, description="Seconds of processor time.")
    memory_mb: Count = Field(4_096, description="Memory in MiB.")
    pids: Count = Field(512, description="Processes.")
    disk_mb: Count = Field(8_192, description="Workspace in MiB.")
    inodes: Count = Field(200_000, description="Files and folders in the workspace.")
    file_mb: Count = Field(1_024, description="One file in MiB.")
    open_files: Count = Field(1_024, description="Open files.")
    output_kb: Count = Field(4_096, description="Output kept per stream in KiB.")


class SandboxSettings(Section):
    """What holds a tool call."""

    backend: Literal["bubblewrap", "docker"] = Field(
        "bubblewrap", description="What isolates: namespaces on this host, or containers."
    )
    accept_degraded: Words = Field(
        (), description="Layers that may be weaker on this machine: `memory`, `disk`. Refused in `prod`."
    )
    store: Path | None = Field(
        None, description="Folder of the workspaces; one of this user's own without it."
    )
    bwrap: Path | None = Field(None, description="A bubblewrap of yours instead of the bundled one.")
    readable: Words = Field(
        (), description="Folders of the host that every tool may read, such as `/opt/sdk`."
    )
    docker_image: str = Field("", description="Image of the `docker` backend.")
    docker_runtime: str = Field("runsc", description="Runtime of the `docker` backend.")
    ceiling: Ceiling = Ceiling()


class ToolSettings(Section):
    """Tools beyond those that ship: manifests, MCP servers, and the secrets that tools may use by name."""

    folder: Path | None = Field(
        None,
        description="Folder of tool manifests, followed while a worker works; `tools` below data_dir without it.",
    )
    secrets: Path | None = Field(
        None,
        description="Folder of secrets, one file each, named as in a tool's permissions; `secrets` below data_dir without it.",
    )
    mcp_servers: Path | None = Field(
        None, description="YAML file of MCP servers; `mcp.yaml` below data_dir without it."
    )


class ModelSettings(Section):
    """Which models plan, judge and answer. Without a key, the runbook planner works, and says so."""

    file: Path | None = Field(
        None,
        description="YAML file of models, routes, limits and prices (docs/models.md). It stands in place of `default`, "
        "`routes` and the like; keys stay in the environment.",
    )
    default: str | None = Field(None, description="The model in litellm's notation, such as `openai/gpt-5`.")
    routes: dict[str, str] = Field(
        default_factory=dict,
        description='Another model for a kind of task, as JSON: `{"judge": "openai/gpt-5-mini"}`.',
    )
    api_keys: dict[str, SecretStr] = Field(
        default_factory=dict,
        description='Keys by provider, as JSON: `{"openai": "..."}`. `OPENAI_API_KEY`, `ANTHROPIC_API_KEY` and their '
        "like are read too. Only the `llm` worker is given them.",
    )
    api_bases: dict[str, str] = Field(
        default_factory=dict, description="Base URLs by provider, as JSON, for gateways and local servers."
    )
    allow_unknown_price: bool = Field(default=False, description="Use models whose price nobody told us.")
    prices_file: Path | None = Field(None, description="Prices per million tokens, beside the ones we ship.")
    calls_per_s: dict[str, float] = Field(
        default_factory=dict,
        description='The most calls a second by provider, of all workers together, as JSON: `{"openai": 5}`.',
    )
    when_away: Literal["runbook", "pause"] = Field(
        "runbook", description="No model answers: plan from runbooks and say so, or wait for a model."
    )
    timeout_s: Seconds = Field(120, description="Seconds a model has for one answer.")
    cache: bool = Field(
        default=True, description="Use a plan again that carried a run with the same goal to success."
    )


class KnowledgeSettings(Section):
    """Runbooks and memory: how they are indexed, recalled and kept."""

    embedding: str = Field(
        "minilm",
        description="`minilm` (shipped, local), `minilm-quick`, `none`, a model of an OpenAI-compatible endpoint, or one of litellm.",
    )
    embedding_key: SecretStr | None = Field(None, description="Key of the endpoint or provider that embeds.")
    embedding_url: str | None = Field(
        None, description="Base URL of an OpenAI-compatible endpoint; OpenAI's own without it."
    )
    embedding_dimensions: Annotated[int, Field(ge=1, le=16_000)] | None = Field(
        None, description="Length of the model's vectors; known for OpenAI's models."
    )
    embedding_folder: Path | None = Field(
        None, description="Where the files of `minilm` are, if its wheel is not installed."
    )
    embedding_before: str | None = Field(
        None,
        description="The local model before, which answers while the library moves to `embedding`: `minilm`.",
    )
    rerank_url: str | None = Field(
        None, description="A `/rerank` endpoint as of Cohere, Jina, vLLM or TEI; none without it."
    )
    rerank_model: str = Field("", description="The model that reranks, where the endpoint has several.")
    rerank_key: SecretStr | None = Field(None, description="Key of the endpoint that reranks.")
    snapshot_hours: Annotated[int, Field(ge=0)] = Field(
        24, description="Hours between snapshots of memory; 0 takes none by itself."
    )
    new_lessons: Literal["proposed", "active"] = Field(
        "proposed", description="Whether lessons learned from runs wait for a person."
    )
    recency_weight: Annotated[float, Field(ge=0, le=1)] = Field(
        0.1, description="Bonus of what is new, in recall."
    )
    half_life_days: Annotated[float, Field(gt=0)] = Field(
        30, description="Days after which that bonus is halved."
    )
    recall_tokens: Count = Field(2_000, description="Tokens of runbooks and memory that a plan is given.")


class RetentionSettings(Section):
    """How long what a run leaves behind is kept."""

    events_days: Days = Field(90, description="Events of ended runs.")
    artifacts_days: Days = Field(30, description="Artifacts of ended runs.")
    model_calls_days: Days = Field(
        90,
        description="Calls of models, of ended runs. What was spent is kept apart, for as long as the run.",
    )
    plans_days: Days = Field(7, description="Plans kept for reuse. They are offered for a week at most.")
    summaries_days: Days = Field(30, description="Summaries of outputs too long for a prompt.")
    payloads_days: Days = Field(
        30, description="Large Temporal payloads; longer than Temporal keeps histories."
    )
    memory_days: Days = Field(
        365,
        description="Memory that nobody used is retired then; retired as long again, its words are deleted.",
    )
    snapshots_days: Days = Field(30, description="Snapshots of memory that were taken by the clock.")
    embeddings_days: Days = Field(90, description="Cached embeddings that nobody used.")
    staged_days: Days = Field(7, description="Outcomes of finished ingestion jobs.")
    idempotency_hours: Count = Field(24, description="Answers kept for a repeated `Idempotency-Key`.")


class TelemetrySettings(Section):
    """Logs and traces."""

    otlp_endpoint: HttpUrl | None = Field(
        None,
        description="Where traces go. `OTEL_EXPORTER_OTLP_ENDPOINT` means the same. No tracing without it.",
    )
    log_format: Literal["auto", "json", "pretty"] = Field(
        "auto", description="`auto` is pretty in a terminal."
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="The least that is logged."
    )


class Settings(BaseSettings):
    """All settings of one process. Build it with `holdfast.runtime.configuration.load`."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, env_nested_delimiter="__", frozen=True, extra="forbid", env_ignore_empty=True
    )

    profile: Literal["dev", "prod"] = Field("dev", description="`prod` refuses insecure defaults.")
    data_dir: Path = Field(Path(".holdfast"), description="Data, logs and state of the embedded stack.")
    stack: StackSettings = StackSettings()
    database: DatabaseSettings = DatabaseSettings()
    temporal: TemporalSettings = TemporalSettings()
    api: ApiSettings = ApiSettings()
    auth: AuthSettings = AuthSettings()
    workers: WorkerSettings = WorkerSettings()
    sandbox: SandboxSettings = SandboxSettings()
    tools: ToolSettings = ToolSettings()
    models: ModelSettings = ModelSettings()
    knowledge: KnowledgeSettings = KnowledgeSettings()
    retention: RetentionSettings = RetentionSettings()
    telemetry: TelemetrySettings = TelemetrySettings()

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003 -- configuration.load reads the file
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """What our own variables do not say, the variables everybody knows do."""
        return init_settings, env_settings, WellKnownVariables(settings_cls)
