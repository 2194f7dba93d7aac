"""`holdfast panels`, against a real API. What a whole panel does stands in tests/llm/test_panel_runs.py."""

import json

from holdfast.adapters.postgres.panels import PostgresPanelBook
from tests.api.conftest import RunningApi, end_run
from tests.api.test_consensus import said, voice
from tests.cli.commands import holdfast


async def test_a_question_is_asked_shown_and_counted(api: RunningApi) -> None:
    words = ("Is it safe?", "--voice", "a", "--role", "You doubt.", "--choice", "yes", "--choice", "no")
    asked = await holdfast(api, "panels", "ask", *words, "--wait", "0", "--json")
    assert asked.code == 3, asked.err
    question = json.loads(asked.out)
    async with api.services.database.tenant("default") as connection:
        row = await (
            await connection.execute("select input from runs where id = %s", (question["id"],))
        ).fetchone()
    assert row is not None
    step = row["input"]["state"]["plan"]["steps"][0]
    assert (step["method"], step["choices"]) == ("vote", ["yes", "no"])
    assert [(each["model"], each["role"]) for each in step["voices"]] == [("a", ""), (None, "You doubt.")]

    result = said(question["id"], voice("one", "yes"), voice("liar", "no"))
    await PostgresPanelBook(database=api.services.database).keep(result)
    await end_run(api, question["id"])
    shown = await holdfast(api, "panels", "show", question["id"])
    assert "yes  (decided by the panel)" in shown.out
    assert "✓ one" in shown.out
    assert "· liar" in shown.out
    assert result.id in (await holdfast(api, "panels", "ls")).out
    assert "one                          answered 100%" in (await holdfast(api, "panels", "stats")).out


async def test_a_question_that_cannot_be_meant_is_refused_before_it_is_sent(api: RunningApi) -> None:
    outcome = await holdfast(api, "panels", "ask", "Is it?", "--choice", "yes")
    assert outcome.code == 2
    assert "at least two choices" in outcome.err
