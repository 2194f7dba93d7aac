"""The kubernetes backend: one job per call, in a namespace that belongs to tools alone.

Driven through `kubectl`, as the docker backend drives its engine. The cluster's part, which no pod can set for
itself: a default-deny NetworkPolicy on the namespace, the pod security level `restricted`, and a pod process limit
on the kubelets.
"""

import json
from pathlib import Path
from typing import Any

from holdfast.adapters.sandbox_docker import DockerSandbox, EngineFailed, waiting_command
from holdfast.sandbox.limits import Ceiling
from holdfast.sandbox.profile import USER_ID, WORKSPACE, environment
from schemas.sandbox import Limits, SandboxRequest

_CONTAINER = "tool"
_READY_S = 60


class KubernetesSandbox(DockerSandbox):
    """Runs programs in pods. `runtime_class` chooses gVisor or a virtual machine where the cluster has them."""

    def __init__(
        self,
        *,
        store: Path,
        namespace: str = "holdfast-tools",
        image: str = "python:3.11-slim",
        runtime_class: str = "",
        kubectl: str = "kubectl",
        ceiling: Ceiling = Ceiling(),  # noqa: B008 - frozen
        concurrency: int = 32,
    ) -> None:
        super().__init__(store=store, image=image, engine=kubectl, ceiling=ceiling, concurrency=concurrency)
        self._namespace, self._runtime_class = namespace, runtime_class
        self._name = f"kubernetes:{runtime_class or 'default'}"

    async def _create(self, name: str, request: SandboxRequest) -> None:
        manifest = json.dumps(self.manifest(name, request)).encode()
        await self._engine_call("-n", self._namespace, "create", "-f", "-", stdin=manifest)
        ready = (
            "wait",
            "--for=condition=Ready",
            "pod",
            "-l",
            f"job-name={name}",
            f"--timeout={_READY_S - 5}s",
        )
        await self._engine_call("-n", self._namespace, *ready)

    def manifest(self, name: str, request: SandboxRequest) -> dict[str, Any]:
        """The job: no token, no service links, no retry, gone by itself should this worker die."""
        template: dict[str, Any] = {
            "restartPolicy": "Never",
            "automountServiceAccountToken": False,
            "enableServiceLinks": False,
            "dnsPolicy": "None",
            "dnsConfig": {"nameservers": ["127.0.0.1"]},
            "terminationGracePeriodSeconds": 0,
            "hostUsers": False,
            "securityContext": {
                "runAsNonRoot": True,
                "runAsUser": USER_ID,
                "runAsGroup": USER_ID,
                "fsGroup": USER_ID,
                "seccompProfile": {"type": "RuntimeDefault"},
            },
            "containers": [self._container(request)],
            "volumes": _volumes(request.limits),
        }
        if self._runtime_class:
            template["runtimeClassName"] = self._runtime_class
        return {
            "apiVersion": "batch/v1",
            "kind": "Job",
            "metadata": {"name": name, "labels": {"holdfast.dev/sandbox": "call"}},
            "spec": {
                "backoffLimit": 0,
                "activeDeadlineSeconds": int(request.limits.wall_s) + 120,
                "ttlSecondsAfterFinished": 0,
                "template": {"metadata": {"labels": {"holdfast.dev/sandbox": "call"}}, "spec": template},
            },
        }

    def _container(self, request: SandboxRequest) -> dict[str, Any]:
        limits = request.limits
        most = {
            "memory": f"{limits.memory_mb + limits.disk_mb}Mi",
            "cpu": "1",
            "ephemeral-storage": "64Mi",
        }
        return {
            "name": _CONTAINER,
            "image": self._image,
            "command": list(waiting_command(request)),
            "workingDir": WORKSPACE,
            "env": [{"name": key, "value": value} for key, value in environment(proxied=False).items()],
            "resources": {"limits": most, "requests": {"memory": "64Mi", "cpu": "100m"}},
            "securityContext": {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            },
            "volumeMounts": [
                {"name": "workspace", "mountPath": WORKSPACE},
                {"name": "private", "mountPath": "/tmp"},  # noqa: S108 - the pod's own
                {"name": "program", "mountPath": "/run/tool"},
            ],
        }

    def _inside(self, name: str, *command: str) -> list[str]:
        return ["-n", self._namespace, "exec", "-i", f"job/{name}", "-c", _CONTAINER, "--", *command]

    async def _was_oom_killed(self, name: str) -> bool:
        """Said by the container's last state; the tool alone may have been killed, which only the node's log tells."""
        path = "jsonpath={.items[*].status.containerStatuses[*].state.terminated.reason}"
        found = await self._engine_call(
            *("-n", self._namespace, "get", "pod", "-l", f"job-name={name}", "-o", path), check=False
        )
        return b"OOMKilled" in found

    async def _remove(self, name: str) -> None:
        options = ("--cascade=foreground", "--grace-period=0", "--ignore-not-found", "--wait=true")
        await self._engine_call("-n", self._namespace, "delete", "job", name, *options, check=False)
        self._running.discard(name)

    async def _reach_engine(self) -> None:
        found = await self._engine_call("-n", self._namespace, "get", "networkpolicy", "-o", "json")
        if not _denies_everything(json.loads(found)):
            raise EngineFailed(
                f"namespace {self._namespace} has no NetworkPolicy that denies all egress and ingress"
            )


def _volumes(limits: Limits) -> list[dict[str, Any]]:
    sizes = {"workspace": limits.disk_mb, "private": max(4, limits.memory_mb // 2), "program": 16}
    return [
        {"name": name, "emptyDir": {"medium": "Memory", "sizeLimit": f"{mb}Mi"}} for name, mb in sizes.items()
    ]


def _denies_everything(policies: dict[str, Any]) -> bool:
    """Some policy selects every pod, names both directions and allows nothing."""
    return any(
        not spec.get("podSelector")
        and {"Ingress", "Egress"} <= set(spec.get("policyTypes", ()))
        and not spec.get("egress")
        and not spec.get("ingress")
        for spec in (item.get("spec", {}) for item in policies.get("items", ()))
    )
