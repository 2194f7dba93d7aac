"""`holdfast policies`, `freeze` and `thaw`, against a real API."""

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import click
import pytest
import yaml
from click.testing import CliRunner, Result
from temporalio.client import Client

from holdfast.adapters.postgres.database import Database
from holdfast.cli.freezes import freeze, thaw
from holdfast.cli.policies import policies
from holdfast.errors import Conflict, HoldfastError, InvalidInput, NotFound, Unprocessable
from tests.api.conftest import RunningApi, make_tenant, serve
from tests.guardian.conftest import DocumentMaker

Run = Callable[..., Awaitable[str]]


@pytest.fixture(scope="module")
async def policy_api(module_database_url: str, temporal_client: Client) -> AsyncIterator[RunningApi]:
    async def reach(database: Database) -> Client:
        return temporal_client

    async with serve(module_database_url, reach) as running:
        yield running


@pytest.fixture
async def cli(policy_api: RunningApi, tenant: str, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs a command as an administrator of this test's tenant; its output comes back."""
    monkeypatch.setenv("HOLDFAST_API_URL", policy_api.url)
    monkeypatch.setenv("HOLDFAST_API_KEY", await policy_api.new_key("admin", tenant=tenant))

    async def run(command: click.Command, *arguments: str) -> str:
        def call() -> Result:
            return CliRunner().invoke(command, arguments, catch_exceptions=False)

        result = await asyncio.to_thread(call)
        assert result.exit_code == 0, result.output
        # The API runs in this process and logs to the same output.
        return "\n".join(line for line in result.output.splitlines() if "[info " not in line)

    return run


@pytest.fixture
def file(tmp_path: Path, document: DocumentMaker) -> Callable[..., str]:
    def write(**changes: object) -> str:
        made = document(**changes)
        path = tmp_path / f"{hashlib.sha256(str(changes).encode()).hexdigest()[:8]}.yaml"
        path.write_text(yaml.safe_dump(made.written()))
        return str(path)

    return write


async def test_a_policy_is_written_tried_activated_and_rolled_back(
    cli: Run, file: Callable[..., str]
) -> None:
    assert "deny: lists files" in await cli(policies, "test", "ls -l", "--draft", file())
    assert "allow: only reads" in await cli(policies, "test", "ls -l")
    assert "stored no-listing@1" in await cli(policies, "create", file())
    assert "Activation 1" in await cli(policies, "activate", "--note", "no listings")
    assert "deny: lists files" in await cli(policies, "test", "ls -l")
    assert "active 1" in await cli(policies, "ls")
    assert "Activation 2" in await cli(policies, "rollback")
    assert "allow: only reads" in await cli(policies, "test", "ls -l")
    assert "no listings" in await cli(policies, "history")


async def test_versions_are_shown_and_compared(cli: Run, file: Callable[..., str]) -> None:
    await cli(policies, "create", file())
    await cli(policies, "update", file(effect="require_approval"), "--note", "softer")
    assert "softer" in await cli(policies, "history", "no-listing")
    assert "+ effect: require_approval" in await cli(policies, "diff", "no-listing", "1", "2")
    shown = yaml.safe_load(await cli(policies, "show", "no-listing@1"))
    assert shown["effect"] == "deny"
    await cli(policies, "discard", "no-listing@2")
    assert "deleted" in await cli(policies, "discard", "no-listing@1")


async def test_bundles_are_compared_by_what_the_history_prints(cli: Run, file: Callable[..., str]) -> None:
    assert "They say the same." in await cli(policies, "diff")
    await cli(policies, "create", file())
    await cli(policies, "create", file(name="passing"))
    assert "+ no-listing@1" in await cli(policies, "diff")
    first = json.loads(await cli(policies, "activate", "--json"))["digest"]
    assert "They say the same." in await cli(policies, "diff")
    await cli(policies, "update", file(effect="require_approval"))
    await cli(policies, "retire", "passing")
    changes = ("- passing@1", "~ no-listing@1 → no-listing@2", "+ effect: require_approval")
    foreseen = await cli(policies, "diff")
    await cli(policies, "activate")
    for said in (foreseen, await cli(policies, "diff", "--bundle", first[7:19])):
        assert all(change in said for change in changes)
    backwards = json.loads(await cli(policies, "diff", "--bundle", "2", "--bundle", first, "--json"))
    assert [ref["name"] for ref in backwards["added"]] == ["passing"]
    assert "They say the same." in await cli(policies, "diff", "--bundle", "2")


async def test_a_bundle_that_there_is_not_is_not_compared(cli: Run, file: Callable[..., str]) -> None:
    for named in ("7", "abcdef", "sha256:" + "0" * 64):
        with pytest.raises(NotFound):
            await cli(policies, "diff", "--bundle", named)
    with pytest.raises(InvalidInput):
        await cli(policies, "diff", *("--bundle", "1") * 3)
    for wrong in (["no-listing", "1"], ["no-listing", "1", "2", "--bundle", "1"]):
        result = await asyncio.to_thread(CliRunner().invoke, policies, ["diff", *wrong])
        assert (result.exit_code, "NAME BEFORE AFTER" in result.output) == (2, True)


async def test_what_was_exported_imports_without_a_change(
    cli: Run, file: Callable[..., str], tmp_path: Path
) -> None:
    await cli(policies, "create", file())
    folder = tmp_path / "exported"
    await cli(policies, "export", str(folder))
    assert "0 of 1 policies changed" in await cli(policies, "import", str(folder))
    exported = folder / "no-listing.yaml"
    exported.write_text(exported.read_text().replace("deny", "require_approval"))
    assert "stored no-listing@2" in await cli(policies, "import", str(folder))


async def test_a_policy_from_a_template_means_the_same_where_it_is_imported(
    cli: Run, tmp_path: Path, policy_api: RunningApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    examples = {
        "match": [{"arguments": {"command": "nc -l 1"}}],
        "not_match": [{"arguments": {"command": "ls"}}],
    }
    first = {
        "name": "no-nc",
        "template": "deny-programs",
        "params": {"programs": ["nc"]},
        "examples": examples,
    }
    second = {"name": "no-nc-either", "extends": {"name": "no-nc", "version": 1}, "examples": examples}
    for each in (second, first):
        (tmp_path / f"{each['name']}.yaml").write_text(yaml.safe_dump(each))
    await cli(policies, "import", str(tmp_path))
    await cli(policies, "export", str(tmp_path / "out"))
    assert yaml.safe_load((tmp_path / "out" / "no-nc.yaml").read_text()) == first
    here = json.loads(await cli(policies, "activate", "--json"))
    await make_tenant(policy_api, "elsewhere")
    monkeypatch.setenv("HOLDFAST_API_KEY", await policy_api.new_key("admin", tenant="elsewhere"))
    assert "2 of 2" in await cli(policies, "import", str(tmp_path / "out"))
    assert json.loads(await cli(policies, "activate", "--json"))["digest"] == here["digest"]


async def test_of_files_of_which_one_is_refused_none_is_stored(
    cli: Run, document: DocumentMaker, tmp_path: Path
) -> None:
    (tmp_path / "a.yaml").write_text(yaml.safe_dump(document(name="good").written()))
    (tmp_path / "b.yaml").write_text(
        yaml.safe_dump(document(name="bad", when="facts.binarys == []").written())
    )
    with pytest.raises(Unprocessable, match=r"when: line 1, column 6: .*did you mean facts.binaries\?"):
        await cli(policies, "import", str(tmp_path))
    assert "good" not in await cli(policies, "ls")


async def test_what_is_wrong_is_said_by_its_name(cli: Run, file: Callable[..., str], tmp_path: Path) -> None:
    broken = tmp_path / "broken.yaml"
    broken.write_text("name: x\nefect: deny\npriority: high\n")
    for error, arguments, words in (
        (InvalidInput, ("create", str(broken)), "priority: .*; efect: "),
        (Unprocessable, ("create", file(extends={"name": "nobody", "version": 3}, name="y")), "nobody"),
        (Unprocessable, ("create", file(when="facts.bineries == 1")), "facts.bineries"),
        (NotFound, ("show", "nowhere"), "nowhere"),
        (Conflict, ("rollback",), "Nothing was ever activated"),
    ):
        with pytest.raises(HoldfastError, match=words) as raised:
            await cli(policies, *arguments)
        assert isinstance(raised.value, error)


async def test_a_backtest_and_an_experiment_of_nothing_say_so(cli: Run, file: Callable[..., str]) -> None:
    await cli(policies, "create", file())
    assert "0 actions decided" in await cli(policies, "backtest")
    assert "0 runs" in await cli(policies, "experiment", "no-listing")
    assert "retired" in await cli(policies, "retire", "no-listing")
    assert "protect-paths" in await cli(policies, "templates")


async def test_a_freeze_is_set_seen_and_released(cli: Run) -> None:
    held = json.loads(await cli(freeze, "--where", "env=prod,tool=kube*", "--reason", "incident 7", "--json"))
    assert (held["environment"], held["tool"], held["created_by"] != "") == ("prod", "kube*", True)
    assert "incident 7" in await cli(freeze, "--list")
    assert "Nothing matched" in await cli(thaw, "--where", "env=prod")
    assert "thawed by" in await cli(thaw, "--where", "tool=kube*,env=prod")
    assert "Nothing is held" in await cli(freeze, "--list")


@pytest.mark.parametrize(
    "where", ["env=Pr od", "env=", "color=red", "label.a=1,label.b=2", "tool=" + "x" * 300]
)
def test_a_freeze_of_what_cannot_be_is_refused_in_words(where: str) -> None:
    result = CliRunner().invoke(freeze, ["--where", where])
    assert result.exit_code != 0
    assert isinstance(result.exception, InvalidInput | SystemExit)


def test_a_freeze_of_everything_has_to_be_said() -> None:
    result = CliRunner().invoke(freeze, [])
    assert result.exit_code == 2
    assert "--all" in result.output
