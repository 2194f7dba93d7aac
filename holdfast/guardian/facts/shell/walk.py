"""Walks a syntax tree and hands every simple command, with its resolved words, to the judge of invocations."""

# ruff: noqa: SIM905, SLF001 - word lists read better as text; the table below dispatches to this file's own class

from tree_sitter import Node

from holdfast.guardian.facts.draft import Draft
from holdfast.guardian.facts.paths import HARMLESS_TARGETS
from holdfast.guardian.facts.shell.invoke import Invoker, Reads, runs_when_evaluated
from holdfast.guardian.facts.shell.parse import DEPTH_LIMIT, parse_shell
from holdfast.guardian.facts.shell.scope import Scope
from holdfast.guardian.facts.shell.words import WordReader
from holdfast.guardian.words import Certainty, Word
from schemas.facts import Effect

NESTING_LIMIT = 4
_STRUCTURE = frozenset(
    """program list subshell compound_statement if_statement elif_clause else_clause do_group
    case_item negated_command binary_expression unary_expression parenthesized_expression ternary_expression
    postfix_expression variable_assignments heredoc_body array c_style_for_statement""".split()
)
_IGNORED = frozenset(
    "comment heredoc_start heredoc_end heredoc_content file_descriptor test_operator regex string_content".split()
)
_CRAFTERS = frozenset(
    """echo printf tr sed awk gawk mawk cut rev base64 base32 xxd od hexdump cat perl python python3 ruby node php bc
    dc factor seq head tail fold paste column fmt jq yq openssl gzip zcat gunzip curl wget read history env printenv
    strings dig nslookup host""".split()
)


def read_shell(text: str, draft: Draft, *, depth: int = 0) -> Reads:
    """Adds everything `text` would do to `draft`; answers which commands it ran."""
    if depth > NESTING_LIMIT:
        draft.unknown("scripts are nested too deeply")
        return Reads()
    root = parse_shell(text)
    if isinstance(root, str):
        draft.unknown(root)
        return Reads()
    walker = _Walker(draft, Scope.of(root), depth)
    walker.visit(root)
    return walker.reads


class _Walker:
    def __init__(self, draft: Draft, scope: Scope, depth: int) -> None:
        self._draft = draft
        self._scope = scope
        self._level = 0
        self._reading = 0  # redirections around this place that give it a standard input
        self._words = WordReader(
            variable=scope.variable, substitution=self._substitute, visit=self.visit, refuse=draft.unknown
        )
        self._invoker = Invoker(draft, scope, depth, read_shell)

    @property
    def reads(self) -> Reads:
        return self._invoker.reads

    def visit(self, node: Node) -> None:
        self._level += 1
        if self._level > DEPTH_LIMIT:
            self._draft.unknown("the script is nested too deeply")
        else:
            self._dispatch(node)
        self._level -= 1

    def _dispatch(self, node: Node) -> None:
        kind = node.type
        if kind in _STRUCTURE:
            self._children(node)
        elif kind in _IGNORED:
            return
        elif kind in _VISITORS:
            _VISITORS[kind](self, node)
        elif kind in _WORD_KINDS:
            self._draft.look_at(self._words.word(node))
        else:
            self._draft.unknown(f"shell construct {kind} is not understood")

    def _children(self, node: Node) -> None:
        for child in node.named_children:
            self.visit(child)

    def _pipeline(self, node: Node) -> None:
        outer, before = self._invoker.upstream, set(self._invoker.reads.binaries)
        self._invoker.prints_paths = False
        last = node.named_child_count - 1
        for index, child in enumerate(node.named_children):
            self._invoker.piped, self._invoker.read_by = index > 0, index < last
            self._invoker.upstream = outer | (self._invoker.reads.binaries - before)
            self._invoker.fed_paths, self._invoker.prints_paths = self._invoker.prints_paths, False
            self.visit(child)
            self._invoker.prints_paths &= _is_one_command(child)
        self._invoker.piped, self._invoker.read_by, self._invoker.upstream = False, False, outer
        self._invoker.fed_paths = self._invoker.prints_paths = False

    def _command(self, node: Node, stray: tuple[Node, ...] = ()) -> None:
        """`stray`: words that stand behind a redirection, which the grammar gives to the redirection."""
        words: list[Word] = []
        fed = self._invoker.piped or self._reading > 0
        self._invoker.piped = False
        for child in node.named_children:
            if child.type == "variable_assignment" and self._splits_one_read(node, child):
                self._children(child)
            elif child.type == "variable_assignment":
                self._assign(child, exported=True)
            elif child.type in _REDIRECTS:
                words.extend(word for extra in _stray_words(child) for word in self._words.words(extra))
                fed = fed or child.type != "file_redirect" or _reads_file(child)
                self.visit(child)
            else:
                words.extend(self._words.words(child))
        for extra in stray:
            words.extend(self._words.words(extra))
        if words:
            self._invoker.invoke(words, fed=fed)

    def _splits_one_read(self, command: Node, assignment: Node) -> bool:
        """`IFS=, read a b` tells one builtin how to split, and is gone when it returns."""
        name, variable = command.child_by_field_name("name"), assignment.child_by_field_name("name")
        reads = name is not None and name.text == b"read" and not self._scope.is_function("read")
        return reads and variable is not None and variable.text == b"IFS"

    def _assignment(self, node: Node) -> None:
        self._assign(node, exported=False)

    def _assign(self, node: Node, *, exported: bool) -> None:
        name_node, value_node = node.child_by_field_name("name"), node.child_by_field_name("value")
        name = (name_node.text or b"").decode(errors="replace") if name_node else ""
        if name_node is not None and name_node.type == "subscript":
            self.visit(name_node)
            if runs_when_evaluated(name):
                self._draft.unknown("an assignment evaluates its subscript")
        if not name.partition("[")[0].isidentifier():
            self._draft.unknown(f"{name} is no name to assign to")
        value = self._words.word(value_node) if value_node and value_node.type != "array" else Word("")
        if value_node is not None and value_node.type == "array":
            self.visit(value_node)
        self._draft.look_at(value)
        self._invoker.assign(name.partition("[")[0], value, exported=exported)
        if not exported:
            self._scope.assign(name, value)

    def _test(self, node: Node) -> None:
        """`-v` and the arithmetic operators evaluate subscripts inside their operands, even quoted ones."""
        text = node.text or b""
        if (
            b"[" in text[2:]
            and (b"-v" in text or b"-R" in text or b"'" in text)
            and (b"$(" in text or b"`" in text)
        ):
            self._draft.unknown("a test that may evaluate its operand")
        self._draft.effect({Effect.READ}, "test")
        self._children(node)

    def _subscript(self, node: Node) -> None:
        for child in node.named_children:
            if child.type != "variable_name":
                self.visit(child)

    def _declaration(self, node: Node) -> None:
        keyword = self._keyword(node)
        self._invoker.reads.binaries.add(keyword)
        prints = keyword in {"declare", "typeset"} and any(map(_is_print_option, node.named_children))
        for child in node.named_children:
            if child.type == "variable_assignment":
                self._assign(child, exported=keyword != "local")
                continue
            text = self._words.word(child).text
            if child.type in {"raw_string", "string", "ansi_c_string", "concatenation"} and "=" in text:
                self._draft.unknown(f"{keyword} of a quoted assignment")
            if prints and text.isidentifier():
                self._draft.look_at(Word(f"${text}", Certainty.VARIABLE))
                continue
            if text.startswith(("-", "+")):
                self._invoker.declare_option(keyword, text)
            elif keyword in {"export", "declare", "typeset"}:
                self._invoker.assign(text, Word("", Certainty.VARIABLE), exported=True)
        self._draft.effect({Effect.READ}, keyword)

    def _keyword(self, node: Node) -> str:
        """`local''ectl x` is one word to the shell, and a declaration to the grammar."""
        keyword = node.children[0].text or b""
        if (node.text or b"")[len(keyword) : len(keyword) + 1].strip():
            self._draft.unknown("a keyword is part of a longer word")
        return keyword.decode(errors="replace")

    def _unset(self, node: Node) -> None:
        self._keyword(node)
        for child in node.named_children:
            text = self._words.word(child).text
            if text.startswith("-"):
                self._draft.unknown(f"unset {text} changes what names mean")
            if runs_when_evaluated(text):
                self._draft.unknown("unset evaluates a subscript")
            self._invoker.assign(text, Word(""), exported=True)
        self._draft.effect({Effect.READ}, "unset")

    def _function(self, node: Node) -> None:
        name = (node.child_by_field_name("name") or node).text or b""
        self._scope.enter(name.decode(errors="replace"))
        for child in node.named_children[1:]:
            self.visit(child)
        top = node.parent is not None and node.parent.type == "program"
        self._scope.leave(certain=top and (node.next_sibling is None or node.next_sibling.type != "&"))
        self._draft.effect({Effect.READ}, "function")

    def _for(self, node: Node) -> None:
        worst = Certainty.VARIABLE
        variable = node.child_by_field_name("variable")
        for child in node.named_children:
            if child == variable:
                continue
            if child.type == "do_group":
                self._scope.taint((variable.text or b"").decode() if variable else "", worst)
                self.visit(child)
            else:
                word = self._words.word(child)
                self._draft.look_at(word)
                worst = max(worst, word.certainty)

    def _while(self, node: Node) -> None:
        """A loop without end that starts jobs in the background fills the process table."""
        condition, body = node.child_by_field_name("condition"), node.child_by_field_name("body")
        endless = condition is not None and (condition.text or b"").strip(b"; \t\n") in _TRUE
        if endless and body is not None and any(child.type == "&" for child in body.children):
            self._draft.effect({Effect.DESTROY}, "starts jobs without end")
        self._children(node)

    def _case(self, node: Node) -> None:
        for child in node.named_children:
            if child.type == "case_item":
                for part in child.named_children:
                    if part.type in _WORD_KINDS:
                        self._words.word(part)
                    else:
                        self.visit(part)
            else:
                self._draft.look_at(self._words.word(child))

    def _redirected(self, node: Node) -> None:
        body = node.child_by_field_name("body")
        redirects = [child for child in node.named_children if child != body]
        reads = any(child.type != "file_redirect" or _reads_file(child) for child in redirects)
        stray = tuple(word for redirect in redirects for word in _stray_words(redirect))
        if body is not None and body.type == "command":
            self._invoker.piped = reads
            self._command(body, stray)
        elif stray:
            self._draft.unknown("words stand behind a redirection of something that takes none")
        if body is not None and body.type != "command":
            self._redirected_body(body, reads=reads)
        self._invoker.piped = False
        for child in redirects:
            self.visit(child)

    def _redirected_body(self, body: Node, *, reads: bool) -> None:
        """`a && b < file` gives the file to `b` alone, `{ a; b; } < file` and loops to all that stand inside."""
        if body.type == "list":
            *before, last = body.named_children
            for child in before:
                self.visit(child)
            self._invoker.piped = reads
            self.visit(last)
            return
        self._reading += reads
        self._invoker.piped = reads
        self.visit(body)
        self._reading -= reads

    def _file_redirect(self, node: Node) -> None:
        operator = next((child.type for child in node.children if not child.is_named), "")
        target = node.child_by_field_name("destination")
        if target is None:
            return  # closing a descriptor
        word = self._words.word(target)
        reading = operator in {"<", "<&"}
        self._draft.look_at(word, reads_content=reading)
        if operator in {">&", "<&"} and (word.text.isdigit() or word.text == "-"):
            return
        self._draft.redirect(operator, word.text)
        guess = word.certainty > (Certainty.OUTPUT if reading else Certainty.GLOB)
        if word.text.startswith(("/dev/tcp/", "/dev/udp/")) or guess:
            self._draft.unknown(f"redirection {operator} {word.text} is not understood")
        if reading:
            self._draft.effect({Effect.READ}, "redirection")
            self._draft.reads(word.text)
        elif word.text in HARMLESS_TARGETS or target.type == "process_substitution":
            self._draft.effect({Effect.READ}, "redirection")
        else:
            self._draft.effect({Effect.WRITE}, f"redirection to {word.text}")
            self._draft.writes(word.text)

    def _herestring(self, node: Node) -> None:
        for child in node.named_children:
            if child.type != "file_descriptor":
                self._draft.look_at(self._words.word(child))

    def _heredoc(self, node: Node) -> None:
        text, ends = node.text or b"", [child for child in node.children if child.type == "heredoc_end"]
        if b"`" in text or not ends or not ends[0].text:
            self._draft.unknown("a here-document that may hide a command")
        for child in node.named_children:
            if child.type == "pipeline":
                self._invoker.piped = True
            self.visit(child)

    def _process_substitution(self, node: Node) -> None:
        self._invoker.piped = (node.text or b"").startswith(b">")
        self._children(node)
        self._invoker.piped = False

    def _substitute(self, node: Node) -> Word:
        folded = self._folded(node)
        before = self._invoker.reads
        self._invoker.reads = Reads()
        piped, self._invoker.piped = self._invoker.piped, False
        self._children(node)
        self._invoker.piped = piped
        inner, self._invoker.reads = self._invoker.reads, before | self._invoker.reads
        if folded is not None:
            return Word(folded)
        reads_file = any(child.type == "file_redirect" for child in node.named_children)
        crafted = reads_file or not inner.binaries or inner.binaries & _CRAFTERS or inner.unknown
        return Word(
            (node.text or b"").decode(errors="replace"), Certainty.CRAFTED if crafted else Certainty.OUTPUT
        )

    def _folded(self, node: Node) -> str | None:
        """The output of `echo literal` or `printf '%s' literal`, which is how commands hide their names."""
        children = node.named_children
        inner = (node.text or b"")[1:]
        if b"$(" in inner or b"`" in inner[:-1] or b"(" in inner[1:]:
            return None  # nested substitutions are read once, by the walk itself
        if len(children) != 1 or children[0].type != "command":
            return None
        words = [word for child in children[0].named_children for word in self._words.words(child)]
        if not words or any(word.certainty is not Certainty.LITERAL for word in words):
            return None
        name, args = words[0].text, [word.text for word in words[1:]]
        if name == "echo" and args and not args[0].startswith("-") and "\\" not in "".join(args):
            return " ".join(args)
        if name == "printf" and len(args) == 1 and "%" not in args[0] and "\\" not in args[0]:
            return args[0]
        return args[1] if name == "printf" and len(args) == 2 and args[0] in {"%s", "%s\\n"} else None


def _is_one_command(node: Node) -> bool:
    body = node.child_by_field_name("body") if node.type == "redirected_statement" else node
    return body is not None and body.type == "command"


def _stray_words(redirect: Node) -> list[Node]:
    """`nice >log rm x` and `nice <<END rm x`: the shell reads `rm x` as words of the command."""
    if redirect.type == "heredoc_redirect":
        return redirect.children_by_field_name("argument")
    return redirect.children_by_field_name("destination")[1:]


def _is_print_option(node: Node) -> bool:
    return (node.text or b"") in {b"-p", b"-f", b"-F"}


def _reads_file(node: Node) -> bool:
    reads = node.type == "file_redirect" and any(child.type in {"<", "<&"} for child in node.children)
    return reads and not (node.text or b"").endswith(b"/dev/null")


_TRUE = frozenset(
    {b":", b"true", b"((1))", b"[ 1 ]", b"[[ 1 ]]", b"test 1", b"((1==1))", b"(( 1 ))", b"[ true ]"}
)
_REDIRECTS = frozenset({"file_redirect", "herestring_redirect", "heredoc_redirect"})
_WORD_KINDS = frozenset(
    """word number string raw_string ansi_c_string translated_string concatenation simple_expansion expansion
    command_substitution arithmetic_expansion brace_expression extglob_pattern variable_name
    special_variable_name""".split()
)
_VISITORS = {
    "pipeline": _Walker._pipeline,
    "command": _Walker._command,
    "variable_assignment": _Walker._assignment,
    "subscript": _Walker._subscript,
    "test_command": _Walker._test,
    "declaration_command": _Walker._declaration,
    "unset_command": _Walker._unset,
    "function_definition": _Walker._function,
    "for_statement": _Walker._for,
    "while_statement": _Walker._while,
    "case_statement": _Walker._case,
    "redirected_statement": _Walker._redirected,
    "file_redirect": _Walker._file_redirect,
    "herestring_redirect": _Walker._herestring,
    "heredoc_redirect": _Walker._heredoc,
    "process_substitution": _Walker._process_substitution,
}
