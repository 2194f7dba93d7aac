"""The command line. Commands are found by name in one table and imported when they are called, so that it starts fast.

Exit codes: 0 done; 1 it was tried and failed; 2 what was asked for, or the machine it was asked on, is wrong;
130 interrupted.
"""

import importlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from types import MappingProxyType
from typing import NoReturn

import click
from click.shell_completion import CompletionItem

from holdfast.errors import HoldfastError, InvalidInput, Misconfigured, Unavailable
from holdfast.runtime.exit import leave


@dataclass(frozen=True)
class Entry:
    """Where a command is, `module:attribute`, and what it does in one line."""

    place: str
    help: str

    @property
    def exists(self) -> bool:
        return find_spec(self.place.partition(":")[0]) is not None


COMMANDS: Mapping[str, Entry] = MappingProxyType(
    {
        "up": Entry("holdfast.cli.stack:up", "Start the whole stack on this machine."),
        "down": Entry("holdfast.cli.stack:down", "Stop it; the data stays."),
        "status": Entry("holdfast.cli.stack:status", "Show what runs, and where."),
        "doctor": Entry("holdfast.cli.doctor:doctor", "Check this machine and say what to do."),
        "demo": Entry("holdfast.cli.demo:demo", "Watch an agent work, be denied, ask, crash and finish."),
        "run": Entry("holdfast.cli.runs:run", "Start a run and watch it."),
        "runs": Entry("holdfast.cli.runs:runs", "List, read, pause, resume, cancel and fork runs."),
        "approvals": Entry("holdfast.cli.approvals:approvals", "Decide what waits for a person."),
        "agents": Entry("holdfast.cli.agents:agents", "Read and write agents."),
        "policies": Entry("holdfast.cli.policies:policies", "Write, test, activate and roll back policies."),
        "freeze": Entry("holdfast.cli.freezes:freeze", "Hold matching actions at once, in every run."),
        "thaw": Entry("holdfast.cli.freezes:thaw", "Let them go again."),
        "runbooks": Entry("holdfast.cli.runbooks:runbooks", "Ingest, search and check runbooks."),
        "memory": Entry("holdfast.cli.memory:memory", "Read, correct and forget what runs taught."),
        "tools": Entry("holdfast.cli.tools:tools", "See which tools there are and how they fare."),
        "models": Entry("holdfast.cli.models:models", "See models, routes, prices and spend."),
        "panels": Entry("holdfast.cli.panels:panels", "Put a question to several models."),
        "keys": Entry("holdfast.cli.keys:keys", "Make, rotate and revoke API keys."),
        "roles": Entry("holdfast.cli.tenants:roles", "See what roles permit, and make your own."),
        "tenants": Entry("holdfast.cli.tenants:tenants", "Make tenants and limit what they use up."),
        "schedules": Entry("holdfast.cli.schedules:schedules", "Runs that start by the clock."),
        "webhooks": Entry("holdfast.cli.webhooks:webhooks", "Tell other systems of events."),
        "audit": Entry("holdfast.cli.audit:audit", "Read the audit log."),
        "sandbox": Entry(
            "holdfast.cli.sandbox:sandbox", "Run one program in the sandbox, or test the sandbox."
        ),
        "api": Entry("holdfast.cli.worker:api", "Serve the HTTP API in this process."),
        "worker": Entry("holdfast.cli.worker:worker", "Serve task queues in this process."),
        "db": Entry("holdfast.cli.database:db", "Migrate the database, or see where it stands."),
        "testing": Entry("holdfast.cli.testing:testing", "Test agents without a real model."),
        "completion": Entry("holdfast.cli.completion:completion", "Let TAB complete commands in your shell."),
        "config": Entry("holdfast.cli.configuration:config", "Show settings and their reference."),
    }
)


class LazyCommands(click.Group):
    """Knows every command's name and line of help, and imports one only to run it."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 -- click's signature
        return [name for name, entry in COMMANDS.items() if entry.exists]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        entry = COMMANDS.get(cmd_name)
        if entry is None or not entry.exists:
            return None
        module, _, attribute = entry.place.partition(":")
        command: click.Command = getattr(importlib.import_module(module), attribute)
        return command

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Names with their line of help from the table: a TAB imports no command."""
        names = [name for name in self.list_commands(ctx) if name.startswith(incomplete)]
        items = [CompletionItem(name, help=COMMANDS[name].help) for name in names]
        return [*items, *click.Command.shell_complete(self, ctx, incomplete)]

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, COMMANDS[name].help) for name in self.list_commands(ctx)])


@click.command(cls=LazyCommands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="holdfast", message="%(package)s %(version)s")
def root() -> None:
    """Run AI agents against real systems: durable, judged, sandboxed, recorded once."""


def main() -> NoReturn:
    code = _run()
    try:
        leave(code)
    except BrokenPipeError:  # whoever read our output has seen enough
        os._exit(code)


def _run() -> int:
    try:
        code = root.main(prog_name="holdfast", standalone_mode=False)
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        return 130
    except HoldfastError as error:
        click.echo(f"error: {' '.join(str(error).split())}", err=True)
        return 2 if isinstance(error, Misconfigured | Unavailable | InvalidInput) else 1
    return code if isinstance(code, int) else 0
