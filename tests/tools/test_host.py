"""The host's contract, and what holds for every tool that ships: bad arguments, floods, bytes, what is missing."""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from holdfast.adapters.bubblewrap.sandbox import BubblewrapSandbox
from holdfast.adapters.postgres.foreign import ForeignPostgres
from holdfast.adapters.secrets import SecretFolder
from holdfast.errors import NotFound, SandboxUnavailable, Unavailable
from holdfast.tools.builtin import fast_tools, sandboxed_tools
from holdfast.tools.builtin.search import Elsewhere
from holdfast.tools.builtin.todo import Todo
from holdfast.tools.declare import Tool, ToolContext, declared
from holdfast.tools.host import RegistryToolHost
from holdfast.tools.registry import Registry
from schemas.base import Request
from schemas.tools import EffectClass, Lane, ToolResult
from tests.tools.conftest import Caller, code_of


class OneList:
    """The list of the one run of these tests."""

    def __init__(self) -> None:
        self._held: dict[str, Todo] = {}

    async def add(self, tenant: str, run_id: str, texts: Sequence[str], *, key: str) -> Sequence[Todo]:
        for text in texts:
            number = f"t{len(self._held) + 1}"
            self._held[number] = Todo(id=number, text=text)
        return list(self._held.values())

    async def change(self, tenant: str, run_id: str, todo: Todo) -> Todo:
        self._held[todo.id] = todo.model_copy(update={"text": self._held[todo.id].text})
        return self._held[todo.id]

    async def all(self, tenant: str, run_id: str) -> Sequence[Todo]:
        return list(self._held.values())


@pytest.fixture(scope="session")
def shipped(sandbox: BubblewrapSandbox) -> Caller:
    secrets, todos = SecretFolder(Path("/nonexistent")), OneList()
    return Caller(
        *fast_tools(todos=todos, library=Elsewhere(), memory=Elsewhere()),
        *sandboxed_tools(sandbox, todos=todos, queries=ForeignPostgres(), secrets=secrets),
    )


class Order(Request):
    what: str = "ok"


def tool_that(what: str, **fields: Any) -> Tool:
    @declared("does.it", **({"effect": EffectClass.READ_ONLY} | fields))
    async def do(arguments: Order, context: ToolContext) -> ToolResult:
        """Does what it is told."""
        errors = {"away": Unavailable("x"), "unheld": SandboxUnavailable("x"), "crash": KeyError("x")}
        if what in errors:
            raise errors[what]
        if what == "slow":
            await asyncio.Event().wait()
        return ToolResult(ok=True, output={"said": arguments.what})

    return do


async def test_what_a_retry_may_mend_is_raised_and_everything_else_is_a_result() -> None:
    for what in ("away", "unheld"):
        with pytest.raises((Unavailable, SandboxUnavailable)):
            await Caller(tool_that(what))("does.it")
    assert code_of(await Caller(tool_that("crash"))("does.it")) == "tool_crashed"
    assert code_of(await Caller(tool_that("slow", timeout_s=0.1))("does.it")) == "timeout"
    assert code_of(await Caller(tool_that("work"))("does.it", more=1)) == "bad_arguments"
    done = await Caller(tool_that("work"))("does.it", what="fine")
    assert (done.output, done.duration_ms > 0) == ({"said": "fine"}, True)


async def test_a_cancelled_call_is_cancelled() -> None:
    calling = asyncio.create_task(Caller(tool_that("slow"))("does.it"))
    await asyncio.sleep(0)
    calling.cancel()
    with pytest.raises(asyncio.CancelledError):
        await calling


def test_what_a_source_offers_replaces_what_it_offered_and_nothing_else() -> None:
    host = RegistryToolHost(Registry([tool_that("work")]))
    other = tool_that("work", version="2.0.0")
    host.offer("manifests", [other])
    assert [spec.key for spec in host.catalogue().tools] == ["does.it@2.0.0"]
    assert host.find("does.it", "1.0.0").version == "1.0.0"
    host.offer("manifests", [])
    with pytest.raises(NotFound):
        host.find("does.it", "2.0.0")


async def test_every_shipped_tool_refuses_arguments_it_does_not_know(shipped: Caller) -> None:
    for spec in shipped.host.catalogue().tools:
        result = await shipped(spec.name, surprise="\0")
        assert code_of(result) == "bad_arguments", spec.name
        assert result.error is not None
        assert result.error.message, spec.name


def test_every_shipped_tool_says_what_it_does_and_its_examples_are_calls_it_takes(shipped: Caller) -> None:
    for spec in shipped.host.catalogue().tools:
        jsonschema.Draft202012Validator.check_schema(spec.input_schema)
        assert len(spec.description) > 20, spec.name
        for example in spec.examples:
            jsonschema.validate(example.arguments, spec.input_schema)


async def test_what_an_example_promises_holds_after_the_calls_that_come_first(shipped: Caller) -> None:
    for spec in shipped.host.catalogue().tools:
        assert spec.examples, spec.name
        for example in spec.examples:
            if example.needs or spec.name in ("runbook.search", "memory.search"):
                continue
            for earlier in example.first:
                assert (await shipped(earlier.tool, **earlier.arguments)).ok, (spec.name, earlier)
            result = await shipped(spec.name, **example.arguments)
            assert result.ok, (spec.name, result.error)
            assert (example.output or {}).items() <= result.output.items(), (spec.name, result.output)


@pytest.mark.parametrize(
    "error",
    [SystemExit(3), KeyboardInterrupt(), asyncio.CancelledError(), BaseExceptionGroup("g", [SystemExit()])],
)
async def test_a_tool_that_means_to_exit_ends_its_own_call(error: BaseException) -> None:
    @declared("goes", effect=EffectClass.READ_ONLY)
    async def go(arguments: Order, context: ToolContext) -> ToolResult:
        """Goes."""
        raise error

    assert code_of(await Caller(go)("goes")) == "tool_crashed"


async def test_an_exception_without_words_and_values_that_json_has_not_are_told(shipped: Caller) -> None:
    class Mute(Exception):
        def __str__(self) -> str:
            raise RuntimeError

    held: dict[str, Any] = {}
    held |= {"a": held, "b": held}
    brings: dict[str, Any] = {
        "mute": None,
        "circle": held,
        "set": {"s": {1}},
        "bytes": {"b": b"x"},
        "long": {"n": 10**5000},
        "huge": {"x": ["y" * 20_000_000]},
    }

    @declared("brings", effect=EffectClass.READ_ONLY)
    async def bring(arguments: Order, context: ToolContext) -> dict[str, Any]:
        """Brings something."""
        if arguments.what == "mute":
            raise Mute
        found: dict[str, Any] = brings[arguments.what]
        return found

    call = Caller(bring)
    ended = {what: code_of(await call("brings", what=what)) for what in brings}
    assert ended == {
        "mute": "tool_crashed",
        "circle": "too_large",
        "set": "",
        "bytes": "",
        "long": "tool_crashed",
        "huge": "too_large",
    }
    assert (await call("brings", what="set")).output == {"s": "{1}"}


def test_only_short_reads_are_in_the_fast_lane(shipped: Caller) -> None:
    for spec in shipped.host.catalogue().tools:
        if spec.lane is Lane.FAST:
            assert (spec.effect, spec.timeout_s <= 15) == (EffectClass.READ_ONLY, True), spec.name


@pytest.mark.parametrize(
    ("name", "arguments", "code"),
    [
        ("shell", {"command": "exit 3"}, "error"),
        ("shell", {"command": "no-such-program"}, "error"),
        ("shell", {"command": "kill -9 $$"}, "signal"),
        ("shell", {"command": "echo \ud800"}, "bad_arguments"),
        ("python", {"code": "raise SystemExit(4)"}, "error"),
        ("python", {"code": "import requests"}, "error"),
        ("calc", {"expression": "9**9**9"}, "invalid_input"),
        ("calc", {"expression": "__import__('os')"}, "invalid_input"),
        ("sys.logs", {"path": "/etc/passwd"}, "invalid_input"),
        ("sys.logs", {"path": "/var/log/../../etc/passwd"}, "invalid_input"),
        ("sys.logs", {"path": "/var/log/none"}, "not_found"),
        ("sys.usage", {"path": "relative"}, "invalid_input"),
        ("sys.usage", {"path": "/no/such/folder"}, "not_found"),
        ("sys.ports", {"port": 70_000}, "bad_arguments"),
        ("sys.processes", {"limit": 0}, "bad_arguments"),
        ("sys.disk", {}, ""),
        ("sys.info", {}, ""),
        ("sys.processes", {"sort": "cpu", "limit": 3}, ""),
        ("sys.ports", {"listening": False}, ""),
    ],
)
async def test_a_call_that_cannot_be_done_says_why(
    shipped: Caller, name: str, arguments: dict[str, object], code: str
) -> None:
    assert code_of(await shipped(name, **arguments)) == code


@pytest.mark.parametrize("command", ["yes", "head -c 5000000 /dev/urandom", "printf '\\377\\0\\376'"])
async def test_floods_and_bytes_become_bounded_text(shipped: Caller, command: str) -> None:
    result = await shipped("shell", command=f"timeout 2 {command}")
    text = result.model_dump_json()
    assert "\\u0000" not in text
    assert len(text) < 2_000_000
