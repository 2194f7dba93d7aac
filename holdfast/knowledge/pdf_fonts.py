"""What the codes that a PDF shows mean, and how far they go."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from holdfast.knowledge.pdf_objects import Objects, Stream, Word, values


@dataclass(frozen=True)
class Font:
    """What the codes of a font mean: as it says itself, else as Windows does."""

    letters: Mapping[int, str] = field(default_factory=dict)
    width: int = 1
    advances: Mapping[int, float] = field(default_factory=dict)
    usual: float | None = None

    @classmethod
    def of(cls, objects: Objects, about: Any) -> "Font":
        if not isinstance(about, dict):
            return cls()
        told = objects.get(about.get("ToUnicode"))
        width = 2 if about.get("Subtype") == "Type0" else 1
        letters = _letters(objects.content(told)) if isinstance(told, Stream) else {}
        return cls(letters, width, *(_wide_advances if width == 2 else _advances)(objects, about))

    def text(self, codes: bytes) -> str:
        if not self.letters:
            return codes.decode("cp1252", "replace") if self.width == 1 else ""
        plain = "" if self.width == 2 else None
        return "".join(
            self.letters.get(number, bytes([number]).decode("cp1252", "replace") if plain is None else plain)
            for number in self._numbers(codes)
        )

    def advance(self, codes: bytes) -> float | None:
        """How far these codes go, in thousandths of the font's size; None where the font does not say."""
        found = [self.advances.get(number, self.usual) for number in self._numbers(codes)]
        known = [each for each in found if each is not None]
        return sum(known) if len(known) == len(found) else None

    def _numbers(self, codes: bytes) -> list[int]:
        steps = range(0, len(codes) - self.width + 1, self.width)
        return [int.from_bytes(codes[at : at + self.width], "big") for at in steps]


def _advances(objects: Objects, about: Mapping[str, Any]) -> tuple[dict[int, float], float | None]:
    first, widths = objects.get(about.get("FirstChar")), objects.get(about.get("Widths"))
    if not isinstance(first, int) or not isinstance(widths, list):
        return {}, None
    return {first + at: each for at, each in enumerate(widths) if isinstance(each, int | float)}, None


def _wide_advances(objects: Objects, about: Mapping[str, Any]) -> tuple[dict[int, float], float | None]:
    below = objects.get(about.get("DescendantFonts"))
    glyphs = objects.get(below[0]) if isinstance(below, list) and below else None
    if not isinstance(glyphs, dict):
        return {}, None
    usual = objects.get(glyphs.get("DW", 1000))
    held, advances = list[Any](), dict[int, float]()
    for value in map(objects.get, objects.get(glyphs.get("W")) or []):
        held.append(value)
        match held:
            case [int() as first, list() as each]:
                advances |= {first + at: one for at, one in enumerate(each) if isinstance(one, int | float)}
                held = []
            case [int() as first, int() as last, int() | float() as one]:
                advances |= dict.fromkeys(range(first, min(last, first + 65_535) + 1), one)
                held = []
    return advances, usual if isinstance(usual, int | float) else None


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
