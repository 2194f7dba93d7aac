"""The command knowledge base: data files compiled once per process, named by a digest over their bytes."""

import hashlib
import re
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

import yaml

from holdfast.guardian.knowledge.compile import KnowledgeError, compile_group
from holdfast.guardian.knowledge.model import Tool

_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
FORMAT_VERSION = 1


@dataclass(frozen=True, slots=True)
class SensitivePaths:
    """What no action may touch unasked, as one pattern, and the well-known names a glob could reach."""

    marks: re.Pattern[str]  # what at least one of them must find, so that most words are done with at once
    guarded: tuple[tuple[tuple[str, ...], re.Pattern[str]], ...]
    canonical: tuple[str, ...]
    content_readers: frozenset[str]
    devices: re.Pattern[str]

    def match(self, text: str) -> bool:
        """Whether `text` names one; a literal mark is looked for before its pattern, which is far slower."""
        lower = text.lower()
        return self.marks.search(lower) is not None and any(
            pattern.search(lower) for marks, pattern in self.guarded if any(mark in lower for mark in marks)
        )


@dataclass(frozen=True, slots=True)
class Environment:
    """Variables whose value another program runs, loads or obeys, and those that tend to hold a secret."""

    commanding: re.Pattern[str]
    secret: re.Pattern[str]


@dataclass(frozen=True, slots=True)
class Knowledge:
    """Everything the extractor knows, immutable."""

    tools: dict[str, Tool]
    paths: SensitivePaths
    environment: Environment
    digest: str


@cache
def command_knowledge() -> Knowledge:
    """The shipped knowledge base. Compiling takes a moment: processes that judge call this at start."""
    texts = {
        item.name: item.read_bytes()
        for item in sorted(files(__package__).joinpath("data").iterdir(), key=lambda item: item.name)
        if item.name.endswith(".yaml")
    }
    return compile_knowledge(texts)


def compile_knowledge(texts: dict[str, bytes]) -> Knowledge:
    """Compile data files given as bytes; files are named so that errors can say where."""
    tools: dict[str, Tool] = {}
    rules: dict[str, Any] = {}
    for name, text in texts.items():
        document = yaml.load(text, Loader=_LOADER)  # noqa: S506 - CSafeLoader is the safe loader in C
        if name.startswith("_"):
            rules |= document
        else:
            _add_tools(tools, name, document)
    return Knowledge(
        tools=tools,
        paths=_compile_paths(rules["paths"]),
        environment=Environment(
            commanding=_any_of(rules["environment"]["commanding"]),
            secret=_any_of(rules["environment"]["secret"], re.IGNORECASE),
        ),
        digest=_digest(texts),
    )


def _add_tools(tools: dict[str, Tool], file: str, document: dict[str, Any]) -> None:
    for names, raw in document.items():
        for tool in compile_group(str(names), raw):
            if tool.name in tools:
                raise KnowledgeError(f"{file}: {tool.name} is described twice")
            tools[tool.name] = tool


def _compile_paths(raw: dict[str, Any]) -> SensitivePaths:
    every = sorted({mark for marks in raw["sensitive"] for mark in marks.split()})
    return SensitivePaths(
        marks=_any_of([re.escape(mark) for mark in every]),
        guarded=tuple(
            (tuple(marks.split()), _any_of(patterns, re.IGNORECASE))
            for marks, patterns in raw["sensitive"].items()
        ),
        canonical=tuple(raw["canonical"]),
        content_readers=frozenset(raw["content_readers"].split()),
        devices=_any_of(raw["devices"]),
    )


def _any_of(patterns: list[str], flags: int = 0) -> re.Pattern[str]:
    return re.compile("|".join(f"(?:{pattern})" for pattern in patterns), flags)


def _digest(texts: dict[str, bytes]) -> str:
    whole = hashlib.sha256(f"format {FORMAT_VERSION}\n".encode())
    for name in sorted(texts):
        whole.update(f"{name} {len(texts[name])}\n".encode() + texts[name])
    return f"sha256:{whole.hexdigest()}"
