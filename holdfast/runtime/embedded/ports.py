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


def usual_or_free(usual: int, host: str = "127.0.0.1") -> int:
    """The port people expect; another where something else listens there already."""
    return usual if is_free(usual, host) else any_free(host)
