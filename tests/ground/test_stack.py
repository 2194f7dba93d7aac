"""`holdfast up` to its end, whichever it is: nothing half-started, nothing left behind, nothing lost."""

import json
import os
import signal
import socket
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path

import psycopg
import pytest

from holdfast.embedded.keeper import LONGEST_PAUSE_S, pause_before
from holdfast.embedded.lock import FolderLock
from holdfast.embedded.logins import TOOLBOX
from holdfast.runtime.settings import Queue
from tests.ground.stack_under_test import Stack, Up, innermost, names_of, nursery_of, processes_in, until
from tests.places import quick_folder

PARTS = {
    "postgres",
    "temporal",
    "api",
    "worker orchestration",
    "worker llm",
    "worker tools",
    "worker knowledge",
}


@pytest.fixture(scope="module")
async def running() -> AsyncIterator[tuple[Stack, Up]]:
    environment = {
        "OPENAI_API_KEY": "sk-for-the-llm-worker",
        "HOLDFAST_STACK__SILENCE_S": "4",
        "HOLDFAST_WORKERS__METRICS_PORT": "19464",
    }
    with quick_folder() as folder:
        stack = Stack(folder, **environment)
        async with stack.up() as up:
            yield stack, up


async def test_status_shows_every_part_ready_and_where(running: tuple[Stack, Up]) -> None:
    code, said = await running[0].run("status", "--json")
    state = json.loads(said)
    assert code == 0
    assert state["ready"]
    assert {part["name"] for part in state["parts"] if part["status"] == "ready"} == PARTS


async def test_a_narrow_terminal_cuts_no_address(running: tuple[Stack, Up]) -> None:
    _, said = await running[0].run("status", COLUMNS="60")
    assert all(part["address"] in "".join(said.split()) for part in running[0].state["parts"])


async def test_the_database_is_migrated(running: tuple[Stack, Up]) -> None:
    code, said = await running[0].run("db", "status")
    assert code == 0
    assert "applied  0001_tenants.sql" in said


async def test_the_first_start_leaves_a_key_that_only_its_user_can_read(running: tuple[Stack, Up]) -> None:
    file = running[0].folder / ".holdfast/api-key"
    assert file.read_text() == "hf_of_the_first_start"
    assert file.stat().st_mode & 0o777 == 0o600
    assert (running[0].folder / ".holdfast/state.json").stat().st_mode & 0o777 == 0o600


async def test_model_keys_reach_the_llm_worker_alone(running: tuple[Stack, Up]) -> None:
    folder = running[0].folder
    told = {
        name
        for name in names_of(folder, ".environment")
        if "OPENAI_API_KEY" in (folder / f"{name}.environment").read_text()
    }
    assert told == {"llm"}


async def test_each_worker_serves_its_metrics_on_a_port_of_its_own(running: tuple[Stack, Up]) -> None:
    told = {
        (running[0].folder / f"{name}.environment").read_text().partition("METRICS_PORT=")[2].split()[0]
        for name in ("orchestration", "llm", "tools", "knowledge")
    }
    assert told == {"19464", "19465", "19466", "19467"}


async def test_a_second_stack_on_the_same_folder_is_refused(running: tuple[Stack, Up]) -> None:
    code, said = await running[0].run("up")
    assert code == 2
    assert f"process {running[1].process.pid}" in said
    assert "holdfast down" in said


@pytest.mark.parametrize("name", sorted(PARTS))
async def test_a_killed_part_is_started_again(running: tuple[Stack, Up], name: str) -> None:
    stack, up = running
    before = stack.pids[name]
    os.kill(before, signal.SIGKILL)
    await up.says(f"{name}: ended unasked (signal 9)")
    await up.says(f"{name}: ready again")
    assert stack.pids[name] not in (None, before)


async def test_parts_that_hang_are_killed_and_started_again(running: tuple[Stack, Up]) -> None:
    stack, up = running
    before = stack.pids
    hanging = ("postgres", "temporal", "api", "worker tools")
    for name in hanging:
        os.kill(innermost(before[name]), signal.SIGSTOP)
    await up.says_all(*(f"{name}: did not answer for 4 s and was killed" for name in hanging))
    await until(lambda: all(part["status"] == "ready" for part in stack.state["parts"]))
    assert {name for name in PARTS if stack.pids[name] != before[name]} == set(hanging)


async def test_a_part_that_cannot_start_again_is_tried_until_it_can(running: tuple[Stack, Up]) -> None:
    stack, up = running
    (stack.folder / "no-disk").touch()
    os.kill(stack.pids["worker llm"], signal.SIGKILL)
    await up.says("worker llm: did not start again: worker llm did not start: the disk is away")
    code, said = await stack.run("status")
    assert (code, "the disk is away" in said) == (1, True)
    (stack.folder / "no-disk").unlink()
    await up.says("worker llm: ready again")


def in_memory(pid: int, word: bytes) -> bool:
    """Whether a process holds it anywhere that it can read itself."""
    maps = [line.split() for line in Path(f"/proc/{pid}/maps").read_text().splitlines()]
    with Path(f"/proc/{pid}/mem").open("rb", buffering=0) as memory:
        for place, kind, *_, name in maps:
            start, end = (int(edge, 16) for edge in place.split("-"))
            if kind.startswith("rw") and not name.startswith("[v"):
                with suppress(OSError):
                    memory.seek(start)
                    if word in memory.read(end - start):
                        return True
    return False


async def test_only_the_worker_that_asks_models_has_their_key_in_its_memory(
    running: tuple[Stack, Up],
) -> None:
    stack, _ = running
    processes = {name: pid for name, pid in stack.pids.items() if name == "api" or name.startswith("worker")}
    holders = {name for name, pid in processes.items() if in_memory(pid, b"sk-for-the-llm-worker")}
    assert (len(processes), holders) == (5, {"worker llm"})


async def test_when_the_nursery_is_killed_all_it_bore_is_started_again_from_another(
    running: tuple[Stack, Up],
) -> None:
    stack, up = running
    born = sorted(PARTS - {"postgres", "temporal"})
    before = stack.pids
    nursery = nursery_of(before["api"])
    assert {nursery_of(before[name]) for name in born} == {nursery}
    os.kill(nursery, signal.SIGKILL)
    await up.says_all(*(f"{name}: ended unasked (signal 9)" for name in born))
    await until(lambda: all(part["status"] == "ready" for part in stack.state["parts"]))
    assert {name for name in PARTS if stack.pids[name] != before[name]} == set(born)
    assert nursery not in {nursery_of(stack.pids[name]) for name in born}


async def test_no_process_is_forked_from_one_with_threads(
    tmp_path: Path, database_url: str, temporal_address: str
) -> None:
    stack = Stack(tmp_path, DATABASE_URL=database_url, TEMPORAL_ADDRESS=temporal_address)
    program = tmp_path / "workers/main.py"
    busy = "import threading\nthreading.Thread(target=threading.Event().wait, daemon=True).start()\n"
    program.write_text(busy + program.read_text())
    async with stack.up():
        lines = [line for line in processes_in(tmp_path) if " -m holdfast worker" in line]
    assert len(lines) == len(Queue)


def test_pauses_grow_and_stay_bearable() -> None:
    pauses = [pause_before(attempts) for attempts in range(2_000)]
    assert pauses == sorted(pauses)
    assert 0 < pauses[0] < pauses[-1] == LONGEST_PAUSE_S


async def test_killed_or_asked_to_stop_it_leaves_no_process_and_keeps_its_data(tmp_path: Path) -> None:
    stack = Stack(tmp_path)
    async with stack.up() as up:
        with psycopg.connect(stack.state["database_url"]) as connection:
            connection.execute("create table kept as select 7 as seven")
        await up.end(signal.SIGKILL)
    await until(lambda: processes_in(tmp_path) == [])
    assert names_of(tmp_path, ".drained") == set()

    code, said = await stack.run("up", "--detach")
    assert (code, "API key" in said) == (0, True)
    with psycopg.connect(stack.state["database_url"]) as connection:
        assert connection.execute("select seven from kept").fetchone() == (7,)
    code, said = await stack.run("down")
    assert (code, processes_in(tmp_path)) == (0, [])
    assert names_of(tmp_path, ".drained") == {"api", "orchestration", "llm", "tools", "knowledge"}
    assert "Nothing is running" in (await stack.run("down"))[1]


async def test_the_tools_worker_can_be_no_more_than_its_login(tmp_path: Path) -> None:
    stack = Stack(tmp_path)
    async with stack.up():
        login = toolbox_login(tmp_path)
        with psycopg.connect(login, autocommit=True) as connection:
            connection.execute("set role holdfast_tools")
            connection.execute("reset role")
            assert connection.execute("select current_user, session_user").fetchone() == (TOOLBOX, TOOLBOX)
            for refused in ("set role holdfast", "set role holdfast_app", "select * from holdfast.agents"):
                with pytest.raises(psycopg.errors.InsufficientPrivilege):
                    connection.execute(refused)
        with psycopg.connect(stack.state["database_url"], autocommit=True) as connection:
            connection.execute(f"drop role {TOOLBOX}")  # as in a folder of before there was one
    async with stack.up():
        with psycopg.connect(toolbox_login(tmp_path)) as connection:
            assert connection.execute("select session_user").fetchone() == (TOOLBOX,)


def toolbox_login(folder: Path) -> str:
    """The only URL of a database in the environment of the tools worker."""
    lines = (folder / "tools.environment").read_text().splitlines()
    (url,) = (line for line in lines if "postgresql://" in line)
    return url.removeprefix("DATABASE_URL=")


async def test_nobody_but_the_supervisor_has_the_owners_login(
    tmp_path: Path, database_url: str, temporal_address: str
) -> None:
    given = {
        "DATABASE_URL": database_url,
        "HOLDFAST_DATABASE__MIGRATE_URL": f"{database_url}&application_name=o",
    }
    stack = Stack(tmp_path, TEMPORAL_ADDRESS=temporal_address, **given)
    async with stack.up():
        names = names_of(tmp_path, ".environment")
    environments = [(tmp_path / f"{name}.environment").read_text() for name in names]
    assert len(environments) == len(Queue) + 1
    assert not any("MIGRATE_URL" in each for each in environments)


async def test_two_that_start_at_the_same_moment_have_no_port_in_common(
    tmp_path: Path, database_url: str
) -> None:
    both = [Stack(tmp_path / name, DATABASE_URL=database_url) for name in ("one", "other")]
    async with both[0].up(), both[1].up():
        ports = [
            state[key].rpartition(":")[2]
            for state in (stack.state for stack in both)
            for key in ("api_url", "temporal_address", "temporal_ui")
        ]
    assert len(set(ports)) == 6


async def test_interrupted_while_it_starts_it_leaves_nothing(tmp_path: Path, database_url: str) -> None:
    up = await Stack(tmp_path, DATABASE_URL=database_url).begin()
    await up.says("temporal: ready")
    assert await up.end(signal.SIGINT) == 130
    assert processes_in(tmp_path) == []


async def test_servers_that_were_given_are_used_and_ctrl_c_ends_the_rest(
    tmp_path: Path, database_url: str, temporal_address: str
) -> None:
    stack = Stack(tmp_path, DATABASE_URL=database_url, TEMPORAL_ADDRESS=temporal_address)
    async with stack.up() as up:
        assert set(stack.pids) == PARTS - {"postgres", "temporal"}
        assert await up.end(signal.SIGINT) == 0
    assert processes_in(tmp_path) == []


async def test_a_database_that_others_use_keeps_its_administrators_key(
    tmp_path: Path, database_url: str, temporal_address: str
) -> None:
    stack = Stack(tmp_path, DATABASE_URL=database_url, TEMPORAL_ADDRESS=temporal_address)
    (tmp_path / "others-have-a-key").touch()
    async with stack.up() as up:
        await up.says("set HOLDFAST_API_KEY")
        assert not (tmp_path / ".holdfast/api-key").exists()


@pytest.mark.parametrize(
    ("variable", "value", "named"),
    [
        (
            "DATABASE_URL",
            "postgresql://holdfast@127.0.0.1:1/holdfast",
            "database cannot be reached",
        ),
        ("TEMPORAL_ADDRESS", "127.0.0.1:1", "Temporal cannot be reached at 127.0.0.1:1"),
        ("TEMPORAL_ADDRESS", "somewhere", "no address of a Temporal server"),
        ("TEMPORAL_PROFILE", "missing", "connection settings cannot be read"),
        ("DATABASE_URL", "localhost", "must be a URL such as postgresql://"),
        ("HOLDFAST_API__HOST", "203.0.113.7", "no address of this machine"),
        ("HOLDFAST_API__PORT", "taken", "is in use"),
        ("HOLDFAST_DATABASE__PORT", "taken", "is in use"),
        ("HOLDFAST_SANDBOX__BWRAP", "/none", "Tools cannot be isolated here"),
        ("HOLDFAST_PROFILE", "prod", "prod profile refuses"),
        ("HOLDFAST_APY__PORT", "1", "There is no setting HOLDFAST_APY__PORT"),
        ("HOLDFAST_TEMPORAL__DEPLOYMENT", "holdfast", "has no build id"),
        ("HOLDFAST_TOOLS__MCP_SERVERS", "/no/such/mcp.yaml", "there is no such file"),
        ("HOLDFAST_WORKERS__METRICS_PORT", "taken", "is in use"),
        ("HOLDFAST_WORKERS__METRICS_PORT", "65534", "65536 is no port"),
        (
            "HOLDFAST_DATABASE__MIGRATE_URL",
            "postgresql://owner@127.0.0.1:1/holdfast",
            "DATABASE_URL names none",
        ),
    ],
)
async def test_what_cannot_be_started_is_one_line_and_nothing_half_started(
    tmp_path: Path, variable: str, value: str, named: str
) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        value = str(taken.getsockname()[1]) if value == "taken" else value
        code, said = await Stack(tmp_path).run("up", **{variable: value})
    error = next(line for line in said.splitlines() if line.startswith("error: "))
    assert code == 2
    assert named in error
    assert variable in error
    assert processes_in(tmp_path) == []
    assert ": ready" not in said


async def test_a_metrics_port_behind_the_first_is_taken_and_nothing_starts(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        code, said = await Stack(tmp_path, HOLDFAST_WORKERS__METRICS_PORT=str(port - 3)).run("up", "--detach")
    assert code == 2
    assert (f"{port} is in use" in said, len(said.splitlines())) == (True, 1)
    assert not (tmp_path / ".holdfast/postgres").exists()


async def test_a_worker_that_cannot_start_stops_the_rest_and_is_quoted(
    tmp_path: Path, database_url: str, temporal_address: str
) -> None:
    stack = Stack(tmp_path, DATABASE_URL=database_url, TEMPORAL_ADDRESS=temporal_address)
    (tmp_path / "workers/main.py").write_text("raise SystemExit('error: the tools are not there')")
    code, said = await stack.run("up")
    assert code == 2
    assert "the tools are not there" in said.splitlines()[-1]
    assert processes_in(tmp_path) == []


@pytest.mark.parametrize(
    "stands_there",
    [
        ".holdfast",
        ".holdfast/lock/x",
        ".holdfast/state.json/x",
        ".holdfast/logs",
        ".holdfast/postgres",
        ".holdfast/temporal",
    ],
)
async def test_a_data_folder_that_is_none_is_refused(tmp_path: Path, stands_there: str) -> None:
    (tmp_path / stands_there).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / stands_there).touch()
    code, said = await Stack(tmp_path).run("up")
    assert code == 2
    assert said.count("\n") <= 2, said  # the other server may have become ready
    assert "Move what is there away" in said.splitlines()[-1]
    assert processes_in(tmp_path) == []


@pytest.mark.parametrize("content", [b"\xff\xfe\x00", b"no number", b"9" * 30])
async def test_a_lock_that_holds_no_process_id_is_nobodys(tmp_path: Path, content: bytes) -> None:
    (tmp_path / ".holdfast").mkdir()
    (tmp_path / ".holdfast/lock").write_bytes(content)
    assert "Nothing is running" in (await Stack(tmp_path).run("down"))[1]
    FolderLock(tmp_path / ".holdfast").take()


async def test_a_damaged_data_folder_is_named_with_the_way_out(tmp_path: Path) -> None:
    (tmp_path / ".holdfast/postgres/data").mkdir(parents=True)
    code, said = await Stack(tmp_path).run("up")
    assert code == 2
    assert "is not a Postgres data folder" in said.splitlines()[-1]
    assert "mv " in said.splitlines()[-1]
    assert processes_in(tmp_path) == []


async def test_a_damaged_temporal_database_is_named_and_begun_anew_it_lets_its_user_in(
    tmp_path: Path,
) -> None:
    stack = Stack(tmp_path)
    data = tmp_path / ".holdfast"
    for name in ("temporal", "logs"):
        (data / name).mkdir(parents=True)
    (data / "temporal/temporal.db").write_bytes(b"no database, and longer than a page" * 1_000)
    (data / "logs/temporal.log").write_text("what the last one said\n")
    (data / "api-key").write_text("hf_of_a_database_before")
    code, said = await stack.run("up")
    assert (code, processes_in(tmp_path)) == (2, [])
    assert "file is not a database" in said.splitlines()[-1]
    assert "what the last one said" not in said
    (data / "temporal").rename(data / "temporal.old")
    if (data / "postgres").exists():
        (data / "postgres").rename(data / "postgres.old")
    async with stack.up():
        assert (data / "api-key").read_text() == "hf_of_the_first_start"


async def test_a_sealing_key_that_is_none_is_named(tmp_path: Path, database_url: str) -> None:
    (tmp_path / ".holdfast").mkdir()
    (tmp_path / ".holdfast/sealing-key").write_text("zzz")
    code, said = await Stack(tmp_path, DATABASE_URL=database_url).run("up")
    assert code == 2
    assert "sealing-key holds no key" in said.splitlines()[-1]
    assert processes_in(tmp_path) == []
