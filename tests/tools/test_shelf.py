"""Tools that operators write down, followed by a worker: changes under way, by its folder and by its catalogue."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from holdfast.adapters.postgres.database import Database
from holdfast.adapters.postgres.tool_desk import PostgresToolDesk, PostgresToolNotice
from holdfast.adapters.postgres.tools import PostgresTools
from holdfast.errors import NotFound
from holdfast.tools.manifests import Workshop
from holdfast.tools.shelf import Shelf
from schemas.actions import Action
from tests.tools.conftest import Caller, code_of
from tests.tools.manifests import written


class Store:
    """A folder of manifests and a worker that follows it, look by look."""

    def __init__(self, folder: Path, workshop: Workshop, *, worker: Database, api: Database) -> None:
        self.folder = folder
        self.caller = Caller()
        self.desk = PostgresToolDesk(database=api)
        self.tools = PostgresTools(database=api)
        self._workshop, self._worker = workshop, worker
        self.shelf = self._shelf()

    def _shelf(self) -> Shelf:
        return Shelf(
            self.folder,
            attic=self.folder / "attic",
            host=self.caller.host,
            workshop=self._workshop,
            offers=PostgresTools(database=self._worker),
            refusals=PostgresToolNotice(database=self._worker, worker="test"),
        )

    async def start_again(self) -> None:
        """As a worker that was restarted: nothing of the process before is there."""
        self.caller = Caller()
        self.shelf = self._shelf()
        await self.shelf.look()

    async def put(self, name: str, text: str) -> None:
        (self.folder / name).write_text(text)
        await self.shelf.look()

    async def problems(self) -> dict[str, str]:
        return {problem.source: problem.problem for problem in await self.desk.problems()}

    async def newest(self) -> str | None:
        spec = (await self.tools.tools("default", "dev")).find("demo.greet")
        return spec.version if spec else None


@pytest.fixture
async def store(
    tmp_path: Path, workshop: Workshop, database: Database, database_url: str
) -> AsyncIterator[Store]:
    worker = await Database.open(database_url, role="holdfast_tools", max_size=2)
    yield Store(tmp_path, workshop, worker=worker, api=database)
    await worker.close()


async def test_a_change_is_swapped_in_and_the_old_version_stays_callable(store: Store) -> None:
    await store.put("greet.yaml", written())
    old = store.caller.host.find("demo.greet", "1.0.0")
    await store.put("greet.yaml", written(version="1.1.0", run={"command": ["printf", "hi {who}"]}))
    assert await store.newest() == "1.1.0"
    assert (await store.caller("demo.greet", who="x")).output["stdout"] == "hi x"
    action = Action(
        tenant="default",
        run_id=store.caller.run_id,
        step_id="a",
        tool=old.name,
        tool_version=old.version,
        arguments={"who": "x"},
        environment="dev",
        agent="operator",
    )
    assert (await store.caller.host.call(action, old, idempotency_key="k")).output == {"said": "hello x"}


async def test_an_agent_may_stay_with_an_older_version(store: Store) -> None:
    for number, version in enumerate(("1.0.0", "1.1.0", "1.2.0")):
        await store.put(f"greet{number}.yaml", written(version=version))

    async def given(*patterns: str) -> list[str]:
        found = (await store.tools.tools("default", "dev", patterns=patterns)).allowed(patterns)
        return [tool.version for tool in found.tools]

    assert await given("demo.greet") == ["1.2.0"]
    assert await given("demo.greet@1.0.0") == ["1.0.0"]
    assert await given("demo.*", "demo.greet@1.1.0") == ["1.1.0"]
    assert await given("demo.greet@3.0.0") == []


async def test_a_version_is_deprecated_afterwards_and_runs_that_pinned_it_go_on(store: Store) -> None:
    await store.put("old.yaml", written())
    [pinned] = (await store.tools.tools("default", "dev")).tools
    await store.put("old.yaml", written(deprecated="Use 1.1.0."))
    assert await store.problems() == {}
    [warned] = (await store.tools.tools("default", "dev")).tools
    assert (warned.deprecated, warned.digest) == ("Use 1.1.0.", pinned.digest)
    await store.put("new.yaml", written(version="1.1.0"))
    assert await store.newest() == "1.1.0"
    assert store.caller.host.find("demo.greet", "1.0.0").digest == pinned.digest
    await store.put("old.yaml", written(deprecated="Use 1.1.0.", description="And other words."))
    assert "new version" in (await store.problems())["old.yaml"]


async def test_a_bad_change_is_refused_and_what_stood_still_stands(store: Store) -> None:
    await store.put("greet.yaml", written())
    await store.put("greet.yaml", "name: [")
    assert "no YAML" in (await store.problems())["greet.yaml"]
    assert (await store.caller("demo.greet", who="x")).ok
    await store.put("greet.yaml", written(description="Other words under the same version."))
    assert "new version" in (await store.problems())["greet.yaml"]
    await store.put("greet.yaml", written())
    assert await store.problems() == {}


async def test_a_manifest_that_is_taken_away_is_offered_to_no_new_run(store: Store) -> None:
    await store.put("greet.yaml", written())
    (store.folder / "greet.yaml").unlink()
    await store.shelf.look()
    assert await store.newest() is None
    assert store.caller.host.find("demo.greet", "1.0.0").version == "1.0.0"
    await store.put("again.yaml", written())
    assert await store.newest() == "1.0.0"


async def test_what_went_away_while_no_worker_looked_is_offered_no_more(
    store: Store, workshop: Workshop, database: Database, database_url: str
) -> None:
    await store.put("greet.yaml", written())
    (store.folder / "greet.yaml").write_text("name: [")
    worker = await Database.open(database_url, role="holdfast_tools", max_size=1)
    await Store(store.folder, workshop, worker=worker, api=database).shelf.look()
    await worker.close()
    assert await store.newest() is None
    assert "greet.yaml" in await store.problems()


async def test_two_files_cannot_describe_one_version(store: Store, workshop: Workshop) -> None:
    await store.put("a.yaml", written())
    await store.put("b.yaml", written(description="Mine."))
    assert "described by a.yaml" in (await store.problems())["b.yaml"]
    shell = workshop.builtin.newest().find("shell")
    assert shell is not None
    await store.put("c.yaml", written(name="shell", version=shell.version))
    assert "ships with Holdfast" in (await store.problems())["c.yaml"]
    (store.folder / "b.yaml").unlink()
    await store.shelf.look()
    assert set(await store.problems()) == {"c.yaml"}


SUMMING = """
from __future__ import annotations
from holdfast.tools.declare import ToolContext, declared
from schemas.base import Payload, Request
from schemas.tools import EffectClass

class Numbers(Request):
    numbers: tuple[float, ...]

class Total(Payload):
    total: float

@declared("demo.sum", version="{version}", effect=EffectClass.READ_ONLY, owner="platform")
async def add(arguments: Numbers, context: ToolContext) -> Total:
    \"\"\"Adds numbers.\"\"\"
    return Total(total=sum(arguments.numbers) + {more})
"""


def summing(version: str = "1.0.0", more: str = "0") -> str:
    return SUMMING.replace("{version}", version).replace("{more}", more)


async def test_a_python_module_is_swapped_in_and_its_old_version_stays_callable(store: Store) -> None:
    await store.put("sums.py", summing())
    old = store.caller.host.find("demo.sum", "1.0.0")
    assert (await store.caller("demo.sum", numbers=[1, 2])).output == {"total": 3.0}
    assert code_of(await store.caller("demo.sum", numbers="many")) == "bad_arguments"
    assert (old.source, old.owner, old.description) == ("manifest", "platform", "Adds numbers.")
    await store.put("sums.py", summing("1.1.0", more="100"))
    assert (await store.caller("demo.sum", numbers=[1, 2])).output == {"total": 103.0}
    pinned = Action(
        tenant="default",
        run_id=store.caller.run_id,
        step_id="a",
        tool=old.name,
        tool_version=old.version,
        arguments={"numbers": [1]},
        environment="dev",
        agent="operator",
    )
    assert (await store.caller.host.call(pinned, old, idempotency_key="k")).output == {"total": 1.0}
    await store.put("sums.py", "no python")
    await store.start_again()
    assert store.caller.host.find("demo.sum", "1.0.0").digest == old.digest
    assert (await store.caller.host.call(pinned, old, idempotency_key="k")).output == {"total": 1.0}


async def test_a_restarted_worker_keeps_old_versions_and_offers_only_what_stands(store: Store) -> None:
    await store.put("greet.yaml", written())
    old = store.caller.host.find("demo.greet", "1.0.0")
    await store.put("greet.yaml", written(version="9.0.0", description="Newer."))
    await store.put("greet.yaml", written(description="Refused: the same version in other words."))
    (store.folder / "greet.yaml").unlink()
    await store.start_again()
    assert store.caller.host.find(old.name, old.version).digest == old.digest
    assert store.caller.host.find(old.name, "9.0.0").description == "Newer."
    offered = await store.tools.tools("default", "dev")
    assert old.name not in [spec.name for spec in offered.tools]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("def broken(:", "sums.py, line 1: SyntaxError"),
        ("import os\nimport no_such_module_here", "sums.py, line 2: ModuleNotFoundError"),
        ("raise SystemExit(3)", "line 1: SystemExit"),
        ("x = 1", "declares no tool"),
        (summing(more="1"), "give the change a new version"),
        (summing("2.0.0").replace("effect=", "timeout_s=-1, effect="), "timeout_s"),
        (summing("2.0.0").replace("effect=", "lane='fast', effect="), "lane `fast`"),
        (summing("2.0.0").replace("READ_ONLY", "PROBED"), "belong together"),
        (summing("2.0.0") + "again = add", "twice"),
    ],
)
async def test_a_bad_python_module_is_refused_and_what_stood_still_stands(
    store: Store, text: str, said: str
) -> None:
    await store.put("sums.py", summing())
    await store.put("sums.py", text)
    assert said in (await store.problems())["sums.py"]
    assert (await store.caller("demo.sum", numbers=[1, 2])).output == {"total": 3.0}


async def test_a_probe_says_whether_a_call_happened(store: Store) -> None:
    await store.put("did.yaml", written(name="demo.did", run={"command": ["printf", '{"happened": true}']}))
    await store.put("do.yaml", written(name="demo.do", effect="probed", probe="demo.did", examples=[]))
    spec = store.caller.host.find("demo.do", "1.0.0")
    action = Action(
        tenant="default",
        run_id=store.caller.run_id,
        step_id="a",
        tool=spec.name,
        tool_version=spec.version,
        arguments={"who": "x"},
        environment="dev",
        agent="operator",
    )
    assert await store.caller.host.probe(action, spec) is True
    with pytest.raises(NotFound):
        store.caller.host.find("demo.do", "9.0.0")


async def test_what_was_refused_and_went_while_no_worker_looked_is_no_problem_any_more(store: Store) -> None:
    await store.put("bad.yaml", "name: [")
    await store.put("worse.yaml", "name: [")
    notice = store.shelf._refusals
    await notice.refuse("mcp:away", "It is away.")
    (store.folder / "bad.yaml").unlink()
    await store.start_again()
    assert set(await store.problems()) == {"worse.yaml", "mcp:away"}
    await notice.keep_only("server", ["mcp:other"])
    assert set(await store.problems()) == {"worse.yaml"}
