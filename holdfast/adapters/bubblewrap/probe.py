"""The self-test: programs run inside the sandbox, judged by what they could see and do there."""

from collections.abc import Awaitable, Callable

from schemas.sandbox import LayerCheck, Limits, SandboxRequest, SandboxResult, SandboxStatus

Run = Callable[[SandboxRequest], Awaitable[SandboxResult]]

_LOOK = """
while read -r name value; do echo "$name$value"; done < /proc/self/status
for entry in /proc/[0-9]*; do echo "process=$entry"; done
while read -r name rest; do echo "interface=$name"; done < /proc/net/dev
(: > /probe) 2>/dev/null && echo root=writable
(: > /usr/probe) 2>/dev/null && echo usr=writable
for secret in /root /home /etc/shadow /var; do [ -e "$secret" ] && echo "host=$secret"; done
(ulimit -v unlimited; unshare -U true) 2>/dev/null && echo nested=possible
exit 0
"""
_MOST_PROCESSES = 4


async def probe(run: Run) -> list[LayerCheck]:
    """Look around from the inside, then see whether limits bite."""
    seen = await run(SandboxRequest(program=_LOOK, limits=Limits(wall_s=20)))
    if seen.status is not SandboxStatus.OK:
        return [
            LayerCheck(
                name="start", ok=False, detail=seen.error or seen.stderr or seen.status, remedy=_REPORT
            )
        ]
    lines = seen.stdout.splitlines()
    return [LayerCheck(name="start", ok=True), *_seen(lines), await _wall(run), await _output(run)]


_REPORT = "see the sandbox documentation, section Missing layers"


def _seen(lines: list[str]) -> list[LayerCheck]:
    processes = sum(line.startswith("process=") for line in lines)
    interfaces = {
        line.removeprefix("interface=") for line in lines if line.endswith(":") and "interface=" in line
    }
    found = {
        "no_capabilities": "CapEff:0000000000000000" in lines and "CapBnd:0000000000000000" in lines,
        "no_new_privileges": "NoNewPrivs:1" in lines,
        "seccomp": "Seccomp:2" in lines,
        "pid_namespace": 0 < processes <= _MOST_PROCESSES,
        "network_namespace": interfaces <= {"lo:"},
        "read_only_root": not any(line.endswith("=writable") for line in lines),
        "host_hidden": not any(line.startswith("host=") for line in lines),
        "no_nested_namespaces": "nested=possible" not in lines,
    }
    return [LayerCheck(name=name, ok=ok, remedy="" if ok else _REPORT) for name, ok in found.items()]


async def _wall(run: Run) -> LayerCheck:
    result = await run(SandboxRequest(program="sleep 30 & sleep 30", limits=Limits(wall_s=0.1)))
    return LayerCheck(name="wall_limit", ok=result.status is SandboxStatus.TIMEOUT, detail=result.error or "")


async def _output(run: Run) -> LayerCheck:
    result = await run(SandboxRequest(program="yes", limits=Limits(output_kb=1, wall_s=20)))
    held = result.status is SandboxStatus.OUTPUT_LIMIT and len(result.stdout) < 4096
    return LayerCheck(name="output_limit", ok=held, detail=result.error or "")
