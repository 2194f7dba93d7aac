"""Programs that want to reach what they may not. The server they aim at counts who got through."""

from typing import Any

from tests.sandbox.cases import Case, wants

_HOME = {"mode": "allowlist", "allow": ["127.0.0.1:{port}"], "allow_cidrs": ["127.0.0.0/8"]}
_NO_RANGE = {"mode": "allowlist", "allow": ["127.0.0.1:{port}"]}


def _proxied(
    name: str, raw: str, *, network: dict[str, Any] | None = None, says: str = "", hits: int = 0, **more: Any
) -> Case:
    """Send raw bytes to the proxy and print what comes back."""
    program = (
        "import socket\n"
        "s = socket.create_connection(('127.0.0.1', 3128)); s.settimeout(5)\n"
        f"s.sendall({raw})\n"
        "answer = b''\n"
        "try:\n"
        "  while data := s.recv(65536): answer += data\n"
        "except OSError: pass\n"
        "print(answer.decode('latin-1'))\n"
    )
    return Case(name=name, program=program, network=network or _HOME, says=says, hits=hits, **more)


NETWORK = (
    Case(
        name="no_network_by_default",
        program="import socket\ntry: socket.create_connection(('127.0.0.1', {port}), 1); print('ESC'+'APED')\nexcept OSError: print('held')",
        says="held",
        hits=0,
    ),
    Case(
        name="no_way_around_the_proxy",
        program=(
            "import socket\nfor to in (('127.0.0.1', {port}), ('10.0.0.1', 80), ('169.254.169.254', 80), ('8.8.8.8', 53)):\n"
            "  try: socket.create_connection(to, 1); print('ESC'+'APED')\n  except OSError: pass\nprint('held')"
        ),
        network=_HOME,
        says="held",
        hits=0,
    ),
    wants(
        "s = socket.socket(socket.AF_UNIX); s.connect('\\0{abstract}')",
        name="abstract_socket_of_the_host",
        hits=0,
    ),
    wants(
        "s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.sendto(b'x', ('8.8.8.8', 53))",
        name="udp_out",
    ),
    wants(
        "s = socket.socket(socket.AF_INET6, socket.SOCK_STREAM); s.connect(('2606:4700::1111', 80))",
        name="ipv6_out",
    ),
    wants("socket.getaddrinfo('example.com', 80)", name="no_resolver"),
    _proxied(
        "allowed_is_allowed",
        "b'GET http://127.0.0.1:{port}/x HTTP/1.1\\r\\nHost: 127.0.0.1:{port}\\r\\n\\r\\n'",
        says="seen",
        hits=1,
    ),
    _proxied(
        "private_without_exemption",
        "b'GET http://127.0.0.1:{port}/x HTTP/1.1\\r\\nHost: a\\r\\n\\r\\n'",
        network=_NO_RANGE,
        says="403",
    ),
    _proxied("not_listed", "b'GET http://127.0.0.2:{port}/x HTTP/1.1\\r\\nHost: a\\r\\n\\r\\n'", says="403"),
    _proxied(
        "empty_list_means_nothing",
        "b'GET http://127.0.0.1:{port}/x HTTP/1.1\\r\\nHost: a\\r\\n\\r\\n'",
        network={"mode": "allowlist"},
        says="403",
    ),
    _proxied(
        "metadata_address",
        "b'GET http://169.254.169.254/latest HTTP/1.1\\r\\nHost: a\\r\\n\\r\\n'",
        network={"mode": "allowlist", "allow": ["169.254.169.254:80"]},
        says="403",
    ),
    _proxied(
        "decimal_address", "b'GET http://2130706433:{port}/x HTTP/1.1\\r\\nHost: a\\r\\n\\r\\n'", says="403"
    ),
    _proxied(
        "octal_address", "b'GET http://0177.0.0.1:{port}/x HTTP/1.1\\r\\nHost: a\\r\\n\\r\\n'", says="403"
    ),
    _proxied(
        "hex_address", "b'GET http://0x7f000001:{port}/x HTTP/1.1\\r\\nHost: a\\r\\n\\r\\n'", says="403"
    ),
    _proxied("short_address", "b'GET http://127.1:{port}/x HTTP/1.1\\r\\nHost: a\\r\\n\\r\\n'", says="403"),
    _proxied(
        "mapped_address",
        "b'GET http://[::ffff:127.0.0.1]:{port}/x HTTP/1.1\\r\\nHost: a\\r\\n\\r\\n'",
        network={"mode": "allowlist", "allow": ["[::ffff:127.0.0.1]:{port}"]},
        says="403",
    ),
    _proxied(
        "nul_in_name",
        "b'GET http://127.0.0.1\\x00.example.com:{port}/x HTTP/1.1\\r\\nHost: a\\r\\n\\r\\n'",
        says="400",
    ),
    _proxied(
        "user_in_address",
        "b'GET http://127.0.0.1:{port}@127.0.0.2/ HTTP/1.1\\r\\nHost: a\\r\\n\\r\\n'",
        says="400",
    ),
    _proxied(
        "connect_to_other_port", "b'CONNECT 127.0.0.1:22 HTTP/1.1\\r\\nHost: a\\r\\n\\r\\n'", says="403"
    ),
    _proxied(
        "tunnel_without_tls",
        "b'CONNECT 127.0.0.1:{port} HTTP/1.1\\r\\nHost: a\\r\\n\\r\\nGET /tunnel HTTP/1.1\\r\\nHost: a\\r\\n\\r\\n'",
        hits=0,
        within_s=8,
    ),
    _proxied(
        "two_lengths",
        "b'POST http://127.0.0.1:{port}/x HTTP/1.1\\r\\nHost: a\\r\\nContent-Length: 1\\r\\nTransfer-Encoding: chunked\\r\\n\\r\\n0\\r\\n\\r\\n'",
        says="400",
    ),
    _proxied(
        "smuggled_second_request",
        "b'POST http://127.0.0.1:{port}/x HTTP/1.1\\r\\nHost: a\\r\\nContent-Length: 0\\r\\n\\r\\nGET /smuggled HTTP/1.1\\r\\nHost: a\\r\\n\\r\\n'",
        says="seen",
        hits=1,
    ),
    _proxied(
        "bare_line_feed",
        "b'GET http://127.0.0.1:{port}/x HTTP/1.1\\nHost: a\\r\\nX: y\\nTransfer-Encoding: chunked\\r\\n\\r\\n'",
        says="400",
    ),
    _proxied(
        "folded_header",
        "b'GET http://127.0.0.1:{port}/x HTTP/1.1\\r\\nHost: a\\r\\nX: y\\r\\n Transfer-Encoding: chunked\\r\\n\\r\\n'",
        says="400",
    ),
    _proxied(
        "host_header_is_rebuilt",
        "b'GET http://127.0.0.1:{port}/echo-host HTTP/1.1\\r\\nHost: internal.example\\r\\n\\r\\n'",
        says="127.0.0.1:{port}",
        hits=1,
    ),
    _proxied(
        "redirect_is_judged_again",
        "b'GET http://127.0.0.1:{port}/redirect HTTP/1.1\\r\\nHost: a\\r\\n\\r\\n'",
        says="302",
        hits=1,
    ),
    Case(
        name="redirect_to_metadata",
        program="import urllib.request, urllib.error\ntry: urllib.request.urlopen('http://127.0.0.1:{port}/redirect', timeout=5); print('ESC'+'APED')\nexcept urllib.error.HTTPError as e: print(e.code)",
        network=_HOME,
        says="403",
        hits=1,
        check=lambda r: [d.verdict for d in r.network] == ["allowed", "denied"],
    ),
    Case(
        name="many_connections",
        program=(
            "import socket\nss = []\nfor _ in range(60):\n  s = socket.create_connection(('127.0.0.1', 3128)); ss.append(s)\n"
            "s = ss[-1]; s.settimeout(5)\ns.sendall(b'GET http://127.0.0.1:{port}/x HTTP/1.1\\r\\nHost: a\\r\\n\\r\\n')\nprint(s.recv(100))"
        ),
        network=_HOME,
        hits=0,
        says="403",
    ),
    _proxied(
        "another_host_on_a_kept_connection",
        "b'GET http://127.0.0.1:{port}/a HTTP/1.1\\r\\nHost: a\\r\\nConnection: keep-alive\\r\\n\\r\\n'"
        " b'GET http://127.0.0.2:{port}/b HTTP/1.1\\r\\nHost: b\\r\\n\\r\\n'",
        says="seen",
        hits=1,
    ),
    _proxied(
        "websocket_upgrade",
        "b'GET http://127.0.0.1:{port}/x HTTP/1.1\\r\\nHost: a\\r\\nConnection: Upgrade\\r\\nUpgrade: websocket\\r\\n\\r\\n'",
        says="200",
        hits=1,
    ),
    _proxied("no_port", "b'CONNECT 127.0.0.1 HTTP/1.1\\r\\n\\r\\n'", says="403"),
    _proxied("port_that_wraps", "b'CONNECT 127.0.0.1:65558 HTTP/1.1\\r\\n\\r\\n'", says="403"),
    _proxied("other_scheme", "b'GET ftp://127.0.0.1:{port}/x HTTP/1.1\\r\\nHost: a\\r\\n\\r\\n'", says="400"),
    _proxied(
        "two_slashes",
        "b'GET //127.0.0.2:{port}/x HTTP/1.1\\r\\nHost: 127.0.0.1:{port}\\r\\n\\r\\n'",
        says="403",
    ),
    _proxied(
        "endless_head",
        "b'GET http://127.0.0.1:{port}/x HTTP/1.1\\r\\nX: ' + b'y' * 300000 + b'\\r\\n\\r\\n'",
        says="400",
    ),
    _proxied(
        "space_before_colon",
        "b'POST http://127.0.0.1:{port}/x HTTP/1.1\\r\\nHost: a\\r\\nContent-Length : 3\\r\\n\\r\\nabc'",
        says="400",
    ),
    _proxied(
        "negative_length",
        "b'POST http://127.0.0.1:{port}/x HTTP/1.1\\r\\nHost: a\\r\\nContent-Length: -3\\r\\n\\r\\nabc'",
        says="400",
    ),
    wants(
        "socket.socket(socket.AF_INET, socket.SOCK_DGRAM, socket.IPPROTO_ICMP).sendto(b'\\x08' + bytes(7), ('8.8.8.8', 0))",
        name="ping",
    ),
    wants(
        "s = socket.socket(socket.AF_INET, socket.SOCK_STREAM, 262); s.settimeout(2); s.connect(('1.1.1.1', 80))",
        name="multipath_out",
    ),
)
