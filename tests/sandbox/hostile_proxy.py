"""Programs that speak to the egress proxy as no honest client would, to reach what is not on the list."""

from tests.sandbox.cases import Case

_NETWORK = {"mode": "allowlist", "allow": ["127.0.0.1:{port}"], "allow_cidrs": ["127.0.0.0/8"]}
_SPEAK = """
import socket, time
def say(data, port=3128, wait=3):
    s = socket.create_connection(('127.0.0.1', port), timeout=wait)
    try: s.sendall(data)
    except OSError: pass
    got = b''
    try:
        while chunk := s.recv(65536): got += chunk
    except OSError: pass
    return got
"""


def _refused(name: str, data: str, *, times: int = 1) -> Case:
    """Whatever the proxy makes of it, the server outside must not hear of it."""
    program = _SPEAK + f"for _ in range({times}): got = say({data})\nprint('told', got[:60])\n"
    return Case(name=f"proxy_{name}", program=program, network=_NETWORK, says="told", hits=0)


def _get(target: str, *lines: str, host: str = "127.0.0.1:{port}") -> str:
    head = "".join(f"{line}\\r\\n" for line in (f"GET {target} HTTP/1.1", f"Host: {host}", *lines))
    return f"b'{head}\\r\\n'"


PROXY = (
    *(
        _refused(f"address_written_{name}", _get(f"http://{host}:{{port}}/x", host=host))
        for name, host in {
            "in_decimal": "2130706433",
            "in_hexadecimal": "0x7f000001",
            "in_octal": "0177.0.0.1",
            "short": "127.1",
            "mapped": "[::ffff:127.0.0.1]",
            "as_a_name": "localhost",
            "with_a_user": "127.0.0.1:80@localhost",
            "with_a_zone": "[::1%25lo]",
            "with_zeros": "127.000.000.001",
            "as_any": "0.0.0.0",  # noqa: S104 - not bound, asked for
            "in_small_letters": "xn--127-0",
        }.items()
    ),
    _refused("other_port", _get("http://127.0.0.1:22/x")),
    _refused("other_host_in_the_head", "b'GET /x HTTP/1.1\\r\\nHost: 127.0.0.2:{port}\\r\\n\\r\\n'"),
    _refused(
        "tunnel_without_tls",
        "b'CONNECT 127.0.0.1:{port} HTTP/1.1\\r\\n\\r\\nGET /x HTTP/1.1\\r\\nHost: a\\r\\n\\r\\n'",
    ),
    _refused("tunnel_elsewhere", "b'CONNECT 127.0.0.1:22 HTTP/1.1\\r\\n\\r\\n'"),
    _refused(
        "two_lengths",
        "b'POST http://127.0.0.1:{port}/x HTTP/1.1\\r\\nHost: a\\r\\nContent-Length: 1\\r\\nContent-Length: 40\\r\\n\\r\\n' + b'y' * 40",
    ),
    _refused(
        "length_and_chunks",
        "b'POST http://127.0.0.1:{port}/x HTTP/1.1\\r\\nHost: a\\r\\nContent-Length: 4\\r\\nTransfer-Encoding: chunked\\r\\n\\r\\n0\\r\\n\\r\\nGET /y HTTP/1.1\\r\\n\\r\\n'",
    ),
    _refused(
        "odd_coding",
        "b'POST http://127.0.0.1:{port}/x HTTP/1.1\\r\\nHost: a\\r\\nTransfer-Encoding: xchunked\\r\\n\\r\\n0\\r\\n\\r\\n'",
    ),
    _refused(
        "negative_length",
        "b'POST http://127.0.0.1:{port}/x HTTP/1.1\\r\\nHost: a\\r\\nContent-Length: -1\\r\\n\\r\\n'",
    ),
    _refused(
        "length_with_a_sign",
        "b'POST http://127.0.0.1:{port}/x HTTP/1.1\\r\\nHost: a\\r\\nContent-Length: +4\\r\\n\\r\\nabcd'",
    ),
    _refused(
        "folded_header",
        "b'GET http://127.0.0.1:{port}/x HTTP/1.1\\r\\nHost: a\\r\\nX: 1\\r\\n Transfer-Encoding: chunked\\r\\n\\r\\n'",
    ),
    _refused(
        "space_before_the_colon",
        "b'GET http://127.0.0.1:{port}/x HTTP/1.1\\r\\nHost : a\\r\\nContent-Length : 9\\r\\n\\r\\n'",
    ),
    _refused(
        "nul_in_a_header", "b'GET http://127.0.0.1:{port}/x HTTP/1.1\\r\\nHost: a\\r\\nX: a\\0b\\r\\n\\r\\n'"
    ),
    _refused(
        "bare_return_in_a_header",
        "b'GET http://127.0.0.1:{port}/x HTTP/1.1\\r\\nHost: a\\r\\nX: a\\rContent-Length: 5\\r\\n\\r\\n'",
    ),
    _refused("second_version", "b'PRI * HTTP/2.0\\r\\n\\r\\nSM\\r\\n\\r\\n'"),
    _refused("no_version", "b'GET http://127.0.0.1:{port}/x\\r\\n\\r\\n'"),
    _refused(
        "space_in_the_target",
        "b'GET http://127.0.0.1:{port}/x HTTP/1.1 /y HTTP/1.1\\r\\nHost: a\\r\\n\\r\\n'",
    ),
    _refused("other_scheme", "b'GET ftp://127.0.0.1:{port}/x HTTP/1.1\\r\\nHost: a\\r\\n\\r\\n'"),
    _refused("file_scheme", "b'GET file://{host_file} HTTP/1.1\\r\\nHost: a\\r\\n\\r\\n'"),
    _refused(
        "headers_without_end", "b'GET http://127.0.0.1:{port}/x HTTP/1.1\\r\\n' + b'X: ' + b'y' * (2 << 20)"
    ),
    _refused(
        "headers_without_number",
        "b'GET http://127.0.0.1:{port}/x HTTP/1.1\\r\\n' + b'X: y\\r\\n' * 100000 + b'\\r\\n'",
    ),
    _refused("itself", "b'GET http://127.0.0.1:3128/ HTTP/1.1\\r\\nHost: 127.0.0.1:3128\\r\\n\\r\\n'"),
    _refused("its_alias_port", "b'GET / HTTP/1.1\\r\\nHost: 127.0.0.1:{port}\\r\\n\\r\\n', port=80"),
    _refused("bytes_of_noise", "bytes(range(256)) * 400"),
    _refused("socks", "b'\\x05\\x01\\x00\\x05\\x01\\x00\\x01\\x7f\\x00\\x00\\x01\\x00\\x16'"),
    _refused(
        "proxy_protocol",
        "b'PROXY TCP4 1.2.3.4 127.0.0.1 1 {port}\\r\\nGET http://127.0.0.2:{port}/ HTTP/1.1\\r\\n\\r\\n'",
    ),
    Case(
        name="proxy_one_request_a_connection",
        program=_SPEAK
        + "got = say(b'GET http://127.0.0.1:{port}/x HTTP/1.1\\r\\nHost: a\\r\\n\\r\\nGET http://127.0.0.1:{port}/y HTTP/1.1\\r\\nHost: a\\r\\n\\r\\n')\n"
        "print('told', got.count(b'HTTP/1.'))\n",
        network=_NETWORK,
        says="told 1",
        hits=1,
    ),
    Case(
        name="proxy_host_in_capitals_and_with_a_dot",
        program=_SPEAK
        + "print(say(b'GET http://LOCALHOST.:{port}/x HTTP/1.1\\r\\nHost: a\\r\\n\\r\\n')[-9:])\n",
        network={"mode": "allowlist", "allow": ["localhost:{port}"], "allow_cidrs": ["127.0.0.0/8"]},
        says="seen",
        hits=1,
    ),
    Case(
        name="proxy_redirect_to_metadata_is_judged_anew",
        program=(
            "import urllib.request\ntry: urllib.request.urlopen('http://127.0.0.1:{port}/redirect', timeout=5); print('ESC'+'APED')\n"
            "except OSError as e: print('held', e)"
        ),
        network=_NETWORK,
        says="held",
        hits=1,
    ),
    Case(
        name="proxy_silent_connections_do_not_shut_others_out",
        program=_SPEAK
        + "kept = []\nfor _ in range(200):\n  try: kept.append(socket.create_connection(('127.0.0.1', 3128), timeout=1))\n  except OSError: break\n"
        "[k.close() for k in kept]\ntime.sleep(0.5)\nprint('told', say(b'GET http://127.0.0.1:{port}/x HTTP/1.1\\r\\nHost: a\\r\\n\\r\\n')[-5:])\n",
        network=_NETWORK,
        says="told b'seen '",
        hits=1,
    ),
    Case(
        name="proxy_a_thousand_connections",
        program=_SPEAK
        + "for _ in range(1000):\n  try: socket.create_connection(('127.0.0.1', 3128), timeout=1).close()\n  except OSError: pass\nprint('told')\n",
        network=_NETWORK,
        says="told",
        hits=0,
        limits={"wall_s": 40},
        within_s=38,
        check=lambda r: len(r.network) <= 210,
    ),
    Case(
        name="proxy_a_line_at_a_time_for_ever",
        program=_SPEAK
        + "s = socket.create_connection(('127.0.0.1', 3128))\ns.sendall(b'GET http://127.0.0.1:{port}/x HTTP/1.1\\r\\n')\n"
        "try:\n  for _ in range(100): s.sendall(b'X: y\\r\\n'); time.sleep(0.05)\nexcept OSError: pass\nprint('told')\n",
        network=_NETWORK,
        ends=("ok", "timeout"),
        hits=0,
    ),
    Case(
        name="proxy_nothing_goes_out_beside_it",
        program=(
            "import socket\nfor family, kind, where in ((2, 1, ('127.0.0.1', {port})), (2, 2, ('8.8.8.8', 53)), (10, 1, ('::1', {port})),"
            " (2, 1, ('169.254.169.254', 80)), (2, 1, ('10.0.0.1', 443)), (10, 2, ('ff02::1', 9))):\n  s = socket.socket(family, kind); s.settimeout(1)\n"
            "  try:\n    s.connect(where); s.send(b'GET /x HTTP/1.0\\r\\n\\r\\n'); print('ESC'+'APED', where)\n  except OSError: pass\nprint('told')"
        ),
        network=_NETWORK,
        says="told",
        hits=0,
    ),
)
