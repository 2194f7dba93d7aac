"""The text of a PDF: its pages in order, their lines as they stand, an empty line where a paragraph ends.

What has no text, such as a scan, and what is encrypted is refused by name.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from holdfast.errors import InvalidInput
from holdfast.knowledge.pdf_fonts import Font
from holdfast.knowledge.pdf_objects import Objects, Ref, Stream, Word, values

_REMEDY = "Extract its text another way, such as `pdftotext file.pdf`, and add that."
_WIDE = -180
"""A step back in a line by so many thousandths of the size of its font is a space."""
_APART = 0.15
"""So is a gap before the next piece, as a share of that size."""


def text_of_pdf(data: bytes, name: str) -> str:
    if re.search(rb"/Encrypt\s+\d+\s+\d+\s+R", data):
        raise InvalidInput(f"{name} is an encrypted PDF.", remedy=_REMEDY)
    try:
        objects = Objects.read(data)
        pages = [_page_text(objects, page) for page in _pages(objects)]
    except (ValueError, OverflowError, RecursionError) as error:
        raise InvalidInput(f"{name} is a damaged PDF.", remedy=_REMEDY) from error
    if not pages:
        raise InvalidInput(f"{name} is a damaged PDF: no page is found in it.", remedy=_REMEDY)
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
    return _Page({name: Font.of(objects, objects.get(ref)) for name, ref in fonts.items()}).read(body)


@dataclass
class _Page:
    """Follows the text operators of a page: what is shown, at which height, and how far it goes."""

    fonts: Mapping[str, Font]
    font: Font = field(default_factory=Font)
    size: float = 0.0
    left: float = 0.0
    scale: float = 1.0
    pen: float | None = None
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
            case "Tf", [name, size]:
                self.font = self.fonts.get(str(name), Font())
                self.size = size if isinstance(size, int | float) else 0.0
            case "Tj", [bytes() as codes]:
                self._write([codes])
            case "TJ", [list() as parts]:
                self._write(parts)
            case "'" | '"', [*_, bytes() as codes]:
                self._move(-self.leading or -1.0)
                self._write([codes])
            case "TL", [int() | float() as leading]:
                self.leading = leading
            case "T*", []:
                self._move(-self.leading or -1.0)
            case "Td" | "TD", [int() | float() as right, int() | float() as down]:
                if operator == "TD":
                    self.leading = -down
                self.left += right * self.scale
                self._move(down)
            case "Tm", [
                int() | float() as scale,
                _,
                _,
                _,
                int() | float() as left,
                int() | float() as height,
            ]:
                self.left, self.scale = left, scale
                self._move(height - self.height)
            case "BT", []:
                self._begin()

    def _begin(self) -> None:
        """A new text object: where it is not moved to a place, nobody knows how far it is from the last one."""
        if self.pen is None:
            self._move(0.0)
        self.left, self.scale = 0.0, 1.0

    def _write(self, parts: list[Any]) -> None:
        self._show("".join(self._part(part) for part in parts))
        far = [-part if isinstance(part, int | float) else self.font.advance(part) for part in parts]
        known = [each for each in far if each is not None]
        reach = sum(known) / 1000 * self.size * self.scale
        self.pen = self.left + reach if len(known) == len(far) else None

    def _part(self, part: Any) -> str:
        if isinstance(part, bytes):
            return self.font.text(part)
        return " " if isinstance(part, int | float) and part < _WIDE else ""

    def _move(self, by: float) -> None:
        self.height += by
        apart = self.pen is None or abs(self.left - self.pen) > _APART * abs(self.size * self.scale)
        if by == 0 and apart and self.lines and not self.lines[-1][1].endswith((" ", "\n")):
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
