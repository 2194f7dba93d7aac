"""awk programs: most only print, but the language can run commands, write files and include code."""

import re

_SUSPECT = re.compile(r"system|\||>|getline|@|ENVIRON|ARGV|ARGC|PROCINFO|/inet", re.IGNORECASE)
_STRING = re.compile(r'"(?:[^"\\\n]|\\.)*"', re.DOTALL)
_REGEX = re.compile(r"/(?:[^/\\\n\[]|\\.|\[\^?\]?(?:[^\]\\\n]|\\.)*\])*/")
_OUTPUT = re.compile(r"\b(print|printf)\b(?P<rest>[^;}\n]*)")
_REGEX_MAY_FOLLOW = frozenset("(,{};!~&|\n")
_SIZE_LIMIT = 10_000


def read_awk(program: str) -> list[str]:
    """What is wrong with the program; an empty list means it only reads and prints."""
    if len(program) > _SIZE_LIMIT:
        return ["the program is too long"]
    if not _SUSPECT.search(program):
        return []
    code = _without_literals(program)
    findings = []
    if re.search(r"\bsystem\b", code):
        findings.append("the program runs commands")
    if re.search(r"(?<!\|)\|(?!\|)", code):
        findings.append("the program opens a pipe")
    if re.search(
        r"\b(ARGV|ARGC)\b(\[[^\]]*\])?\s*([-+*/%^]?=(?!=)|\+\+|--)|\b(delete|split|sub|gsub|getline)\b[^;}\n]*\bARGV\b",
        code,
    ):
        findings.append("the program chooses its own input")
    if "ENVIRON" in code and re.search(r"pass|secret|token|key|cred", program, re.IGNORECASE):
        findings.append("the program reads secrets from the environment")
    if "@" in code or re.search(r"\bgetline\b[^;}\n]*<", code) or "/inet" in program.lower():
        findings.append("the program reads or includes something else")
    if any(">" in _outside_parentheses(match["rest"]) for match in _OUTPUT.finditer(code)):
        findings.append("the program writes a file")
    return findings


def _without_literals(program: str) -> str:
    """The code with strings, regular expressions and comments blanked, as far as they are certainly that."""
    out: list[str] = []
    at, last = 0, "\n"
    while at < len(program):
        char = program[at]
        literal = None
        if char == '"':
            literal = _STRING.match(program, at)
        elif char == "/" and last in _REGEX_MAY_FOLLOW:
            literal = _REGEX.match(program, at)
        elif char == "#":
            end = program.find("\n", at)
            at = len(program) if end < 0 else end
            continue
        if literal:
            out.append('""')
            at, last = literal.end(), '"'
            continue
        out.append(char)
        last = char if not char.isspace() or char == "\n" else last
        at += 1
    return "".join(out)


def _outside_parentheses(text: str) -> str:
    depth, out = 0, []
    for char in text:
        depth += (char == "(") - (char == ")")
        if depth <= 0:
            out.append(char)
    return "".join(out)
