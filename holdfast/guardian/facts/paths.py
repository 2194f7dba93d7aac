"""Paths as text: normal form, and whether a word could name something that must not be touched."""

import fnmatch
import posixpath
import re

from holdfast.guardian.knowledge.base import SensitivePaths
from holdfast.guardian.words import Certainty, Word

_PATHLIKE = re.compile(r"[/._]|history|kubeconfig|Login Data")
_ROOTED = re.compile(
    r"(?:~|/[\w.-]+)/"
)  # what a variable stands for below a known directory could be anything there
_GUARDED_NAME = re.compile(
    r"(?:/|\}|\))(?:g?shadow-?|sudoers|environ)\Z"
)  # below whatever directory a variable names
_EXPANSION = re.compile(r"\$\{[^}]*\}|\$\([^)]*\)|`[^`]*`|\$\w+")
_GLOB = re.compile(r"[*?\[]")
_BRACES = re.compile(r"\{([^{}]*,[^{}]*)\}")
HARMLESS_TARGETS = frozenset(
    {"/dev/null", "/dev/stdout", "/dev/stderr", "/dev/tty", "/dev/fd/1", "/dev/fd/2"}
)


def normal_path(path: str) -> str:
    """Without `.`, `..` and doubled slashes, as far as text alone can say."""
    if not path or "\0" in path:
        return path
    return posixpath.normpath(path.replace("//", "/"))


def within(path: str, root: str) -> bool:
    """Whether a normal path lies in `root`; relative paths do unless they climb out."""
    if path.startswith(("..", "~", "$")):
        return False
    if not path.startswith("/"):
        return True
    return path == root or path.startswith(root.rstrip("/") + "/") or path in HARMLESS_TARGETS


def is_path(text: str) -> bool:
    """A guess good enough for reporting; nothing is allowed because of it."""
    return "/" in text and "://" not in text and not text.startswith("-")


def is_sensitive(word: Word, paths: SensitivePaths, *, reads_content: bool) -> bool:
    text = word.text
    if not _PATHLIKE.search(text):
        return False
    candidates = _spellings(text)
    if any(paths.match(candidate) for candidate in candidates):
        return True
    if reads_content and any(paths.devices.search(candidate) for candidate in candidates):
        return True
    if word.certainty is Certainty.GLOB:
        return _glob_reaches(text, paths, reads_content=reads_content)
    if word.certainty is Certainty.LITERAL:
        return False
    if _GUARDED_NAME.search(text):
        return True
    if not _ROOTED.match(text):
        return False
    return _glob_reaches(_EXPANSION.sub("*", text), paths, reads_content=reads_content)


def _spellings(text: str) -> list[str]:
    spelled = {text}
    if "=" in text:
        spelled.add(text.partition("=")[2])
    if "," in text and "{" in text:
        spelled |= set(expand_braces(text))
    return [*spelled, *(posixpath.normpath(each) for each in spelled if "/" in each)]


def expand_braces(text: str, limit: int = 64) -> list[str]:
    """`a{b,c}` as the shell expands it, innermost braces first; at most `limit` words."""
    words = [text]
    for _ in range(limit):
        index = next((i for i, word in enumerate(words) if _BRACES.search(word)), None)
        if index is None or len(words) > limit:
            break
        found = _BRACES.search(words[index])
        assert found is not None  # noqa: S101 - the index was chosen because it matches
        head, tail = words[index][: found.start()], words[index][found.end() :]
        words[index : index + 1] = [head + choice + tail for choice in found.group(1).split(",")]
    return words


def _glob_reaches(text: str, paths: SensitivePaths, *, reads_content: bool) -> bool:
    if "/" not in text or not _GLOB.search(text):
        return False
    wide = text.rstrip("/").endswith("/*")
    if wide and not reads_content:
        return False
    pattern = text.removeprefix("~")
    return any(
        fnmatch.fnmatchcase(name, pattern)
        for name in paths.canonical
        if name.count("/") == pattern.count("/")
    )
