"""What stands in a file of the workspace: read in pieces, written whole or not at all."""

from __future__ import annotations

import base64
import contextlib
import os
from typing import Any

from holdfast.tools.inside.paths import Refused, check_plain, open_file, open_folder, pieces

TEXT_BYTES, BINARY_BYTES, WHOLE_BYTES = 120_000, 60_000, 64_000_000


def content(path: str, most: int = WHOLE_BYTES) -> bytes:
    with os.fdopen(open_file(path), "rb") as file:
        data = file.read(most + 1)
    if len(data) > most:
        raise Refused("too_large", f"{path!r} is larger than {most} bytes.")
    return data


def text_of(path: str) -> str:
    try:
        return content(path, 4_000_000).decode()
    except UnicodeDecodeError as error:
        raise Refused("binary", f"{path!r} is not UTF-8 text.") from error


def read(request: dict[str, Any]) -> dict[str, Any]:
    with os.fdopen(open_file(request["path"]), "rb") as file:
        size = os.fstat(file.fileno()).st_size
        file.seek(request["offset"])
        data = file.read(min(request["limit"], TEXT_BYTES))
    offset, end = request["offset"], request["offset"] + len(data)
    whole = whole_characters(data, began=offset == 0, ended=end >= size)
    if whole is None:
        data = data[:BINARY_BYTES]
        shown = {"base64": base64.b64encode(data).decode()}
    else:
        data = data[whole]
        offset += whole.start
        shown = {"text": data.decode()}
    place = {"path": request["path"], "size": size, "offset": offset, "bytes": len(data)}
    return {**place, "more": offset + len(data) < size, **shown}


def whole_characters(data: bytes, *, began: bool, ended: bool) -> slice | None:
    """Where the whole characters of a piece lie: a text may be cut amid one, a file begins and ends with whole ones. None
    where it is no text."""
    if b"\0" in data:
        return None
    for start in range(1 if began else min(4, len(data))):
        for cut in range(1 if ended else min(4, len(data) - start)):
            with contextlib.suppress(UnicodeDecodeError):
                data[start : len(data) - cut].decode()
                return slice(start, len(data) - cut)
    return None


def write(request: dict[str, Any]) -> dict[str, Any]:
    data = request["text"].encode() if request.get("base64") is None else decoded(request["base64"])
    existed = replace(request["path"], data, create_only=request["create_only"])
    return {"path": request["path"], "bytes": len(data), "created": not existed}


def decoded(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except ValueError as error:
        raise Refused("bad_base64", f"What stands in base64 is none: {error}.") from error


def replace(path: str, data: bytes, *, create_only: bool = False) -> bool:
    """Whole or not at all. Answers whether there was a file before."""
    names = pieces(path)
    if not names:
        raise Refused("not_a_file", f"{path!r} is the workspace itself.")
    folder = open_folder(names[:-1], make=True)
    existed = True
    try:
        check_plain(os.stat(names[-1], dir_fd=folder, follow_symlinks=False), path)
    except FileNotFoundError:
        existed = False
    if existed and create_only and content(path) != data:
        raise Refused("exists", f"{path!r} exists already, with other content.")
    fresh = f".{os.getpid()}.part"
    file = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o644, dir_fd=folder)
    try:
        with os.fdopen(file, "wb") as target:
            target.write(data)
        os.rename(fresh, names[-1], src_dir_fd=folder, dst_dir_fd=folder)
    except OSError:
        os.unlink(fresh, dir_fd=folder)
        raise
    return existed
