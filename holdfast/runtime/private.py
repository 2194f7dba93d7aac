"""Files that hold a secret or an address: written whole or not at all, and for this user only."""

import os
from pathlib import Path


def write_private(file: Path, text: str) -> None:
    fresh = file.with_name(f"{file.name}.new")
    fd = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(fd, "w") as output:
        output.write(text)
    fresh.rename(file)
