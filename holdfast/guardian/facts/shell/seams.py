"""Where the grammar and the shell disagree about what belongs together: better refused than read wrongly.

Found by running random scripts past bash and comparing which commands it ran; tests/guardian_facts/test_agreement.py.
"""

# ruff: noqa: SIM905 - word lists read better as text

import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise

from tree_sitter import Node

_HIDING = frozenset(
    {
        "word",
        "regex",
        "extglob_pattern",
        "string_content",
        "heredoc_content",
        "test_operator",
        "number",
        "variable_name",
    }
)
_SUBSTITUTION = re.compile(rb"(?<!\\)(?:\\\\)*(?:\$\(|`)")
_IN_WORDS = re.compile(rb"(?<!\\)(?:\\\\)*[<>]\(")
_EXPANSIONS = frozenset(
    {
        "simple_expansion",
        "expansion",
        "translated_string",
        "ansi_c_string",
        "command_substitution",
        "concatenation",
    }
)
_STRUCTURE = frozenset(
    """program list pipeline subshell compound_statement if_statement elif_clause else_clause while_statement do_group
    for_statement case_statement case_item negated_command command redirected_statement declaration_command
    unset_command function_definition command_substitution process_substitution""".split()
)
_LONELY = re.compile(rb"\$(\s|\Z)")
_OF_WORDS = frozenset(
    {"command", "command_name", "variable_assignment", "concatenation", "declaration_command"}
)
_COMMENT = re.compile(rb"(?:\A|[\s;&|()])#")
_MAY_HOLD_HASH = frozenset(
    {
        "comment",
        "raw_string",
        "string",
        "string_content",
        "ansi_c_string",
        "heredoc_body",
        "heredoc_content",
        "regex",
    }
)
_PLAIN_MARK = re.compile(rb"[A-Za-z0-9_.-]+")
_QUOTED_MARK = re.compile(rb"'[A-Za-z0-9_.-]+'|\"[A-Za-z0-9_.-]+\"")
_QUOTED = frozenset({"string_content", "heredoc_content"})
_REDIRECTS = frozenset({"file_redirect", "heredoc_redirect", "herestring_redirect", "file_descriptor"})
_NODE_LIMIT = 5_000


def disagreement(root: Node) -> str:
    """What the two would read differently, or an empty string."""
    source = root.text or b""
    if b"#" in source and any(not _is_comment(root, match.end() - 1) for match in _COMMENT.finditer(source)):
        return "a comment may begin where the grammar sees a word"
    for node in _descendants(root):
        if node.type in _STRUCTURE and not _leaves_nothing_out(source, root.start_byte, node.children):
            return "the grammar leaves a letter out"
        if node.type in {"command", "negated_command"} and not _stands_apart(
            source, root.start_byte, node.children
        ):
            return "words of a command touch, or stand on two lines"
        if node.type in _OF_WORDS and any(child.type in {"$", "=~"} for child in node.children):
            return "a sign that is no word stands among words"
        if node.type in _EXPANSIONS and _LONELY.match(node.text or b""):
            return "a sign that is no word stands among words"
        if node.type in _REDIRECTS and not _on_one_line(source, root.start_byte, node):
            return "a redirection goes on where the shell ends it"
        if node.type == "heredoc_redirect" and not _ends_where_the_shell_ends_it(node):
            return "a here-document may end elsewhere"
        if node.type in _HIDING and not node.named_child_count and _hides(node):
            return "a command hides in what looks like text"
    return ""


def _ends_where_the_shell_ends_it(node: Node) -> bool:
    """The shell takes quotes out of the end mark, and leaves a backslash at the end of a quoted line alone."""
    start = next((child.text or b"" for child in node.children if child.type == "heredoc_start"), b"")
    if not start.startswith((b"'", b'"')) and any(map(_hides_in_body, node.children)):
        return False
    return bool(_PLAIN_MARK.fullmatch(start)) or (
        bool(_QUOTED_MARK.fullmatch(start)) and b"\\\n" not in (node.text or b"")
    )


def _hides_in_body(body: Node) -> bool:
    """Whether a here-document runs something the grammar has not found in it, as after a space at the start of a line."""
    if body.type != "heredoc_body":
        return False
    text, last, rest = body.text or b"", 0, b""
    for child in body.named_children:
        rest += text[last : child.start_byte - body.start_byte] + b" "
        if child.type == "heredoc_content":
            rest += child.text or b""
        last = child.end_byte - body.start_byte
    return bool(_SUBSTITUTION.search(rest + text[last:]))


def _hides(node: Node) -> bool:
    text = node.text or b""
    return bool(_SUBSTITUTION.search(text) or (node.type not in _QUOTED and _IN_WORDS.search(text)))


def _is_comment(root: Node, at: int) -> bool:
    node = root.descendant_for_byte_range(root.start_byte + at, root.start_byte + at + 1)
    return node is not None and node.type in _MAY_HOLD_HASH


def _leaves_nothing_out(source: bytes, start: int, children: Sequence[Node]) -> bool:
    """`* A=b` runs the first file there is; the grammar skips the star and sees an assignment."""
    gaps = (source[left.end_byte - start : right.start_byte - start] for left, right in pairwise(children))
    return not any(gap.replace(b"\\\n", b"").strip() for gap in gaps)


def _stands_apart(source: bytes, start: int, children: Iterable[Node]) -> bool:
    last: Node | None = None
    for child in children:
        if last is not None:
            gap = source[last.end_byte - start : child.start_byte - start]
            touching = not gap and child.type not in _REDIRECTS
            if touching or b"\n" in gap.replace(b"\\\n", b""):
                return False
        last = child
    return True


def _on_one_line(source: bytes, start: int, node: Node) -> bool:
    """Of a here-document only the line that announces it: its body follows on lines of its own."""
    named = node.children_by_field_name("destination") + node.children_by_field_name("argument")
    return _stands_apart(source, start, named)


def _descendants(root: Node) -> Iterator[Node]:
    queue, seen = [root], 0
    while queue and seen < _NODE_LIMIT:
        node = queue.pop()
        seen += 1
        yield node
        queue.extend(node.named_children)
