"""Text from outside, without its power over the terminal: escape sequences can move the cursor, rewrite what was printed
and make a dangerous command look like a harmless one just before it is approved."""

import unicodedata

_KEPT = {"\n", "\t"}
_DIRECTIONS = {"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"}


def plain(text: str) -> str:
    """Control characters and changes of writing direction are shown as what they are."""
    return "".join(char if _is_harmless(char) else ascii(char)[1:-1] for char in text)


def _is_harmless(char: str) -> bool:
    if char in _KEPT:
        return True
    return unicodedata.category(char) != "Cc" and unicodedata.bidirectional(char) not in _DIRECTIONS
