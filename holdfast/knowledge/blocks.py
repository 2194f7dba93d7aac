"""The one shape every markup is read into: headings, prose and code, each with its place in the text."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from schemas.knowledge import Media

_FENCE = re.compile(r"^ {0,3}(`{3,}|~{3,})\s*(.*?)\s*$")
_ATX = re.compile(r"^ {0,3}(#{1,6})(?:\s+(.*?))?(?:\s+#+)?\s*$")
_SETEXT = {"=": 1, "-": 2}
_REST_LINE = re.compile(r"^([=\-~^\"'`#*+:.<>_])\1{2,}\s*$")
_REST_CODE = re.compile(r"^\.\. (?:code-block|code|sourcecode)::\s*(\S*)\s*$")


@dataclass(frozen=True, slots=True)
class Block:
    kind: Literal["heading", "prose", "code"]
    text: str
    start: int
    end: int
    line: int
    level: int = 0
    info: str = ""


@dataclass(frozen=True, slots=True)
class _Line:
    text: str
    start: int
    end: int
    number: int


def read_blocks(text: str, media: Media) -> list[Block]:
    """The blocks of a text, in order. Every block's `text` is found between its `start` and `end`."""
    lines = _lines(text)
    match media:
        case "rest":
            return list(_rest(lines))
        case "text" | "pdf":
            return list(_paragraphs(lines))
        case "markdown" | "html":
            return list(_markdown(lines))


def _lines(text: str) -> list[_Line]:
    lines, start = [], 0
    for number, raw in enumerate(text.splitlines(keepends=True), 1):
        lines.append(_Line(raw.rstrip("\r\n\f"), start, start + len(raw), number))
        start += len(raw)
    return lines


def _joined(kind: Literal["prose", "code"], lines: list[_Line], info: str = "") -> Iterator[Block]:
    while lines and not lines[0].text.strip():
        lines = lines[1:]
    while lines and not lines[-1].text.strip():
        lines = lines[:-1]
    if lines:
        body = "\n".join(line.text for line in lines)
        yield Block(kind, body, lines[0].start, lines[-1].end, lines[0].number, info=info)


def _markdown(lines: list[_Line]) -> Iterator[Block]:
    held: list[_Line] = []
    index = 0
    while index < len(lines):
        line = lines[index]
        if fence := _FENCE.match(line.text):
            yield from _joined("prose", held)
            close = _closing(lines, index + 1, fence[1])
            inside = lines[index + 1 : close]
            body = "\n".join(each.text for each in inside)
            end = lines[min(close, len(lines) - 1)].end
            yield Block("code", body, line.start, end, line.number, info=fence[2])
            held, index = [], close + 1
            continue
        if atx := _ATX.match(line.text):
            yield from _joined("prose", held)
            yield Block("heading", (atx[2] or "").strip(), line.start, line.end, line.number, len(atx[1]))
            held = []
        elif _underlines(line.text) and len(held) == 1 and held[0].text.strip():
            level = _SETEXT[line.text.strip()[0]]
            yield Block("heading", held[0].text.strip(), held[0].start, line.end, held[0].number, level)
            held = []
        elif not line.text.strip():
            yield from _joined("prose", held)
            held = []
        else:
            held.append(line)
        index += 1
    yield from _joined("prose", held)


def _underlines(text: str) -> bool:
    stripped = text.strip()
    return len(stripped) > 2 and set(stripped) in ({"="}, {"-"})


def _closing(lines: list[_Line], index: int, fence: str) -> int:
    """The line that closes a fence; the end of the text closes one that was left open."""
    for at in range(index, len(lines)):
        stripped = lines[at].text.strip()
        if stripped.startswith(fence) and not stripped.strip(fence[0]):
            return at
    return len(lines)


def _rest(lines: list[_Line]) -> Iterator[Block]:
    held: list[_Line] = []
    levels: dict[str, int] = {}
    index = 0
    while index < len(lines):
        line = lines[index]
        if directive := _REST_CODE.match(line.text.strip()):
            yield from _joined("prose", held)
            held, (inside, index) = [], _indented(lines, index + 1)
            yield from _joined("code", [each for each in inside if not _option(each)], directive[1])
            continue
        if (
            _REST_LINE.match(line.text)
            and len(held) == 1
            and len(line.text.strip()) >= len(held[0].text.strip())
        ):
            level = levels.setdefault(line.text[0], len(levels) + 1)
            yield Block("heading", held[0].text.strip(), held[0].start, line.end, held[0].number, level)
            held = []
        elif _REST_LINE.match(line.text) and not held:
            pass  # an overline: the title and its underline follow
        elif not line.text.strip():
            literal = bool(held) and held[-1].text.rstrip().endswith("::")
            yield from _joined("prose", held)
            held = []
            if literal:
                inside, index = _indented(lines, index)
                yield from _joined("code", inside)
                continue
        else:
            held.append(line)
        index += 1
    yield from _joined("prose", held)


def _option(line: _Line) -> bool:
    return bool(re.match(r"^\s+:[a-z-]+:", line.text))


def _indented(lines: list[_Line], index: int) -> tuple[list[_Line], int]:
    first = index
    while index < len(lines) and (not lines[index].text.strip() or lines[index].text[0] in " \t"):
        index += 1
    return lines[first:index], index


def _paragraphs(lines: list[_Line]) -> Iterator[Block]:
    held: list[_Line] = []
    for line in lines:
        if line.text.strip():
            held.append(line)
            continue
        yield from _joined("prose", held)
        held = []
    yield from _joined("prose", held)
