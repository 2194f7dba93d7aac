"""What several tools of host facts say alike."""

from schemas.base import Request


class Nothing(Request):
    """No arguments."""


def size_text(size: float) -> str:
    """Bytes as people say them."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if size < 1024:
            return f"{size:.0f} {unit}"
        size /= 1024
    return f"{size:.1f} TiB"
