"""A request in the words of a keeper, and what the launcher found in the words of a result."""

from holdfast.adapters.bubblewrap.spec import CallSpec, LauncherReport
from schemas.sandbox import Isolation, SandboxRequest

BACKEND = "bubblewrap"
_COLLECT_BYTES = 16 * 1024 * 1024
_ALWAYS = ("user", "mount", "pid", "network", "ipc", "uts", "cgroup_namespace", "no_capabilities")
_MORE = (
    "no_new_privileges",
    "seccomp",
    "read_only_root",
    "tmpfs_quota",
    "rlimits",
    "wall_limit",
    "output_limit",
)


def call_spec(
    request: SandboxRequest, workspace: str, *, aliases: list[str], conversing: bool = False
) -> CallSpec:
    return CallSpec(
        conversing=conversing,
        workspace=workspace,
        keep_workspace=request.run is not None,
        language=request.language.value,
        program=request.program,
        argv=list(request.argv),
        stdin=request.stdin,
        limits=request.limits.model_dump(),
        files=dict(request.files),
        collect=list(request.collect),
        collect_bytes=_COLLECT_BYTES,
        proxied=request.network.mode == "allowlist",
        aliases=aliases,
    )


def isolation_of(found: LauncherReport) -> Isolation:
    if found.groups:
        held = [f"cgroup_v{found.groups}_memory", f"cgroup_v{found.groups}_pids"]
        return Isolation(backend=BACKEND, layers=(*_ALWAYS, *_MORE, *_found(found), *held))
    return Isolation(
        backend=BACKEND,
        layers=(*_ALWAYS, *_MORE, *_found(found), "memory_watchdog"),
        degraded=(
            f"memory: no control group ({found.groups_missing}); a watchdog counts it, at least every 10 ms",
            "cpu: of processes that nobody waits for and that end within 10 ms, only samples are counted",
        ),
    )


def _found(report: LauncherReport) -> list[str]:
    """Layers that not every machine has."""
    found = {"own_host_uid": report.drops_uid, "landlock_scopes": report.landlock}
    return [name for name, held in found.items() if held]
