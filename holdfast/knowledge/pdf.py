"""The text of a PDF: its pages in order, their lines as they stand, an empty line where a paragraph ends.

What has no text, such as a scan, and what is encrypted is refused by name.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from holdfast.errors import InvalidInput
from holdfast.knowledge.pdf_objects import Objects, Ref, Stream, Word, values

_REMEDY = "Extract its text another way, such as `pdftotext file.pdf`, and add that."
_WIDE = -180
"""A step back in a line by so many thousandths of the size of its font is a space."""


def text_of_pdf(data: bytes, name: str) -> str:
    if re.search(rb"/Encrypt\s+\d+\s+\d+\s+R", data):
        raise InvalidInput(f"{name} is an encrypted PDF.", remedy=_REMEDY)
    try:
        objects = Objects.read(data)
        pages = [_page_text(objects, page) for page in _pages(objects)]
    except (ValueError, OverflowError, RecursionError) as error:
        raise InvalidInput(f"{name} is a damaged PDF.", remedy=_REMEDY) from error
    text = "\n\n".join(page for page in pages if page.strip())
    if not text.strip():
        raise InvalidInput(f"{name} has no text that can be read; perhaps it is a scan.", remedy=_REMEDY)
    return text.replace("\x00", "")


def _pages(objects: Objects) -> Iterator[dict[str, Any]]:
    roots = [
        each for each in objects.found.values() if isinstance(each, dict) and each.get("Type") == "Catalog"
    ]
    for root in roots[-1:]:
        yield from _below(objects, objects.get(root.get("Pages")), {}, set())


def _below(
    objects: Objects, node: Any, inherited: Mapping[str, Any], seen: set[int]
) -> Iterator[dict[str, Any]]:
    if not isinstance(node, dict) or id(node) in seen:
        return
    seen.add(id(node))
    mine = {"Resources": node.get("Resources") or inherited.get("Resources")}
    children = objects.get(node.get("Kids"))
    if isinstance(children, list):
        for child in children:
            yield from _below(objects, objects.get(child), mine, seen)
    else:
        yield {**node, **mine}


def _page_text(objects: Objects, page: Mapping[str, Any]) -> str:
    contents = objects.get(page.get("Contents"))
    streams = [objects.get(each) for each in contents] if isinstance(contents, list) else [contents]
    body = b"\n".join(objects.content(each) for each in streams if isinstance(each, Stream))
    resources = objects.get(page.get("Resources")) or {}
    fonts = objects.get(resources.get("Font")) or {}
    return _Page({name: _Font.of(objects, objects.get(ref)) for name, ref in fonts.items()}).read(body)


@dataclass(frozen=True)
class _Font:
    """What the codes of a font mean: as it says itself, else as Windows does."""

    letters: Mapping[int, str] = field(default_factory=dict)
    width: int = 1

    @classmethod
    def of(cls, objects: Objects, about: Any) -> "_Font":
        if not isinstance(about, dict):
            return cls()
        told = objects.get(about.get("ToUnicode"))
        width = 2 if about.get("Subtype") == "Type0" else 1
        return cls(_letters(objects.content(told)) if isinstance(told, Stream) else {}, width)

    def text(self, codes: bytes) -> str:
        if not self.letters:
            return codes.decode("cp1252", "replace") if self.width == 1 else ""
        steps = range(0, len(codes) - self.width + 1, self.width)
        numbers = [int.from_bytes(codes[at : at + self.width], "big") for at in steps]
        plain = "" if self.width == 2 else None
        return "".join(
            self.letters.get(number, bytes([number]).decode("cp1252", "replace") if plain is None else plain)
            for number in numbers
        )


def _letters(table: bytes) -> dict[int, str]:
    letters: dict[int, str] = {}
    held: list[Any] = []
    for value in values(table):
        if not isinstance(value, Word):
            held.append(value)
            continue
        if value == "endbfchar":
            for code, letter in zip(held[::2], held[1::2], strict=False):
                letters[_code(code)] = _letter(letter)
        elif value == "endbfrange":
            for first, last, target in zip(held[::3], held[1::3], held[2::3], strict=False):
                letters |= _range(_code(first), _code(last), target)
        held = []
    return letters


def _range(first: int, last: int, target: Any) -> dict[int, str]:
    codes = range(first, min(last, first + 65_535) + 1)
    if isinstance(target, list):
        return {code: _letter(letter) for code, letter in zip(codes, target, strict=False)}
    start = _letter(target)
    return {code: start[:-1] + chr(ord(start[-1]) + code - first) for code in codes} if start else {}


def _code(value: Any) -> int:
    return int.from_bytes(value, "big") if isinstance(value, bytes) else -1


def _letter(value: Any) -> str:
    return value.decode("utf-16-be", "replace") if isinstance(value, bytes) else ""


@dataclass
class _Page:
    """Follows the text operators of a page: what is shown, and at which height."""

    fonts: Mapping[str, _Font]
    font: _Font = field(default_factory=_Font)
    height: float = 0.0
    leading: float = 0.0
    lines: list[tuple[float, str]] = field(default_factory=list)

    def read(self, body: bytes) -> str:
        held: list[Any] = []
        for value in values(body):
            if isinstance(value, Word):
                self._do(value, held)
                held = []
            elif not isinstance(value, Ref):
                held.append(value)
        return _paragraphs(self.lines)

    def _do(self, operator: str, held: list[Any]) -> None:
        match operator, held:
            case "Tf", [name, _]:
                self.font = self.fonts.get(str(name), _Font())
            case "Tj", [bytes() as codes]:
                self._show(self.font.text(codes))
            case "TJ", [list() as parts]:
                self._show("".join(self._part(part) for part in parts))
            case "'" | '"', [*_, bytes() as codes]:
                self._move(-self.leading or -1.0)
                self._show(self.font.text(codes))
            case "TL", [int() | float() as leading]:
                self.leading = leading
            case "T*", []:
                self._move(-self.leading or -1.0)
            case "Td" | "TD", [_, int() | float() as down]:
                if operator == "TD":
                    self.leading = -down
                self._move(down)
            case "Tm", [*_, int() | float() as height]:
                self._move(height - self.height)
            case "BT", []:
                self._move(0.0)

    def _part(self, part: Any) -> str:
        if isinstance(part, bytes):
            return self.font.text(part)
        return " " if isinstance(part, int | float) and part < _WIDE else ""

    def _move(self, by: float) -> None:
        self.height += by
        if by == 0 and self.lines and not self.lines[-1][1].endswith((" ", "\n")):
            self._show(" ")

    def _show(self, text: str) -> None:
        if self.lines and abs(self.lines[-1][0] - self.height) < 0.5:
            height, before = self.lines[-1]
            self.lines[-1] = (height, before + text)
        elif text.strip():
            self.lines.append((self.height, text))


def _paragraphs(lines: list[tuple[float, str]]) -> str:
    """A gap well above the usual ends a paragraph."""
    gaps = sorted(abs(above[0] - below[0]) for above, below in pairwise(lines))
    usual = gaps[(len(gaps) - 1) // 2] if gaps else 0.0
    written: list[str] = []
    for at, (height, text) in enumerate(lines):
        if at and abs(lines[at - 1][0] - height) > 1.4 * usual:
            written.append("")
        written.append(" ".join(text.split()))
    return "\n".join(written)
