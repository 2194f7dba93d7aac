"""Finds the whole steps of a plan while its text is still being written."""

import json
from typing import Any

_STEPS = '"steps"'


class StepStream:
    """Feed it text as it comes; it gives back each object of the `steps` list once that is whole.

    It reads only structure: quotes, escapes and brackets. What it gives is a preview; the plan itself is read from
    the whole text.
    """

    def __init__(self) -> None:
        self._text = ""
        self._at = 0
        self._depth = 0
        self._quoted = False
        self._escaped = False
        self._start: int | None = None
        self._inside = False
        self._over = False

    def feed(self, piece: str) -> list[Any]:
        self._text += piece
        if not self._inside and not self._find_list():
            return []
        found: list[Any] = []
        while self._at < len(self._text) and not self._over:
            self._step(self._text[self._at], found)
            self._at += 1
        return found

    def _find_list(self) -> bool:
        key = self._text.find(_STEPS)
        opening = self._text.find("[", key) if key >= 0 else -1
        self._inside = opening >= 0
        self._at = opening + 1
        return self._inside

    def _step(self, character: str, found: list[Any]) -> None:
        if self._quoted:
            self._quoted = self._escaped or character != '"'
            self._escaped = character == "\\" and not self._escaped
        elif character == '"':
            self._quoted = True
        elif character in "{[":
            if self._depth == 0:
                self._start = self._at
            self._depth += 1
        elif character in "}]":
            self._close(found)

    def _close(self, found: list[Any]) -> None:
        self._depth -= 1
        if self._depth < 0:
            self._over = True
        elif self._depth == 0 and self._start is not None:
            try:
                found.append(json.loads(self._text[self._start : self._at + 1]))
            except json.JSONDecodeError:
                self._over = True
