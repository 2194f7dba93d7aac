"""The tags and texts of a page, in one pass over it: however broken or hostile the markup is, no byte is read twice.

What is left open at the end of a page, be it a tag, a comment or a script, ends with the page, as in a browser.
"""

import re
from collections.abc import Iterator
from html import unescape
from typing import Literal, NamedTuple

_TAG = re.compile(r"<(/?)([A-Za-z][^\s/>]{0,60})")
_REST_OF_TAG = re.compile(r"""(?:[^>"']++|"[^"]*+"|'[^']*+')*+>""")
_RAW = frozenset({"script", "style", "textarea", "title", "xmp", "noframes"})


class Piece(NamedTuple):
    kind: Literal["open", "close", "text"]
    said: str
    """The name of a tag in lower case, or a text without its character references."""


def pieces_of(page: str) -> Iterator[Piece]:
    at = 0
    while at < len(page):
        found = page.find("<", at)
        if found < 0:
            found = len(page)
        if found > at:
            yield Piece("text", unescape(page[at:found]))
        if found == len(page):
            return
        tag = _TAG.match(page, found)
        if tag is None:
            at = _past_what_is_no_tag(page, found)
            if at == found + 1:
                yield Piece("text", "<")
            continue
        end = _REST_OF_TAG.match(page, tag.end())
        if end is None:
            return
        name = tag[2].lower()
        yield Piece("close" if tag[1] else "open", name)
        if not tag[1] and page.endswith("/>", found, end.end()):
            yield Piece("close", name)
        at = end.end() if tag[1] or name not in _RAW else _past_raw(page, end.end(), name)


def _past_what_is_no_tag(page: str, at: int) -> int:
    """Past a comment or a declaration; one character on, where it is a bare `<`."""
    if page.startswith("<!--", at):
        end = page.find("-->", at + 4)
        return len(page) if end < 0 else end + 3
    if page.startswith(("<!", "<?", "</"), at):
        end = page.find(">", at)
        return len(page) if end < 0 else end + 1
    return at + 1


def _past_raw(page: str, at: int, name: str) -> int:
    """To the tag that closes a script or the like: what stands in between is no markup and no text."""
    closing = re.compile(rf"</{name}\b", re.IGNORECASE).search(page, at)
    return closing.start() if closing else len(page)
