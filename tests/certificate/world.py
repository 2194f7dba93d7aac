"""The outside world of the certificate: an HTTP server that counts what really reached it. It trusts nobody's tables."""

import json
import threading
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class World:
    """Counts effects by name. A call with a key it has seen changes nothing, as a well-made service does."""

    def __init__(self) -> None:
        self.calls: Counter[str] = Counter()
        self.effects: Counter[str] = Counter()
        self._stalled: dict[str, threading.Event] = {}
        self._keys: set[str] = set()
        self._lock = threading.Lock()
        world = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                length = int(self.headers["content-length"])
                call = json.loads(self.rfile.read(length))
                world.receive(call)
                if stalled := world._stalled.get(call["name"]):
                    stalled.wait()
                self._answer({})

            def do_GET(self) -> None:
                self._answer({"count": world.effects[self.path.strip("/")]})

            def _answer(self, body: dict[str, Any]) -> None:
                data = json.dumps(body).encode()
                self.send_response(200)
                self.send_header("content-length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *_: object) -> None:
                """Quiet: the table is the report."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def receive(self, call: dict[str, Any]) -> None:
        with self._lock:
            self.calls[call["name"]] += 1
            key = call.get("key")
            if key in self._keys:
                return
            if key is not None:
                self._keys.add(key)
            self.effects[call["name"]] += 1

    def stall(self, name: str) -> None:
        """What is done under this name is done, and never answered."""
        self._stalled[name] = threading.Event()

    def close(self) -> None:
        for stalled in self._stalled.values():
            stalled.set()
        self._server.shutdown()
        self._server.server_close()
