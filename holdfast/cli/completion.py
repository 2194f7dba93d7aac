"""`holdfast completion`: the few lines that let a shell complete our commands."""

import click
from click.shell_completion import get_completion_class


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """Print what SHELL has to read for TAB to complete commands and options.

    \b
    bash  eval "$(holdfast completion bash)"   # in ~/.bashrc
    zsh   eval "$(holdfast completion zsh)"    # in ~/.zshrc
    fish  holdfast completion fish > ~/.config/fish/completions/holdfast.fish
    """
    from holdfast.cli.main import root  # noqa: PLC0415 -- which imports this module

    kind = get_completion_class(shell)
    assert kind is not None  # noqa: S101 - click knows the three
    click.echo(kind(root, {}, "holdfast", "_HOLDFAST_COMPLETE").source())
