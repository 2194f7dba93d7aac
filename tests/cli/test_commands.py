"""The commands people type, against a real API: what they print, and the exit code that scripts go by."""

import asyncio
import json
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from holdfast.cli.main import root
from schemas.runs import RunRequest, RunStatus
from tests.api.conftest import RunningApi, end_run, make_tenant, tell
from tests.api.test_approvals import ask
from tests.cli.commands import holdfast


async def test_a_run_is_started_and_left_to_itself(api: RunningApi) -> None:
    outcome = await holdfast(
        api, "run", "look around", "--detach", "--input", "n=3", "--label", "set=cli", "--json"
    )
    assert outcome.code == 0, outcome.err
    run = json.loads(outcome.out)
    assert (run["goal"], run["labels"]) == ("look around", {"set": "cli"})
    assert (await api.services.runs.start_input("default", run["id"])).inputs == {"n": 3}


@pytest.mark.parametrize(("status", "code"), [(RunStatus.SUCCEEDED, 0), (RunStatus.FAILED, 1)])
async def test_a_watched_run_is_told_line_by_line_and_ends_with_its_exit_code(
    api: RunningApi, status: RunStatus, code: int
) -> None:
    watching = asyncio.create_task(holdfast(api, "run", f"ends {status.value}", "--watch"))
    run_id = await _started(api, f"ends {status.value}")
    await tell(api, run_id, "run.message")
    await end_run(api, run_id, status)
    outcome = await watching
    assert outcome.code == code, outcome.err
    assert outcome.out.splitlines()[0] == run_id
    assert [line.split()[2] for line in outcome.out.splitlines()[1:]] == [
        "run.created",
        "run.message",
        "run.ended",
    ]


async def test_a_run_that_waits_for_a_person_leaves_with_a_code_of_its_own(api: RunningApi) -> None:
    watching = asyncio.create_task(holdfast(api, "run", "waits", "--watch"))
    await tell(api, await _started(api, "waits"), "run.status", status="input_required")
    left = await watching
    assert (left.code, left.err) == (3, "")


async def test_a_run_that_has_said_more_since_it_began_to_wait_waits_still(api: RunningApi) -> None:
    run = await api.client().runs.start(RunRequest(goal="waits on"))
    await tell(api, run.id, "run.status", status="input_required")
    await tell(api, run.id, "run.message")
    assert (await holdfast(api, "runs", "watch", run.id)).code == 3


async def test_a_question_answered_since_does_not_end_the_watch(api: RunningApi) -> None:
    run = await api.client().runs.start(RunRequest(goal="waited"))
    await tell(api, run.id, "run.status", status="input_required")
    await tell(api, run.id, "run.status", status="running")
    await end_run(api, run.id)
    watched = await holdfast(api, "runs", "watch", run.id)
    assert (watched.code, watched.out.splitlines()[-1].split()[2]) == (0, "run.ended")


async def test_runs_are_listed_shown_and_their_story_is_printed(api: RunningApi) -> None:
    run = await api.client().runs.start(RunRequest(goal="read me", labels={"set": "list"}))
    listed, shown, logs = await asyncio.gather(
        holdfast(api, "runs", "ls", "--label", "set=list"),
        holdfast(api, "runs", "show", run.id),
        holdfast(api, "runs", "logs", run.id),
    )
    assert run.id in listed.out
    assert "read me" in shown.out
    assert "run.created" in logs.out


async def test_what_a_run_did_cost_and_was_told_is_read(api: RunningApi) -> None:
    run = await api.client().runs.start(RunRequest(goal="look closer"))
    assert "0.000000 USD, 0 tool calls" in (await holdfast(api, "runs", "cost", run.id)).out
    assert json.loads((await holdfast(api, "runs", "cost", run.id, "--json")).out)["run_id"] == run.id
    for part in ("steps", "verdicts"):
        assert (await holdfast(api, "runs", part, run.id)).code == 0
    assert "was told" in (await holdfast(api, "runs", "instruct", run.id, "be quick")).out
    told = await holdfast(api, "runs", "post", run.id, "deploy.finished", "--data", "version=2", "--json")
    assert json.loads(told.out) == {"run_id": run.id, "event": "deploy.finished"}
    assert (await holdfast(api, "runs", "artifact", run.id, f"sha256:{'0' * 64}")).code == 1


async def test_an_approval_is_read_and_given_with_one_argument_changed(api: RunningApi) -> None:
    question = await ask(api)
    shown = await holdfast(api, "approvals", "show", question.id)
    assert question.digest in shown.out
    given = await holdfast(api, "approvals", "approve", question.id, "-m", "go on")
    assert (given.code, given.out.split(".")[0]) == (0, "approved")
    again = await holdfast(api, "approvals", "reject", question.id)
    assert again.code == 1
    assert "decided before" in again.err


async def test_a_key_is_made_used_and_revoked(api: RunningApi) -> None:
    made = await holdfast(api, "keys", "create", "ci", "--role", "viewer", "--days", "1")
    token = made.out.strip()
    assert token.startswith("hf_")
    assert "not shown again" in made.err
    who = await holdfast(api, "keys", "whoami", "--json", key=token)
    assert json.loads(who.out)["roles"] == ["viewer"]
    refused = await holdfast(api, "keys", "ls", key=token)
    assert refused.code == 1
    assert "keys:read" in refused.err
    await holdfast(api, "keys", "revoke", token.split("_")[1])
    assert (await holdfast(api, "runs", "ls", key=token)).code == 1


async def test_the_first_key_is_made_in_the_database_and_only_replaced_when_that_is_said(
    api: RunningApi,
) -> None:
    database = api.services.settings.database.url
    assert database is not None
    where = {"DATABASE_URL": database.get_secret_value()}
    again = await holdfast(api, "keys", "bootstrap", environment=where)
    assert (again.code, "--replace" in again.err) == (1, True)
    await make_tenant(api, "fresh")
    made = await holdfast(api, "keys", "bootstrap", "--tenant", "fresh", environment=where)
    who = await holdfast(api, "keys", "whoami", "--json", key=made.out.strip())
    assert (json.loads(who.out)["tenant"], json.loads(who.out)["roles"]) == ("fresh", ["platform-admin"])
    replaced = await holdfast(api, "keys", "bootstrap", "--tenant", "fresh", "--replace", environment=where)
    assert (await holdfast(api, "keys", "whoami", key=made.out.strip())).code == 1
    logged = await holdfast(api, "audit", "ls", "--json", key=replaced.out.strip())
    assert "keys bootstrap" in logged.out


async def test_the_audit_log_is_exported_and_checked_without_the_server(
    api: RunningApi, tmp_path: Path
) -> None:
    await api.client().runs.start(RunRequest(goal="x"))
    file = tmp_path / "audit.jsonl"
    assert (await holdfast(api, "audit", "export", str(file))).code == 0
    assert (await holdfast(api, "audit", "verify")).code == 0
    assert (await holdfast(api, "audit", "verify", "--file", str(file))).code == 0
    file.write_text(file.read_text().replace("202", "403"))
    damaged = await holdfast(api, "audit", "verify", "--file", str(file))
    assert damaged.code == 1
    assert "breaks at line" in damaged.out


async def test_an_agent_is_applied_from_a_file_and_shown_as_one(api: RunningApi, tmp_path: Path) -> None:
    file = tmp_path / "agent.yaml"
    file.write_text("name: keeper\ndescription: keeps\n")
    assert "version 1" in (await holdfast(api, "agents", "apply", str(file))).out
    assert "version 1" in (await holdfast(api, "agents", "apply", str(file))).out
    file.write_text("name: keeper\ndescription: keeps better\n")
    assert "version 2" in (await holdfast(api, "agents", "apply", str(file))).out
    assert "keeps better" in (await holdfast(api, "agents", "show", "keeper")).out
    file.write_text("name: keeper\ntoolz: []\n")
    wrong = await holdfast(api, "agents", "apply", str(file))
    assert (wrong.code, "toolz" in wrong.err) == (2, True)


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("run", ""), 2, "goal"),
        (("run", "x", "--input", "novalue"), 2, "name=value"),
        (("runs", "show", "run_00000000000000000000000000"), 1, "no run"),
        (("runs", "show", "nonsense"), 2, "'nonsense' is no run id"),
        (("keys", "create", "x", "--role", "king"), 2, "no role king"),
    ],
)
async def test_what_is_wrong_is_said_in_one_line(
    api: RunningApi, words: tuple[str, ...], code: int, said: str
) -> None:
    outcome = await holdfast(api, *words)
    assert (outcome.code, said in outcome.err) == (code, True), outcome.err
    assert "Traceback" not in outcome.err


async def test_without_an_api_the_remedy_is_named(api: RunningApi, tmp_path: Path) -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "holdfast",
        "runs",
        "ls",
        stderr=asyncio.subprocess.PIPE,
        env={"PATH": "/usr/bin:/bin"},
        cwd=tmp_path,
    )
    _, err = await process.communicate()
    assert process.returncode == 2
    assert b"holdfast up" in err


async def _started(api: RunningApi, goal: str) -> str:
    async with asyncio.timeout(20):
        while True:
            page = await api.client().runs.page(filters={"text": goal})
            if page.items:
                return page.items[0].id
            await asyncio.sleep(0.02)


SERVERS_AND_DOCUMENTS = {
    "api",
    "worker",
    "demo",
    "testing model-server",
    "config show",
    "config reference",
    "config example",
    "completion",
    "memory export",
    "runs artifact",
    "sandbox exec",
}
"""They run until they are stopped, or print one document or another program's output as it is."""


def every_command(group: click.Group, *path: str) -> Iterator[tuple[str, click.Command]]:
    ctx = click.Context(group)
    for name in group.list_commands(ctx):
        command = group.get_command(ctx, name)
        if isinstance(command, click.Group):
            yield from every_command(command, *path, name)
        elif command is not None:
            yield " ".join((*path, name)), command


def test_every_command_can_answer_other_programs_and_says_what_it_does() -> None:
    silent = {
        name
        for name, command in every_command(root)
        if not any("--json" in option.opts for option in command.params)
    }
    assert silent <= SERVERS_AND_DOCUMENTS
    assert [name for name, command in every_command(root) if not command.help] == []
    unexplained = [
        (name, option.opts)
        for name, command in every_command(root)
        for option in command.params
        if isinstance(option, click.Option) and not option.help
    ]
    assert unexplained == []


@pytest.mark.parametrize(
    ("words", "found"), [("ru", "runbooks"), ("runs ca", "cancel"), ("runs ls --sta", "--status")]
)
async def test_tab_completes_commands_and_options(api: RunningApi, words: str, found: str) -> None:
    typed = {"COMP_WORDS": f"holdfast {words}", "COMP_CWORD": str(len(words.split()))}
    completed = await holdfast(api, environment={**typed, "_HOLDFAST_COMPLETE": "bash_complete"})
    assert f"plain,{found}" in completed.out
    assert "_HOLDFAST_COMPLETE=bash_complete" in (await holdfast(api, "completion", "bash")).out
