"""Python, SQL, HTTP, files, MCP, and text that came from outside."""

from typing import Any

import pytest

from holdfast.guardian.facts import ActionView, PayloadKind, default_decision, extract_facts
from schemas.facts import Effect, Facts
from schemas.verdicts import Decision


def facts_of(kind: PayloadKind, arguments: dict[str, Any], **more: Any) -> Facts:
    return extract_facts(ActionView(tool="tool", kind=kind, arguments=arguments, **more))


@pytest.mark.parametrize(
    "code",
    [
        "print(sum(range(10)))",
        "import json, math\nprint(json.dumps({'a': math.pi}))",
        "import re\nfor line in open('notes.txt'):\n    print(re.sub('a', 'b', line))",
        "from pathlib import Path\nprint(Path('a.txt').read_text().replace('a', 'b'))",
        "import os\nprint(os.listdir('.'))",
        "from collections import Counter\nprint(Counter('abc').most_common(1))",
        "def f(x):\n    return x + 1\nprint(f(2))",
    ],
)
def test_python_that_only_looks_is_allowed(code: str) -> None:
    assert default_decision(facts_of("python", {"code": code})) is Decision.ALLOW


@pytest.mark.parametrize(
    ("code", "effect"),
    [
        ("import os; os.remove('x')", Effect.DELETE),
        ("from shutil import rmtree as r; r('x')", Effect.DELETE),
        ("open('x', 'w').write('y')", Effect.WRITE),
        ("from pathlib import Path; Path('x').write_text('y')", Effect.WRITE),
        ("import subprocess; subprocess.run(['ls'])", Effect.EXEC),
        ("import os as o; o.system('rm x')", Effect.DELETE),
        ("import os; os.kill(1, 9)", Effect.KILL),
        ("import os; print(os.environ)", Effect.SECRET),
        ("print(open('/etc/shadow').read())", Effect.SECRET),
        ("import urllib.request", Effect.NETWORK),
    ],
)
def test_python_that_acts_says_how(code: str, effect: Effect) -> None:
    facts = facts_of("python", {"code": code})
    assert effect in facts.effects
    assert default_decision(facts) is not Decision.ALLOW


@pytest.mark.parametrize(
    "code",
    [
        "eval('1')",
        "getattr(print, 'x')",
        "__import__('os')",
        "().__class__.__bases__",
        "import ctypes; ctypes.CDLL(None)",
        "import requests",
        "(lambda: 0)()()",
        "import pickle; pickle.loads(b'')",
        "x = open; x('f', 'w')",
        "f = print\nf = eval\nf('1')",
        "[e for e in [exec]][0]('1')",
        "def",
    ],
)
def test_python_that_is_not_understood_asks(code: str) -> None:
    assert default_decision(facts_of("python", {"code": code})) is not Decision.ALLOW


@pytest.mark.parametrize(
    "code",
    [
        "import os\no = os\no.system('id')",
        "import os\nfor m in [os]:\n    m.system('id')",
        "import os\ndef f(m):\n    m.system('id')\nf(os)",
        "import os\n{'a': os}['a'].system('id')",
        "import os\nos.path.os.system('id')",
        "import os.path as p\np.os.system('id')",
        "from os import path\npath.os.system('id')",
        "import os\ny = os.path\ny.genericpath.os.system('id')",
        "import re\ns = re.sys\ns.modules['os'].system('id')",
        "import random\nr = random._os\nr.system('id')",
        "from pathlib import os\nos.system('id')",
        "import json\nd = json.decoder\nd.scanner.re",
        "import site\nsite.addsitedir('/tmp')",
        "f = (x for x in [])\nprint(f.gi_frame.f_back)",
        "print('{0.__class__}'.format(1))",
        "print(open('x', **{'mode': 'w'}))",
        "print(open(*['x', 'w']))",
    ],
)
def test_no_module_is_reached_through_another_name(code: str) -> None:
    assert default_decision(facts_of("python", {"code": code})) is not Decision.ALLOW


@pytest.mark.parametrize(
    "sql",
    [
        "select 1",
        "SELECT 'drop table x'",
        "explain select 1",
        "show tables",
        "with a as (select 1) select * from a",
    ],
)
def test_sql_that_reads_is_allowed(sql: str) -> None:
    assert default_decision(facts_of("sql", {"sql": sql})) is Decision.ALLOW


@pytest.mark.parametrize(
    "sql",
    [
        "select 1; drop table x",
        "with a as (delete from t returning *) select * from a",
        "select pg_terminate_backend(1)",
        "explain analyze delete from t",
        "select * into x from y",
        "select * from t for update",
        "/*! drop table x */",
        "select * from pg_shadow",
        "copy t to program 'sh'",
        "set role postgres",
        "do $$ begin end $$",
        "pragma journal_mode=wal",
        "",
    ],
)
def test_sql_that_does_more_asks(sql: str) -> None:
    assert default_decision(facts_of("sql", {"sql": sql})) is not Decision.ALLOW


def test_a_get_to_an_inside_host_is_a_look() -> None:
    facts = facts_of("http", {"url": "http://metrics.internal:9090/api/v1/query?query=up"})
    assert default_decision(facts) is Decision.ALLOW
    assert facts.hosts == ("metrics.internal",)


@pytest.mark.parametrize(
    "arguments",
    [
        {"url": "http://169.254.169.254/latest/meta-data/"},
        {"url": "http://2852039166/"},
        {"url": "http://0xa9.0xfe.0xa9.0xfe/"},
        {"url": "http://[::ffff:a9fe:a9fe]/"},
        {"url": "http://metadata.google.internal/"},
        {"url": "https://example.com/?q=secret"},
        {"url": "http://localhost/", "method": "POST"},
        {"url": "http://localhost/", "method": "DELETE"},
        {"url": "http://localhost/", "json": {"a": 1}},
        {"url": "http://user:pw@localhost/"},
        {"url": "http://localhost/", "headers": {"Authorization": "x"}},
        {"url": "file:///etc/passwd"},
        {"url": "http://localhost\\@example.com/"},
        {"url": 7},
        {},
    ],
)
def test_other_requests_ask(arguments: dict[str, Any]) -> None:
    assert default_decision(facts_of("http", arguments)) is not Decision.ALLOW


def test_a_file_written_outside_the_workspace_is_more_than_a_write() -> None:
    inside = facts_of("file", {"operation": "write", "path": "notes/a.txt"})
    climbing = facts_of("file", {"operation": "write", "path": "../../etc/cron.d/x"})
    assert inside.paths_written == ("/workspace/notes/a.txt",)
    assert not inside.outside_workspace
    assert climbing.outside_workspace == ("/etc/cron.d/x",)
    assert default_decision(climbing) is Decision.DENY


def test_reading_a_key_asks_and_reading_a_note_does_not() -> None:
    assert default_decision(facts_of("file", {"operation": "read", "path": "a.txt"})) is Decision.ALLOW
    assert (
        default_decision(facts_of("file", {"operation": "read", "path": "~/.ssh/id_rsa"}))
        is not Decision.ALLOW
    )


def test_what_an_mcp_server_says_of_itself_never_allows() -> None:
    claimed = facts_of("mcp", {"q": "x"}, hints={"readOnlyHint": True})
    assert claimed.hints == ("readOnlyHint=True",)
    assert default_decision(claimed) is Decision.REQUIRE_APPROVAL
    assert default_decision(facts_of("mcp", {"q": "x"}, declared_read_only=True)) is Decision.ALLOW


def test_untrusted_text_may_choose_what_is_read_but_not_what_is_changed() -> None:
    reading = facts_of("shell", {"command": "ls /srv"}, tainted=("command",))
    changing = facts_of("shell", {"command": "mkdir /srv/x"}, tainted=("command",))
    assert default_decision(reading) is Decision.ALLOW
    assert any("untrusted" in unknown for unknown in changing.unknowns)
