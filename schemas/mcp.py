"""MCP servers as an operator names them, and their catalogues as they were found."""

from typing import Annotated, Self

from pydantic import Field, StringConstraints, model_validator

from schemas.base import Name, Request, strictly
from schemas.tools import Permissions

ServerName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,30}$")]
CatalogueHash = Annotated[str, StringConstraints(pattern=r"^(any|sha256:[0-9a-f]{64})$")]


class McpServer(Request):
    """One server: at an address, or a command that is started. Its tools are called `mcp.<server>.<tool>`."""

    url: str | None = Field(default=None, pattern=r"^https?://", max_length=2000)
    headers: dict[str, Name] = Field(
        default={}, description="Headers whose values are secrets, by their names."
    )
    command: tuple[str, ...] = Field(default=(), max_length=100)
    unsandboxed: bool = Field(
        default=False,
        description="Start the command beside the worker, with all that the worker may do, and keep it warm.",
    )
    warm: bool = Field(
        default=False,
        description="Keep one server in a sandbox of its own for all runs of a worker, instead of starting one in the "
        "run's workspace for each exchange.",
    )
    permissions: Annotated[Permissions, strictly(Permissions)] = Field(
        default=Permissions(), description="Of the sandbox that a command is started in."
    )
    catalogue: CatalogueHash | None = Field(
        default=None,
        description="The hash of the tools that a person has seen; `any` trusts whatever it offers.",
    )
    tools: tuple[str, ...] = Field(
        default=("*",), description="Which of its tools are offered; `*` stands for any text."
    )
    read_only: tuple[str, ...] = Field(
        default=(), description="Which of them only read. The server's word is not taken."
    )
    timeout_s: float = Field(default=60, gt=0, le=900)
    result_bytes: int = Field(
        default=1_000_000, ge=1_000, le=10_000_000, description="What is kept of a result."
    )

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if bool(self.url) == bool(self.command):
            raise ValueError("say either url or command")
        if self.headers and not self.url:
            raise ValueError("headers belong to a url")
        if self.unsandboxed and not self.command:
            raise ValueError("unsandboxed belongs to a command")
        if self.warm and (not self.command or self.unsandboxed):
            raise ValueError("warm belongs to a command in the sandbox; the others are kept warm anyway")
        return self


class McpServers(Request):
    servers: dict[ServerName, McpServer] = {}
