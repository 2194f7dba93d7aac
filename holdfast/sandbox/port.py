"""The port every sandbox backend fulfils. Tool failures are results; only a bug raises."""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from schemas.sandbox import Isolation, NetworkDecision, SandboxHealth, SandboxRequest, SandboxResult


class Sandbox(Protocol):
    """Runs one program in isolation. Cancelling the awaiting task kills everything the call started."""

    async def run(self, request: SandboxRequest) -> SandboxResult:
        """Run to the end and say how it ended. Safe to repeat only where the program is."""
        ...

    async def forget(self, run: str) -> None:
        """The run is over: its workspace goes."""
        ...

    async def self_test(self) -> SandboxHealth:
        """Whether every layer holds on this machine, found out by trying."""
        ...

    async def close(self) -> None:
        """Stop what is running and release everything."""
        ...


@dataclass(frozen=True)
class Conversation:
    """A running program's input and output, and what is seen of it. Its output ends when the program does."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    isolation: Isolation
    network: Callable[[], Sequence[NetworkDecision]]
    """The connections that ended since it was asked last."""


@runtime_checkable
class Conversing(Protocol):
    """A sandbox that can also hold a program that is spoken with: a server, kept warm."""

    def converse(self, request: SandboxRequest) -> AbstractAsyncContextManager[Conversation]:
        """The program lives as long as the block, in a workspace of its own. Raises SandboxUnavailable."""
        ...


class SecretSource(Protocol):
    """Gives the egress proxy the secrets it adds. They go to the destination, never into the sandbox."""

    async def secret(self, name: str) -> str | None: ...
