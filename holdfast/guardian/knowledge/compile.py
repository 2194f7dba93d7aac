"""Turns one entry of the data files into a `Tool`. The format is described in docs/guardian-facts.md."""

# ruff: noqa: SIM905 - word lists read better as text

import fnmatch
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import cache
from typing import Any

from holdfast.guardian.knowledge.model import NOTHING, Effects, Tool
from schemas.facts import Effect

_EFFECTS = frozenset(effect.value for effect in Effect)
_OTHER_KEYS = frozenset(
    "is ok only mode value values equals sql single max match else args texts sub bare deep special inherit late looks".split()
)
_VERSION = frozenset({"-V", "-v", "--version", "-version", "-h", "version"})
_MILD = frozenset({Effect.READ, Effect.NETWORK})
"""For a tool that does worse than this, `-V` beside other words may mean something else, such as "verbose"."""
_MODELESS: Effects = frozenset({Effect.EXEC})  # what is not said to be mild may be worse
_NO_PARENT = Tool(name="")


class KnowledgeError(ValueError):
    """A data file says something the format does not have."""


def compile_group(names: str, raw: Any, parent: Tool = _NO_PARENT) -> Iterator[Tool]:
    """The tools of one line, which differ in their names alone: most lines have several, and compiling is the dear part."""
    first, *others = names.split()
    tool = compile_entry(first, raw, parent)
    yield tool
    for name in others:
        yield replace(tool, name=name)


def compile_entry(name: str, raw: Any, parent: Tool = _NO_PARENT) -> Tool:
    """One tool with all its sub-commands; a bare string is short for `{is: …}`."""
    entry: dict[str, Any] = {"is": raw} if isinstance(raw, str) else dict(raw or {})
    _refuse_strange_keys(name, entry)
    own = _compile_own(name, entry, parent)
    if not entry.get("sub"):
        return own
    inherited = own if entry.get("inherit", True) else _NO_PARENT
    return _with_children(own, entry, inherited)


def _compile_own(name: str, entry: Mapping[str, Any], parent: Tool) -> Tool:
    flags = dict(parent.flags)
    for effect in sorted(_EFFECTS & entry.keys()):
        flags.update(dict.fromkeys(_words(entry[effect]), frozenset({Effect(effect)})))
    flags.update(dict.fromkeys([*_words(entry.get("ok")), *_words(entry.get("only"))], NOTHING))
    modes = frozenset(_words(entry.get("mode")))
    mild = (_effects(name, entry.get("is")) or _MODELESS) <= _MILD
    alone = frozenset() if mild or entry.get("late") else modes & _VERSION
    values = _allowed_values(entry.get("values"))
    match = entry.get("match")
    most = entry.get("max")
    return Tool(
        name=name,
        effects=_effects(name, entry.get("is")),
        flags=flags,
        modes=modes - alone,
        alone=alone,
        looks=_effects(name, entry.get("looks", "read")) or NOTHING,
        value=(parent.value - (frozenset(flags) - frozenset(parent.flags)))
        | frozenset(_words(entry.get("value")))
        | frozenset(_words(entry.get("sql")))
        | values.keys(),
        values={**parent.values, **values},
        sql=frozenset(_words(entry.get("sql"))),
        equals=_effects(name, entry.get("equals")) or NOTHING,
        strict="only" in entry,
        single=bool(entry.get("single", parent.single)),
        most=most,
        match=re.compile(match) if match else None,
        otherwise=_effects(name, entry.get("else")) or NOTHING,
        args=_patterns(name, entry.get("args")),
        texts=parent.texts + _patterns(name, entry.get("texts")),
        bare=_effects(name, entry.get("bare")),
        deep=bool(entry.get("deep")),
        special=str(entry.get("special", "")),
        late=bool(entry.get("late")),
    )


def _with_children(own: Tool, entry: Mapping[str, Any], inherited: Tool) -> Tool:
    exact: dict[str, Tool] = {}
    globs: list[tuple[re.Pattern[str], Tool]] = []
    fallback = None
    for child in _children(entry.get("sub", {}), inherited):
        if child.name == "*":
            fallback = child
        elif any(c in child.name for c in "*?["):
            globs.append((re.compile(fnmatch.translate(child.name)), child))
        else:
            exact[child.name] = child
    return replace(own, sub=exact, globs=tuple(globs), fallback=fallback)


def _children(table: Mapping[str, Any], parent: Tool) -> Iterator[Tool]:
    for names, raw in table.items():
        yield from compile_group(str(names), raw, parent)


def _refuse_strange_keys(name: str, entry: Mapping[str, Any]) -> None:
    strange = entry.keys() - _EFFECTS - _OTHER_KEYS
    if strange:
        raise KnowledgeError(f"{name}: {', '.join(sorted(strange))} is no key of a command entry")


def _effects(name: str, words: str | None) -> Effects | None:
    if words is None or words == "unknown":
        return None
    try:
        return _parse_effects(words)
    except ValueError as error:
        raise KnowledgeError(f"{name}: {error}") from error


@cache
def _parse_effects(words: str) -> Effects:
    return frozenset(Effect(word) for word in words.split())


def _patterns(name: str, raw: Mapping[str, str] | None) -> tuple[tuple[re.Pattern[str], Effects], ...]:
    return tuple((re.compile(rx), _effects(name, what) or NOTHING) for rx, what in (raw or {}).items())


def _allowed_values(raw: Mapping[str, str] | None) -> dict[str, frozenset[str]]:
    allowed: dict[str, frozenset[str]] = {}
    for flags, values in (raw or {}).items():
        allowed.update(dict.fromkeys(flags.split(), frozenset(str(values).split())))
    return allowed


def _words(raw: str | None) -> list[str]:
    return str(raw).split() if raw is not None else []
