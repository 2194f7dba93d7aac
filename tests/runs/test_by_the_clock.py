"""Schedules, with runs that are really carried out: by an interval, and through a night in which the clocks change."""

from typing import Any

from tests.runs.house import House, say


def draft(name: str, **fields: Any) -> dict[str, Any]:
    run = {"goal": f"goal of {name}", "plan": {"steps": [say("tick")]}, "on_failure": "fail", "priority": 2}
    return {"name": name, "run": run, "time_zone": "Europe/Berlin", **fields}


async def test_an_interval_starts_run_after_run_with_their_priority(house: House) -> None:
    await house.post("/v1/schedules", draft("often", every_s=1, cron=[]))
    await house.until(lambda: _said(house), lambda said: len(said) >= 2)
    await house.http.delete("/v1/schedules/often")
    assert set(house.world.priorities) == {(2, "default")}


async def test_a_backfill_follows_the_local_clock_through_the_night_of_the_change(house: House) -> None:
    await house.post("/v1/schedules", draft("through-the-change", cron=["0 3 * * *"], paused=True))
    stretch = {"start_at": "2026-03-27T12:00:00Z", "end_at": "2026-03-30T12:00:00Z", "overlap": "buffer_all"}
    await house.post("/v1/schedules/through-the-change/backfill", stretch)
    schedule = await house.until(
        lambda: house.get("/v1/schedules/through-the-change"), lambda found: len(found["recent"]) == 3
    )
    assert sorted(fired["due_at"] for fired in schedule["recent"]) == [
        "2026-03-28T02:00:00Z",
        "2026-03-29T01:00:00Z",
        "2026-03-30T01:00:00Z",
    ]
    await house.until(lambda: _said(house), lambda said: len(said) == 3)


async def _said(house: House) -> list[str]:
    return house.world.said
