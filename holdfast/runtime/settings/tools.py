"""What tools there are, and what holds a call of one."""

from pathlib import Path
from typing import Literal

from pydantic import ConfigDict, Field

from holdfast.runtime.settings.fields import Count, Seconds, Section, Words
from schemas.sandbox import Limits


class Ceiling(Limits):
    """The most that a tool may ask of the sandbox, whatever its own limits say."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=False)

    wall_s: Seconds = Field(900, description="Seconds on the clock.")
    cpu_s: Seconds = Field(900, description="Seconds of processor time.")
    memory_mb: Count = Field(4_096, description="Memory in MiB.")
    pids: Count = Field(512, description="Processes.")
    disk_mb: Count = Field(8_192, description="Workspace in MiB.")
    inodes: Count = Field(200_000, description="Files and folders in the workspace.")
    file_mb: Count = Field(1_024, description="One file in MiB.")
    open_files: Count = Field(1_024, description="Open files.")
    output_kb: Count = Field(4_096, description="Output kept per stream in KiB.")


class SandboxSettings(Section):
    """What holds a tool call."""

    backend: Literal["bubblewrap", "docker"] = Field(
        "bubblewrap", description="What isolates: namespaces on this host, or containers."
    )
    accept_degraded: Words = Field(
        (), description="Layers that may be weaker on this machine: `memory`, `disk`. Refused in `prod`."
    )
    store: Path | None = Field(
        None, description="Folder of the workspaces; `workspaces` below data_dir without it."
    )
    bwrap: Path | None = Field(None, description="A bubblewrap of yours instead of the bundled one.")
    readable: Words = Field(
        (), description="Folders of the host that every tool may read, such as `/opt/sdk`."
    )
    docker_image: str = Field("", description="Image of the `docker` backend.")
    docker_runtime: str = Field("runsc", description="Runtime of the `docker` backend.")
    ceiling: Ceiling = Ceiling()


class ToolSettings(Section):
    """Tools beyond those that ship: manifests, MCP servers, and the secrets that tools may use by name."""

    folder: Path | None = Field(
        None,
        description="Folder of tool manifests, followed while a worker works; `tools` below data_dir without it.",
    )
    secrets: Path | None = Field(
        None,
        description="Folder of secrets, one file each, named as in a tool's permissions; `secrets` below data_dir without it.",
    )
    mcp_servers: Path | None = Field(
        None, description="YAML file of MCP servers; `mcp.yaml` below data_dir without it."
    )
