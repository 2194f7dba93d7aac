"""sed scripts: `e` runs, `w` and `W` write, the flags `e` and `w` of `s` do the same."""

_ADDRESS_CHARS = frozenset("0123456789,$+~! \t\n;")
_PLAIN = frozenset("pdDgGhHxnNlP=zqQ}{F")
_TEXT = frozenset("aic")
_LABEL = frozenset("btT:")
_SIZE_LIMIT = 10_000


class _Confused(Exception):
    """The script has left the part of the language this reader knows."""


def read_sed(program: str) -> list[str]:
    """What is wrong with the script; an empty list means it only transforms its input."""
    if len(program) > _SIZE_LIMIT:
        return ["the script is too long"]
    try:
        findings = _Sed(program, brackets=True).read()
    except (_Confused, IndexError, ValueError):
        return ["the script is not understood"]
    try:
        return findings + _Sed(program, brackets=False).read()
    except (_Confused, IndexError, ValueError):
        return findings  # whoever reads it so refuses the script


class _Sed:
    """`brackets`: whether `[/]` hides the delimiter. Versions disagree, so both readings must be harmless."""

    def __init__(self, program: str, *, brackets: bool) -> None:
        self._brackets = brackets
        self._text = program
        self._at = 0
        self._findings: list[str] = []

    def read(self) -> list[str]:
        while self._at < len(self._text):
            self._command()
        return self._findings

    def _command(self) -> None:
        char = self._next()
        if char in _ADDRESS_CHARS or char in _PLAIN:
            return
        if char == "#":
            self._line()
        elif char in {"/", "\\"}:
            self._pattern("/" if char == "/" else self._next())
            self._skip("IM")
        elif char in "sy":
            self._substitute(char)
        elif char in _TEXT:
            self._appended()
        elif char in _LABEL:
            self._label()
        else:
            self._effectful(char)

    def _effectful(self, char: str) -> None:
        what = {"e": "runs commands", "w": "writes a file", "W": "writes a file", "r": "reads a file"}
        if char not in what:
            raise _Confused
        self._findings.append(f"the script {what[char]}")
        self._line()

    def _substitute(self, kind: str) -> None:
        delimiter = self._next()
        (self._pattern if kind == "s" else self._until)(delimiter)
        self._until(delimiter)
        while kind == "s" and self._at < len(self._text) and self._text[self._at] not in ";}\n #":
            flag = self._next()
            if flag in "ew":
                self._findings.append("the script runs or writes the result of s")
                self._line()
            elif flag not in "gpiImM0123456789":
                raise _Confused

    def _pattern(self, delimiter: str) -> None:
        while (char := self._next()) != delimiter:
            if char == "\\":
                self._next()
            elif char == "[" and self._brackets:
                self._bracket()

    def _bracket(self) -> None:
        """To the closing bracket; right after the opening one, `]` stands for itself."""
        self._at += self._text.startswith("^", self._at)
        self._at += self._text.startswith("]", self._at)
        while (char := self._next()) != "]":
            if char == "[" and self._text[self._at] in ":.=":
                closing = self._text[self._at] + "]"
                self._at = self._text.index(closing, self._at + 1) + 2

    def _until(self, delimiter: str) -> None:
        while (char := self._next()) != delimiter:
            if char == "\\":
                self._next()

    def _appended(self) -> None:
        """The text of a, i, c runs to the end of the line; a backslash continues it."""
        while self._at < len(self._text):
            char = self._next()
            if char == "\\" and self._at < len(self._text):
                self._next()
            elif char == "\n":
                return

    def _label(self) -> None:
        while self._at < len(self._text) and self._text[self._at] not in ";\n}":
            self._at += 1

    def _line(self) -> None:
        end = self._text.find("\n", self._at)
        self._at = len(self._text) if end < 0 else end + 1

    def _skip(self, chars: str) -> None:
        while self._at < len(self._text) and self._text[self._at] in chars:
            self._at += 1

    def _next(self) -> str:
        char = self._text[self._at]
        self._at += 1
        return char
