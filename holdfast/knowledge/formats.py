"""What a text is: the name says it, what is declared says it, and where the text plainly is something else, the text."""

import re

from holdfast.knowledge.tags import pieces_of
from schemas.knowledge import Media

SUFFIXES: dict[str, Media] = {
    ".md": "markdown", ".markdown": "markdown", ".mdx": "markdown", ".rst": "rest", ".rest": "rest",
    ".html": "html", ".htm": "html", ".xhtml": "html", ".txt": "text", ".text": "text", ".pdf": "pdf",
}  # fmt: skip
_PAGE = re.compile(
    r"\A\s*(?:<\?xml[^>]{0,200}>\s*)?(?:<!--.{0,2000}?-->\s*)*<(?:!doctype\s+html|html)\b",
    re.IGNORECASE | re.DOTALL,
)
_DIRECTIVE = re.compile(r"^\.\. (?:[a-z][\w-]*::|_[^:\n]+:)", re.MULTILINE)
_HEADING = re.compile(r"^#{1,6} ", re.MULTILINE)


def media_of(text: str, declared: Media) -> Media:
    """A page is HTML whatever it is called, for nothing else begins so; and what has no tag at all is none."""
    if declared in ("markdown", "text") and _PAGE.match(text):
        return "html"
    if declared == "html" and not any(piece.kind != "text" for piece in pieces_of(text)):
        return "markdown"
    return declared


def guessed(text: str) -> Media:
    """Of a text whose name says nothing."""
    return "rest" if _DIRECTIVE.search(text) and not _HEADING.search(text) else "markdown"
