"""perl one-liners: a short list of words that only look at text; every other word is not understood."""

# ruff: noqa: SIM905 - word lists read better as text

import re

_SIZE_LIMIT = 4_000
_ALLOWED = frozenset(
    """print printf say if elsif else unless while until for foreach my our local next last redo and or not eq ne lt gt
    le ge cmp x xor split join chomp chop push pop shift unshift length substr index rindex lc uc lcfirst ucfirst sprintf
    reverse sort keys values scalar defined exists int abs sqrt hex oct ord chr map grep BEGIN END STDIN STDERR STDOUT
    qw return undef wantarray pos delete each splice tr s m y g i e0 a b n t _ ARGV INC F strict warnings use List Util
    sum max min first ucwords eof localtime gmtime time sub""".split()
)
_SINGLE = re.compile(r"'(?:[^'\\]|\\.)*'")
_DOUBLE = re.compile(r'"(?:[^"\\@]|\\.|@(?![{]))*"')
_OPERATOR = re.compile(r"\b(s|tr|y|m|qr)\s*([/|!,#{(\[])")
_MATCH = re.compile(r"(?<=[~(!&|;{,\s])/(?:[^/\\\n]|\\.)*/[gimsxo]*|^/(?:[^/\\\n]|\\.)*/[gimsxo]*")
_WORD = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_CLOSERS = {"{": "}", "(": ")", "[": "]"}
_DANGEROUS = re.compile(
    r"`|<\s*[$A-Za-z~/]|\(\?\??\{|@\{|\$\{|%\{|&\$|&\{|->\s*[({$]|\$0\b|\*\{|<<|@ARGV|\$ARGV\s*\[|\$\^|\bENV\b"
)


def perl_is_harmless(program: str) -> bool:
    """Whether every word is known to only look at text. No is the safe answer."""
    if len(program) > _SIZE_LIMIT or _DANGEROUS.search(program.replace("<STDIN>", "").replace("<>", "")):
        return False
    code = _without_operators(program)
    if code is None or (
        ">" in code.replace("=>", "").replace("->", "").replace(">=", "") and "print" in code
    ):
        return False
    code = _DOUBLE.sub(" ", _SINGLE.sub(" ", code))
    code = _MATCH.sub(" ", code)
    code = re.sub(r"[$@%][A-Za-z_][A-Za-z0-9_]*|\$[&0-9.,/\\;!@^]?", " ", code)
    return all(word in _ALLOWED for word in _WORD.findall(code)) and not set(code) & set("`'\"")


def _without_operators(program: str) -> str | None:
    """Removes s///, tr///, m// with their bodies; None when one evaluates its replacement or does not end."""
    out, at = [], 0
    while match := _OPERATOR.search(program, at):
        out.append(program[at : match.start()])
        kind, opener = match.groups()
        closer = _CLOSERS.get(opener, opener)
        at = match.end()
        for part in range(2 if kind in {"s", "tr", "y"} else 1):
            if part and closer != opener:
                at = program.find(opener, at) + 1
            end = _end_of(program, at, closer)
            if end < 0:
                return None
            at = end + 1
        flags = re.compile(r"[a-z]*").match(program, at)
        letters = flags.group() if flags else ""
        if "e" in letters:
            return None
        at += len(letters)
    return "".join(out) + program[at:]


def _end_of(program: str, at: int, closer: str) -> int:
    while at < len(program):
        if program[at] == "\\":
            at += 1
        elif program[at] == closer:
            return at
        at += 1
    return -1
