"""`holdfast sandbox`: try a permission profile, or the sandbox itself, from outside.

Start-up counts here, so what does the work is imported when it is asked for, with the interpreter told to hurry.
"""

import gc
import os
from pathlib import Path

import click


@click.group()
def sandbox() -> None:
    """Run programs in the sandbox, and test whether it holds on this machine."""


@sandbox.command("exec")
@click.option(
    "--store", type=click.Path(path_type=Path), envvar="HOLDFAST_SANDBOX_STORE", help="Workspaces live here."
)
def execute(store: Path | None) -> None:
    """Run one request, read as JSON from stdin; write one result as JSON to stdout.

    Exits with 0 whenever a result was written, and with 2 for an unusable request.
    """
    _in_a_hurry()
    from holdfast.cli.sandbox_work import execute_once  # noqa: PLC0415 - start-up

    execute_once(store)


@sandbox.command()
@click.option(
    "--store", type=click.Path(path_type=Path), envvar="HOLDFAST_SANDBOX_STORE", help="Workspaces live here."
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def check(store: Path | None, *, as_json: bool) -> None:
    """Try every layer of the sandbox on this machine. Exits with 1 when one is missing."""
    _in_a_hurry()
    from holdfast.cli.sandbox_work import check_layers  # noqa: PLC0415 - start-up

    check_layers(store, as_json=as_json)


def _in_a_hurry() -> None:
    """This process makes one call and ends. Collecting garbage, and looking through every installed package for plugins
    of pydantic, would be a tenth of its processor time."""
    gc.disable()
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")


if __name__ == "__main__":
    sandbox()
