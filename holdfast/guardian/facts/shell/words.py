"""Syntax nodes to words: quoting, escapes, constant variables, constant substitutions."""

# ruff: noqa: SLF001 - the table below dispatches to this file's own class

import re
from collections.abc import Callable

from tree_sitter import Node

from holdfast.guardian.facts.paths import expand_braces
from holdfast.guardian.words import Certainty, Word

_ESCAPE = re.compile(r"\\(\n|.)", re.DOTALL)
_QUOTED_ESCAPE = re.compile(r"\\([\\\"$`]|\n)")
_GLOB = re.compile(r"(?<!\\)[*?\[]")
_LOOSE_SPACE = re.compile(r"(?<!\\)(?:\\\\)*[\s]")
_ANSI = re.compile(r"\\(x[0-9a-fA-F]{1,2}|[0-7]{1,3}|u[0-9a-fA-F]{1,4}|U[0-9a-fA-F]{1,8}|c.|.)", re.DOTALL)
_ANSI_NAMES = {
    "n": "\n",
    "t": "\t",
    "r": "\r",
    "a": "\a",
    "b": "\b",
    "e": "\x1b",
    "E": "\x1b",
    "f": "\f",
    "v": "\v",
}
_PLAIN = frozenset(
    {"word", "number", "variable_name", "file_descriptor", "test_operator", "special_variable_name"}
)
_EXPANSIONS = frozenset({"simple_expansion", "expansion", "command_substitution"})
_REWRITES = re.compile(r"\w+(?:\[[^\]]*\])?(?:/|,|\^|:\s*-?\d)")  # the value is not what the variable holds
_PROMPT = re.compile(r"@[A-Za-z]\}\Z")
_BRACE = re.compile(r"(?<!\\)\{[^{}]*(,|\.\.)[^{}]*\}")


class WordReader:
    """`variable` answers what a name holds, `substitution` reads an inner command and answers with its text."""

    def __init__(
        self,
        *,
        variable: Callable[[str], Word | None],
        substitution: Callable[[Node], Word],
        visit: Callable[[Node], None],
        refuse: Callable[[str], None],
    ) -> None:
        self._refuse = refuse
        self._variable = variable
        self._substitution = substitution
        self._visit = visit

    def words(self, node: Node) -> list[Word]:
        """The words one argument node becomes: usually one, more when braces or a constant variable split."""
        word = self.word(node)
        if word.certainty is not Certainty.LITERAL or word.quoted:
            return [word]
        if node.type in {"concatenation", "word"} and _BRACE.search(_text(node)):
            return self._brace_words(node, word)
        if node.type in _EXPANSIONS:
            return [Word(part) for part in word.text.split()]
        return [word]

    def _brace_words(self, node: Node, word: Word) -> list[Word]:
        if any(child.type not in _PLAIN for child in node.children) and "," in word.text:
            return [Word(word.text, Certainty.CRAFTED)]
        expanded = expand_braces(word.text)
        certainty = Certainty.GLOB if ".." in word.text else Certainty.LITERAL
        return [Word(text, certainty) for text in expanded if text]

    def word(self, node: Node) -> Word:
        reader = _READERS.get(node.type)
        if reader is not None:
            return reader(self, node)
        self._visit(node)
        return Word(_text(node), Certainty.VARIABLE)

    def _plain(self, node: Node) -> Word:
        raw = _text(node)
        if _LOOSE_SPACE.search(raw):
            self._refuse("the grammar took two lines for one word")
        certainty = Certainty.GLOB if _GLOB.search(raw) else Certainty.LITERAL
        return Word(
            _ESCAPE.sub(lambda m: "" if m[1] == "\n" else m[1], raw) if "\\" in raw else raw, certainty
        )

    def _raw(self, node: Node) -> Word:
        return Word(_text(node)[1:-1], quoted=True)

    def _ansi(self, node: Node) -> Word:
        return Word(_ANSI.sub(_ansi_char, _text(node)[2:-1]), quoted=True)

    def _string(self, node: Node) -> Word:
        return self._join(node, quoted=True)

    def _concatenation(self, node: Node) -> Word:
        return self._join(node, quoted=False)

    def _join(self, node: Node, *, quoted: bool) -> Word:
        text, worst, all_quoted = [], Certainty.LITERAL, True
        for part in self._parts(node, quoted=quoted):
            text.append(part.text)
            worst = max(worst, part.certainty)
            if not quoted and not part.quoted and part.constant and any(char.isspace() for char in part.text):
                worst = Certainty.CRAFTED  # a constant that splits in the middle of a word
            all_quoted &= part.quoted or part.constant
        plain = not quoted and any(child.type in _PLAIN for child in node.children)
        return Word(
            "".join(text), worst, quoted=quoted or (all_quoted and not plain) or (all_quoted and worst > 1)
        )

    def _parts(self, node: Node, *, quoted: bool) -> list[Word]:
        source, start = node.text or b"", node.start_byte
        at, end = (1 if source[:1] == b'"' else 2, len(source) - 1) if quoted else (0, len(source))
        parts: list[Word] = []
        for child in node.named_children if quoted else node.children:
            if quoted and child.type == "string_content":
                continue
            parts.append(_between(source[at : child.start_byte - start], quoted=quoted))
            parts.append(self.word(child))
            at = child.end_byte - start
        parts.append(_between(source[at:end], quoted=quoted))
        return parts

    def _simple_expansion(self, node: Node) -> Word:
        return self._value(_text(node)[1:], node)

    def _expansion(self, node: Node) -> Word:
        inner = _text(node)[2:-1]
        if inner.isidentifier():
            return self._value(inner, node)
        if _PROMPT.search(_text(node)):
            self._refuse("an expansion that evaluates its value")
        indirect = inner.startswith("!") and inner[1:].isidentifier()
        worst = Certainty.CRAFTED if indirect or _REWRITES.match(inner) else Certainty.VARIABLE
        for child in node.named_children:
            worst = max(worst, self.word(child).certainty)
        known = self._variable(re.match(r"[!#]?(\w*)", inner)[1])  # type: ignore[index] # always matches
        return Word(_text(node), max(worst, known.certainty if known else worst))

    def _value(self, name: str, node: Node) -> Word:
        known = self._variable(name)
        if known is None:
            return Word(_text(node), Certainty.VARIABLE)
        return Word(known.text if known.constant else _text(node), known.certainty)

    def _command_substitution(self, node: Node) -> Word:
        return self._substitution(node)

    def _process_substitution(self, node: Node) -> Word:
        self._visit(node)
        return Word("/dev/fd/63", quoted=True)

    def _arithmetic(self, node: Node) -> Word:
        for child in node.named_children:
            self._visit(child)
        return Word(_text(node), Certainty.VARIABLE, quoted=True)

    def _brace(self, node: Node) -> Word:
        return Word(_text(node), Certainty.GLOB)


def _between(raw: bytes, *, quoted: bool) -> Word:
    text = raw.decode(errors="replace")
    if not quoted:
        return Word(text)
    return Word(_QUOTED_ESCAPE.sub(lambda m: "" if m[1] == "\n" else m[1], text), quoted=True)


def _ansi_char(match: re.Match[str]) -> str:
    code = match[1]
    if code[0] in "xuU" and len(code) > 1:
        number = int(code[1:], 16)
        return chr(number) if number <= 0x10FFFF else ""
    if code[0] in "01234567":
        return chr(int(code, 8) & 0xFF)
    if code[0] == "c" and len(code) > 1:
        return chr(ord(code[1]) & 0x1F)
    return _ANSI_NAMES.get(code, code)


def _text(node: Node) -> str:
    return (node.text or b"").decode(errors="replace")


_READERS: dict[str, Callable[[WordReader, Node], Word]] = {
    **dict.fromkeys([*_PLAIN, "extglob_pattern", "regex", "=", "{", "}", ","], WordReader._plain),
    "raw_string": WordReader._raw,
    "ansi_c_string": WordReader._ansi,
    "string": WordReader._string,
    "translated_string": WordReader._string,
    "concatenation": WordReader._concatenation,
    "command_name": WordReader._concatenation,
    "simple_expansion": WordReader._simple_expansion,
    "expansion": WordReader._expansion,
    "command_substitution": WordReader._command_substitution,
    "process_substitution": WordReader._process_substitution,
    "arithmetic_expansion": WordReader._arithmetic,
    "brace_expression": WordReader._brace,
}
