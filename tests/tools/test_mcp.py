"""MCP servers, real ones of the `mcp` package: over HTTP, over stdio beside the worker, over stdio in the sandbox."""

import asyncio
import contextlib
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import yaml

from holdfast.adapters.bubblewrap.sandbox import BubblewrapSandbox
from holdfast.adapters.mcp.servers import ServerFile, read_servers
from holdfast.adapters.secrets import SecretFolder
from holdfast.errors import InvalidInput, NotBegun, NotFound, Unavailable
from schemas.tools import EffectClass, ToolSpec
from tests.interpreters import OpenPython
from tests.tools.conftest import Caller, code_of

PROGRAM = Path(__file__).parent / "mcp_server.py"


@dataclass
class Told:
    """What the worker tells the database of its servers."""

    published: dict[str, ToolSpec] = field(default_factory=dict)
    problems: dict[str, str] = field(default_factory=dict)

    async def publish(self, specs: Any) -> None:
        self.published |= {spec.key: spec for spec in specs}

    async def withdraw(self, specs: Any) -> None:
        for spec in specs:
            self.published.pop(spec.key, None)

    async def keep_only(self, source: str, found: Any) -> None:
        if source == "server":
            self.problems = {name: why for name, why in self.problems.items() if name in found}
        else:
            self.published = {spec.key: spec for spec in found}

    async def refuse(self, source: str, problem: str) -> None:
        self.problems[source] = problem

    async def accept(self, source: str) -> None:
        self.problems.pop(source, None)


@dataclass
class Worker:
    """A worker with a file of servers."""

    folder: Path
    servers: ServerFile
    told: Told
    call: Caller

    async def set(self, **servers: dict[str, object]) -> None:
        (self.folder / "mcp.yaml").write_text(yaml.safe_dump({"servers": servers}))
        await self.servers.look()


@pytest.fixture(scope="module")
async def roomy(
    tmp_path_factory: pytest.TempPathFactory, reachable_python: OpenPython
) -> AsyncIterator[BubblewrapSandbox]:
    """A sandbox in which the package can be read, as one with servers installed would be."""
    packages = str(Path(str(find_spec("mcp").origin)).parents[1])  # type: ignore[union-attr] # it is there
    backend = BubblewrapSandbox(
        store=tmp_path_factory.mktemp("mcp-store"),
        readable=[packages, str(PROGRAM.parent), reachable_python.home],
    )
    yield backend
    await backend.close()


@pytest.fixture
async def worker(tmp_path: Path, roomy: BubblewrapSandbox) -> AsyncIterator[Worker]:
    told, call = Told(), Caller()
    servers = ServerFile(
        tmp_path / "mcp.yaml",
        host=call.host,
        sandbox=roomy,
        secrets=SecretFolder(tmp_path),
        offers=told,
        refusals=told,
    )
    yield Worker(tmp_path, servers, told, call)
    await servers.close()


def beside(*more: str) -> dict[str, object]:
    return {
        "command": [sys.executable, str(PROGRAM), "stdio", *more],
        "unsandboxed": True,
        "catalogue": "any",
    }


@pytest.fixture
def inside(reachable_python: OpenPython) -> dict[str, Any]:
    packages = Path(str(find_spec("mcp").origin)).parents[1]  # type: ignore[union-attr] # it is there
    command = ["/usr/bin/env", f"PYTHONPATH={packages}", reachable_python.program, str(PROGRAM), "stdio"]
    return {"command": command, "catalogue": "any", "permissions": {"limits": {"memory_mb": 700}}}


@contextlib.asynccontextmanager
async def over_http(port: int) -> AsyncIterator[str]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, str(PROGRAM), str(port), stderr=asyncio.subprocess.DEVNULL
    )
    try:
        await listening(port)
        yield f"http://127.0.0.1:{port}/mcp"
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()


async def listening(port: int) -> None:
    async with asyncio.timeout(30):
        while True:
            with contextlib.suppress(OSError):
                _, writer = await asyncio.open_connection("127.0.0.1", port)
                writer.close()
                await writer.wait_closed()
                return
            await asyncio.sleep(0.05)


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
        return port


async def test_tools_of_a_warm_server_are_named_by_it_and_called_in_one_session(worker: Worker) -> None:
    await worker.set(tickets={**beside(), "read_only": ["add"], "tools": ["add", "who", "fail"]})
    assert worker.told.problems == {}
    specs = {spec.name: spec for spec in worker.told.published.values()}
    assert set(specs) == {"mcp.tickets.add", "mcp.tickets.who", "mcp.tickets.fail"}
    assert (specs["mcp.tickets.add"].effect, specs["mcp.tickets.who"].effect) == (
        EffectClass.READ_ONLY,
        EffectClass.IRREVERSIBLE,
    )
    assert specs["mcp.tickets.add"].source == "mcp"
    added = await worker.call("mcp.tickets.add", a=2, b=3)
    assert (added.ok, added.output["text"], added.untrusted) == (True, "5", True), added
    assert code_of(await worker.call("mcp.tickets.add", a="two")) == "bad_arguments"
    failed = await worker.call("mcp.tickets.fail", why="no stock")
    assert code_of(failed) == "mcp_error"
    first, second = await worker.call("mcp.tickets.who"), await worker.call("mcp.tickets.who")
    assert first.output["text"] == second.output["text"]


async def test_a_slow_call_ends_in_time_and_a_flood_is_cut(worker: Worker) -> None:
    await worker.set(tickets={**beside(), "timeout_s": 1, "result_bytes": 10_000})
    assert code_of(await worker.call("mcp.tickets.wait", seconds=60)) in {"timeout", "tool_failed"}
    assert (await worker.call("mcp.tickets.add", a=1, b=1)).ok
    flood = await worker.call("mcp.tickets.flood", size=300_000)
    assert flood.output["truncated"]
    assert len(flood.model_dump_json()) < 20_000


async def test_a_server_that_died_is_started_again_by_the_next_call(worker: Worker) -> None:
    await worker.set(tickets=beside())
    before = await worker.call("mcp.tickets.who")
    with pytest.raises(Unavailable):
        await worker.call("mcp.tickets.die")
    after = await worker.call("mcp.tickets.who")
    assert after.ok, after
    assert before.output["text"] != after.output["text"]


async def test_a_server_beside_the_worker_dies_with_it(tmp_path: Path) -> None:
    """Also one that does not look at its input, where a worker that is killed cannot tell it."""
    lines = (
        "import asyncio, sys",
        "from holdfast.adapters.mcp.beside import started",
        "async def work():",
        "    async with started([sys.executable, '-c', 'import os, time; print(os.getpid(), flush=True); time.sleep(600)']) as (said, _):",
        "        print((await said.readline()).decode(), flush=True)",
        "        await asyncio.Event().wait()",
        "asyncio.run(work())",
    )
    worker = await asyncio.create_subprocess_exec(
        sys.executable, "-c", "\n".join(lines), stdout=asyncio.subprocess.PIPE
    )
    assert worker.stdout is not None
    server = Path("/proc") / (await worker.stdout.readline()).decode().strip()
    assert server.exists()
    worker.kill()
    await worker.wait()
    assert await until(lambda: not server.exists())


async def test_a_catalogue_that_nobody_accepted_is_refused_with_its_hash(worker: Worker) -> None:
    await worker.set(tickets={**beside(), "catalogue": None})
    assert worker.told.published == {}
    accepted = worker.told.problems["mcp:tickets"].partition("hash ")[2].split(",")[0]
    await worker.set(tickets={**beside(), "catalogue": accepted})
    assert worker.told.problems == {}
    assert worker.told.published
    await worker.set(tickets={**beside("extra"), "catalogue": accepted})
    assert "nobody has accepted" in worker.told.problems["mcp:tickets"]
    assert worker.told.published == {}
    assert worker.call.host.catalogue().tools == ()


async def test_what_the_operator_changes_makes_another_version(worker: Worker) -> None:
    """Under the old version the database would refuse the new words."""
    await worker.set(tickets={**beside(), "tools": ["add"]})
    [before] = worker.told.published
    await worker.set(tickets={**beside(), "tools": ["add"], "timeout_s": 5})
    [slower] = worker.told.published
    await worker.set(tickets={**beside(), "tools": ["add"], "read_only": ["add"]})
    [reading] = worker.told.published
    assert len({before, slower, reading}) == 3
    assert (await worker.call("mcp.tickets.add", a=1, b=1)).ok


async def test_in_the_sandbox_a_server_works_and_sees_nothing_of_the_host(
    worker: Worker, inside: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("A_SECRET_OF_THE_HOST", "hush")
    if not all(folder.stat().st_mode & 0o001 for folder in PROGRAM.parents):
        pytest.skip("THE CHECKOUT IS BELOW A FOLDER THAT ONLY ITS OWNER ENTERS: no tool can be given it")
    await worker.set(tickets=inside)
    assert worker.told.problems == {}
    added = await worker.call("mcp.tickets.add", a=2, b=3)
    assert added.output["text"] == "5", added
    assert (await worker.call("mcp.tickets.who")).output["text"].split()[1:] == ["False", "None"]
    assert code_of(await worker.call("mcp.tickets.die")) == "tool_failed"


async def counted(worker: Worker) -> str:
    result = await worker.call("mcp.tickets.count")
    assert result.ok, result
    return str(result.output["text"])


async def test_what_a_server_in_the_sandbox_reached_for_is_recorded(
    worker: Worker, inside: dict[str, Any]
) -> None:
    if not all(folder.stat().st_mode & 0o001 for folder in PROGRAM.parents):
        pytest.skip("THE CHECKOUT IS BELOW A FOLDER THAT ONLY ITS OWNER ENTERS: no tool can be given it")
    network = {"mode": "allowlist", "allow": ["status.example.com:443"]}
    permissions = {"limits": {"memory_mb": 700}, "network": network}
    await worker.set(tickets={**inside, "permissions": permissions})
    result = await worker.call("mcp.tickets.get", url="http://169.254.169.254/latest")
    assert code_of(result) == "mcp_error"
    [seen] = result.output["network"]
    assert (seen["host"], seen["port"], seen["verdict"]) == ("169.254.169.254", 80, "denied")
    assert result.isolation is not None
    assert "network" in result.isolation.layers


async def test_a_warm_server_in_the_sandbox_remembers_dies_and_is_started_again(
    worker: Worker, inside: dict[str, Any], roomy: BubblewrapSandbox, reachable_python: OpenPython
) -> None:
    if not all(folder.stat().st_mode & 0o001 for folder in PROGRAM.parents):
        pytest.skip("THE CHECKOUT IS BELOW A FOLDER THAT ONLY ITS OWNER ENTERS: no tool can be given it")
    await worker.set(tickets={**inside, "warm": True, "timeout_s": 5})
    assert worker.told.problems == {}
    assert [await counted(worker) for _ in range(3)] == ["1", "2", "3"]
    assert (await worker.call("mcp.tickets.who")).output["text"].split()[1:] == ["False", "None"]
    assert code_of(await worker.call("mcp.tickets.wait", seconds=60)) in {"timeout", "tool_failed"}
    assert await counted(worker) == "4"
    with pytest.raises(Unavailable):
        await worker.call("mcp.tickets.die")
    assert await counted(worker) == "1"
    os.kill(roomy.launcher_pid, signal.SIGKILL)
    assert await until(lambda: not server_processes(reachable_python))
    assert await counted(worker) == "1"
    await worker.servers.close()
    assert await until(lambda: not server_processes(reachable_python))


def server_processes(python: OpenPython) -> list[Path]:
    found = []
    for place in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            if str(PROGRAM).encode() in place.read_bytes() and python.program.encode() in place.read_bytes():
                found.append(place)
    return found


async def until(condition: Callable[[], bool]) -> bool:
    for _ in range(200):
        if condition():
            return True
        await asyncio.sleep(0.02)
    return condition()


async def test_over_http_a_session_is_rebuilt_when_its_server_comes_back(worker: Worker) -> None:
    port = free_port()
    async with over_http(port) as url:
        await worker.set(tickets={"url": url, "catalogue": "any"})
        assert worker.told.problems == {}
        assert (await worker.call("mcp.tickets.add", a=2, b=3)).output["text"] == "5"
    with pytest.raises(NotBegun):
        await worker.call("mcp.tickets.add", a=2, b=3)
    async with over_http(port):
        assert (await worker.call("mcp.tickets.add", a=2, b=3)).output["text"] == "5"


async def test_a_server_that_is_not_there_is_a_problem_and_no_failure(worker: Worker) -> None:
    await worker.set(
        away={"url": "http://127.0.0.1:9/mcp", "catalogue": "any"},
        nothing={"command": ["/no/such/server"], "catalogue": "any"},
        secret={"url": "http://127.0.0.1:9/mcp", "headers": {"Authorization": "token"}},
    )
    assert set(worker.told.problems) == {"mcp:away", "mcp:nothing", "mcp:secret"}
    await worker.set()
    assert worker.told.problems == {}


async def test_a_tool_may_still_come_until_its_server_was_heard(worker: Worker) -> None:
    """A worker that was started just now must not refuse what a run has pinned."""
    asked = ("mcp.tickets.add", "1.0.0-unheard")
    with pytest.raises(NotBegun):
        worker.call.host.find(*asked)
    await worker.set(tickets={"url": "http://127.0.0.1:9/mcp", "catalogue": "any"})
    with pytest.raises(NotBegun):
        worker.call.host.find(*asked)
    with pytest.raises(NotFound):
        worker.call.host.find("mcp.other.add", "1.0.0")
    await worker.set(tickets=beside())
    with pytest.raises(NotFound):
        worker.call.host.find(*asked)


async def test_outside_the_sandbox_is_no_place_in_production(
    tmp_path: Path, roomy: BubblewrapSandbox
) -> None:
    told = Told()
    servers = ServerFile(
        tmp_path / "mcp.yaml",
        host=Caller().host,
        sandbox=roomy,
        secrets=SecretFolder(tmp_path),
        offers=told,
        refusals=told,
        unsandboxed=False,
    )
    (tmp_path / "mcp.yaml").write_text(yaml.safe_dump({"servers": {"tickets": beside()}}))
    await servers.look()
    assert "does not permit" in told.problems["mcp:tickets"]
    assert told.published == {}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("servers: [", "no YAML"),
        ("servers: {Bad Name: {url: 'http://x'}}", "servers"),
        ("servers: {a: {}}", "either url or command"),
        ("servers: {a: {url: 'ftp://x'}}", "url"),
        ("servers: {a: {url: 'http://x', unsandboxed: true}}", "unsandboxed"),
        ("servers: {a: {url: 'http://x', warm: true}}", "warm belongs"),
        ("servers: {a: {command: [x], unsandboxed: true, warm: true}}", "warm belongs"),
        ("servers: {a: {command: [x], headers: {A: b}}}", "headers"),
    ],
)
def test_a_bad_file_is_refused_with_its_place(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "mcp.yaml").write_text(text)
    with pytest.raises(InvalidInput) as refusal:
        read_servers(tmp_path / "mcp.yaml")
    assert said in str(refusal.value)


@pytest.mark.parametrize("warm", [False, True], ids=["one_exchange", "warm"])
async def test_a_server_from_the_package_registry_works_in_the_sandbox(
    worker: Worker, inside: dict[str, Any], *, warm: bool
) -> None:
    """Somebody else's code: `mcp-server-time` as it is published."""
    command = ["/usr/bin/env", *inside["command"][1:3], "-m", "mcp_server_time", "--local-timezone=UTC"]
    await worker.set(
        time={**inside, "command": command, "warm": warm, "read_only": ["convert_time"], "timeout_s": 60}
    )
    assert worker.told.problems == {}
    specs = {spec.name: spec.effect for spec in worker.told.published.values()}
    assert specs == {
        "mcp.time.convert_time": EffectClass.READ_ONLY,
        "mcp.time.get_current_time": EffectClass.IRREVERSIBLE,
    }
    asked = {"source_timezone": "Asia/Tokyo", "time": "12:00", "target_timezone": "UTC"}
    converted = await worker.call("mcp.time.convert_time", **asked)
    assert "03:00:00" in converted.output["text"], converted
    assert code_of(await worker.call("mcp.time.convert_time", **asked | {"time": "noon"})) == "mcp_error"
    assert code_of(await worker.call("mcp.time.convert_time", time=7)) == "bad_arguments"
