"""What the container backends ask of their engines, as far as that can be seen without one."""

import asyncio
import os
from pathlib import Path

from holdfast.adapters.container_workspace import archive_of, collected
from holdfast.adapters.sandbox_docker import DockerSandbox
from holdfast.adapters.sandbox_kubernetes import KubernetesSandbox, _denies_everything
from schemas.sandbox import NetworkPolicy, SandboxRequest, SandboxStatus


def test_a_container_gets_every_wall_the_engine_has(tmp_path: Path) -> None:
    options = " ".join(
        DockerSandbox(store=tmp_path, runtime="runsc")._options("name", SandboxRequest(program="true"))
    )
    for wall in (
        "--network none",
        "--read-only",
        "--cap-drop ALL",
        "no-new-privileges",
        "--pids-limit 66",
        "--runtime runsc",
    ):
        assert wall in options


def test_a_pod_meets_the_restricted_level(tmp_path: Path) -> None:
    manifest = KubernetesSandbox(store=tmp_path).manifest("name", SandboxRequest(program="true"))
    pod = manifest["spec"]["template"]["spec"]
    assert pod["automountServiceAccountToken"] is False
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["containers"][0]["securityContext"]["capabilities"] == {"drop": ["ALL"]}
    assert manifest["spec"]["backoffLimit"] == 0


def test_a_namespace_must_deny_both_directions() -> None:
    deny = {"spec": {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}}
    assert _denies_everything({"items": [deny]})
    assert not _denies_everything({"items": [{"spec": {**deny["spec"], "egress": [{}]}}]})
    assert not _denies_everything({"items": []})


async def test_a_container_is_refused_an_allow_list(tmp_path: Path) -> None:
    request = SandboxRequest(
        program="true", network=NetworkPolicy(mode="allowlist", allow=("example.com:443",))
    )
    assert (await DockerSandbox(store=tmp_path).run(request)).status is SandboxStatus.REFUSED


async def test_a_missing_engine_is_named_and_nothing_runs(tmp_path: Path) -> None:
    sandbox = DockerSandbox(store=tmp_path, engine="no-such-engine")
    result = await sandbox.run(SandboxRequest(program="true"))
    assert result.status is SandboxStatus.REFUSED
    assert "no-such-engine" in (result.error or "")
    assert "remedy: start the engine" in (result.error or "")
    assert not (await sandbox.self_test()).healthy


async def test_an_engine_without_the_image_is_not_told_to_start(tmp_path: Path) -> None:
    """An engine's command line that answers, and makes nothing."""
    engine = tmp_path / "engine"
    engine.write_text('#!/bin/sh\n[ "$1" = info ] || { echo "no such image" >&2; exit 1; }\n')
    engine.chmod(0o755)
    sandbox = DockerSandbox(store=tmp_path / "store", engine=str(engine), image="tool:1", runtime="runsc")
    result = await sandbox.run(SandboxRequest(program="true"))
    assert result.status is SandboxStatus.REFUSED
    assert "no such image" in (result.error or "")
    assert "remedy: give the engine the image tool:1 and the runtime runsc" in (result.error or "")


async def test_a_call_that_is_cut_off_while_its_container_is_made_leaves_none(tmp_path: Path) -> None:
    """An engine's command line that makes a container no sooner than it is let."""
    asked, let, made = tmp_path / "asked", tmp_path / "let", tmp_path / "made"
    os.mkfifo(asked)
    os.mkfifo(let)
    engine = tmp_path / "engine"
    engine.write_text(
        f'#!/bin/sh\ncase "$1" in create) echo > {asked}; read _ < {let}; touch {made};; rm) rm -f {made};; esac\n'
    )
    engine.chmod(0o755)
    sandbox = DockerSandbox(store=tmp_path / "store", engine=str(engine))
    call = asyncio.create_task(sandbox.run(SandboxRequest(program="true")))
    await asyncio.to_thread(asked.read_text)
    call.cancel()
    assert not (await asyncio.wait([call], timeout=0.5))[0], (
        "it ended before its container was there to remove"
    )
    await asyncio.to_thread(let.write_text, "\n")
    await asyncio.wait([call])
    assert call.cancelled()
    assert not made.exists()


def test_a_file_is_read_from_an_archive_by_its_exact_name() -> None:
    archive = archive_of({"a/b": b"x"})
    assert collected(archive, "a/b").b64 == "eA=="
    assert collected(archive, "b").error
    assert collected(archive, "../b").error
