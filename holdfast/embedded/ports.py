"""TCP ports on the loopback interface: which are free, and which one to take."""

import socket


def is_free(port: int, host: str = "127.0.0.1") -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True


def is_ours(host: str) -> bool:
    """Whether this machine has the address at all."""
    try:
        any_free(host)
    except OSError:
        return False
    return True


def any_free(host: str = "127.0.0.1") -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.bind((host, 0))
        port: int = probe.getsockname()[1]
    return port


class Claims:
    """The ports of one stack, told to other stacks long before a child listens there: two that start at the same
    moment must not choose the same.

    A claim is a socket with an abstract name, which the kernel gives to one process at a time, for as long as that
    lives, in the same network namespace that the port is in.
    """

    def __init__(self) -> None:
        self._held: list[socket.socket] = []

    def usual_or_free(self, usual: int, host: str = "127.0.0.1") -> int:
        """The port people expect; another where something listens there already, or is about to."""
        port = usual if is_free(usual, host) else any_free(host)
        while not self.take(port):
            port = any_free(host)
        return port

    def take(self, port: int) -> bool:
        claim = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        try:
            claim.bind(f"\0holdfast/port/{port}")
        except OSError:
            claim.close()
            return False
        self._held.append(claim)
        return True
