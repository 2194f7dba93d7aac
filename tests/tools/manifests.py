"""A manifest that greets, and what becomes of it where it is changed."""

import yaml

GREET = {
    "name": "demo.greet",
    "version": "1.0.0",
    "description": "Greets somebody.",
    "run": {"command": ["printf", '{"said": "hello %s"}', "{who}"]},
    "input": {"type": "object", "properties": {"who": {"type": "string"}}, "required": ["who"]},
    "effect": "read_only",
    "examples": [{"title": "Greet", "arguments": {"who": "you"}, "output": {"said": "hello you"}}],
}


def written(**changes: object) -> str:
    return yaml.safe_dump({**GREET, **changes})
