"""Memory over HTTP: told, found, corrected, vouched for, forgotten; and nobody else's."""

import httpx
import pytest

from schemas.base import JsonObject
from schemas.runs import RunRequest
from tests.api.conftest import RunningApi, make_tenant


async def told(http: httpx.AsyncClient, text: str, **fields: object) -> JsonObject:
    answer = await http.post("/v1/memory", json={"text": text, "kind": "lesson", **fields})
    assert answer.status_code == 201, answer.text
    item: JsonObject = answer.json()
    assert answer.headers["Location"] == f"/v1/memory/{item['id']}"
    return item


async def listed(http: httpx.AsyncClient, **query: str) -> list[str]:
    return [one["id"] for one in (await http.get("/v1/memory", params=query)).json()["items"]]


async def test_what_was_told_is_read_listed_and_found_with_why(api: RunningApi) -> None:
    signature = {"goal_kind": "", "tool": "postgres.query"}
    async with api.http() as http:
        item = await told(http, "Vacuum the orders table before reindexing.", signature=signature)
        assert (await http.get(f"/v1/memory/{item['id']}")).json()["content"] == item["content"]
        assert item["id"] in await listed(http, kind="lesson", status="active")
        query = {"text": "vacuum and reindex the orders table", "tools": ["postgres.query"]}
        hits = (await http.post("/v1/memory/search", json=query)).json()["items"]
    [hit] = [one for one in hits if one["item"]["id"] == item["id"]]
    assert (hit["match"], bool(hit["why"])) == ("related", True)


async def test_items_come_page_by_page(api: RunningApi) -> None:
    async with api.http() as http:
        for number in range(3):
            await told(http, f"Fact number {number} about paging.", kind="fact")
        first = (await http.get("/v1/memory", params={"kind": "fact", "limit": 2})).json()
        rest = await listed(http, kind="fact", limit="2", cursor=first["next"])
    assert (len(first["items"]), len(rest)) == (2, 1)


async def test_an_item_is_edited_rolled_back_and_keeps_its_history(api: RunningApi) -> None:
    async with api.http() as http:
        item = await told(http, "Restart the queue after a deploy.")
        at = f"/v1/memory/{item['id']}"
        stale = {"If-Match": '"1"'}
        edited = await http.patch(
            at, json={"text": "Drain the queue after a deploy.", "reason": "it lost jobs"}, headers=stale
        )
        late = await http.patch(at, json={"pinned": True}, headers=stale)
        back = await http.post(f"{at}/rollback", json={"version": 1})
        versions = (await http.get(f"{at}/versions")).json()["items"]
    assert (edited.status_code, edited.headers["ETag"], late.status_code) == (200, '"2"', 412)
    assert back.json()["content"]["text"] == item["content"]["text"]
    assert [(one["version"], one["reason"]) for one in versions[1:]] == [(2, "it lost jobs"), (1, "learned")]


async def test_a_rejected_item_is_retired_until_somebody_vouches_for_it(api: RunningApi) -> None:
    async with api.http() as http:
        item = await told(http, "Reboot the switch when packets are lost.")
        at = f"/v1/memory/{item['id']}"
        rejected = (await http.post(f"{at}/reject", json={"reason": "too blunt"})).json()
        confirmed = (await http.post(f"{at}/confirm", json={})).json()
    assert (rejected["content"]["status"], confirmed["content"]["status"]) == ("retired", "active")


async def test_what_is_forgotten_is_really_gone(api: RunningApi) -> None:
    async with api.http() as http:
        item = await told(http, "The vault code is four zeros.")
        at = f"/v1/memory/{item['id']}"
        assert (await http.delete(at)).json() == {"ids": [item["id"]]}
        left = await http.get(at)
        assert (await http.patch(at, json={"pinned": True})).status_code == 409
    assert left.json()["content"]["status"] == "forgotten"
    assert "zeros" not in left.text


async def test_a_correction_of_a_run_becomes_a_lesson(api: RunningApi) -> None:
    run = await api.client().runs.start(RunRequest(goal="empty the spool"))
    async with api.http() as http:
        said = {"verdict": "down", "correction": "Ask the owner of a spool first."}
        report = (await http.post(f"/v1/runs/{run.id}/feedback", json=said)).json()
        lesson = (await http.get(f"/v1/memory/{report['learned']}")).json()
    assert lesson["content"]["text"] == "Ask the owner of a spool first."
    assert lesson["provenance"]["run_id"] == run.id


@pytest.mark.parametrize("wrong", [{"signature": {"tol": "x"}}, {"text": ""}, {"confidence": 2}, {"x": 1}])
async def test_an_edit_that_makes_no_sense_is_refused(api: RunningApi, wrong: JsonObject) -> None:
    async with api.http() as http:
        item = await told(http, "Nothing may change me.")
        assert (await http.patch(f"/v1/memory/{item['id']}", json=wrong)).status_code == 422


async def test_another_tenant_finds_nothing_of_our_memory(api: RunningApi) -> None:
    await make_tenant(api, "forgetful")
    run = await api.client().runs.start(RunRequest(goal="ours"))
    async with api.http() as ours, api.http(await api.new_key("admin", tenant="forgetful")) as theirs:
        item = await told(ours, "Our printers are on floor three.", kind="fact")
        at = f"/v1/memory/{item['id']}"
        assert await listed(theirs) == []
        hits = await theirs.post("/v1/memory/search", json={"text": "our printers on floor three"})
        assert hits.json()["items"] == []
        for verb in ("confirm", "reject"):
            assert (await theirs.post(f"{at}/{verb}", json={})).status_code == 404
        assert (await theirs.post(f"{at}/rollback", json={"version": 1})).status_code == 404
        assert (await theirs.get(f"{at}/versions")).status_code == 404
        assert (await theirs.patch(at, json={"pinned": True})).status_code == 404
        assert (await theirs.delete(at)).status_code == 404
        said = {"verdict": "up", "item": item["id"]}
        assert (await theirs.post(f"/v1/runs/{run.id}/feedback", json=said)).status_code == 404
        superseding = {"text": "They have moved.", "supersedes": item["id"]}
        assert (await theirs.post("/v1/memory", json=superseding)).status_code == 404
        assert (await ours.get(at)).json()["version"] == 1


async def test_a_key_of_one_environment_writes_only_what_holds_there(api: RunningApi) -> None:
    async with api.http() as admin, api.http(await api.new_key("operator", environments=("dev",))) as http:
        everywhere = await told(admin, "This holds in every place there is.")
        of_prod = await told(admin, "This holds where customers are.", scope={"environment": "prod"})
        mine = await told(http, "This holds where we try things.", scope={"environment": "dev"})
        assert (await http.get(f"/v1/memory/{everywhere['id']}")).status_code == 200
        assert (await http.get(f"/v1/memory/{of_prod['id']}")).status_code == 404
        assert (await http.delete(f"/v1/memory/{everywhere['id']}")).status_code == 403
        widened = await http.patch(f"/v1/memory/{mine['id']}", json={"scope": {}})
        assert widened.status_code == 403
        assert (await http.post("/v1/memory", json={"text": "For everybody."})).status_code == 403


async def test_an_item_is_traced_through_the_runs_that_heard_it_and_forgotten_alone(api: RunningApi) -> None:
    async with api.http() as http:
        item = await told(http, "Zebras cross at dawn.")
        trace = (await http.get(f"/v1/memory/{item['id']}/trace")).json()
        gone = await http.delete(f"/v1/memory/{item['id']}", params={"derived": "false"})
    assert (trace["id"], trace["derived"], trace["given"]) == (item["id"], [], [])
    assert gone.json()["ids"] == [item["id"]]


async def test_what_people_said_of_a_run_is_read_back(api: RunningApi) -> None:
    run = await api.client().runs.start(RunRequest(goal="feed the zebras"))
    async with api.http() as http:
        at = f"/v1/runs/{run.id}/feedback"
        assert (await http.post(at, json={"verdict": "down", "comment": "Too late."})).status_code == 200
        (said,) = (await http.get(at)).json()["items"]
    assert (said["verdict"], said["comment"]) == ("down", "Too late.")


async def test_memory_goes_back_to_a_point_in_time(api: RunningApi) -> None:
    async with api.http() as http:
        item = await told(http, "Lions sleep at noon.")
        moment = (await http.get(f"/v1/memory/{item['id']}/versions")).json()["items"][0]["created_at"]
        await http.patch(f"/v1/memory/{item['id']}", json={"text": "Lions never sleep."})
        back = await http.post("/v1/memory-restore", json={"at": moment})
        now = (await http.get(f"/v1/memory/{item['id']}")).json()
    assert back.json()["changed"] >= 1
    assert now["content"]["text"] == "Lions sleep at noon."


@pytest.mark.parametrize(
    "wrong",
    [
        {"scope": {"enviroment": "prod"}},
        {"signature": {"tol": "shell"}},
        {"scope": {"thread": "t" * 121}},
        {"valid_from": "2030"},
        {"valid_from": 2030},
        {"valid_from": "2030-01-01T00:00:00"},
        {"valid_from": "2030-01-01T00:00:00Z", "valid_to": "2029-01-01T00:00:00Z"},
        {"external": True, "supersedes": f"mem_{'0' * 26}"},
    ],
)
async def test_a_slip_in_what_is_told_is_refused_and_nothing_kept(api: RunningApi, wrong: JsonObject) -> None:
    async with api.http() as http:
        before = await listed(http, limit="200")
        answer = await http.post("/v1/memory", json={"text": "The spool is full.", **wrong})
        assert answer.status_code in (400, 404, 422)
        assert await listed(http, limit="200") == before


@pytest.mark.parametrize("at", ["2030", 2030, "2030-01-01T00:00:00", "yesterday"])
async def test_a_year_is_no_moment_to_bring_all_memory_back_to(api: RunningApi, at: object) -> None:
    async with api.http() as http:
        answer = await http.post("/v1/memory-restore", json={"at": at})
        assert answer.status_code == 422


@pytest.mark.parametrize(
    "wrong", [{"version": 0}, {"version": 2**40}, {"used": -1}, {"text": ""}, {"confidence": 50}]
)
async def test_of_an_import_with_one_wrong_item_none_goes_in(api: RunningApi, wrong: JsonObject) -> None:
    async with api.http() as http:
        item = await told(http, "The spool is on another disk.")
        before = await listed(http, limit="200")
        fresh = {**item, "content": {**item["content"], "text": "The spool is on no disk."}}
        inside = {key: value for key, value in wrong.items() if key in item["content"]}
        outside = {key: value for key, value in wrong.items() if key not in inside}
        bad = {**fresh, "content": {**fresh["content"], **inside}, **outside}
        answer = await http.post("/v1/memory-import", json={"items": [fresh, bad]})
        assert (answer.status_code, await listed(http, limit="200")) == (422, before)


async def test_data_that_look_like_ours_and_are_not_do_no_harm(api: RunningApi) -> None:
    async with api.http() as http:
        for text, programs in (("Look at the disk.", 5), ("Look at the net.", [1, {}])):
            await told(http, text, data={"programs": programs}, signature={"tool": "odd.shell"})
        query = {"text": "look at it", "tools": ["odd.shell"], "programs": ["df"]}
        assert (await http.post("/v1/memory/search", json=query)).status_code == 200
