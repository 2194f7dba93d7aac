"""What is shipped for deployment, checked as far as it can be without a container engine: the compose file against the
code it starts, the roles on a real Postgres, the namespace script on a real Temporal.
"""

import asyncio
import base64
import contextlib
import os
import re
import signal
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import psycopg
import pytest
import yaml
from temporalio.api.operatorservice.v1 import ListSearchAttributesRequest
from temporalio.client import Client

from holdfast.adapters.postgres.database import Database
from holdfast.adapters.postgres.membership import require_roles
from holdfast.embedded.ports import any_free
from holdfast.embedded.temporal import SEARCH_ATTRIBUTES
from holdfast.errors import Misconfigured, Unavailable
from holdfast.runtime.configuration import all_settings
from holdfast.runtime.settings import Queue, Settings
from tests.ground.stack_under_test import Stack
from tests.runtime.deployment import DEPLOY, PASSWORDS, ROOT, login, run_sh

COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
SERVICES: dict[str, Any] = COMPOSE["services"]
OURS = {name: service for name, service in SERVICES.items() if "build" in service}
JOBS = {name for name, service in SERVICES.items() if service["restart"].startswith("on-failure")}


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_is_pinned_limited_and_stripped(name: str) -> None:
    service = SERVICES[name]
    assert re.search(r":(\$\{HOLDFAST_VERSION:-)?v?\d+\.\d+", service["image"]), "an image without a version"
    assert set(service["deploy"]["resources"]["limits"]) == {"cpus", "memory", "pids"}
    assert service["cap_drop"] == ["ALL"]
    assert "no-new-privileges:true" in service["security_opt"]
    assert ("healthcheck" in service) is (name not in JOBS)


@pytest.mark.parametrize("name", OURS)
def test_our_containers_run_as_nobody_on_a_read_only_root(name: str) -> None:
    assert OURS[name]["user"] == "10001:10001"
    assert OURS[name]["read_only"] is True
    target = OURS[name]["build"]["target"]
    assert f"AS {target}\n" in (DEPLOY / "Dockerfile").read_text()


def test_no_secret_has_a_default() -> None:
    text = (ROOT / "docker-compose.yml").read_text()
    for name, default in re.findall(r"\$\{(\w+)(:-[^}]*|:\?[^}]+|)\}", text):
        if name.endswith(("_PASSWORD", "_KEYS")):
            assert default.startswith(":?"), name
    assert not re.search(r"://\w+:[^$@]+@", text), "a password in a URL"


def test_every_queue_has_its_workers() -> None:
    served = {
        service["command"][-1] for service in SERVICES.values() if service.get("command", [""])[0] == "worker"
    }
    assert served == {queue.value for queue in Queue}


def test_only_the_api_and_the_ui_are_published_and_only_to_this_machine() -> None:
    published = {name: service["ports"] for name, service in SERVICES.items() if "ports" in service}
    assert set(published) == {"api", "temporal-ui"}
    assert all("127.0.0.1" in port for ports in published.values() for port in ports)


def test_the_databases_and_the_temporal_server_have_no_way_out() -> None:
    assert COMPOSE["networks"]["internal"] == {"internal": True}
    for name in (
        "postgres",
        "temporal-postgres",
        "temporal",
        "migrate",
        "worker-orchestration",
        "worker-knowledge",
    ):
        assert SERVICES[name]["networks"] == ["internal"]


def test_model_keys_go_to_the_model_workers_alone() -> None:
    holders = {
        name for name, service in SERVICES.items() if "OPENAI_API_KEY" in service.get("environment", {})
    }
    assert holders == {"worker-llm"}


def test_the_tools_workers_have_the_lesser_login() -> None:
    url = SERVICES["worker-tools"]["environment"]["DATABASE_URL"]
    assert url.startswith("postgresql://holdfast_toolbox:")
    assert not any("owner" in value.lower() for value in SERVICES["worker-tools"]["environment"].values())


def test_every_setting_in_the_compose_file_exists() -> None:
    known = {setting.variable for setting in all_settings(Settings)}
    used = {
        name for service in OURS.values() for name in service["environment"] if name.startswith("HOLDFAST_")
    }
    assert used <= known


def test_the_history_shards_are_many() -> None:
    assert int(SERVICES["temporal"]["environment"]["NUM_HISTORY_SHARDS"]) == 512


MANIFESTS: list[dict[str, Any]] = [
    document
    for file in sorted((DEPLOY / "kubernetes").rglob("*.yaml"))
    for document in yaml.safe_load_all(file.read_text())
]
PODS = {
    manifest["metadata"]["name"]: manifest["spec"]["template"]["spec"]
    for manifest in MANIFESTS
    if manifest["kind"] in ("Deployment", "Job")
}


@pytest.mark.parametrize("name", PODS)
def test_a_pod_runs_as_nobody_with_nothing(name: str) -> None:
    pod, container = PODS[name], PODS[name]["containers"][0]
    assert (pod["securityContext"]["runAsNonRoot"], pod["serviceAccountName"]) == (True, "holdfast")
    assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
    assert container["securityContext"]["readOnlyRootFilesystem"] is True
    assert container["securityContext"]["allowPrivilegeEscalation"] is False
    assert "memory" in container["resources"]["limits"]


def test_every_queue_has_its_pods_and_follows_its_backlog() -> None:
    served = {pod["containers"][0]["args"][-1] for name, pod in PODS.items() if name.startswith("worker-")}
    followed = {
        manifest["spec"]["triggers"][0]["metadata"]["taskQueue"]: manifest["spec"]["scaleTargetRef"]["name"]
        for manifest in MANIFESTS
        if manifest["kind"] == "ScaledObject"
    }
    assert served == {queue.value for queue in Queue}
    assert followed == {queue.value: f"worker-{queue.value}" for queue in Queue}


def test_every_setting_in_the_manifests_exists_and_only_tools_pods_have_the_lesser_login() -> None:
    known = {setting.variable for setting in all_settings(Settings)}
    shared = next(manifest["data"] for manifest in MANIFESTS if manifest["kind"] == "ConfigMap")
    urls = {}
    for name, pod in PODS.items():
        given = {
            entry["name"]: entry["valueFrom"]["secretKeyRef"]["key"] for entry in pod["containers"][0]["env"]
        }
        urls[name] = given["DATABASE_URL"]
        assert {key for key in {*given, *shared} if key.startswith("HOLDFAST_")} <= known
    assert {name for name, key in urls.items() if key == "TOOLBOX_DATABASE_URL"} == {"worker-tools"}


async def test_the_service_sees_its_tenant_only(deployed: int) -> None:
    async with await psycopg.AsyncConnection.connect(login("owner", deployed), autocommit=True) as owner:
        await owner.execute("insert into holdfast.tenants (tenant) values ('acme')")
        await owner.execute(
            "insert into holdfast.runs (tenant, id, goal, agent, agent_version, environment, mode, status, input,"
            " created_at) values ('acme', 'run_1', 'g', 'a', 1, 'dev', 'plan', 'queued', '{}', now() - interval '1 day')"
        )
    database = await Database.open(login("service", deployed))
    async with database.tenant("default") as connection:
        assert await (await connection.execute("select id from runs")).fetchall() == []
    async with database.statement() as connection:
        found = await (await connection.execute("select run_id from unstarted_runs('1 hour')")).fetchall()
        assert found == [
            {"run_id": "run_1"}
        ]  # the owner's function works across tenants, though it is no superuser
    await database.close()


async def test_the_toolbox_cannot_be_the_service(deployed: int) -> None:
    with pytest.raises(Unavailable, match="holdfast_app"):
        await Database.open(login("toolbox", deployed), role="holdfast_app", timeout_s=0.5)
    database = await Database.open(login("toolbox", deployed), role="holdfast_tools")
    async with database.statement() as connection:
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            await connection.execute("select * from agents")
    await database.close()


async def test_the_first_key_is_made_by_the_login_of_the_service_whoever_owns_the_schema(
    deployed: int, temporal_address: str, tmp_path: Path
) -> None:
    logins = {
        "DATABASE_URL": login("service", deployed),
        "HOLDFAST_DATABASE__MIGRATE_URL": login("owner", deployed),
    }
    bootstrap = (sys.executable, "-m", "holdfast", "keys", "bootstrap", "--replace")
    for given in (logins, {"DATABASE_URL": logins["DATABASE_URL"]}):
        await run_sh(*bootstrap, HOLDFAST_DATA_DIR=str(tmp_path), **given)
    with pytest.raises(Misconfigured, match="may not act as holdfast_app"):
        await require_roles(login("owner", deployed), "holdfast_app")
    stack = Stack(tmp_path, TEMPORAL_ADDRESS=temporal_address, **logins)
    code, said = await stack.run("up")
    assert (code, 'grant "holdfast_tools" to "holdfast_service"' in said) == (2, True)


async def test_up_migrates_as_the_owner_and_works_as_a_login_with_both_roles(
    deployed: int, temporal_address: str, tmp_path: Path
) -> None:
    given = {
        "DATABASE_URL": login("tryout", deployed),
        "HOLDFAST_DATABASE__MIGRATE_URL": login("owner", deployed),
    }
    async with Stack(tmp_path, TEMPORAL_ADDRESS=temporal_address, **given).up():
        assert (tmp_path / ".holdfast/api-key").exists()


async def test_a_login_without_a_tenant_sees_nothing(deployed: int) -> None:
    async with await psycopg.AsyncConnection.connect(login("service", deployed)) as connection:
        cursor = await connection.execute("select count(*) from holdfast.tenants")
        assert await cursor.fetchone() == (0,)


async def test_the_processes_start_with_the_environment_of_the_compose_file(
    deployed: int, temporal_address: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("processes")
    hosts = {"postgres:5432": f"127.0.0.1:{deployed}", "temporal:7233": temporal_address}
    names = ("api", "worker-tools")  # the two logins
    await asyncio.gather(*(starts_and_stops(name, hosts, folder / f"{name}.log") for name in names))


async def starts_and_stops(name: str, hosts: Mapping[str, str], log: Path) -> None:
    """One of our services as a process, healthy by its own health check, then told to stop."""
    service, port = SERVICES[name], str(any_free())
    environment = {key: filled(value, hosts) for key, value in service["environment"].items()}
    environment |= {
        "PATH": os.environ["PATH"],
        "HOLDFAST_DATA_DIR": str(log.parent),
        "TEMPORAL_NAMESPACE": "default",
    }
    environment |= {"HOLDFAST_API__PORT": port, "HOLDFAST_WORKERS__METRICS_PORT": port}
    command = ("-m", "holdfast", *service.get("command", ["api"]))
    with log.open("wb") as out:
        process = await asyncio.create_subprocess_exec(
            sys.executable, *command, env=environment, stdout=out, stderr=out, cwd=ROOT
        )
    try:
        await healthy(process, service, port)
        process.terminate()
        assert await asyncio.wait_for(process.wait(), 30) in (0, -signal.SIGTERM)
    except BaseException as error:
        error.add_note(words(log))
        raise
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()


async def healthy(process: asyncio.subprocess.Process, service: Mapping[str, Any], port: str) -> None:
    _, python, *arguments = service["healthcheck"]["test"]
    assert python == "python"
    arguments = [argument.replace("8080", port).replace("9464", port) for argument in arguments]
    while process.returncode is None:
        check = await asyncio.create_subprocess_exec(
            sys.executable, *arguments, stderr=asyncio.subprocess.DEVNULL
        )
        if await check.wait() == 0:
            return
    raise AssertionError(f"ended with {process.returncode}")


def words(log: Path) -> str:
    return log.read_text()


def filled(value: str, hosts: Mapping[str, str]) -> str:
    """The value as compose would make it of our secrets, on the hosts of this test."""
    secrets = {**PASSWORDS, "HOLDFAST_TEMPORAL__ENCRYPTION_KEYS": f"a:{base64.b64encode(bytes(32)).decode()}"}
    value = re.sub(
        r"\$\{(\w+)(?::[-?]([^}]*))?\}", lambda found: secrets.get(found[1], found[2] or ""), value
    )
    for host, address in hosts.items():
        value = value.replace(host, address)
    return value


@pytest.mark.skipif(sys.platform != "linux", reason="runs a shell script as the container does")
async def test_the_namespace_script_makes_what_we_write_to_and_runs_twice(temporal_address: str) -> None:
    script = str(DEPLOY / "temporal" / "namespace.sh")
    for _ in range(2):
        await run_sh("/bin/sh", script, TEMPORAL_ADDRESS=temporal_address, TEMPORAL_NAMESPACE="deployed")
    client = await Client.connect(temporal_address, namespace="deployed")
    listed = await client.operator_service.list_search_attributes(
        ListSearchAttributesRequest(namespace="deployed")
    )
    assert set(SEARCH_ATTRIBUTES) <= set(listed.custom_attributes)
