"""Tools that stand on Postgres: lists of things to do, reading queries, runbooks, all on a real server."""

from dataclasses import replace
from pathlib import Path

import pytest

from holdfast.adapters.postgres.database import Database
from holdfast.adapters.postgres.foreign import ForeignPostgres
from holdfast.adapters.postgres.knowledge import PostgresLibrary
from holdfast.adapters.postgres.memory import PostgresMemory
from holdfast.adapters.postgres.runs import PostgresRuns
from holdfast.adapters.postgres.todos import PostgresTodos
from holdfast.adapters.secrets import SecretFolder
from holdfast.ids import new_id
from holdfast.tools.builtin import fast_tools
from holdfast.tools.builtin.search import Elsewhere, runbook_search
from holdfast.tools.builtin.sql import sql_tools
from holdfast.tools.builtin.todo import todo_reader, todo_writers
from schemas.agents import AgentSpec
from schemas.knowledge import DocumentDraft
from schemas.runs import RunInput
from schemas.tools import Catalogue
from tests.tools.conftest import Caller, code_of


async def a_run(database: Database) -> str:
    run = RunInput(
        run_id=new_id("run"),
        tenant="default",
        goal="test",
        agent=AgentSpec(name="operator"),
        catalogue=Catalogue(),
    )
    await PostgresRuns(database=database).create(run)
    return run.run_id


async def test_a_list_is_kept_for_its_run_and_added_to_once(database: Database, database_url: str) -> None:
    tools_side = await Database.open(database_url, role="holdfast_tools", max_size=2)
    writers, reader = (
        todo_writers(PostgresTodos(database=tools_side)),
        todo_reader(PostgresTodos(database=database)),
    )
    run_id = await a_run(database)
    call = Caller(*writers, reader, run_id=run_id)
    await call("todo.add", items=["look", "change"])
    again = await call("todo.add", items=["look", "change"])  # the same action, as after a crash
    assert [item["id"] for item in again.output["items"]] == ["t1", "t2"]
    assert (await call("todo.set", id="t1", state="done", note="fine")).output["text"] == "look"
    listed = await call("todo.list")
    assert [(item["state"], item["note"]) for item in listed.output["items"]] == [
        ("done", "fine"),
        ("open", ""),
    ]
    other = Caller(*writers, reader, run_id=await a_run(database))
    assert (await other("todo.list")).output["items"] == []
    assert code_of(await other("todo.set", id="t1", state="done")) == "not_found"
    assert code_of(await call("todo.add", items=["x"] * 100)) == ""
    assert code_of(await call("todo.set", id="t1", state="finished")) == "bad_arguments"
    await tools_side.close()


@pytest.fixture
def reading(database_url: str, tmp_path: Path) -> Caller:
    (tmp_path / "orders").write_text(f"{database_url}\n")
    (tmp_path / "gone").write_text("postgresql://nobody:hush@127.0.0.1:1/none")
    (tmp_path / "words").write_text("hush this is no url")
    (tool,) = sql_tools(ForeignPostgres(), SecretFolder(tmp_path))
    permissions = tool.spec.permissions.model_copy(update={"secrets": ("orders", "gone", "words", "missing")})
    return Caller(replace(tool, spec=tool.spec.model_copy(update={"permissions": permissions})))


async def test_rows_come_back_as_json(reading: Caller) -> None:
    result = await reading(
        "sql.query",
        database="orders",
        query="select 1 as n, 'ü' as t, null as z, '{\"a\": 1}'::jsonb as j, now() > %s as later, '\\x00ff'::bytea as b",
        parameters=["2020-01-01"],
    )
    assert result.ok, result.error
    assert result.output["columns"] == ["n", "t", "z", "j", "later", "b"]
    assert result.output["rows"] == [[1, "ü", None, {"a": 1}, True, "00ff"]]


async def test_many_rows_are_cut_and_it_is_said(reading: Caller) -> None:
    result = await reading(
        "sql.query", database="orders", query="select * from generate_series(1, 1000)", limit=3
    )
    assert (len(result.output["rows"]), result.output["more"]) == (3, True)
    wide = await reading(
        "sql.query",
        database="orders",
        query="select repeat('x', 100000) from generate_series(1, 500)",
        limit=5000,
    )
    assert (len(wide.output["rows"]) < 200, wide.output["more"]) == (True, True)
    assert wide.output["rows"][0][0].endswith("x… 80000 characters more …")


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("create table t (a int)", "unprocessable"),
        ("delete from holdfast.runs returning id", "unprocessable"),
        ("select 1; commit; create table t (a int)", "invalid_input"),
        ("commit", "unprocessable"),
        ("selec", "unprocessable"),
        ("select nosuch", "invalid_input"),
        ("select pg_sleep(60)", "tool_failed"),
        ("set transaction read write", "unprocessable"),
        ("copy (select 1) to program 'touch /tmp/no'", "unprocessable"),
        ("/* select */ copy (select 1) to stdout", "unprocessable"),
        ("do $$ begin end $$", "unprocessable"),
        ("explain analyze delete from holdfast.runs", "unprocessable"),
        ("select lo_create(0)", "unprocessable"),
        ("select 'a%%', %s::int, %s::int", "invalid_input"),
        ("", "bad_arguments"),
    ],
)
async def test_what_does_not_read_is_refused(reading: Caller, query: str, code: str) -> None:
    result = await reading("sql.query", database="orders", query=query, timeout_s=0.5)
    assert code_of(result) == code, result


async def test_a_result_beyond_all_bounds_ends_its_own_process_alone(reading: Caller) -> None:
    one = await reading("sql.query", database="orders", query="select repeat('x', 300000000)")
    assert code_of(one) == "too_large"
    many = await reading(
        "sql.query", database="orders", query="select n, repeat('x', 1000) from generate_series(1, 3000000) n"
    )
    assert (len(many.output["rows"]), many.output["more"]) == (200, True)


async def test_columns_are_named_without_a_row_and_odd_numbers_are_told(reading: Caller) -> None:
    none = await reading("sql.query", database="orders", query="select 1 as a, 2 as b where false; ")
    assert (none.output["columns"], none.output["rows"]) == (["a", "b"], [])
    odd = await reading(
        "sql.query", database="orders", query="-- odd\n(select 'NaN'::float8, '{\"a\": 1}'::jsonb)"
    )
    assert odd.output["rows"] == [["nan", {"a": 1}]]


async def test_times_are_told_as_postgres_tells_them(reading: Caller) -> None:
    query = (
        "select 'infinity'::date, '-infinity'::timestamptz, '0044-03-15 BC'::date, interval '1 month',"
        " array['infinity'::date], '2026-01-02 03:04:05'::timestamp, '[2026-01-01,infinity]'::daterange"
    )
    told = await reading("sql.query", database="orders", query=query)
    assert told.ok, told.error
    assert told.output["rows"] == [
        [
            *("infinity", "-infinity", "0044-03-15 BC", "1 mon", ["infinity"], "2026-01-02 03:04:05"),
            "[2026-01-01, infinity]",
        ]
    ]


@pytest.mark.parametrize(
    ("database", "code"),
    [
        ("gone", "tool_failed"),
        ("words", "misconfigured"),
        ("missing", "misconfigured"),
        ("others", "unprocessable"),
    ],
)
async def test_a_database_that_cannot_be_had_is_named_and_its_secret_is_not(
    reading: Caller, database: str, code: str
) -> None:
    result = await reading("sql.query", database=database, query="select 1")
    assert code_of(result) == code
    assert "hush" not in result.model_dump_json()


async def test_runbooks_and_memory_are_searched_where_they_are(database: Database) -> None:
    library = PostgresLibrary(database=database)
    draft = DocumentDraft(id="disk", text="# Disk full\n\nRotate the logs of the database host.\n")
    await library.ingest("default", [draft], author="test")
    call = Caller(*fast_tools(library=library, memory=PostgresMemory(database=database)))
    found = await call("runbook.search", query="rotate logs of a database host")
    assert found.output["passages"][0]["document"] == "disk"
    assert found.untrusted
    assert (await call("memory.search", query="anything")).output == {"memories": []}
    assert code_of(await call("runbook.search", query="")) == "bad_arguments"
    assert code_of(await Caller(runbook_search(Elsewhere()))("runbook.search", query="x")) == "action_refused"
