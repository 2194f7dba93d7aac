"""Tools that operators write down: what is accepted, and what is refused with its place."""

import math
from datetime import date
from pathlib import Path

import pytest
import yaml

from holdfast.adapters.bubblewrap.sandbox import BubblewrapSandbox
from holdfast.adapters.sandbox_docker import DockerSandbox
from holdfast.tools.manifests import BadManifest, Workshop, read_manifest, tool_of
from holdfast.tools.modules import tools_of_module
from holdfast.tools.registry import Registry, semantic
from schemas.tools import EffectClass
from tests.tools.conftest import Caller, code_of
from tests.tools.manifests import written


async def test_a_command_gets_its_arguments_as_words_and_on_stdin(workshop: Workshop) -> None:
    call = Caller(tool_of(read_manifest(written()), workshop))
    result = await call("demo.greet", who="you; rm -rf / $(id)")
    assert result.output == {"said": "hello you; rm -rf / $(id)"}, result
    assert code_of(await call("demo.greet")) == "bad_arguments"
    program = "import json,sys; print(json.dumps({'got': json.load(sys.stdin)}))"
    run = {"program": program, "language": "python"}
    echoing = Caller(tool_of(read_manifest(written(run=run, idempotency_argument="key")), workshop))
    got = (await echoing("demo.greet", who="x")).output["got"]
    assert (got["who"], got["key"].startswith("sha256:")) == ("x", True)


@pytest.mark.parametrize(
    ("run", "code"),
    [
        ({"command": ["/no/such/program"]}, "error"),
        ({"command": ["sh", "-c", "exit 3"]}, "error"),
        ({"command": ["sleep", "60"]}, "timeout"),
        ({"command": ["sh", "-c", "kill -9 $$"]}, "signal"),
    ],
)
async def test_a_command_that_fails_says_how(workshop: Workshop, run: dict[str, object], code: str) -> None:
    text = written(run=run, permissions={"limits": {"wall_s": 1.0}})
    assert code_of(await Caller(tool_of(read_manifest(text), workshop))("demo.greet", who="x")) == code


@pytest.mark.parametrize("engine", ["docker", "no-such-engine"])
async def test_an_image_is_refused_with_a_remedy_where_no_engine_answers(
    sandbox: BubblewrapSandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, engine: str
) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/no.sock")
    workshop = Workshop(
        builtin=Registry(()),
        sandbox=sandbox,
        container=lambda image: DockerSandbox(store=tmp_path / "store", image=image, engine=engine),
    )
    text = written(run={"command": ["true"], "image": "tool:1"})
    result = await Caller(tool_of(read_manifest(text), workshop))("demo.greet", who="x")
    assert code_of(result) == "refused"
    assert result.error is not None
    assert "remedy: start the engine" in result.error.message


@pytest.mark.parametrize(
    "command", [["head", "-c", "3000000", "/dev/zero"], ["yes"], ["printf", "\\377\\376"]]
)
async def test_floods_and_bytes_end_in_a_result(workshop: Workshop, command: list[str]) -> None:
    text = written(run={"command": command}, permissions={"limits": {"wall_s": 5.0, "output_kb": 16}})
    result = await Caller(tool_of(read_manifest(text), workshop))("demo.greet", who="x")
    assert "\0" not in result.model_dump_json()
    assert len(result.model_dump_json()) < 200_000


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"name": "Bad Name"}, "name:"),
        ({"version": "1"}, "version:"),
        ({"run": {}}, "exactly one of"),
        ({"run": {"command": ["a"], "program": "b"}}, "exactly one of"),
        ({"run": {"command": ["{who}"]}}, "cannot choose the program"),
        ({"run": {"command": ["echo", "{whom}"]}}, "{whom} is no argument"),
        ({"input": {"type": "string"}}, "arguments are an object"),
        ({"input": {"type": 5}}, "input: this is no JSON schema"),
        ({"surprise": 1}, "surprise"),
        ({"effect": "probed"}, "belong together"),
        ({"permissions": {"network": {"mode": "allowlist", "allow": ["example.com"]}}}, "names no port"),
        ({"permissions": {"host_read": ["/etc"]}}, "host_read"),
        ({"permissions": {"limits": {"wall": 3}}}, "wall"),
        ({"examples": [{"title": "x", "arguments": {"who": 3}}]}, "examples.0"),
        ({"version": "1.0.0-rc1+x"}, "version:"),
        ({"version": "01.0.0"}, "version:"),
        ({"version": "1.0.٣"}, "version:"),
        ({"version": "9" * 200 + ".0.0"}, "version:"),
        ({"description": "a\0b"}, "NUL"),
        ({"run": {"command": ["echo", "a\0b"]}}, "NUL"),
        (
            {"examples": [{"title": "x", "arguments": {"who": "x", "day": date(2026, 1, 1)}}]},
            "JSON cannot say",
        ),
        ({"examples": [{"title": "x", "arguments": {"who": "x", "n": math.inf}}]}, "JSON cannot say"),
        ({"output": {"$ref": "http://127.0.0.1:9/x"}}, "nothing is fetched"),
        ({"input": {"properties": {"a": {"pattern": "(?=a)b"}}}}, "no RE2 expression"),
    ],
)
async def test_a_bad_manifest_is_refused_with_its_place(changes: dict[str, object], said: str) -> None:
    with pytest.raises(BadManifest, match=r".") as refusal:
        read_manifest(written(**changes))
    assert said in str(refusal.value)


def test_a_key_that_stands_twice_is_refused() -> None:
    with pytest.raises(BadManifest, match="version stands twice"):
        read_manifest(written() + "\nversion: 2.0.0\n")


_MODULE = """
from holdfast.tools.declare import ToolContext, declared
from schemas.base import Payload, Request
class Asked(Request): pass
class Told(Payload): pass
"""


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("raise KeyboardInterrupt", "KeyboardInterrupt"),
        (_MODULE + "@declared('a.b')\nasync def f(): pass", "takes `arguments`"),
        (
            _MODULE + "@declared('a.b')\ndef f(arguments: Asked, context: ToolContext) -> Told: ...",
            "async def",
        ),
        (
            _MODULE + "@declared('a.b', colour=1)\nasync def f(arguments: Asked, context: ToolContext): ...",
            "no field 'colour'",
        ),
    ],
)
def test_a_module_that_would_fail_at_its_first_call_is_refused(text: str, said: str) -> None:
    with pytest.raises(BadManifest) as refusal:
        tools_of_module("bad.py", text)
    assert said in str(refusal.value)


@pytest.mark.parametrize("text", ["", "a: [", "- 1", "!!python/object/apply:os.system [id]", "x" * 2_000_000])
def test_what_is_no_manifest_is_refused(text: str) -> None:
    with pytest.raises(BadManifest):
        read_manifest(text)


def test_a_builtin_can_be_given_hosts_and_nothing_else(workshop: Workshop) -> None:
    network = {"mode": "allowlist", "allow": ["status.example.com:443"]}
    plain = {"name": "http.get", "version": "1.1.0", "description": "Ask.", "run": {"builtin": "http.get"}}
    tool = tool_of(read_manifest(yaml.safe_dump({**plain, "permissions": {"network": network}})), workshop)
    assert (tool.spec.payload, tool.spec.effect) == ("http", EffectClass.READ_ONLY)
    assert tool.spec.permissions.network.allow == ("status.example.com:443",)
    assert tool.spec.permissions.limits.output_kb == 4096
    for wrong in ({"effect": "read_only"}, {"run": {"builtin": "nothing"}}, {"examples": [{"title": "x"}]}):
        with pytest.raises(BadManifest):
            tool_of(read_manifest(yaml.safe_dump({**plain, **wrong})), workshop)
    with pytest.raises(BadManifest, match="engine"):
        tool_of(read_manifest(written(run={"command": ["x"], "image": "alpine"})), workshop)


def test_another_command_is_another_tool(workshop: Workshop) -> None:
    one, other = (
        tool_of(read_manifest(written(run={"command": [word]})), workshop) for word in ("true", "false")
    )
    assert one.spec.digest != other.spec.digest


def test_versions_are_ordered_by_meaning() -> None:
    ordered = [
        "1.0.0-alpha",
        "1.0.0-alpha.1",
        "1.0.0-beta.2",
        "1.0.0-beta.11",
        "1.0.0",
        "1.2.0",
        "1.10.0",
        "10.0.0",
    ]
    mixed = [*ordered[4:], *ordered[:4]]
    assert sorted(mixed, key=semantic) == ordered
