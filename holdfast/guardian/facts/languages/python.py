"""Python code through `ast`: imports and calls that are known to only look; everything else is not understood."""

import ast
import re
import warnings
from collections.abc import Callable

from holdfast.guardian.facts.draft import Draft
from holdfast.guardian.facts.languages.python_code import Reading
from holdfast.guardian.facts.languages.python_scope import Scope
from schemas.facts import Effect

SIZE_LIMIT = 20_000
NODE_LIMIT = 5_000
_NESTING = 60  # what the parser of the interpreter survives on the small stack of a thread
_OPERATORS = 1_000
_SIGNS = re.compile(r"(?:[-+~]\s*){100}")
_RECURSIVE = re.compile(r"\b(?:lambda|not|await|else|elif|yield)\b|\*\*|:=")


def read_python(code: str, draft: Draft, shell: Callable[[str], None]) -> None:
    """Adds the effects of `code` to `draft`; literal commands for a shell are handed to `shell`."""
    if len(code) > SIZE_LIMIT or _deeply_nested(code):
        draft.unknown("python: the code is too long or too deeply nested")
        return
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tree = ast.parse(code)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        draft.unknown("python: the code does not parse")
        return
    nodes = list(ast.walk(tree))
    if len(nodes) > NODE_LIMIT:
        draft.unknown("python: the code has too many parts")
        return
    draft.effect({Effect.READ}, "python")
    Reading(Scope(nodes), draft, shell).read(nodes)


def _deeply_nested(code: str) -> bool:
    """The parser of the interpreter recurses on the C stack: what nests deeply must not reach it."""
    depth = deepest = 0
    for char in code:
        depth += (char in "([{") - (char in ")]}")
        deepest = max(deepest, depth)
    if sum(map(code.count, "+-*/%|&^@<>")) > _OPERATORS:
        return True
    return deepest > _NESTING or bool(_SIGNS.search(code)) or len(_RECURSIVE.findall(code)) > _NESTING
