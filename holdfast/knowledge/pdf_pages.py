"""Reads a PDF from standard input and writes its pages as JSON: run as a module, for one file, by `holdfast.knowledge.pdf`."""

import contextlib
import io
import json
import logging
import resource
import sys
from bisect import bisect_right
from itertools import pairwise
from operator import itemgetter
from typing import Any
from unicodedata import normalize

from pypdf import PageObject, PdfReader
from pypdf.errors import LimitReachedError

_CPU_S = 60
_MEMORY_BYTES = 1_500_000_000
_MOST_CHARS = 8_000_001
"""One more than a document may have: what is longer is refused whole, not cut."""
_LETTERS = {at: normalize("NFKC", chr(at)) for at in range(0xFB00, 0xFB07)} | {0: ""}
"""Two letters that a font joins are two letters to whoever searches."""

Line = tuple[float, str]
"""How high it stands, and what it says."""


def read(data: bytes) -> dict[str, Any]:
    reader = PdfReader(io.BytesIO(data))
    if reader.is_encrypted and not reader.decrypt(""):
        return {"refused": "encrypted"}
    pages: list[str] = []
    for page in reader.pages:
        pages.append(_paragraphs(_lines(page)))
        if sum(map(len, pages)) > _MOST_CHARS:
            return {"refused": "large"}
    return {"pages": pages} if pages else {"refused": "damaged"}


def _lines(page: PageObject) -> list[Line]:
    """The reader tells how high each piece stands, and apart from that where spaces belong: letters are counted in both."""
    pieces: list[tuple[int, float]] = []
    letters = 0

    def said(text: str, matrix: list[float], place: list[float], _font: object, _size: float) -> None:
        nonlocal letters
        if text.strip():
            pieces.append((letters, place[5] * matrix[3] + matrix[5]))
            letters += _letters_in(text)

    lines: list[Line] = []
    at = 0
    for line in page.extract_text(visitor_text=said).splitlines():
        if line.strip():
            piece = bisect_right(pieces, at, key=itemgetter(0)) - 1
            lines.append((pieces[piece][1], line))
            at += _letters_in(line)
    return lines


def _letters_in(text: str) -> int:
    return sum(map(len, text.split()))


def _paragraphs(lines: list[Line]) -> str:
    """A gap well above the usual ends a paragraph."""
    gaps = sorted(abs(above[0] - below[0]) for above, below in pairwise(lines))
    usual = gaps[(len(gaps) - 1) // 2] if gaps else 0.0
    written: list[str] = []
    for at, (height, text) in enumerate(lines):
        if at and abs(lines[at - 1][0] - height) > 1.4 * usual:
            written.append("")
        written.append(" ".join(text.translate(_LETTERS).split()))
    return "\n".join(written).encode("utf-8", "ignore").decode()


def main() -> None:
    logging.disable()
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_CPU, (_CPU_S, _CPU_S))
        resource.setrlimit(resource.RLIMIT_AS, (_MEMORY_BYTES, _MEMORY_BYTES))
    try:
        answer = read(sys.stdin.buffer.read())
    except (MemoryError, LimitReachedError):
        answer = {"refused": "large"}
    except Exception:  # noqa: BLE001 -- a broken file breaks its reader in any way there is
        answer = {"refused": "damaged"}
    json.dump(answer, sys.stdout)


if __name__ == "__main__":
    main()
