"""Where the grammar and the shell disagree about what belongs together: better refused than read wrongly.

Found by running random scripts past bash and comparing which commands it ran; tests/guardian_facts/test_agreement.py.
"""

import re
from collections.abc import Iterable, Iterator

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
_QUOTED = frozenset({"string_content", "heredoc_content"})
_REDIRECTS = frozenset({"file_redirect", "heredoc_redirect", "herestring_redirect", "file_descriptor"})
_NODE_LIMIT = 5_000


def disagreement(root: Node) -> str:
    """What the two would read differently, or an empty string."""
    source = root.text or b""
    for node in _descendants(root):
        if node.type == "command" and not _stands_apart(source, root.start_byte, node.children):
            return "words of a command touch, or stand on two lines"
        if node.type in _REDIRECTS and not _on_one_line(source, root.start_byte, node):
            return "a redirection goes on where the shell ends it"
        if node.type in _HIDING and not node.named_child_count and _hides(node):
            return "a command hides in what looks like text"
    return ""


def _hides(node: Node) -> bool:
    text = node.text or b""
    return bool(_SUBSTITUTION.search(text) or (node.type not in _QUOTED and _IN_WORDS.search(text)))


def _stands_apart(source: bytes, start: int, children: Iterable[Node]) -> bool:
    last: Node | None = None
    for child in children:
        if last is not None:
            gap = source[last.end_byte - start : child.start_byte - start]
            touching = not gap and not ({last.type, child.type} & _REDIRECTS)
            assigned = last.type == "variable_assignment"
            if (touching and not assigned) or b"\n" in gap.replace(b"\\\n", b""):
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
