"""Everything Holdfast changes about Temporal's SDK, as one plugin that clients, workers and replayers share.

Register it on the client; its workers inherit it. A replayer is given it directly.
"""

from collections.abc import Sequence
from datetime import timedelta
from typing import Self

import temporalio.client
import temporalio.worker
from temporalio.api.workflowservice.v1 import DescribeNamespaceRequest
from temporalio.client import Client
from temporalio.contrib.opentelemetry import OpenTelemetryInterceptor
from temporalio.converter import DataConverter, ExternalStorage, StorageDriver
from temporalio.envconfig import ClientConfig, ClientConnectConfig
from temporalio.plugin import SimplePlugin
from temporalio.runtime import Runtime
from temporalio.service import RPCError, RPCStatusCode
from temporalio.worker import UnsandboxedWorkflowRunner, WorkflowRunner
from temporalio.worker.workflow_sandbox import SandboxedWorkflowRunner

from holdfast.errors import Misconfigured, Unavailable
from holdfast.runtime.converter import ProcessPayloadConverter
from holdfast.runtime.encryption import EncryptionCodec, Keyring
from holdfast.runtime.failures import RUN_FAILURES, EncryptedFailureConverter, HoldfastFailureConverter
from holdfast.runtime.log_context import LogContextInterceptor
from holdfast.runtime.raw_messages import RawMessageInterceptor
from holdfast.runtime.reach import require_temporal
from holdfast.runtime.settings import TemporalSettings
from holdfast.runtime.telemetry import StageSpans

INLINE_BYTES = 32 * 1024
"""Payloads up to this size stay in the history; see docs/adr/0004-temporal-plugin.md for the measurement."""

DEFAULT_ADDRESS = "127.0.0.1:7233"


class HoldfastPlugin(SimplePlugin):
    def __init__(
        self,
        *,
        payloads: StorageDriver | None = None,
        keyring: Keyring | None = None,
        inline_bytes: int = INLINE_BYTES,
        tracing: bool = False,
    ) -> None:
        super().__init__(
            "holdfast",
            data_converter=data_converter(payloads=payloads, keyring=keyring, inline_bytes=inline_bytes),
            interceptors=_interceptors(tracing=tracing),
            workflow_runner=_without_sandbox,
            workflow_failure_exception_types=RUN_FAILURES,
        )

    @classmethod
    def of(
        cls, settings: TemporalSettings, *, payloads: StorageDriver | None = None, tracing: bool = False
    ) -> Self:
        keys = settings.encryption_keys
        return cls(
            payloads=payloads,
            keyring=Keyring.parse(keys.get_secret_value()) if keys else None,
            inline_bytes=settings.inline_bytes,
            tracing=tracing,
        )


def data_converter(
    *, payloads: StorageDriver | None = None, keyring: Keyring | None = None, inline_bytes: int = INLINE_BYTES
) -> DataConverter:
    """Pydantic to JSON, then encryption, then, for what is large, storage: what is kept aside is encrypted too."""
    return DataConverter(
        payload_converter_class=ProcessPayloadConverter,
        payload_codec=EncryptionCodec(keyring) if keyring else None,
        failure_converter_class=EncryptedFailureConverter if keyring else HoldfastFailureConverter,
        external_storage=ExternalStorage([payloads], payload_size_threshold=inline_bytes)
        if payloads
        else None,
    )


async def connect(
    plugin: HoldfastPlugin,
    *,
    address: str | None = None,
    namespace: str | None = None,
    runtime: Runtime | None = None,
    identity: str | None = None,
) -> Client:
    """Connect as the TEMPORAL_* variables or a profile of Temporal's TOML file say; what is given here comes first."""
    config = connect_config()
    config["target_host"] = address or config.get("target_host", DEFAULT_ADDRESS)
    config["namespace"] = namespace or config.get("namespace", "default")
    try:
        client = await Client.connect(**config, plugins=[plugin], runtime=runtime, identity=identity)
        await client.workflow_service.describe_namespace(
            DescribeNamespaceRequest(namespace=client.namespace), timeout=timedelta(seconds=10)
        )
    except RPCError as error:
        raise _refusal(error, config) from error
    except RuntimeError as error:  # what the SDK raises when nobody answers, or not as it should
        await require_temporal(config["target_host"], tls=config.get("tls"))
        raise _unreachable(config, str(error)) from error
    return client


async def require_given_temporal() -> str:
    """Its address, once it answered. Whether it has our namespace and lets us in, `connect` finds out."""
    config = connect_config()
    address = config.get("target_host", DEFAULT_ADDRESS)
    await require_temporal(address, tls=config.get("tls"))
    return address


def connect_config() -> ClientConnectConfig:
    try:
        return ClientConfig.load_client_connect_config()
    except (RuntimeError, OSError, ValueError) as error:
        raise Misconfigured(
            f"Temporal's connection settings cannot be read: {_of_file(error)}",
            remedy="Check TEMPORAL_PROFILE, TEMPORAL_CONFIG_FILE and the files that TEMPORAL_TLS_* name.",
        ) from error


def _of_file(error: Exception) -> str:
    return f"{error.filename}: {error.strerror}" if isinstance(error, OSError) else str(error)


def _interceptors(
    *, tracing: bool
) -> Sequence[temporalio.client.Interceptor | temporalio.worker.Interceptor]:
    if not tracing:
        return (LogContextInterceptor(), RawMessageInterceptor())
    return (OpenTelemetryInterceptor(), LogContextInterceptor(), RawMessageInterceptor(), StageSpans())


def _without_sandbox(runner: WorkflowRunner | None) -> WorkflowRunner:
    """Temporal's workflow sandbox guards what it imports itself, and costs a third of a step; see ADR 0004."""
    return (
        UnsandboxedWorkflowRunner()
        if runner is None or isinstance(runner, SandboxedWorkflowRunner)
        else runner
    )


def _refusal(error: RPCError, config: ClientConnectConfig) -> Misconfigured | Unavailable:
    if error.status is RPCStatusCode.NOT_FOUND:
        return Misconfigured(
            f"Temporal at {config['target_host']} has no namespace {config['namespace']!r}.",
            remedy="Create it (`temporal operator namespace create`) or set TEMPORAL_NAMESPACE.",
        )
    if error.status in (RPCStatusCode.UNAUTHENTICATED, RPCStatusCode.PERMISSION_DENIED):
        return Misconfigured(
            f"Temporal at {config['target_host']} does not let us in: {error.message}",
            remedy="Check TEMPORAL_API_KEY or the TEMPORAL_TLS_* certificates.",
        )
    return _unreachable(config, error.message)


def _unreachable(config: ClientConnectConfig, why: str) -> Unavailable:
    return Unavailable(
        f"Temporal cannot be reached at {config['target_host']}: {why}",
        remedy="Is it up? Set TEMPORAL_ADDRESS, or start one with `holdfast up`.",
    )
