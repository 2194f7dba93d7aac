"""What an action would do, said in the words policies use. Stored with every verdict, so it stays compact.

Facts are claims about text, made without running anything: `unknowns` says what could not be understood, and a
reader must treat a non-empty `unknowns` as "ask", never as "nothing found".
"""

from enum import StrEnum
from typing import Literal

from schemas.base import Payload


class Effect(StrEnum):
    """One kind of consequence. An action has a set of them."""

    READ = "read"
    WRITE = "write"
    DELETE = "delete"
    DESTROY = "destroy"  # cannot be undone, or takes a whole device, host, cluster or account with it
    EXEC = "exec"  # runs code that these facts do not describe
    NETWORK = "network"
    EGRESS = "egress"  # sends local data to another host
    KILL = "kill"
    CONFIG = "config"
    SECRET = "secret"  # noqa: S105 - the name of an effect
    PRIVILEGE = "privilege"
    ATTACK = "attack"  # the tool's purpose is offence: scanners, brute force, implants


Safety = Literal["read_only", "mutating", "dangerous", "unknown"]


class CommandFact(Payload):
    """One simple command after quoting, wrappers and constant variables are resolved."""

    binary: str
    subcommand: str = ""
    flags: tuple[str, ...] = ()
    args: tuple[str, ...] = ()


class RedirectFact(Payload):
    """One redirection; `target` is the resolved word, or its source text when it is not constant."""

    operator: str
    target: str


class Facts(Payload):
    """The whole answer. Lists are sorted and without repeats, except `commands` and `redirects` (in order)."""

    kind: str
    safety: Safety
    reasons: tuple[str, ...] = ()
    unknowns: tuple[str, ...] = ()
    effects: tuple[Effect, ...] = ()
    binaries: tuple[str, ...] = ()
    commands: tuple[CommandFact, ...] = ()
    paths_read: tuple[str, ...] = ()
    paths_written: tuple[str, ...] = ()
    outside_workspace: tuple[str, ...] = ()
    sensitive_paths: tuple[str, ...] = ()
    redirects: tuple[RedirectFact, ...] = ()
    hosts: tuple[str, ...] = ()
    methods: tuple[str, ...] = ()
    env_set: tuple[str, ...] = ()
    interpreters: tuple[str, ...] = ()
    pipes_to_shell: bool = False
    privileged: bool = False
    tainted: tuple[str, ...] = ()
    hints: tuple[str, ...] = ()
    knowledge: str = ""
