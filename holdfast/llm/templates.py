"""Prompts as versioned files. An agent may bring its own system text; the part that carries data stays ours, so that
no agent can take the fences off untrusted text."""

import re
from collections.abc import Mapping
from functools import cache
from importlib import resources

from holdfast.errors import Misconfigured
from schemas.chat import ChatMessage

_SECTION = re.compile(r"^=== (system|user) ===\n", re.MULTILINE)
_PLACE = re.compile(r"\{\{([a-z_]+)\}\}")
VERSION = 1


@cache
def template(name: str, version: int = VERSION) -> Mapping[str, str]:
    """The sections of a template, by role."""
    text = (
        resources.files("holdfast.llm").joinpath(f"prompts/{name}.v{version}.md").read_text(encoding="utf-8")
    )
    parts = _SECTION.split(text)[1:]
    return {role: body.strip() for role, body in zip(parts[::2], parts[1::2], strict=True)}


def messages_from(
    name: str, values: Mapping[str, str], *, own: Mapping[str, object] | None = None
) -> tuple[ChatMessage, ...]:
    """The messages of a prompt. `own` holds an agent's replacements of the system text, by template name."""
    sections = dict(template(name))
    replacement = (own or {}).get(name)
    if isinstance(replacement, str) and "system" in sections:
        kept = "" if "{{fence_rules}}" in replacement else "\n\n{{fence_rules}}"
        sections["system"] = replacement + kept
    return tuple(
        ChatMessage(role="system" if role == "system" else "user", content=_fill(name, body, values))
        for role, body in sections.items()
    )


def _fill(name: str, body: str, values: Mapping[str, str]) -> str:
    """One pass: a value that looks like a place is not filled again."""

    def value_of(match: re.Match[str]) -> str:
        place = match.group(1)
        if place not in values:
            raise Misconfigured(
                f"The prompt `{name}` has no value for {{{{{place}}}}}.",
                remedy=f"It may use: {', '.join(sorted(values))}.",
            )
        return values[place]

    return re.sub(r"\n{3,}", "\n\n", _PLACE.sub(value_of, body)).strip()
