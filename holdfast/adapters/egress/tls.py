"""The server name in a TLS ClientHello: the one thing a tunnel tells about where it goes."""

import struct

_HANDSHAKE, _CLIENT_HELLO, _SERVER_NAME = 22, 1, 0


class NotTls(ValueError):
    """These bytes do not begin a TLS connection we can read."""


def record_length(header: bytes) -> int:
    """How many bytes follow the five-byte record header."""
    kind, major, _, length = struct.unpack("!BBBH", header)
    if kind != _HANDSHAKE or major != 3 or not 4 <= length <= 16384:
        raise NotTls("the tunnel does not begin with a TLS handshake")
    return int(length)


def server_name(record: bytes) -> str | None:
    """The name asked for, or nothing when the client sends none. Raises NotTls for what cannot be read."""
    try:
        return _server_name(record)
    except (struct.error, IndexError, UnicodeDecodeError) as error:
        raise NotTls("the ClientHello is malformed or split over records") from error


def _server_name(record: bytes) -> str | None:
    if record[0] != _CLIENT_HELLO or int.from_bytes(record[1:4], "big") + 4 > len(record):
        raise NotTls("the ClientHello is malformed or split over records")
    at = 4 + 2 + 32
    at += 1 + record[at]
    at += 2 + struct.unpack_from("!H", record, at)[0]
    at += 1 + record[at]
    if at == len(record):
        return None
    end = at + 2 + struct.unpack_from("!H", record, at)[0]
    at += 2
    while at + 4 <= end:
        kind, length = struct.unpack_from("!HH", record, at)
        if kind == _SERVER_NAME:
            name_length = struct.unpack_from("!H", record, at + 7)[0]
            return record[at + 9 : at + 9 + name_length].decode("ascii")
        at += 4 + length
    return None
