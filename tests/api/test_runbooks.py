"""The library over HTTP: given, found, read, taken out, brought back; and nobody else's."""

import base64
import json

import httpx
import pytest

from schemas.base import JsonObject
from tests.api.conftest import RunningApi, make_tenant

DISK = """# Disk is filling up

Find what fills the disk with du, then delete old logs below /var/log.
"""
CERTIFICATE = """# Certificate expires

Renew the certificate with certbot and reload the web server.
"""


def body(document_id: str, text: str = DISK, **fields: object) -> JsonObject:
    return {"documents": [{"id": document_id, "text": text, **fields}]}


async def ids(http: httpx.AsyncClient, **query: object) -> list[str]:
    answer = await http.get("/v1/runbooks", params={key: str(value) for key, value in query.items()})
    assert answer.status_code == 200, answer.text
    return [one["id"] for one in answer.json()["items"]]


async def test_an_uploaded_document_is_read_in_its_words_and_a_second_upload_changes_nothing(
    api: RunningApi,
) -> None:
    async with api.http() as http:
        first = await http.post("/v1/runbooks", json=body("team/disk", tags=["storage"]))
        again = await http.post("/v1/runbooks", json=body("team/disk", tags=["storage"]))
        read = (await http.get("/v1/runbook", params={"id": "team/disk"})).json()
    assert (first.json()["added"], again.json()["unchanged"]) == (1, 1)
    assert (read["title"], read["text"]) == ("Disk is filling up", DISK)


async def test_a_search_says_why_it_found_what_it_found(api: RunningApi) -> None:
    async with api.http() as http:
        await http.post("/v1/runbooks", json=body("found-disk"))
        await http.post("/v1/runbooks", json=body("found-certificate", CERTIFICATE))
        found = (await http.post("/v1/runbooks/search", json={"query": "renew a certificate"})).json()
    best = found["hits"][0]
    assert best["document"]["id"] == "found-certificate"
    assert "renew" in best["words"]
    assert best["signals"][0]["name"] == "lexical"
    assert best["why"]


async def test_documents_come_page_by_page(api: RunningApi) -> None:
    async with api.http() as http:
        for number in range(3):
            await http.post("/v1/runbooks", json=body(f"page-{number}", source="pages"))
        first = (await http.get("/v1/runbooks", params={"source": "pages", "limit": 2})).json()
        rest = await ids(http, source="pages", limit=2, cursor=first["next"])
    assert [one["id"] for one in first["items"]] == ["page-0", "page-1"]
    assert rest == ["page-2"]


async def test_an_older_version_comes_back_also_after_the_document_was_taken_out(api: RunningApi) -> None:
    at = {"id": "versions"}
    async with api.http() as http:
        await http.post("/v1/runbooks", json=body("versions"))
        await http.post("/v1/runbooks", json=body("versions", CERTIFICATE))
        assert (await http.get("/v1/runbook", params={**at, "version": 1})).json()["text"] == DISK
        assert (await http.delete("/v1/runbook", params=at)).json() == {"removed": 1}
        assert (await http.get("/v1/runbook", params=at)).status_code == 404
        back = await http.post("/v1/runbook/rollback", json={"id": "versions", "version": 1})
        versions = (await http.get("/v1/runbook/versions", params=at)).json()["items"]
    assert (back.status_code, back.json()["text"]) == (200, DISK)
    assert [one["version"] for one in versions] == [3, 2, 1]


async def test_what_cannot_be_read_is_told_and_the_rest_goes_in(api: RunningApi) -> None:
    documents = [
        {"id": "twice", "text": DISK},
        {"id": "twice", "text": CERTIFICATE},
        {"id": "besides", "text": DISK},
    ]
    async with api.http() as http:
        report = (await http.post("/v1/runbooks", json={"documents": documents})).json()
    assert report["added"] == 2
    assert [one["code"] for one in report["failures"]] == ["duplicate_id"]


async def test_files_go_in_as_they_are_and_those_that_cannot_be_read_are_told(api: RunningApi) -> None:
    rules = b"groups: [{rules: [{alert: DiskFull, expr: x, annotations: {summary: No space left}}]}]"
    files = {
        "files/page.html": b"<h1>Page</h1><p>Of a disk.</p>",
        "files/notes": DISK.encode(),
        "files/rules.yaml": rules,
        "files/wide.txt": "für alle".encode("utf-16"),
        "files/broken.pdf": b"%PDF-1.7 nothing",
        "files/old.txt": "für".encode("latin-1"),
        "files/empty.md": b"",
    }
    sent = [{"id": name, "data": base64.b64encode(data).decode()} for name, data in files.items()]
    sent.append({"id": "files/mangled.md", "data": "IyBEaXNr?\0"})
    async with api.http() as http:
        report = (await http.post("/v1/runbooks/files", json={"files": sent})).json()
        read = (await http.get("/v1/runbook", params={"id": "files/page.html"})).json()
        nonsense = await http.post("/v1/runbooks/files", json={"files": [{"id": "x", "data": 7}]})
    assert report["added"] == 4
    assert {one["id"] for one in report["failures"]} == {
        "files/broken.pdf",
        "files/old.txt",
        "files/empty.md",
        "files/mangled.md",
    }
    assert read["text"].startswith("# Page")
    assert nonsense.status_code == 422


@pytest.mark.parametrize("broken", ["# Disk\0\n", "# Half \ud800\n"])
@pytest.mark.parametrize("route", ["/v1/runbooks", "/v1/runbooks/sync"])
async def test_a_document_that_is_no_text_keeps_no_other_out(
    api: RunningApi, route: str, broken: str
) -> None:
    documents = [{"id": "mixed/bad", "text": broken}, {"id": "mixed/good", "text": DISK}]
    more = {"source": "mixed"} if route.endswith("sync") else {}
    content = json.dumps({"documents": documents, **more})
    async with api.http() as http:
        answer = await http.post(route, content=content, headers={"Content-Type": "application/json"})
        read = await http.get("/v1/runbook", params={"id": "mixed/good"})
    assert [one["id"] for one in answer.json()["failures"]] == ["mixed/bad"], answer.text
    assert read.status_code == 200


async def test_a_job_tells_at_once_what_is_no_text_and_reads_the_rest(api: RunningApi) -> None:
    documents = [{"id": "staged/bad", "text": "# Disk\0\n"}, {"id": "staged/good", "text": DISK}]
    async with api.http() as http:
        answer = await http.post("/v1/ingestions", json={"documents": documents})
    assert answer.status_code == 202, answer.text
    assert answer.json()["outcomes"]["failed"] == 1
    assert [one["id"] for one in answer.json()["failures"]] == ["staged/bad"]


@pytest.mark.parametrize(
    ("route", "more"), [("/v1/runbooks", {}), ("/v1/runbooks/sync", {"source": "large"})]
)
async def test_a_large_document_is_put_down_for_workers_and_the_others_go_in(
    api: RunningApi, route: str, more: JsonObject
) -> None:
    large = "# Large\n\n" + "".join(f"## Part {at}\n\nWords {route}.\n\n" for at in range(301))
    documents = [{"id": f"{route}/large", "text": large}, {"id": f"{route}/small", "text": DISK}]
    async with api.http() as http:
        answer = await http.post(route, json={"documents": documents, **more})
        report = answer.json()
        standing = (await http.get(answer.headers["Location"])).json()
        small = await http.get("/v1/runbook", params={"id": f"{route}/small"})
    assert (answer.status_code, report["later"]) == (202, [f"{route}/large"])
    assert (report["added"], small.status_code) == (1, 200)
    assert (standing["id"], standing["left"]) == (report["ingestion"], 1)


@pytest.mark.parametrize("query", [{"source": "a\0b"}, {"cursor": "a\0b"}, {"limit": "0"}])
async def test_a_list_that_makes_no_sense_is_refused(api: RunningApi, query: dict[str, str]) -> None:
    async with api.http() as http:
        answer = await http.get("/v1/runbooks", params=query)
    assert answer.status_code in (400, 422), answer.text


async def test_another_tenant_finds_nothing_of_our_library(api: RunningApi) -> None:
    await make_tenant(api, "readers")
    async with api.http() as ours, api.http(await api.new_key("admin", tenant="readers")) as theirs:
        await ours.post("/v1/runbooks", json=body("secret"))
        assert await ids(theirs) == []
        assert (await theirs.post("/v1/runbooks/search", json={"query": "disk"})).json()["hits"] == []
        for verb, path in (
            ("GET", "/v1/runbook"),
            ("GET", "/v1/runbook/versions"),
            ("DELETE", "/v1/runbook"),
        ):
            assert (await theirs.request(verb, path, params={"id": "secret"})).status_code == 404
        rollback = await theirs.post("/v1/runbook/rollback", json={"id": "secret", "version": 1})
        assert rollback.status_code == 404
        assert "secret" in await ids(ours)


async def test_a_key_of_one_environment_writes_only_what_holds_there(api: RunningApi) -> None:
    for_prod = "---\nenvironment: prod\n---\n" + DISK
    async with api.http() as admin, api.http(await api.new_key("operator", environments=("dev",))) as http:
        await admin.post("/v1/runbooks", json=body("of-prod", environment="prod"))
        assert (await http.get("/v1/runbook", params={"id": "of-prod"})).status_code == 404
        assert "of-prod" not in await ids(http)
        assert (await http.post("/v1/runbooks", json=body("everywhere"))).status_code == 403
        assert (await http.post("/v1/runbooks", json=body("sneaky", for_prod))).status_code == 403
        assert (await http.post("/v1/runbooks", json=body("of-prod", environment="dev"))).status_code == 403
        assert (await http.post("/v1/runbooks", json=body("of-dev", environment="dev"))).status_code == 200


async def test_work_on_the_whole_library_is_accepted_and_its_state_told(api: RunningApi) -> None:
    async with api.http() as http:
        await http.post("/v1/runbooks", json={"documents": [{"id": "state", "text": "# State\n\nOf it."}]})
        state = (await http.get("/v1/library")).json()
        job = await http.post("/v1/library-jobs", json={"work": "embed"})
        wrong = await http.post("/v1/library-jobs", json={"work": "burn"})
    assert state["documents"] >= 1
    assert state["unasked"] >= 1
    assert (job.status_code, job.json()["work"], wrong.status_code) == (202, "embed", 422)


async def test_questions_are_refused_where_no_model_could_be_asked(api: RunningApi) -> None:
    """Workers would try over and over, and whoever began it would see nothing come of it."""
    async with api.http() as http:
        refused = await http.post("/v1/library-jobs", json={"work": "questions"})
    assert (refused.status_code, refused.json()["retryable"]) == (409, False)
    assert "none is configured" in refused.json()["detail"]
