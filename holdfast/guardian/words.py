"""A shell word after quoting is resolved: its text, and how much of that text is a guess."""

from dataclasses import dataclass
from enum import IntEnum


class Certainty(IntEnum):
    """How far the text of a word can be trusted, best first."""

    LITERAL = 0
    GLOB = 1  # the shell will replace it by file names
    VARIABLE = 2  # contains the value of a variable nobody set in this script
    OUTPUT = 3  # contains the output of a command that reports facts (pwd, oc get …)
    CRAFTED = 4  # contains text assembled by a command (echo, tr, base64 …): it could be anything


@dataclass(frozen=True, slots=True)
class Word:
    """`text` keeps the source of the parts that are not constant. `quoted` means the shell will not split it."""

    text: str
    certainty: Certainty = Certainty.LITERAL
    quoted: bool = False

    @property
    def constant(self) -> bool:
        """The program will receive exactly this text (file names from a glob aside)."""
        return self.certainty <= Certainty.GLOB

    @property
    def may_split(self) -> bool:
        """The program may receive several words, or options, in its place."""
        return not self.constant and not self.quoted
