"""What `holdfast tools new` writes: a manifest, or a Python module with its test, that works as it is."""

from collections.abc import Mapping

MANIFEST = """\
name: {name}
version: 0.1.0
description: Counts the words of a text.
run:
  language: python          # or sh, bash; or `command: [program, "--flag={{text}}"]` in place of language and program
  program: |
    import json, sys
    asked = json.load(sys.stdin)
    print(json.dumps({{"words": len(asked["text"].split())}}))
input:
  type: object
  properties: {{text: {{type: string, maxLength: 100000}}}}
  required: [text]
  additionalProperties: false
output:
  type: object
  properties: {{words: {{type: integer}}}}
  required: [words]
effect: read_only           # leave it out where a second call would do something a second time
timeout_s: 30
permissions:
  limits: {{wall_s: 20, memory_mb: 128}}
examples:
  - {{title: Three words, arguments: {{text: to be sure}}, output: {{words: 3}}}}
"""

MODULE = '''\
"""The tool `{name}`. Its code runs in the tools worker: only for code that you would deploy."""

from holdfast.tools.declare import ToolContext, declared
from schemas.base import Payload, Request
from schemas.tools import EffectClass, ToolExample


class Asked(Request):
    text: str


class Counted(Payload):
    words: int


@declared(
    "{name}",
    version="0.1.0",
    effect=EffectClass.READ_ONLY,
    timeout_s=30,
    examples=(ToolExample(title="Three words", arguments={{"text": "to be sure"}}, output={{"words": 3}}),),
)
async def {function}(arguments: Asked, context: ToolContext) -> Counted:
    """Counts the words of a text."""
    return Counted(words=len(arguments.text.split()))
'''

TEST = '''\
"""Tests of the tool `{name}`: `pytest` on this file, where Holdfast is installed."""

import asyncio
from pathlib import Path

from holdfast.testing.tools import call, tools_in

[TOOL] = tools_in(Path(__file__).parents[1] / "{module}")


def test_it_counts_words() -> None:
    result = asyncio.run(call(TOOL, text="to be sure"))
    assert result.output == {{"words": 3}}


def test_it_says_what_it_needs() -> None:
    result = asyncio.run(call(TOOL))
    assert result.error is not None
    assert result.error.code == "bad_arguments"
'''


def files_of(name: str, *, kind: str) -> Mapping[str, str]:
    """What is written, by its path below the folder of tools."""
    stem = name.replace(".", "_").replace("-", "_")
    if kind == "manifest":
        return {f"{stem}.yaml": MANIFEST.format(name=name)}
    words = {"name": name, "function": stem.rpartition("_")[2] or stem, "module": f"{stem}.py"}
    return {f"{stem}.py": MODULE.format(**words), f"tests/test_{stem}.py": TEST.format(**words)}
