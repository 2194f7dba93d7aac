"""Shell text to a syntax tree, within limits that keep every input cheap."""

import re

import tree_sitter_bash
from tree_sitter import Language, Node, Parser

from holdfast.guardian.facts.shell.seams import disagreement

SIZE_LIMIT = 20_000
NODE_LIMIT = 4_000
DEPTH_LIMIT = 80
# The grammar explores alternatives at these marks: its cost grows with the square of their number.
_COSTLY = {
    "|": 250,
    "<<": 50,
    "=(": 100,
    "${": 500,
    "((": 200,
    "[[": 300,
    "`": 200,
    "$(": 500,
    "{": 1000,
    "(": 1000,
    ")": 1000,
    "$[": 200,
}
_SPLIT_WORD = re.compile(r"[^\s\\]\\\n[^\s]")  # the shell joins such halves, the grammar does not
_SPACED_NAME = re.compile(
    r"(?:\A|[\s;&|()'\"`}=])\\[ \t]"
)  # a word that begins with a space: the grammar drops it
# The scanner of the grammar asks C's isdigit and isalpha about whatever follows these marks, which reads beyond a table for
# anything but ASCII and can end the process; it cuts the letters of a here-document's end mark to one byte; and it takes
# every wide space for a space.
_BEYOND_ASCII = re.compile(
    r"(?:\{[\d.]*|(?:\A|\s)-[A-Za-z]*|\$|\w\?|<<-?\s*\S*)[^\x00-\x7f]|[\u0085\u00a0\u1680\u2000-\u200b\u2028\u2029\u202f\u205f\u3000\ufeff]"
)
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")
_LANGUAGE = Language(tree_sitter_bash.language())


def parse_shell(text: str) -> Node | str:
    """The root of the tree, or the reason why there is none to trust."""
    if len(text) > SIZE_LIMIT:
        return f"the script is longer than {SIZE_LIMIT} characters"
    if any(text.count(mark) > limit for mark, limit in _COSTLY.items()):
        return "the script repeats costly syntax"
    if _CONTROL.search(text):
        return "the script contains control characters"
    if _SPLIT_WORD.search(text):
        return "a word is continued on the next line"
    if _BEYOND_ASCII.search(text):
        return "letters beyond ASCII stand where the grammar cannot read them"
    if _SPACED_NAME.search(text):
        return "a word begins with a space"
    if "\\`" in text:
        return "nested backticks hide a command"
    try:
        source = text.encode()
    except UnicodeEncodeError:
        return "the script is not valid text"
    root = Parser(_LANGUAGE).parse(source).root_node
    if root.has_error or source[: root.start_byte].strip() or source[root.end_byte :].strip():
        return "the script does not parse"
    if root.descendant_count > NODE_LIMIT:
        return f"the script has more than {NODE_LIMIT} parts"
    return disagreement(root) or root
