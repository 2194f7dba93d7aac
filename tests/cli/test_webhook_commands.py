"""`holdfast webhooks`, against a real API."""

import json

from schemas.runs import RunRequest
from tests.api.conftest import RunningApi, end_run
from tests.cli.commands import holdfast


async def test_a_webhook_is_made_changed_paused_rotated_and_removed(api: RunningApi) -> None:
    made = await holdfast(api, "webhooks", "create", "https://hooks.example/x", "--event", "run.ended")
    webhook, secret = made.out.split()
    assert secret.startswith("whsec_"), made.err
    run = await api.client().runs.start(RunRequest(goal="x"))
    await end_run(api, run.id)
    told = await holdfast(api, "webhooks", "deliveries", webhook, "--json")
    messages = {each["run_id"]: each["id"] for each in map(json.loads, told.out.splitlines())}
    assert run.id in messages  # beside those of runs that other tests left, and that end about now
    await holdfast(api, "webhooks", "edit", webhook, "--event", "approval.*")
    await holdfast(api, "webhooks", "pause", webhook)
    listed = await holdfast(api, "webhooks", "ls")
    assert f"{webhook}  paused  approval.*  https://hooks.example/x" in listed.out
    rotated = await holdfast(api, "webhooks", "rotate", webhook, "--json")
    assert json.loads(rotated.out)["secret"] != secret
    alive = await holdfast(api, "webhooks", "retry", webhook, messages[run.id])
    assert (alive.code, "no dead message" in alive.err) == (1, True)
    assert (await holdfast(api, "webhooks", "rm", webhook)).code == 0
    assert (await holdfast(api, "webhooks", "show", webhook)).code == 1
