"""An MCP server that misbehaves in each way its tools are named after: over stdio, `hostile_server.py`."""

import json
import os
import sys
import urllib.request
from collections.abc import Callable
from typing import Any

OUT = sys.stdout.buffer
HUGE = 12_000_000


def raw(text: str) -> None:
    OUT.write(text.encode())
    OUT.flush()


def send(message: dict[str, Any]) -> None:
    raw(json.dumps({"jsonrpc": "2.0", **message}) + "\n")


def say(number: int, text: str) -> None:
    send({"id": number, "result": {"content": [{"type": "text", "text": text}]}})


def begun(number: int) -> str:
    return f'{{"jsonrpc":"2.0","id":{number},"result":{{"content":['


def structured(number: int, value: str) -> None:
    raw(begun(number) + f'],"structuredContent":{{"a":{value}}}}}}}\n')


def huge(number: int) -> None:
    raw(begun(number) + '{"type":"text","text":"')
    for _ in range(HUGE // 1_000_000):
        raw("x" * 1_000_000)
    raw('"}]}}\n')


def huge_note(number: int) -> None:
    raw('{"jsonrpc":"2.0","method":"notifications/message","params":{"data":"' + "y" * HUGE + '"}}\n')
    say(number, "after the note")


def flood(number: int) -> None:
    for _ in range(20_000):
        send({"method": "notifications/message", "params": {"level": "info", "data": "x"}})
    say(number, "after the flood")


def twice(number: int) -> None:
    say(number, "first")
    say(number, "second")


def last_words(number: int) -> None:
    say(number, "bye")
    os._exit(3)


def reach(number: int) -> None:
    try:
        with urllib.request.urlopen("http://169.254.169.254/latest", timeout=5) as answer:
            say(number, answer.read().decode())
    except OSError as error:
        say(number, f"no way: {error}")


CALLS: dict[str, Callable[[int], None]] = {
    "ping": lambda number: say(number, "pong"),
    "huge": huge,
    "many": lambda number: structured(number, "[" + "[]," * 500_000 + "1]"),
    "deep": lambda number: structured(number, "[" * 100_000 + "]" * 100_000),
    "not_a_number": lambda number: structured(number, "[NaN, 1e999, -Infinity]"),
    "half_a_character": lambda number: raw(begun(number) + '{"type":"text","text":"a\\ud800b\\u0000c"}]}}\n'),
    "broken": lambda number: raw(begun(number) + "}\n"),
    "no_result": lambda number: send({"id": number, "result": {"content": "text"}}),
    "refuses": lambda number: send(
        {"id": number, "error": {"code": -5, "message": "no\0 way" + "z" * 9_000}}
    ),
    "dies": lambda _: os._exit(3),
    "last_words": last_words,
    "huge_note": huge_note,
    "flood": flood,
    "twice": twice,
    "reach": reach,
    "number_as_text": lambda number: send(
        {"id": str(number), "result": {"content": [{"type": "text", "text": "mine"}]}}
    ),
    "no_number": lambda _: send({"id": None, "error": {"code": -32700, "message": "what?"}}),
    "breaks_its_promise": lambda number: structured(number, '"a text"'),
}
PROMISED = {"type": "object", "properties": {"a": {"type": "integer"}}}


ODD_LISTS: dict[str, Any] = {
    "texts": {"tools": ["a", 5]},
    "nameless": {"tools": [{"inputSchema": {}}]},
    "nothing": {},
}


def tools() -> list[dict[str, Any]]:
    found = [{"name": name, "inputSchema": {"type": "object"}} for name in CALLS]
    found[-1]["outputSchema"] = PROMISED
    if "schemas" in sys.argv:
        elsewhere = {"type": "object", "properties": {"a": {"$ref": "http://127.0.0.1:9/schema"}}}
        slow = {"type": "object", "properties": {"a": {"type": "string", "pattern": "^(a+)+$"}}}
        found += [
            {"name": "fetches", "inputSchema": elsewhere},
            {"name": "loops", "inputSchema": {"type": "object", "$ref": "#"}},
            {"name": "slow", "inputSchema": slow},
            {
                "name": "dangles",
                "inputSchema": {"type": "object", "properties": {"a": {"$ref": "#/$defs/none"}}},
            },
        ]
    return found


def answer(asked: dict[str, Any]) -> None:
    number = asked["id"]
    match asked["method"]:
        case "initialize":
            version = asked["params"]["protocolVersion"]
            who = {"name": "hostile", "version": "1"}
            send(
                {
                    "id": number,
                    "result": {"protocolVersion": version, "capabilities": {"tools": {}}, "serverInfo": who},
                }
            )
        case "tools/list":
            odd = next((ODD_LISTS[word] for word in sys.argv if word in ODD_LISTS), None)
            send({"id": number, "result": {"tools": tools()} if odd is None else odd})
        case "tools/call":
            CALLS.get(asked["params"]["name"], CALLS["ping"])(number)
        case "ping":
            send({"id": number, "result": {}})
        case _:
            send({"id": number, "error": {"code": -32601, "message": "unknown"}})


if __name__ == "__main__":
    for line in sys.stdin:
        message = json.loads(line)
        if "id" in message:
            answer(message)
