"""What names mean inside one script: variables that hold a constant, functions the script defines itself.

A variable counts as constant only when the whole script assigns it once, at its top level, in the foreground. Anything
cleverer would let a branch that never runs decide what we believe.
"""

from collections import Counter

from tree_sitter import Node

from holdfast.guardian.words import Certainty, Word

_ASSIGNERS = frozenset(
    {b"read", b"mapfile", b"readarray", b"getopts", b"printf", b"eval", b"source", b".", b"let"}
)
_NODE_LIMIT = 5_000


class Scope:
    """Facts about names, gathered in one pass before the script is walked."""

    def __init__(self) -> None:
        self._functions: set[str] = set()
        self._constant_names: set[str] = set()
        self._values: dict[str, Word] = {}
        self._inside: list[str] = []

    @classmethod
    def of(cls, root: Node) -> "Scope":
        scope, counts, top, dynamic = cls(), Counter[str](), set[str](), False
        for node in _descendants(root):
            if node.type == "variable_assignment":
                name = _name(node)
                counts[name] += 1
                if _stands_at_the_top(node, root):
                    top.add(name)
            elif node.type == "for_statement":
                counts[_text(node.child_by_field_name("variable"))] += 2
            elif node.type in {"unset_command", "declaration_command"}:
                dynamic |= node.type == "unset_command" or b"-n" in (node.text or b"")
            elif node.type == "command_name":
                dynamic |= (node.text or b"") in _ASSIGNERS or not (node.text or b"").isascii()
            elif node.type == "expansion":
                dynamic |= b"=" in (node.text or b"")
        if not dynamic:
            scope._constant_names = {name for name in top if counts[name] == 1}
        return scope

    def variable(self, name: str) -> Word | None:
        """What is known of `$name` here, or None when it comes from outside the script."""
        return self._values.get(name)

    def assign(self, name: str, value: Word) -> None:
        if name in self._constant_names and value.certainty is Certainty.LITERAL:
            self._values[name] = value
        else:
            known = self._values.get(name)
            worst = max(value.certainty, known.certainty if known else Certainty.VARIABLE, Certainty.VARIABLE)
            self._values[name] = Word("", worst)

    def taint(self, name: str, certainty: Certainty) -> None:
        """`name` may hold text of that certainty from here on."""
        self.assign(name, Word("", certainty))

    def enter(self, function: str) -> None:
        self._inside.append(function)

    def leave(self, *, certain: bool) -> None:
        """`certain`: the definition is at the top level, in the foreground, so that later calls mean it."""
        function = self._inside.pop()
        if certain:
            self._functions.add(function)

    def is_function(self, name: str) -> bool:
        """Whether `name` means a function of this script here; before its definition it means a command."""
        return name in self._functions or name in self._inside

    def recurses(self, function: str) -> bool:
        return function in self._inside


def _stands_at_the_top(node: Node, root: Node) -> bool:
    """In the foreground, under no condition: alone, or as one of `a=1 b=2`."""
    if node.parent is not None and node.parent.type == "variable_assignments":
        node = node.parent
    return node.parent == root and (node.next_sibling is None or node.next_sibling.type != "&")


def _descendants(root: Node) -> list[Node]:
    found: list[Node] = []
    queue = [root]
    while queue and len(found) < _NODE_LIMIT:
        node = queue.pop()
        found.append(node)
        queue.extend(node.named_children)
    return found


def _name(node: Node) -> str:
    return _text(node.child_by_field_name("name"))


def _text(node: Node | None) -> str:
    return (node.text or b"").decode(errors="replace") if node is not None else ""
