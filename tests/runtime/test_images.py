"""The images as the compose file runs them: unprivileged, read-only, without capabilities, sandboxes inside. They need
a Docker engine, `docker compose` and the images of `docker compose build`; where these are not, the tests say so.
"""

import asyncio
import base64
import json
import os
import shutil
import subprocess
from collections.abc import AsyncIterator, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest

from holdfast.client import Holdfast
from holdfast.embedded.ports import any_free
from schemas.plans import Plan, ToolStep
from schemas.runs import RunRequest, RunStatus
from tests.runtime.deployment import PASSWORDS, ROOT, login

SECRETS = {
    **PASSWORDS,
    "POSTGRES_PASSWORD": "secret-postgres",
    "TEMPORAL_POSTGRES_PASSWORD": "secret-temporal",
    "HOLDFAST_TEMPORAL__ENCRYPTION_KEYS": f"a:{base64.b64encode(bytes(32)).decode()}",
    "HOLDFAST_TOOLS_PROFILE": "dev",
    "HOLDFAST_TOOLS_DEGRADED": "memory",
}
VERSION = version("holdfast")
IMAGES = [f"holdfast-{name}:{VERSION}" for name in ("api", "worker", "tools")]


def docker(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["docker", *arguments],
        cwd=ROOT,
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
        check=False,
    )


def can(*arguments: str) -> bool:
    return bool(shutil.which("docker")) and docker(*arguments).returncode == 0


needs_compose = pytest.mark.skipif(
    not can("compose", "version"), reason="NO `docker compose` HERE: the compose file was not read by it"
)
needs_images = pytest.mark.skipif(
    not (can("compose", "version") and can("image", "inspect", *IMAGES)),
    reason=f"NO ENGINE WITH {', '.join(IMAGES)} HERE: the images are NOT TESTED",
)


@needs_compose
def test_compose_takes_the_file_and_names_what_is_not_set() -> None:
    assert docker("compose", "config", "--quiet", **SECRETS).returncode == 0
    for name in SECRETS:
        if not name.startswith("HOLDFAST_TOOLS"):
            refused = docker("compose", "config", "--quiet", **{**SECRETS, name: ""})
            assert refused.returncode != 0
            assert f"{name} is missing a value: Set it to" in refused.stderr


@pytest.fixture
async def started(deployed: int, temporal_address: str, tmp_path: Path) -> AsyncIterator[Holdfast]:
    """Every service of ours, on the servers of the tests."""
    port = any_free()
    project = tmp_path / "compose.json"
    project.write_text(json.dumps(on_this_host(deployed, temporal_address, api_port=port)))
    compose = (
        "compose",
        "--project-name",
        "holdfast-images",
        "--project-directory",
        str(ROOT),
        "-f",
        project,
    )
    try:
        await asyncio.to_thread(ran, *compose, "run", "--rm", "migrate")
        await asyncio.to_thread(ran, *compose, "up", "--detach", "--wait", "--scale", "migrate=0")
        key = await asyncio.to_thread(ran, *compose, "exec", "-T", "api", "holdfast", "keys", "bootstrap")
        async with Holdfast(f"http://127.0.0.1:{port}", key.strip()) as holdfast:
            yield holdfast
    finally:
        docker(*map(str, compose), "down", "--volumes", "--timeout", "40")


def ran(*arguments: str | Path) -> str:
    done = docker(*map(str, arguments))
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def on_this_host(database: int, temporal_address: str, *, api_port: int) -> Mapping[str, Any]:
    """The compose file as compose reads it, our services alone, in the network of this machine."""
    read: dict[str, Any] = json.loads(docker("compose", "config", "--format", "json", **SECRETS).stdout)
    services = {name: service for name, service in read["services"].items() if "build" in service}
    for service in services.values():
        for name in ("networks", "depends_on", "ports", "build"):
            service.pop(name, None)
        metrics = str(any_free())
        service |= {"network_mode": "host", "pull_policy": "never"}
        service["environment"] |= {
            "TEMPORAL_ADDRESS": temporal_address,
            "TEMPORAL_NAMESPACE": "default",
            "HOLDFAST_API__PORT": str(api_port),
            "HOLDFAST_WORKERS__METRICS_PORT": metrics,
            "DATABASE_URL": service["environment"]["DATABASE_URL"].replace(
                "@postgres:5432", f"@127.0.0.1:{database}"
            ),
        }
        if check := service.get("healthcheck"):
            check["test"] = [
                word.replace("9464", metrics).replace("8080", str(api_port)) for word in check["test"]
            ]
    services["migrate"]["environment"]["HOLDFAST_DATABASE__MIGRATE_URL"] = login("owner", database)
    return {"services": services}


@needs_images
async def test_a_run_goes_through_the_images_and_its_tools_are_nobody_there(started: Holdfast) -> None:
    look = "id -u; grep -E '^(CapEff|NoNewPrivs|Seccomp):' /proc/self/status"
    plan = Plan(steps=(ToolStep(id="look", tool="shell", arguments={"command": look}),))
    run = await started.runs.start(RunRequest(goal="look around", environment="dev", plan=plan))
    async for _ in started.runs.follow(run.id):
        pass
    assert (await started.runs.read(run.id)).status is RunStatus.SUCCEEDED
    (effect,) = await started.runs.effects(run.id)
    assert effect.result
    assert effect.result.output["stdout"].split() == [
        *("1000", "CapEff:", "0000000000000000", "NoNewPrivs:", "1", "Seccomp:", "2"),
    ]
