"""`holdfast schedules`, against a real API and a real Temporal."""

import json

from tests.api.conftest import RunningApi, until
from tests.cli.commands import holdfast


async def test_a_schedule_is_made_read_paused_backfilled_and_removed(api: RunningApi) -> None:
    words = ("by-command", "clean up", "--cron", "0 3 * * *", "--tz", "Europe/Berlin", "--input", "n=3")
    made = await holdfast(api, "schedules", "create", *words, "--json")
    assert made.code == 0, made.err
    schedule = json.loads(made.out)
    assert (schedule["run"]["inputs"], schedule["time_zone"]) == ({"n": 3}, "Europe/Berlin")
    paused = await holdfast(api, "schedules", "pause", "by-command", "--note", "quiet")
    assert "paused" in paused.out
    filled = await holdfast(api, "schedules", "backfill", "by-command", "2026-03-01", "2026-03-02")
    assert filled.code == 0, filled.err
    await holdfast(api, "schedules", "unpause", "by-command")
    await holdfast(api, "schedules", "trigger", "by-command")
    edited = await holdfast(
        api, "schedules", "edit", "by-command", "--cron", "30 4 * * *", "--goal", "tidy up"
    )
    assert "30 4 * * * Europe/Berlin" in edited.out, edited.err
    shown = (await holdfast(api, "schedules", "show", "by-command")).out
    assert "tidy up" in shown

    async def listed() -> bool:
        return "by-command" in (await holdfast(api, "schedules", "ls")).out

    await until(listed, patience_s=20)
    assert (await holdfast(api, "schedules", "rm", "by-command")).code == 0
    assert (await holdfast(api, "schedules", "show", "by-command")).code == 1


async def test_a_schedule_without_a_time_is_refused_before_it_is_sent(api: RunningApi) -> None:
    outcome = await holdfast(api, "schedules", "create", "timeless", "clean up")
    assert outcome.code == 2
    assert "say when" in outcome.err
