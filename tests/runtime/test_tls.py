"""Temporal behind TLS, by a profile of Temporal's TOML: a worker and a client work, and what is wrong is told in one line."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import pytest
from temporalio.worker import Worker

from holdfast.errors import Misconfigured
from holdfast.runtime.reach import require_temporal
from holdfast.runtime.temporal import HoldfastPlugin, connect, require_given_temporal
from tests.runtime.behind_tls import SERVER, Authority, door, web_server
from tests.runtime.flows import Echo, Letter, double


@dataclass(frozen=True)
class Behind:
    """What profiles are made of."""

    address: str
    plain: str
    folder: Path

    def profile(self, address: str = "", **tls: str) -> Path:
        path = self.folder / f"{uuid4().hex}.toml"
        lines = [
            f'[profile.work]\naddress = "{address or self.address}"',
            "[profile.work.tls]" if tls else "",
        ]
        path.write_text("\n".join([*lines, *(f'{name} = "{value}"' for name, value in tls.items())]))
        return path

    def tls(self, **other: str) -> dict[str, str]:
        return {
            "server_name": SERVER,
            "server_ca_cert_path": str(self.folder / "ours-ca.pem"),
            "client_cert_path": str(self.folder / "worker.pem"),
            "client_key_path": str(self.folder / "worker.key"),
        } | other


@pytest.fixture
async def behind(temporal_address: str, tmp_path: Path) -> AsyncIterator[Behind]:
    ours, theirs = Authority(tmp_path, "ours"), Authority(tmp_path, "theirs")
    ours.issue("worker")
    theirs.issue("stranger")
    (tmp_path / "garbage.pem").write_text("no certificate")
    async with door(temporal_address, ours) as address:
        yield Behind(address, temporal_address, tmp_path)


@pytest.fixture
def use(monkeypatch: pytest.MonkeyPatch) -> "Use":
    return Use(monkeypatch)


@dataclass(frozen=True)
class Use:
    monkeypatch: pytest.MonkeyPatch

    def __call__(self, profile: Path) -> None:
        self.monkeypatch.setenv("TEMPORAL_CONFIG_FILE", str(profile))
        self.monkeypatch.setenv("TEMPORAL_PROFILE", "work")


async def test_a_run_goes_through_with_a_client_certificate_of_the_profile(behind: Behind, use: Use) -> None:
    use(behind.profile(**behind.tls()))
    assert await require_given_temporal() == behind.address
    client = await connect(HoldfastPlugin())
    queue = f"tls-{uuid4()}"
    async with Worker(client, task_queue=queue, workflows=[Echo], activities=[double]):
        letter = await client.execute_workflow(Echo.run, Letter(text="x"), id=queue, task_queue=queue)
    assert letter.text == "xx"


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"server_ca_cert_path": "theirs-ca.pem"}, "is not accepted: .*self-signed.*server CA"),
        ({"server_name": "other.test"}, r"is not accepted: .*other\.test"),
        ({"server_ca_cert_path": "garbage.pem"}, "server CA cannot be used"),
        ({"client_key_path": "garbage.pem"}, "client certificate and key cannot be used"),
        (
            {"client_cert_path": "stranger.pem", "client_key_path": "stranger.key"},
            "know our client certificate",
        ),
        ({"client_cert_path": "missing.pem"}, r"missing\.pem: No such file"),
    ],
)
async def test_what_is_wrong_with_tls_is_told_with_its_remedy(
    behind: Behind, use: Use, wrong: dict[str, str], named: str
) -> None:
    wrong = {name: str(behind.folder / value) if "path" in name else value for name, value in wrong.items()}
    use(behind.profile(**behind.tls(**wrong)))
    for attempt in (require_given_temporal, lambda: connect(HoldfastPlugin())):
        with pytest.raises(Misconfigured, match=named) as told:
            await attempt()
        assert "TEMPORAL_TLS_" in told.value.remedy


async def test_one_side_alone_speaking_tls_is_told(behind: Behind, use: Use) -> None:
    use(behind.profile())
    with pytest.raises(Misconfigured, match=r"Does it expect TLS\?"):
        await require_given_temporal()
    use(behind.profile(behind.plain, **behind.tls()))
    with pytest.raises(Misconfigured, match=r"does it speak TLS\?"):
        await require_given_temporal()


async def test_another_kind_of_server_is_told(behind: Behind) -> None:
    await require_temporal(behind.plain, tls=None)
    async with web_server() as address:
        with pytest.raises(Misconfigured, match="is no Temporal server"):
            await require_temporal(address, tls=None)
