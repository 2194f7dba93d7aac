"""One exchange with an MCP server over stdio, inside the sandbox: start it, shake hands, ask, and print the answer."""

from __future__ import annotations

import itertools
import json
import subprocess
import sys
from typing import IO, Any

VERSION = "2025-06-18"
MOST_PAGES = 50
SIDE = 2_000
TOO_LARGE, UNREADABLE = -32090, -32091


class Server:
    def __init__(self, command: list[str], most: int) -> None:
        self.most = most
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.numbers = itertools.count(1)

    def ask(self, method: str, params: dict[str, Any]) -> dict[str, Any]:
        number = next(self.numbers)
        self.send({"id": number, "method": method, "params": params})
        for line in self.lines(number):
            if not isinstance(line, dict):
                continue
            if (
                "method" in line and "id" in line
            ):  # it asks us for something, such as a model: we have nothing
                refusal = {"code": -32601, "message": "not offered"}
                self.send({"id": line["id"], "error": refusal})
            elif is_for(number, line):
                return line
        raise SystemExit(f"the server ended without an answer to {method}")

    def send(self, message: dict[str, Any]) -> None:
        pipe = required(self.process.stdin)
        pipe.write(json.dumps({"jsonrpc": "2.0", **message}).encode() + b"\n")
        pipe.flush()

    def lines(self, number: int) -> Any:
        """What it says, line by line; what is too large or broken becomes a refusal where it answers the request."""
        pipe = required(self.process.stdout)
        while line := pipe.readline(self.most + 1):
            over = len(line) > self.most and not line.endswith(b"\n")
            unasked = b'"method"' in line[:SIDE]
            if over and not unasked:
                yield refusal(number, TOO_LARGE)
            while over and not line.endswith(b"\n") and (line := pipe.readline(self.most + 1)):
                continue
            if over:
                continue
            try:
                yield json.loads(line)
            except (ValueError, RecursionError):  # a server that also prints is not rare
                if b'"id"' in line and not unasked:
                    yield refusal(number, UNREADABLE)


def is_for(number: int, answer: dict[str, Any]) -> bool:
    """Its number may come back as text, as other clients take it too; a refusal without one is for who waits."""
    named = answer.get("id")
    return str(named) == str(number) or named == number or (named is None and "error" in answer)


def refusal(number: int, code: int) -> dict[str, Any]:
    return {"id": number, "error": {"code": code, "message": ""}}


def required(pipe: IO[bytes] | None) -> IO[bytes]:
    if pipe is None:
        raise SystemExit("no pipe")
    return pipe


def every_tool(server: Server) -> dict[str, Any]:
    found: list[Any] = []
    cursor: dict[str, Any] = {}
    for _ in range(MOST_PAGES):
        answer = server.ask("tools/list", cursor)
        if "result" not in answer:
            return answer
        page = answer["result"].get("tools") if isinstance(answer["result"], dict) else None
        if not isinstance(page, list):
            raise SystemExit("it answered with no list of tools")
        found += page
        if not answer["result"].get("nextCursor"):
            return {"result": {"tools": found}}
        cursor = {"cursor": answer["result"]["nextCursor"]}
    raise SystemExit("the server lists its tools without end")


def main() -> None:
    request = json.load(sys.stdin)
    try:
        server = Server(request["command"], request["most"])
    except OSError as error:
        raise SystemExit(f"{request['command'][0]}: {error.strerror}") from error
    client = {"name": "holdfast", "version": "1"}
    hello = {"protocolVersion": VERSION, "capabilities": {}, "clientInfo": client}
    answer = server.ask("initialize", hello)
    if "error" not in answer:
        server.send({"method": "notifications/initialized"})
        listing = request["method"] == "tools/list"
        answer = every_tool(server) if listing else server.ask(request["method"], request["params"])
    told = {key: answer[key] for key in ("result", "error") if key in answer}
    text = json.dumps(told, ensure_ascii=False)
    whole = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")  # lone halves of characters
    sys.stdout.buffer.write(whole.encode())


if __name__ == "__main__":
    main()
