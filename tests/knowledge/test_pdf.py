"""Text out of PDF files: written here byte by byte, as writers of PDFs write them."""

import base64
import zlib
from pathlib import Path

import pytest

from holdfast.errors import HoldfastError, InvalidInput, TooLarge
from holdfast.knowledge.pdf import text_of_pdf
from holdfast.knowledge.reading import read_draft
from holdfast.knowledge.sources import read_path

PLAIN = rb"""BT /F1 12 Tf 72 700 Td (Disk \(root\) is full) Tj 0 -14 Td [(Delete) -250 (old) -20 (er logs)] TJ
0 -40 Td (Call Bo.) Tj ET"""
MAPPED = b"BT /F2 12 Tf 72 700 Td <00010002> Tj ET"
TABLE = b"""1 begincodespacerange <0000> <FFFF> endcodespacerange
1 beginbfchar <0001> <00C4> endbfchar 1 beginbfrange <0002> <0003> <0062> endbfrange"""


def _stream(body: bytes, *, packed: bool = False, about: bytes = b"") -> bytes:
    data = zlib.compress(body) if packed else body
    how = b" /Filter /FlateDecode" if packed else b""
    return b"<< %s/Length %d%s >>\nstream\n%s\nendstream" % (about, len(data), how, data)


def _pdf(*objects: bytes, tail: bytes = b"") -> bytes:
    numbered = (b"%d 0 obj\n%s\nendobj\n" % (at, each) for at, each in enumerate(objects, 1))
    return b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n" + b"".join(numbered) + tail


def _pages(first: bytes, second: bytes) -> bytes:
    fonts = (
        b"<< /Font << /F1 << /Type /Font /Subtype /Type1 >> /F2 << /Subtype /Type0 /ToUnicode 7 0 R >> >> >>"
    )
    packed = b"<< /Type /Page /Contents 6 0 R >>"
    return _pdf(
        b"<< /Type /Catalog /Pages 2 0 R >>",
        b"<< /Type /Pages /Kids [3 0 R 8 0 R] /Count 2 /Resources %s >>" % fonts,
        b"<< /Type /Page /Contents [5 0 R] >>",
        _stream(b"8 0 " + packed, packed=True, about=b"/Type /ObjStm /N 1 /First 4 "),
        _stream(first, packed=True),
        _stream(second),
        _stream(TABLE, packed=True),
    )


def test_pages_lines_and_paragraphs_are_read_in_order() -> None:
    text = text_of_pdf(_pages(PLAIN, MAPPED), "x")
    assert text == "Disk (root) is full\nDelete older logs\n\nCall Bo.\n\nÄb"


@pytest.mark.parametrize(
    ("filters", "packed"),
    [
        (b"[/ASCII85Decode /FlateDecode]", base64.a85encode(zlib.compress(PLAIN), wrapcol=60) + b"~>"),
        (b"[/AHx /Fl]", zlib.compress(PLAIN).hex(" ").encode() + b">"),
        (b"/ASCII85Decode", base64.a85encode(PLAIN) + b"~>"),
    ],
)
def test_pages_packed_as_letters_are_read(filters: bytes, packed: bytes) -> None:
    page = b"<< /Filter %s /Length %d >>\nstream\n%s\nendstream" % (filters, len(packed), packed)
    pages = (b"<< /Type /Pages /Kids [3 0 R] >>", b"<< /Type /Page /Contents 4 0 R >>")
    text = text_of_pdf(_pdf(b"<< /Type /Catalog /Pages 2 0 R >>", *pages, page), "x")
    assert text.startswith("Disk (root) is full\nDelete older logs")


NARROW = b"<< /Subtype /TrueType /FirstChar 32 /Widths [%s] >>" % (b"500 " * 95)
WIDE = b"<< /Subtype /Type0 /DescendantFonts [<< /W [0 [500 500] 2 90 500] /DW 400 >>] /ToUnicode 5 0 R >>"
PIECES = b"""BT /F1 10 Tf 1 0 0 1 8 90 Tm (L) Tj 5 0 Td (ook) Tj 20 0 Td (up) Tj ET
BT /F1 10 Tf 1 0 0 1 43 90 Tm (on) Tj ET"""


@pytest.mark.parametrize(
    ("font", "shown", "said"),
    [
        (NARROW, PIECES, "Look upon"),
        (b"<< /Subtype /TrueType >>", PIECES, "L ook up on"),
        (WIDE, b"BT /F1 10 Tf <0001> Tj 5 0 Td <0002> Tj 9 0 Td <0003> Tj ET", "Äb c"),
    ],
)
def test_pieces_of_a_word_are_one_word_where_the_font_says_how_wide_its_letters_are(
    font: bytes, shown: bytes, said: str
) -> None:
    pages = b"<< /Type /Pages /Kids [3 0 R] /Resources << /Font << /F1 %s >> >> >>" % font
    page = b"<< /Type /Page /Contents 4 0 R >>"
    pdf = _pdf(b"<< /Type /Catalog /Pages 2 0 R >>", pages, page, _stream(shown), _stream(TABLE))
    assert text_of_pdf(pdf, "x") == said


def test_a_pdf_in_a_folder_becomes_a_document(tmp_path: Path) -> None:
    (tmp_path / "disk.pdf").write_bytes(_pages(PLAIN, MAPPED))
    (tmp_path / "scan.pdf").write_bytes(_pages(b"q Q", b""))
    found = read_path(tmp_path)
    assert [(draft.id, draft.media) for draft in found.drafts] == [("disk.pdf", "pdf")]
    assert "Delete older logs" in read_draft(found.drafts[0]).chunks[0].text
    assert [(failure.id, "scan" in failure.message) for failure in found.failures] == [("scan.pdf", True)]


@pytest.mark.parametrize(
    ("data", "error", "said"),
    [
        (b"%PDF-1.4\nxxx", InvalidInput, "damaged"),
        (_pages(b"q Q", b""), InvalidInput, "no text"),
        (_pdf(b"<< /Type /Catalog >>", tail=b"trailer << /Encrypt 9 0 R >>"), InvalidInput, "encrypted"),
        (_pdf(b"[" * 50_000), InvalidInput, "deep"),
        (_pages(b" " * 70_000_000, b""), TooLarge, "unpacks"),
    ],
)
def test_what_cannot_be_read_is_one_clear_error(data: bytes, error: type[HoldfastError], said: str) -> None:
    with pytest.raises(error, match=said):
        text_of_pdf(data, "x")


def test_a_torn_file_is_read_as_far_as_it_goes_or_refused() -> None:
    whole = _pages(PLAIN, MAPPED)
    for end in range(0, len(whole), 37):
        try:
            text_of_pdf(whole[:end], "x")
        except InvalidInput:
            continue
