"""HTML as Markdown: headings, paragraphs, lists and code survive; scripts, styles and navigation do not."""

from html.parser import HTMLParser

_SILENT = frozenset({"script", "style", "noscript", "template", "nav", "svg", "head", "iframe"})
_BREAKS = frozenset(
    {"p", "div", "section", "article", "ul", "ol", "table", "tr", "blockquote", "dl", "main", "header"}
)
_HEADINGS = frozenset({"h1", "h2", "h3", "h4", "h5", "h6"})


def markdown_of_html(text: str) -> str:
    """The readable part of a page. Never raises: broken markup is read as far as it goes."""
    reader = _Reader()
    reader.feed(text)
    reader.close()
    return reader.text()


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self._parts: list[str] = []
        self._silent = 0
        self._code = 0

    def text(self) -> str:
        lines = [line.rstrip() for line in "".join(self._parts).splitlines()]
        kept = [line for at, line in enumerate(lines) if line or (at and lines[at - 1])]
        return "\n".join(kept).strip() + "\n"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:  # noqa: ARG002 -- the parser calls it so
        if tag in _SILENT:
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

    def handle_endtag(self, tag: str) -> None:
        if tag in _SILENT:
            self._silent = max(0, self._silent - 1)
        elif tag == "pre" and self._code:
            self._code -= 1
            self._parts.append("\n```\n\n")
        elif tag in _HEADINGS or tag in _BREAKS:
            self._parts.append("\n\n")

    def handle_data(self, data: str) -> None:
        if self._silent:
            return
        if self._code:
            self._parts.append(data)
        elif words := " ".join(data.split()):
            lead = " " if data[:1].isspace() else ""
            tail = " " if data[-1:].isspace() else ""
            self._parts.append(f"{lead}{words}{tail}")
