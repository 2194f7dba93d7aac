"""Webhooks: signed, delivered though the receiver stumbles, and never sent where only we can reach."""

import asyncio
import base64
import hashlib
import hmac
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import timedelta

import httpx
import pytest
from temporalio.client import Client
from temporalio.worker import Worker

from activities.webhook_delivery import WebhookActivities
from holdfast.adapters.postgres.webhooks import PostgresWebhooks
from holdfast.adapters.webhook_sender import WebhookSender
from holdfast.errors import Forbidden, Misconfigured
from holdfast.runtime.encryption import Keyring
from holdfast.runtime.sealing import Seal, new_keyring_text
from holdfast.webhooks import DeliveryFailed, ReceiverGone, refuse_private, sign
from schemas.runs import RunRequest
from schemas.webhooks import DeliveryRef
from tests.api.conftest import KEYRING, RunningApi, end_run, until
from workflows import webhook_delivery


@dataclass
class Receiver:
    """A server of somebody else's: it answers with these statuses in turn, then with 204."""

    url: str = ""
    statuses: list[int] = field(default_factory=list)
    got: list[tuple[dict[str, str], bytes]] = field(default_factory=list)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        headers = {
            name.lower(): value for name, _, value in (line.partition(": ") for line in head[1:] if line)
        }
        body = await reader.readexactly(int(headers["content-length"]))
        self.got.append((headers, body))
        status = self.statuses.pop(0) if self.statuses else 204
        extra = "Location: http://127.0.0.1:1/\r\n" if status == 302 else ""
        writer.write(f"HTTP/1.1 {status} X\r\n{extra}Content-Length: 0\r\nConnection: close\r\n\r\n".encode())
        await writer.drain()
        writer.close()


_STORED = "select secret from webhooks where id = %(id)s"


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    found = Receiver()
    server = await asyncio.start_server(found.serve, "127.0.0.1", 0)
    found.url = f"http://localhost:{server.sockets[0].getsockname()[1]}/hook?x=1"
    async with server:
        yield found


@pytest.fixture
async def sender(api: RunningApi) -> AsyncIterator[WebhookSender]:
    async with httpx.AsyncClient() as http:
        yield WebhookSender(webhooks=api.services.webhooks, http=http, private_targets=True)


async def test_an_event_is_signed_and_delivered_by_a_workflow_though_the_receiver_stumbles(
    api: RunningApi,
    receiver: Receiver,
    sender: WebhookSender,
    temporal_client: Client,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(webhook_delivery.ATTEMPTS, "initial_interval", timedelta(milliseconds=50))
    receiver.statuses = [500, 302]
    async with api.http() as http:
        made = (await http.post("/v1/webhooks", json={"url": receiver.url, "events": ["run.ended"]})).json()
        acts = WebhookActivities(deliveries=sender)
        async with Worker(
            temporal_client,
            task_queue="orchestration",
            workflows=[webhook_delivery.WebhookDelivery],
            activities=[acts.deliver, acts.bury],
        ):
            run = await api.client().runs.start(RunRequest(goal="x"))
            await end_run(api, run.id)

            async def delivered() -> bool:
                listed = await http.get(f"/v1/webhooks/{made['id']}/deliveries")
                return [item["status"] for item in listed.json()["items"]] == ["delivered"]

            await until(delivered, patience_s=20)
        await http.delete(f"/v1/webhooks/{made['id']}")
    headers, body = receiver.got[-1]
    told = json.loads(body)
    assert (told["type"], told["data"]["run_id"]) == ("run.ended", run.id)
    assert len({message[0]["webhook-id"] for message in receiver.got}) == 1
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
    key = base64.b64decode(made["secret"].removeprefix("whsec_"))
    expected = base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
    assert headers["webhook-signature"] == f"v1,{expected}"


async def test_the_database_never_knows_a_secret_and_a_new_key_takes_over_what_an_old_one_sealed(
    api: RunningApi, receiver: Receiver, sender: WebhookSender
) -> None:
    webhook, (ref,) = await queued(api, receiver.url, ["run.ended"])
    old = await stored(api, webhook)
    assert old.startswith("sealed:")
    assert "whsec_" not in old
    ring = f"newer:{new_keyring_text().partition(':')[2]},{KEYRING}"
    newer = Seal(Keyring.parse(ring), "webhook secrets")
    webhooks = PostgresWebhooks(database=api.services.database, seal=newer)
    clear = newer.open(old, owner=webhook)
    bare = "update webhooks set secret = %(clear)s where id = %(id)s returning secret"
    assert await stored(api, webhook, bare, clear=clear) == clear
    assert await webhooks.seal_all() >= 1
    assert (await stored(api, webhook)).startswith("sealed:newer:")
    message = await webhooks.message(ref)
    assert message is not None
    assert message.secrets == (clear,)
    with pytest.raises(Misconfigured, match="not in the keyring"):
        await sender.send(ref)
    with pytest.raises(Misconfigured, match="does not open"):
        newer.open(old, owner="another webhook")


async def test_after_a_rotation_messages_carry_both_signatures_until_the_overlap_is_over(
    api: RunningApi, receiver: Receiver, sender: WebhookSender
) -> None:
    webhook, (ref,) = await queued(api, receiver.url, ["run.ended"])
    async with api.http() as http:
        first = await http.post(f"/v1/webhooks/{webhook}/rotate", json={"overlap_s": 60})
        assert first.json()["old_secret_until"]
        await sender.send(ref)
        last = await http.post(f"/v1/webhooks/{webhook}/rotate", json={"overlap_s": 0})
        assert last.json()["old_secret_until"] is None
        assert "secret" not in (await http.get(f"/v1/webhooks/{webhook}")).json()
    headers, body = receiver.got[-1]
    place = {
        "message_id": headers["webhook-id"],
        "timestamp": int(headers["webhook-timestamp"]),
        "body": body,
    }
    newest, oldest = headers["webhook-signature"].split(" ")
    assert newest == sign(first.json()["secret"], **place)  # type: ignore[arg-type] # three names, three types
    assert newest != oldest


async def test_a_webhook_is_edited_only_as_it_was_read_and_hears_nothing_while_paused(
    api: RunningApi, receiver: Receiver
) -> None:
    async with api.http() as http:
        draft = {"url": receiver.url, "events": ["run.ended"]}
        made = await http.post("/v1/webhooks", json=draft)
        place = made.headers["Location"]
        read = await http.get(place)
        match = {"If-Match": read.headers["ETag"]}
        paused = await http.put(place, json={**draft, "paused": True}, headers=match)
        stale = await http.put(place, json=draft, headers=match)
        assert (paused.status_code, paused.json()["paused"], stale.status_code) == (200, True, 412)
        run = await api.client().runs.start(RunRequest(goal="x"))
        await end_run(api, run.id)
        assert (await http.get(f"{place}/deliveries")).json()["items"] == []


async def stored(api: RunningApi, webhook: str, statement: str = _STORED, **values: str) -> str:
    async with api.services.database.tenant("default") as connection:
        cursor = await connection.execute(statement.encode(), {"id": webhook, **values})
        row = await cursor.fetchone()
    assert row is not None
    return str(row["secret"])


async def queued(api: RunningApi, url: str, events: list[str]) -> tuple[str, list[DeliveryRef]]:
    """A webhook, and the messages that one ended run queued for it."""
    async with api.http() as http:
        made = (await http.post("/v1/webhooks", json={"url": url, "events": events})).json()
        run = await api.client().runs.start(RunRequest(goal="x"))
        await end_run(api, run.id)
        listed = (await http.get(f"/v1/webhooks/{made['id']}/deliveries")).json()["items"]
    return made["id"], [DeliveryRef(tenant="default", id=item["id"]) for item in listed]


@pytest.mark.parametrize(
    ("events", "count"), [(["*"], 2), (["run.*"], 2), (["run.created"], 1), (["step.*"], 0)]
)
async def test_only_the_events_asked_for_are_queued(
    api: RunningApi, receiver: Receiver, events: list[str], count: int
) -> None:
    assert len((await queued(api, receiver.url, events))[1]) == count


async def test_a_redirect_is_a_failure_and_is_not_followed(
    api: RunningApi, receiver: Receiver, sender: WebhookSender
) -> None:
    _, (ref,) = await queued(api, receiver.url, ["run.ended"])
    receiver.statuses = [302]
    with pytest.raises(DeliveryFailed, match="302"):
        await sender.send(ref)


async def test_a_receiver_that_is_gone_is_not_asked_again(
    api: RunningApi, receiver: Receiver, sender: WebhookSender
) -> None:
    webhook, (ref,) = await queued(api, receiver.url, ["run.ended"])
    receiver.statuses = [410]
    with pytest.raises(ReceiverGone):
        await sender.send(ref)
    await sender.bury(ref, "410")
    async with api.http() as http:
        dead = (await http.get(f"/v1/webhooks/{webhook}/deliveries", params={"status": "dead"})).json()
        again = await http.post(f"/v1/webhooks/{webhook}/deliveries/{ref.id}/retry")
    assert [item["id"] for item in dead["items"]] == [ref.id]
    assert again.status_code == 202
    await sender.send(ref)
    await sender.send(ref)
    assert len(receiver.got) == 2


async def test_a_private_address_is_refused_though_its_name_looks_public(
    api: RunningApi, receiver: Receiver
) -> None:
    _, (ref,) = await queued(api, receiver.url, ["run.ended"])
    async with httpx.AsyncClient() as http:
        careful = WebhookSender(webhooks=api.services.webhooks, http=http)
        with pytest.raises(ReceiverGone, match="no public address"):
            await careful.send(ref)
    assert receiver.got == []


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1", "0.0.0.0",  # noqa: S104
        "224.0.0.1", "255.255.255.255", "::1", "::", "fe80::1%eth0", "fd00::1", "::ffff:127.0.0.1",
        "::ffff:10.0.0.1", "2002:7f00:1::", "ff02::1", "64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe", "64:ff9b:1::a00:1",
        "::7f00:1", "::ffff:0:127.0.0.1", "fec0::1", "2001:0:7f00:1::", "2001:db8::1", "3fff::1", "5f00::1",
        "192.0.2.1", "198.18.0.1", "240.0.0.1", "100.100.100.200", "fd00:ec2::254",
    ],
)  # fmt: skip
def test_addresses_that_only_we_can_reach_are_refused(address: str) -> None:
    with pytest.raises(Forbidden):
        refuse_private(["93.184.215.14", address], "looks.example")


def test_a_public_address_is_fine() -> None:
    refuse_private(
        ["93.184.215.14", "2606:2800:21f:cb07:6820:80da:af6b:8b2c", "64:ff9b::5db8:d70e"], "example.com"
    )


@pytest.mark.parametrize(
    "host", ["2130706433", "0x7f.1", "017700000001", "127.1", "0", "localhost", "[::ffff:7f00:1]"]
)
async def test_however_a_private_address_is_spelt_it_is_refused(api: RunningApi, host: str) -> None:
    """What the resolver makes of it is what counts, not what it looks like."""
    _, (ref,) = await queued(api, f"http://{host}:9/", ["run.ended"])
    async with httpx.AsyncClient() as http:
        with pytest.raises(DeliveryFailed, match=r"no public address|cannot be found"):
            await WebhookSender(webhooks=api.services.webhooks, http=http).send(ref)


def test_signatures_are_those_of_the_standard() -> None:
    signature = sign(
        "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
        message_id="msg_p5jXN8AQM9LWM0D4loKWxJek",
        timestamp=1614265330,
        body=b'{"test": 2432232314}',
    )
    assert signature == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
