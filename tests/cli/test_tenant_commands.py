"""`holdfast tenants` and `holdfast roles`, against a real API."""

import json

from tests.api.conftest import RunningApi
from tests.cli.commands import holdfast


async def test_a_tenant_is_made_limited_and_entered_with_its_first_key(api: RunningApi) -> None:
    made = await holdfast(api, "tenants", "create", "acme", "--title", "Acme Inc.", "--active-runs", "5")
    assert made.out.startswith("hf_"), made.err
    mine = await holdfast(api, "keys", "whoami", "--json", key=made.out.strip())
    assert json.loads(mine.out)["tenant"] == "acme"
    limited = await holdfast(api, "tenants", "limit", "acme", "--usd-a-day", "20", "--json")
    assert json.loads(limited.out)["settings"] == {"active_runs": 5, "spend_usd_a_day": 20.0}
    lifted = await holdfast(api, "tenants", "limit", "acme", "--no-active-runs")
    assert "any number of runs, 20 USD a day" in lifted.out
    assert "Acme Inc." in (await holdfast(api, "tenants", "ls")).out
    refused = await holdfast(api, "tenants", "ls", key=made.out.strip())
    assert (refused.code, "tenants:read" in refused.err) == (1, True)
    assert (await holdfast(api, "tenants", "limit", "acme")).code == 2


async def test_a_role_is_written_given_and_removed(api: RunningApi) -> None:
    written = await holdfast(api, "roles", "write", "on-call", "--permission", "approvals:decide")
    assert written.out == "approvals:decide\n", written.err
    key = (await holdfast(api, "keys", "create", "pager", "--role", "on-call")).out.strip()
    assert json.loads((await holdfast(api, "keys", "whoami", "--json", key=key)).out)["permissions"] == [
        "approvals:decide"
    ]
    assert "on-call" in (await holdfast(api, "roles", "ls")).out
    assert (await holdfast(api, "roles", "rm", "on-call")).code == 0
    assert (await holdfast(api, "roles", "show", "on-call")).code == 1
