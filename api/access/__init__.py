"""Who comes in, and what they may do."""

from api.access.bootstrap import bootstrap_key, first_key

__all__ = ["bootstrap_key", "first_key"]
