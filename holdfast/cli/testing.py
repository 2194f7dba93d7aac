"""`holdfast testing`: what helps to test agents without a real model."""

import asyncio
from pathlib import Path

import click
import yaml
from pydantic import TypeAdapter, ValidationError

from holdfast.errors import InvalidInput
from holdfast.testing.model_server import ModelServer
from holdfast.testing.script import Rule

_RULES = TypeAdapter(tuple[Rule, ...])


@click.group()
def testing() -> None:
    """Test agents without a real model."""


@testing.command("model-server")
@click.option("--rules", type=click.Path(path_type=Path, exists=True), help="A YAML or JSON list of rules.")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", default=8099, show_default=True, help="0 takes a free one.")
@click.option("--key", help="Refuse every other key, as a provider does.")
def model_server(rules: Path | None, host: str, port: int, key: str | None) -> None:
    """Serve a scripted, OpenAI-compatible model until interrupted.

    Point a deployment at it: HOLDFAST_MODELS__DEFAULT=openai/test and
    HOLDFAST_MODELS__API_BASES='{"openai": "http://127.0.0.1:8099/v1"}'. Rules can also be put while it runs, to /rules;
    what was asked is read from /calls.

    \b
    - match: {contains: [disk]}            which calls; nothing said fits all
      replies: [{text: It is 93 % full.}]  what is answered, in turn; the last one stays
    - replies: [{fault: {kind: rate_limit, retry_after_s: 2}}]

    docs/testing.md describes the rules, and examples/model-rules.yaml shows one of each kind.
    """
    asyncio.run(_serve(ModelServer(_read(rules), host=host, port=port, key=key)))


async def _serve(server: ModelServer) -> None:
    async with server:
        click.echo(f"The test model listens at {server.base_url}")
        if not server.rules:
            click.echo(
                "It has no rules yet, and answers embeddings alone: see --rules, or PUT /rules.", err=True
            )
        await asyncio.Event().wait()


def _read(file: Path | None) -> tuple[Rule, ...]:
    if file is None:
        return ()
    try:
        return _RULES.validate_python(yaml.safe_load(file.read_text(encoding="utf-8")))
    except (yaml.YAMLError, ValidationError) as error:
        raise InvalidInput(
            f"{file} holds no list of rules: {error}",
            remedy="See docs/testing.md and examples/model-rules.yaml.",
        ) from error
