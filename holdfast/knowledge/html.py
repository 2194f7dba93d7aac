"""HTML as Markdown: headings, paragraphs, lists and code survive; scripts, styles and navigation do not."""

import re
from collections.abc import Iterable, Iterator

from holdfast.knowledge.tags import pieces_of

_SILENT = frozenset({"script", "style", "noscript", "template", "nav", "svg", "head", "iframe"})
_BREAKS = frozenset(
    {"p", "div", "section", "article", "ul", "ol", "table", "tr", "blockquote", "dl", "main", "header"}
)
_HEADINGS = frozenset({"h1", "h2", "h3", "h4", "h5", "h6"})
_OURS = "\x00"
"""Before a mark that is written here: no text holds it."""
_MARK = re.compile(r"(\s*)(?:#{1,6}(?:\s|$)|`{3}|~{3}|(?:-{3,}|={3,})$)")
_TICKS = re.compile(r"`+")


def markdown_of_html(text: str) -> str:
    """The readable part of a page. Never raises: broken markup is read as far as it goes."""
    page = _Page()
    for piece in pieces_of(text):
        match piece.kind:
            case "open":
                page.opened(piece.said)
            case "close":
                page.closed(piece.said)
            case "text":
                page.said(piece.said)
    return page.text()


class _Page:
    def __init__(self) -> None:
        self._parts: list[str] = []
        self._silent = 0
        self._code: list[str] | None = None

    def text(self) -> str:
        self._end_of_code()
        lines = [line.rstrip() for line in "".join(self._parts).splitlines()]
        kept = [line for at, line in enumerate(lines) if line or (at and lines[at - 1])]
        return "\n".join(_meant(kept)).strip() + "\n"

    def opened(self, tag: str) -> None:
        if tag == "body":  # a head need not be closed
            self._silent = 0
        elif tag in _SILENT:
            self._silent += 1
        elif self._code is not None:
            if tag in ("br", "p", "div", "li"):
                self._code.append("\n")
        elif tag in _HEADINGS:
            self._parts.append(f"\n\n{_OURS}{'#' * int(tag[1])} ")
        elif tag == "pre":
            self._code = []
        elif tag == "li":
            self._parts.append("\n- ")
        elif tag in ("td", "th"):
            self._parts.append(" | ")
        elif tag == "br":
            self._parts.append("\n")
        elif tag in _BREAKS:
            self._parts.append("\n\n")

    def closed(self, tag: str) -> None:
        if tag in _SILENT:
            self._silent = max(0, self._silent - 1)
        elif tag == "pre":
            self._end_of_code()
        elif self._code is None and (tag in _HEADINGS or tag in _BREAKS):
            self._parts.append("\n\n")

    def said(self, data: str) -> None:
        if self._silent:
            return
        if self._code is not None:
            self._code.append(data)
        elif words := " ".join(data.split()):
            lead = " " if data[:1].isspace() else ""
            tail = " " if data[-1:].isspace() else ""
            self._parts.append(f"{lead}{words}{tail}")

    def _end_of_code(self) -> None:
        """Its fence is longer than any within."""
        if self._code is not None:
            code = "".join(self._code).strip("\n")
            fence = _OURS + "`" * max(3, 1 + max(map(len, _TICKS.findall(code)), default=0))
            self._parts.append(f"\n\n{fence}\n{code}\n{fence}\n\n")
            self._code = None


def _meant(lines: Iterable[str]) -> Iterator[str]:
    """What a page says with the marks of Markdown means the marks, not headings and fences."""
    code = False
    for line in lines:
        if line.startswith(_OURS):
            code ^= line.startswith(_OURS + "`")
            yield line.removeprefix(_OURS)
        elif not code and (mark := _MARK.match(line)):
            yield f"{mark[1]}\\{line[mark.end(1) :]}"
        else:
            yield line
