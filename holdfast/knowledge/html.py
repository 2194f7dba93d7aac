"""HTML as Markdown: headings, paragraphs, lists and code survive; scripts, styles and navigation do not."""

from holdfast.knowledge.tags import pieces_of

_SILENT = frozenset({"script", "style", "noscript", "template", "nav", "svg", "head", "iframe"})
_BREAKS = frozenset(
    {"p", "div", "section", "article", "ul", "ol", "table", "tr", "blockquote", "dl", "main", "header"}
)
_HEADINGS = frozenset({"h1", "h2", "h3", "h4", "h5", "h6"})


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
        self._code = 0

    def text(self) -> str:
        lines = [line.rstrip() for line in "".join(self._parts).splitlines()]
        kept = [line for at, line in enumerate(lines) if line or (at and lines[at - 1])]
        return "\n".join(kept).strip() + "\n"

    def opened(self, tag: str) -> None:
        if tag == "body":  # a head need not be closed
            self._silent = 0
        elif tag in _SILENT:
            self._silent += 1
        elif tag in _HEADINGS:
            self._parts.append("\n\n" + "#" * int(tag[1]) + " ")
        elif tag == "pre":
            self._code += 1
            self._parts.append("\n\n```\n")
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
        elif tag == "pre" and self._code:
            self._code -= 1
            self._parts.append("\n```\n\n")
        elif tag in _HEADINGS or tag in _BREAKS:
            self._parts.append("\n\n")

    def said(self, data: str) -> None:
        if self._silent:
            return
        if self._code:
            self._parts.append(data)
        elif words := " ".join(data.split()):
            lead = " " if data[:1].isspace() else ""
            tail = " " if data[-1:].isspace() else ""
            self._parts.append(f"{lead}{words}{tail}")
