"""Ids people can read aloud and databases can sort: a prefix, a time, and enough chance to never meet again."""

import secrets
import time

_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"


def new_id(prefix: str) -> str:
    """`run_` and 26 characters: 48 bits of milliseconds, 80 of chance, in order of time."""
    number = (int(time.time() * 1000) << 80) | secrets.randbits(80)
    return f"{prefix}_{_base32(number)}"


def _base32(number: int) -> str:
    digits = [_ALPHABET[(number >> shift) & 31] for shift in range(125, -1, -5)]
    return "".join(digits)
