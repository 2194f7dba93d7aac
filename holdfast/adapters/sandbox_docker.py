"""The docker backend: one container per call, of any runtime. `runtime="runsc"` gives the tool a kernel of its own.

Behind the same port as bubblewrap. The engine's command line is the interface, so no client library is needed and an
operator can repeat by hand what is done here. The container has no network at all: a call that asks for an allow
list is refused, since the egress proxy cannot reach a socket inside it.
"""

import asyncio
import contextlib
import json
import os
import signal
import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from weakref import WeakValueDictionary

from holdfast.adapters.bubblewrap import workspace as guarded
from holdfast.adapters.bubblewrap.store import forget, make_store, workspace_name
from holdfast.adapters.container_workspace import (
    MEGABYTE,
    PACK,
    RESTORE_MODES,
    Packed,
    archive_of,
    collected,
    given_files,
)
from holdfast.sandbox.bounded import BoundedOutput, clean_text
from holdfast.sandbox.ending import status_of
from holdfast.sandbox.limits import Ceiling, why_refused
from holdfast.sandbox.profile import INTERPRETERS, USER_ID, WORKSPACE, environment
from schemas.sandbox import (
    CollectedFile,
    Isolation,
    LayerCheck,
    Limits,
    SandboxHealth,
    SandboxRequest,
    SandboxResult,
    SandboxStatus,
    Usage,
)

_BACKEND = "docker"
_LAYERS = (
    *("user", "mount", "pid", "network", "ipc", "uts", "no_capabilities", "no_new_privileges", "seccomp"),
    *("read_only_root", "tmpfs_quota", "rlimits", "wall_limit", "output_limit", "memory_group", "pids_group"),
)
_PROGRAM = "/run/tool/program"
_TMP = "/tmp"  # noqa: S108 - the container's own
_GRACE_S = 0.2
_ENGINE_S = 60.0
_FLOOD_FACTOR = 64
_START_ENGINE = "start the engine, and let this user speak to it"


class EngineFailed(Exception):
    """The container engine could not do what was asked."""


@dataclass
class _Outcome:
    """How a container's first process ended."""

    stopped_by: str = ""
    exit_code: int | None = None
    oom_killed: bool = False
    wall_s: float = 0.0
    streams: tuple[BoundedOutput, BoundedOutput] = field(
        default_factory=lambda: (BoundedOutput(2), BoundedOutput(2))
    )


class DockerSandbox:
    """Runs programs in containers of one image, which needs sh, bash, python3 and tar."""

    def __init__(
        self,
        *,
        store: Path,
        image: str = "python:3.11-slim",
        runtime: str = "",
        engine: str = "docker",
        ceiling: Ceiling = Ceiling(),  # noqa: B008 - frozen
        concurrency: int = 32,
    ) -> None:
        self._store, self._image, self._runtime, self._engine = store, image, runtime, engine
        self._ceiling = ceiling
        self._name = f"{_BACKEND}:{runtime or 'default'}"
        self._slots = asyncio.Semaphore(concurrency)
        self._running: set[str] = set()
        self._turns: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    async def run(self, request: SandboxRequest) -> SandboxResult:
        reason = why_refused(request, self._ceiling)
        if request.network.mode != "none":
            reason = reason or "network: the docker backend has no egress proxy; use the bubblewrap backend"
        if reason:
            return self._failed(SandboxStatus.REFUSED, reason)
        make_store(self._store)
        async with self._slots:
            name = f"holdfast-{uuid.uuid4().hex}"
            self._running.add(name)
            try:
                return await self._run(name, request)
            except EngineFailed as error:
                return self._failed(SandboxStatus.SANDBOX_ERROR, str(error))
            except guarded.BadName as error:
                return self._failed(SandboxStatus.REFUSED, str(error))
            finally:
                await asyncio.shield(self._remove(name))

    async def _run(self, name: str, request: SandboxRequest) -> SandboxResult:
        if request.run is None:
            return await self._call(name, request, None)
        kept = workspace_name(request.run)
        async with self._turns.setdefault(kept, asyncio.Lock()):  # the workspace travels: calls take turns
            return await self._call(name, request, self._store / f"{kept}.tar")

    async def _call(self, name: str, request: SandboxRequest, kept: Path | None) -> SandboxResult:
        before = Packed.of(kept)
        given = given_files(request, before)
        try:
            await self._create(name, request)
        except EngineFailed as error:
            return self._failed(SandboxStatus.REFUSED, await self._why_none(error))
        await self._put(name, WORKSPACE, before.tar + given)
        if before.modes:
            await self._engine_call(*self._inside(name, *RESTORE_MODES), stdin=before.modes)
        await self._put(
            name, str(Path(_PROGRAM).parent), archive_of({Path(_PROGRAM).name: request.program.encode()})
        )
        outcome = await self._watch(name, request)
        after = await self._take(name, request.limits)
        files = {wanted: collected(after.tar, wanted) for wanted in request.collect}
        if kept is not None and not outcome.stopped_by:
            after.write(kept)
        return self._result(request, outcome, files)

    async def _create(self, name: str, request: SandboxRequest) -> None:
        """A container whose first process only waits; the tool runs beside it."""
        creating = asyncio.create_task(
            self._engine_call("create", *self._options(name, request), self._image, *waiting_command(request))
        )
        try:
            await asyncio.shield(creating)
        except asyncio.CancelledError:  # what is still being made could not be removed, and would stay
            await asyncio.wait([creating])
            raise
        await self._engine_call("start", name)

    async def _why_none(self, error: EngineFailed) -> str:
        """An engine that is away has another remedy than an image or a runtime that it lacks."""
        try:
            await self._reach_engine()
        except EngineFailed as away:
            return f"There is no container: {away}; remedy: {_START_ENGINE}"
        return f"There is no container: {error}; remedy: {self._mend_container()}"

    def _mend_container(self) -> str:
        runtime = f" and the runtime {self._runtime}" if self._runtime else ""
        return f"give the engine the image {self._image}{runtime}"

    def _inside(self, name: str, *command: str) -> list[str]:
        """The engine's way to run a command in a container, with standard input."""
        return ["exec", "--interactive", name, *command]

    def _options(self, name: str, request: SandboxRequest) -> list[str]:
        """Every wall the engine offers. The first process only waits; the tool is started by `exec`."""
        limits = request.limits
        size = f"{limits.disk_mb}m,nr_inodes={limits.inodes},uid={USER_ID},gid={USER_ID},mode=0755"
        options = [
            *("--name", name, "--init", "--network", "none", "--read-only", "--cap-drop", "ALL"),
            *(
                "--security-opt",
                "no-new-privileges",
                "--user",
                f"{USER_ID}:{USER_ID}",
                "--workdir",
                WORKSPACE,
            ),
            *("--memory", f"{limits.memory_mb + limits.disk_mb}m", "--pids-limit", str(limits.pids + 2)),
            *("--ulimit", f"nofile={limits.open_files}", "--ulimit", f"fsize={limits.file_mb * MEGABYTE}"),
            *("--ulimit", f"cpu={int(limits.cpu_s) + 1}", "--ulimit", "core=0", "--ipc", "private"),
            *("--tmpfs", f"{WORKSPACE}:rw,nosuid,nodev,exec,size={size}"),
            *(
                "--tmpfs",
                f"{_TMP}:rw,nosuid,nodev,size={max(4, limits.memory_mb // 2)}m,nr_inodes={limits.inodes}",
            ),
            *("--tmpfs", f"/run/tool:rw,nosuid,nodev,size=16m,uid={USER_ID},mode=0755"),
            *("--label", "holdfast.sandbox=1", "--stop-timeout", "0", "--log-driver", "none"),
        ]
        for variable, value in environment(proxied=False).items():
            options += ["--env", f"{variable}={value}"]
        return [*options, *(["--runtime", self._runtime] if self._runtime else [])]

    async def _watch(self, name: str, request: SandboxRequest) -> _Outcome:
        limits = request.limits
        outcome = _Outcome(
            streams=(BoundedOutput(limits.output_kb * 1024), BoundedOutput(limits.output_kb * 1024))
        )
        began = time.monotonic()
        process = await asyncio.create_subprocess_exec(
            self._engine,
            *self._inside(name, *INTERPRETERS[request.language], _PROGRAM, *request.argv),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env=_engine_environment(),
        )
        feeding = asyncio.gather(self._feed(process, request.stdin), *self._drains(process, outcome, limits))
        try:
            async with asyncio.timeout(limits.wall_s):
                await feeding
                await process.wait()
        except TimeoutError:
            outcome.stopped_by = "wall"
            await self._engine_call(*self._inside(name, "/bin/sh", "-c", "kill -TERM -1"), check=False)
            await asyncio.sleep(_GRACE_S)
        finally:
            outcome.wall_s = time.monotonic() - began
            if process.returncode is None:
                process.kill()
            await process.wait()
        outcome.exit_code = process.returncode
        outcome.oom_killed = await self._was_oom_killed(name)
        return outcome

    async def _feed(self, process: asyncio.subprocess.Process, text: str) -> None:
        assert process.stdin  # noqa: S101 - asked for above
        with contextlib.suppress(OSError):
            process.stdin.write(text.encode())
            await process.stdin.drain()
        process.stdin.close()

    def _drains(
        self, process: asyncio.subprocess.Process, outcome: _Outcome, limits: Limits
    ) -> list["asyncio.Task[None]"]:
        pairs = zip((process.stdout, process.stderr), outcome.streams, strict=True)
        return [
            asyncio.ensure_future(_drain(process, reader, kept, outcome, limits))
            for reader, kept in pairs
            if reader
        ]

    async def _was_oom_killed(self, name: str) -> bool:
        text = await self._engine_call("inspect", "--format", "{{json .State}}", name, check=False)
        with contextlib.suppress(ValueError):
            return bool(json.loads(text or b"{}").get("OOMKilled"))
        return False

    async def _put(self, name: str, directory: str, archive: bytes) -> None:
        """Through tar inside: `docker cp` writes as root and cannot reach a tmpfs. Later entries win."""
        unpack = ("/bin/tar", "-x", "--ignore-zeros", "--no-same-owner", "--unlink-first", "-C", directory)
        await self._engine_call(*self._inside(name, *unpack), stdin=archive)

    async def _take(self, name: str, limits: Limits) -> Packed:
        """The whole workspace. It was packed by a tar among hostile files: read, never unpacked, here."""
        packed = Packed.read(await self._engine_call(*self._inside(name, *PACK), check=False))
        if len(packed.tar) > limits.disk_mb * MEGABYTE * 2:
            raise EngineFailed("the workspace's archive is larger than the workspace may be")
        return packed

    def _result(
        self, request: SandboxRequest, outcome: _Outcome, files: dict[str, CollectedFile]
    ) -> SandboxResult:
        code = outcome.exit_code
        number = code - 128 if code is not None and 128 < code < 128 + signal.NSIG else None
        status = status_of(
            stopped_by=outcome.stopped_by,
            exit_code=None if number else code,
            signal=number,
            oom_killed=outcome.oom_killed,
        )
        out, err = outcome.streams
        told_out, told_err = out.excerpt(), err.excerpt()
        return SandboxResult(
            status=status,
            exit_code=None if number else code,
            signal=number,
            stdout=told_out.text,
            stderr=told_err.text,
            stdout_truncated=told_out.truncated,
            stderr_truncated=told_err.truncated,
            oom_killed=outcome.oom_killed,
            files=files,
            usage=Usage(wall_s=round(outcome.wall_s, 4), stdout_bytes=out.total, stderr_bytes=err.total),
            isolation=Isolation(
                backend=self._name,
                layers=_LAYERS,
                degraded=("cpu: counted per process, not over the tree",),
            ),
            workspace=str(self._store / f"{workspace_name(request.run)}.tar")
            if request.run is not None
            else None,
        )

    def _failed(self, status: SandboxStatus, reason: str) -> SandboxResult:
        return SandboxResult(status=status, error=reason, isolation=Isolation(backend=self._name))

    async def _remove(self, name: str) -> None:
        """Kills everything inside; a timed-out `exec` would otherwise go on."""
        await self._engine_call("rm", "--force", "--volumes", name, check=False)
        self._running.discard(name)

    async def _engine_call(self, *arguments: str, stdin: bytes = b"", check: bool = True) -> bytes:
        try:
            process = await asyncio.create_subprocess_exec(
                self._engine,
                *arguments,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                env=_engine_environment(),
            )
            async with asyncio.timeout(_ENGINE_S):
                out, err = await process.communicate(stdin)
        except (OSError, TimeoutError) as error:
            if not check:
                return b""
            raise EngineFailed(f"{self._engine} {arguments[0]}: {type(error).__name__}: {error}") from error
        if check and process.returncode:
            raise EngineFailed(f"{self._engine} {arguments[0]}: {clean_text(err).strip()[:500]}")
        return out

    async def forget(self, run: str) -> None:
        (self._store / f"{workspace_name(run)}.tar").unlink(missing_ok=True)
        await asyncio.to_thread(forget, self._store, workspace_name(run))

    async def self_test(self) -> SandboxHealth:
        try:
            await self._reach_engine()
        except EngineFailed as error:
            check = LayerCheck(name="engine", ok=False, detail=str(error), remedy=_START_ENGINE)
            return SandboxHealth(backend=self._name, healthy=False, checks=(check,))
        seen = await self.run(
            SandboxRequest(program="grep -E '^(CapEff|NoNewPrivs|Seccomp):' /proc/self/status")
        )
        lines = ["".join(line.split()) for line in seen.stdout.splitlines()]
        wanted = ("CapEff:0000000000000000", "NoNewPrivs:1", "Seccomp:2")
        checks = tuple(
            LayerCheck(name=line.split(":")[0], ok=line in lines, detail=seen.error or "") for line in wanted
        )
        return SandboxHealth(backend=self._name, healthy=all(check.ok for check in checks), checks=checks)

    async def _reach_engine(self) -> None:
        await self._engine_call("info", "--format", "{{.ServerVersion}}")

    async def close(self) -> None:
        for name in list(self._running):
            await self._remove(name)


def waiting_command(request: SandboxRequest) -> Sequence[str]:
    """What keeps the container alive while the tool runs beside it, and no longer than it may."""
    return ("/bin/sleep", str(int(request.limits.wall_s) + 120))


def _engine_environment() -> dict[str, str]:
    """What the engine's command line needs to find its engine; none of our secrets."""
    named = ("PATH", "HOME", "KUBECONFIG")
    return {name: value for name, value in os.environ.items() if name in named or name.startswith("DOCKER_")}


async def _drain(
    process: asyncio.subprocess.Process,
    reader: asyncio.StreamReader,
    kept: BoundedOutput,
    outcome: _Outcome,
    limits: Limits,
) -> None:
    while chunk := await reader.read(1 << 16):
        kept.take(chunk)
        if kept.total > limits.output_kb * 1024 * _FLOOD_FACTOR and process.returncode is None:
            outcome.stopped_by = outcome.stopped_by or "output"
            process.kill()
            return
