"""The embedded servers do what everything else takes for granted."""

import asyncio
import os
import signal
import time
from pathlib import Path

import psycopg
import pytest
from temporalio.client import Client

from holdfast.embedded.postgres import THROWAWAY, EmbeddedPostgres, complaint
from holdfast.embedded.temporal import EmbeddedTemporal, bundled_program
from holdfast.errors import Misconfigured
from tests.ground.stack_under_test import processes_in, until


async def test_postgres_is_18_and_has_vectors(postgres: EmbeddedPostgres) -> None:
    async with await psycopg.AsyncConnection.connect(postgres.url) as connection:
        await connection.execute("create extension if not exists vector")
        found = await connection.execute(
            "select '[1,2]'::vector <-> '[1,2]', current_setting('server_version_num')"
        )
        assert await found.fetchone() == (0.0, "180004")


async def test_postgres_keeps_its_rows_over_kill_9(tmp_path: Path) -> None:
    server = EmbeddedPostgres(tmp_path, log=tmp_path / "log")
    await server.start()
    async with await psycopg.AsyncConnection.connect(server.url) as connection:
        await connection.execute("create table kept as select 7 as seven")
    os.killpg(server.child.pid, signal.SIGKILL)
    await server.child.wait()
    await server.start()
    async with await psycopg.AsyncConnection.connect(server.url) as connection:
        found = await connection.execute("select seven from kept")
        assert await found.fetchone() == (7,)
    await server.stop()


async def test_a_folder_that_is_no_database_is_named_with_the_way_out(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    with pytest.raises(Misconfigured, match="not a Postgres data folder") as caught:
        await EmbeddedPostgres(tmp_path, log=tmp_path / "log").start()
    assert "mv " in caught.value.remedy


async def test_a_damaged_database_is_reported_and_nothing_stays_running(tmp_path: Path) -> None:
    server = EmbeddedPostgres(tmp_path, log=tmp_path / "log", options=THROWAWAY)
    await server.start()
    await server.stop()
    (tmp_path / "data" / "global" / "pg_control").write_bytes(b"")
    with pytest.raises(Misconfigured, match="did not start"):
        await server.start()
    assert server.child.exit_code is not None


async def test_what_a_damaged_database_says_is_its_own_not_what_it_told_us_meanwhile(tmp_path: Path) -> None:
    server = EmbeddedPostgres(tmp_path, log=tmp_path / "log", options=THROWAWAY)
    await server.start()
    await server.stop()
    for segment in (tmp_path / "data" / "pg_wal").glob("0*"):
        segment.unlink()
    with pytest.raises(Misconfigured, match=r"PANIC: .*checkpoint record"):
        await server.start()


def test_the_end_of_a_log_is_what_it_died_of() -> None:
    own = "2026-01-01 00:00:00 UTC [7 of startup] FATAL:  could not access transaction 1"
    told = "2026-01-01 00:00:00 UTC [9 of client backend] FATAL:  the database system is starting up"
    late = "2026-01-01 00:00:00 UTC [1 of postmaster] LOG:  shutting down"
    assert complaint([own, told, late]) == "FATAL:  could not access transaction 1"
    assert complaint([told, late]) == "FATAL:  the database system is starting up"
    assert complaint(["postgres: could not find it", "Expected it there,", "but did not"]).startswith(
        "postgres: "
    )
    assert complaint([]) == "it said nothing"


@pytest.mark.parametrize(("name", "is_near"), [("long" * 25, False), ("a,b", False), ("a b%20'$", True)])
async def test_a_folder_may_have_any_name(tmp_path: Path, name: str, *, is_near: bool) -> None:
    server = EmbeddedPostgres(tmp_path / name, log=tmp_path / "log", options=THROWAWAY)
    await server.start()
    assert (tmp_path / name / "run").exists() is is_near
    await server.stop()


@pytest.mark.parametrize("moment_s", [0, 0.001, 0.002, 0.003, 0.004, 0.006])
async def test_a_start_that_is_given_up_leaves_no_process(tmp_path: Path, moment_s: float) -> None:
    """In the moments after the fork, while a busy loop has not heard of the process yet."""
    starting = asyncio.create_task(EmbeddedPostgres(tmp_path, log=tmp_path / "log").start())
    await asyncio.sleep(0)
    time.sleep(moment_s)  # noqa: ASYNC251 -- the loop is busy
    starting.cancel()
    await asyncio.gather(starting, return_exceptions=True)
    await until(lambda: processes_in(tmp_path) == [])


async def test_the_number_of_a_dead_server_may_belong_to_somebody_else_by_now(tmp_path: Path) -> None:
    server = EmbeddedPostgres(tmp_path, log=tmp_path / "log", options=THROWAWAY)
    await server.start()
    await server.stop()
    (tmp_path / "data/postmaster.pid").write_text(f"{os.getpid()}\n{tmp_path / 'data'}\n")
    await server.start()
    await server.stop()


async def test_temporal_knows_our_search_attributes(temporal_client: Client) -> None:
    query = "HoldfastTenant = 'a' and HoldfastSpend > 1 and HoldfastStatus = 'queued'"
    assert (await temporal_client.count_workflows(query)).count == 0


@pytest.mark.parametrize("times", [1, 2])
async def test_a_temporal_server_that_panics_as_it_starts_is_started_once_more(
    tmp_path: Path, times: int
) -> None:
    """The trace below the panic is longer than what is read of a log's end."""
    program, panics = tmp_path / "temporal", tmp_path / "panics"
    program.write_text(
        f'#!/bin/sh\nprintf x >> {panics}\n[ $(wc -c < {panics}) -gt {times} ] && exec {bundled_program()} "$@"\n'
        "echo 'panic: the clock went back'; echo; echo 'goroutine 1 [running]:'\n"
        "for _ in $(seq 999); do echo 'main.main() /src/main.go:7 +0x1d'; done; exit 2\n"
    )
    program.chmod(0o755)
    server = EmbeddedTemporal(log=tmp_path / "log", program=program)
    if times == 1:
        await server.start()
        await server.stop()
    else:
        with pytest.raises(Misconfigured, match="did not start: panic: the clock went back"):
            await server.start()
    assert len(panics.read_text()) == 2


async def test_temporal_starts_again_on_its_file_after_kill_9(tmp_path: Path) -> None:
    server = EmbeddedTemporal(log=tmp_path / "log", database=tmp_path / "temporal.db")
    await server.start()
    server.child.kill()
    await server.child.wait()
    await server.start()
    await server.stop()
    assert server.child.exit_code is not None
