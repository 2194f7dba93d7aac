"""Secrets by name, one file each in a folder: as Docker and Kubernetes mount them, and as a person can write them."""

import asyncio
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from schemas.base import Name

_NAME: TypeAdapter[str] = TypeAdapter(Name)
_MOST_BYTES = 64 * 1024


class SecretFolder:
    """Fulfils `holdfast.sandbox.port.SecretSource`. Read at each use, so that a rotated secret needs no restart."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    async def secret(self, name: str) -> str | None:
        try:
            file = self._folder / _NAME.validate_python(name)
        except ValidationError:
            return None
        return await asyncio.to_thread(_read, file)


def _read(file: Path) -> str | None:
    try:
        with file.open("rb") as opened:
            return opened.read(_MOST_BYTES).decode().strip() or None
    except (OSError, UnicodeDecodeError):
        return None
