"""The objects of a PDF file (ISO 32000): read where they stand, not by its tables, which are often wrong.

Enough for text: dictionaries, arrays, names, strings, streams in the filters that text comes in, object streams.
"""

import base64
import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from holdfast.errors import InvalidInput, TooLarge

MOST_BYTES = 64_000_000
"""Unpacked, of one file: a few kilobytes can unpack to gigabytes."""

_OBJECT = re.compile(rb"(?<![0-9])(\d{1,10})\s+\d{1,5}\s+obj\b")
_TOKEN = re.compile(
    rb"[\x00\t\n\f\r ]*(?:%[^\r\n]*[\x00\t\n\f\r ]*)*(<<|>>|[\[\]{}]|/[^\x00\t\n\f\r ()<>\[\]{}/%]*|<[0-9A-Fa-f\s]*>|\(|[^\x00\t\n\f\r ()<>\[\]{}/%]+)"
)
_ESCAPES = {b"n": b"\n", b"r": b"\r", b"t": b"\t", b"b": b"\b", b"f": b"\f"}
_DEEPEST = 60


class Name(str):
    """A name such as /Type, without its slash."""

    __slots__ = ()


class Word(str):
    """An operator or keyword, such as `Tj` or `R`."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class Ref:
    number: int


@dataclass(slots=True)
class Stream:
    about: dict[str, Any]
    raw: bytes


@dataclass
class Objects:
    """The objects of a file by number; the last definition of a number counts."""

    found: dict[int, Any] = field(default_factory=dict)
    _room: int = MOST_BYTES

    @classmethod
    def read(cls, data: bytes) -> "Objects":
        objects = cls()
        for begin in _OBJECT.finditer(data):
            objects.found[int(begin[1])] = _object_at(data, begin.end())
        for stream in [each for each in objects.found.values() if isinstance(each, Stream)]:
            if stream.about.get("Type") == "ObjStm":
                for number, value in objects.packed(stream):
                    objects.found.setdefault(number, value)
        return objects

    def get(self, value: Any) -> Any:
        """What a reference stands for; anything else as it is."""
        for _ in range(_DEEPEST):
            if not isinstance(value, Ref):
                return value
            value = self.found.get(value.number)
        return None

    def content(self, stream: Stream) -> bytes:
        """The bytes of a stream, unpacked; none where they are packed in a way that text is not."""
        filters = self.get(stream.about.get("Filter")) or []
        body = stream.raw
        for each in filters if isinstance(filters, list) else [filters]:
            body = self._unpacked(self.get(each), body)
        return body

    def _unpacked(self, how: Any, packed: bytes) -> bytes:
        match how:
            case "FlateDecode" | "Fl":
                return self._inflated(packed)
            case "ASCII85Decode" | "A85":
                return _of_base85(packed)
            case "ASCIIHexDecode" | "AHx":
                return _of_hex(packed)
        return b""

    def _inflated(self, raw: bytes) -> bytes:
        try:
            unpacked = zlib.decompressobj().decompress(raw, self._room + 1)
        except zlib.error:
            return b""
        self._room -= len(unpacked)
        if self._room < 0:
            raise TooLarge(f"The PDF unpacks to more than {MOST_BYTES:,} bytes.", remedy="Split it.")
        return unpacked

    def packed(self, stream: Stream) -> Iterator[tuple[int, Any]]:
        body = self.content(stream)
        first, count = self.get(stream.about.get("First")), self.get(stream.about.get("N"))
        if not isinstance(first, int) or not isinstance(count, int):
            return
        numbers = [int(each) for each in body[:first].split()[: 2 * count] if each.isdigit()]
        for number, offset in zip(numbers[::2], numbers[1::2], strict=False):
            yield number, next(values(body[first + offset :]), None)


def _of_base85(packed: bytes) -> bytes:
    try:
        return base64.a85decode(packed.split(b"~>", 1)[0], ignorechars=b"\x00\t\n\f\r ")
    except ValueError:
        return b""


def _of_hex(packed: bytes) -> bytes:
    digits = re.sub(rb"[^0-9A-Fa-f]", b"", packed.split(b">", 1)[0]).decode()
    return bytes.fromhex(digits + "0" * (len(digits) % 2))


def _object_at(data: bytes, at: int) -> Any:
    reader = _Reader(data, at)
    value = reader.value()
    if isinstance(value, dict) and reader.word() == "stream":
        start = reader.at + (2 if data[reader.at : reader.at + 2] == b"\r\n" else 1)
        length = value.get("Length")
        end = start + length if isinstance(length, int) else -1
        if not data[end : end + 20].lstrip().startswith(b"endstream"):
            end = data.find(b"endstream", start)
        return Stream(value, data[start : end if end >= 0 else len(data)])
    return value


def values(data: bytes) -> Iterator[Any]:
    """The values and words of a content stream, in order."""
    reader = _Reader(data, 0)
    while reader.more():
        yield reader.value()


class _Reader:
    def __init__(self, data: bytes, at: int) -> None:
        self._data = data
        self.at = at
        self._depth = 0

    def more(self) -> bool:
        return _TOKEN.match(self._data, self.at) is not None

    def word(self) -> str:
        found = _TOKEN.match(self._data, self.at)
        if found is None:
            return ""
        self.at = found.end()
        return found[1].decode("latin-1")

    def value(self) -> Any:
        token = self.word()
        match token[:1]:
            case "":
                return None
            case "/":
                return Name(re.sub(r"#([0-9A-Fa-f]{2})", lambda code: chr(int(code[1], 16)), token[1:]))
            case "(":
                return self._string()
            case "[" | "<" if token in ("[", "<<"):
                return self._inside(token)
            case "<":
                digits = re.sub(r"\s", "", token[1:-1])
                return bytes.fromhex(digits + "0" * (len(digits) % 2))
        return self._number(token)

    def _inside(self, opening: str) -> Any:
        self._depth += 1
        if self._depth > _DEEPEST:
            raise InvalidInput("The PDF nests too deep to be read.", remedy="Extract its text another way.")
        closing, items = "]" if opening == "[" else ">>", list[Any]()
        while not self._ends(closing):
            items.append(self.value())
        self._depth -= 1
        if opening == "[":
            return items
        return {str(key): value for key, value in zip(items[::2], items[1::2], strict=False)}

    def _ends(self, closing: str) -> bool:
        """Whether the next word closes what is open, or nothing follows; if so, it is taken."""
        before = self.at
        if self.word() in (closing, ""):
            return True
        self.at = before
        return False

    def _number(self, token: str) -> Any:
        if re.fullmatch(r"[+-]?\d+", token):
            following = re.compile(rb"\s+\d+\s+R\b").match(self._data, self.at)
            if following and token.isdigit():
                self.at = following.end()
                return Ref(int(token))
            return int(token)
        if re.fullmatch(r"[+-]?(\d+\.\d*|\.\d+)", token):
            return float(token)
        return Word(token)

    def _string(self) -> bytes:
        found, depth, at, data = bytearray(), 1, self.at, self._data
        while at < len(data):
            char = data[at : at + 1]
            at += 1
            if char == b"\\":
                octal = re.compile(rb"[0-7]{1,3}").match(data, at)
                if octal:
                    found.append(int(octal[0], 8) & 255)
                    at = octal.end()
                    continue
                after = data[at : at + 1]
                found += _ESCAPES.get(after, b"" if after in b"\r\n" else after)
                at += 2 if data[at : at + 2] == b"\r\n" else 1
                continue
            depth += (char == b"(") - (char == b")")
            if depth == 0:
                break
            found += char
        self.at = at
        return bytes(found)
