"""Text out of PDF files: of programs that people use, kept in tests/data/pdf, and written here byte by byte."""

import zlib
from pathlib import Path

import pytest

from holdfast.errors import HoldfastError, InvalidInput, TooLarge
from holdfast.knowledge.pdf import text_of_pdf
from holdfast.knowledge.reading import read_draft
from holdfast.knowledge.sources import read_path

FILES = Path(__file__).parent.parent / "data" / "pdf"
PLAIN = rb"""BT /F1 12 Tf 72 700 Td (Disk \(root\) is full) Tj 0 -14 Td [(Delete) -250 (old) -20 (er logs)] TJ
0 -40 Td (Call Bo.) Tj ET"""
FONT = b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>"


def _stream(body: bytes, *, about: bytes = b"") -> bytes:
    data = zlib.compress(body)
    return b"<< %s/Filter /FlateDecode /Length %d >>\nstream\n%s\nendstream" % (about, len(data), data)


def _pdf(*objects: bytes) -> bytes:
    """The objects, and where each begins, as a reader wants to know."""
    data, places = b"%PDF-1.7\n", []
    for at, each in enumerate(objects, 1):
        places.append(len(data))
        data += b"%d 0 obj\n%s\nendobj\n" % (at, each)
    table = b"".join(b"%010d 00000 n \n" % place for place in places)
    size = len(objects) + 1
    head = b"xref\n0 %d\n0000000000 65535 f \n" % size
    return (
        data
        + head
        + table
        + b"trailer << /Size %d /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF" % (size, len(data))
    )


def _page(content: bytes, *more: bytes, resources: bytes = b"") -> bytes:
    return _pdf(
        b"<< /Type /Catalog /Pages 2 0 R >>",
        b"<< /Type /Pages /Kids [3 0 R] /Count 1 /MediaBox [0 0 600 800] >>",
        b"<< /Type /Page /Parent 2 0 R /Contents 4 0 R /Resources << /Font << /F1 %s >> %s >> >>"
        % (FONT, resources),
        _stream(content),
        *more,
    )


def test_lines_and_paragraphs_are_read_in_order() -> None:
    assert text_of_pdf(_page(PLAIN), "x") == "Disk (root) is full\nDelete older logs\n\nCall Bo."


@pytest.mark.parametrize("file", sorted(FILES.glob("*.pdf")), ids=lambda file: file.stem)
def test_what_people_write_pdfs_with_is_read(file: Path) -> None:
    text = " ".join(text_of_pdf(file.read_bytes(), file.name).split())
    said = [
        "Disk filling up",
        "difficult affiliation (ligatures: fi fl ffi) are written too; naïve café costs 5",
        "du -xk --max-depth=1 -- /var",
        "first item of a list",
        "Then verify that more space is free than before.",
        "The escalation contact is the storage team; call +49 30 1234567",
    ]
    assert [each for each in said if each not in text] == [], text


def test_a_pdf_in_a_folder_becomes_a_document(tmp_path: Path) -> None:
    (tmp_path / "disk.pdf").write_bytes(_page(PLAIN))
    (tmp_path / "scan.pdf").write_bytes(_page(b"q Q"))
    found = read_path(tmp_path)
    assert [(draft.id, draft.media) for draft in found.drafts] == [("disk.pdf", "pdf")]
    assert "Delete older logs" in read_draft(found.drafts[0]).chunks[0].text
    assert [(failure.id, "scan" in failure.message) for failure in found.failures] == [("scan.pdf", True)]


def _forms(depth: int) -> list[bytes]:
    """Each draws the next one twice: a billion in all."""
    return [
        _stream(
            b"/X Do /X Do",
            about=b"/Type /XObject /Subtype /Form /BBox [0 0 1 1] /Resources << /XObject << /X %d 0 R >> >> "
            % (6 + at),
        )
        for at in range(depth)
    ] + [_stream(PLAIN, about=b"/Type /XObject /Subtype /Form /BBox [0 0 1 1] ")]


@pytest.mark.parametrize(
    ("data", "error", "said"),
    [
        (b"%PDF-1.4\nxxx", InvalidInput, "damaged"),
        (_page(PLAIN)[:300], InvalidInput, "damaged"),
        (_page(b"q Q"), InvalidInput, "no text"),
        (_page(b"[" * 50_000), InvalidInput, "damaged"),
        (_page(b" " * 300_000_000), TooLarge, "too much"),
    ],
    ids=["torn", "torn later", "scan", "deep", "bomb"],
)
def test_what_cannot_be_read_is_one_clear_error(data: bytes, error: type[HoldfastError], said: str) -> None:
    with pytest.raises(error, match=said):
        text_of_pdf(data, "x")


def test_a_page_that_draws_itself_a_billion_times_ends() -> None:
    hostile = _page(PLAIN + b" /X Do", *_forms(30), resources=b"/XObject << /X 5 0 R >>")
    try:
        assert "Disk (root) is full" in text_of_pdf(hostile, "x")
    except HoldfastError as refused:
        assert "x is a" in str(refused)  # noqa: PT017 -- either answer will do, so long as one comes
