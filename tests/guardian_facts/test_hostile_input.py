"""Any bytes a model could emit end in facts, soon, and never in an allow that nobody understood."""

import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from holdfast.guardian.facts import ActionView, PayloadKind, default_decision, extract_facts
from holdfast.guardian.knowledge import command_knowledge
from schemas.facts import Facts
from schemas.verdicts import Decision

DATA = Path(__file__).parents[1] / "data" / "guardian"
KEYS = {"shell": "command", "python": "code", "sql": "sql", "http": "url", "file": "path"}
KINDS: list[PayloadKind] = ["shell", "python", "sql", "http", "file", "mcp"]
ONE_WORD_ASKS = [
    line for line in (DATA / "asks.txt").read_text().splitlines() if line.split(" ")[0].isalpha()
]

HARMLESS = {"echo", "cat", "env", "ls", "sed", "perl", "printf", "sh"}
HOSTILE = [
    "a" * 1_000_000,
    "ls; " * 250_000,
    "'\"'" * 10_000,
    '"' * 10_001,
    "(" * 20_000,
    ")" * 20_000,
    "$[" * 9_999,
    "a=1;" * 3_000 + "cat $a",
    "if :; then a=" + "b" * 9_000 + "; cat " + "$a" * 4_000 + "; fi",
    "".join(f"v{i}=a{i};" for i in range(900)) + "cat " + "".join(f"$v{i}" for i in range(900)),
    "$(" * 9_000,
    "`" * 20_000,
    "{" * 20_000,
    "<<" * 9_999,
    "a|" * 9_999,
    "x=(" * 6_000,
    "${" * 9_999,
    "[[" * 9_999,
    "if " * 6_000,
    "case " * 4_000,
    "a && " * 3_900,
    "! " * 9_999,
    "((" * 9_999,
    "a>" * 9_999,
    "'" + "\\" * 19_000,
    "env " * 4_000 + "ls",
    "nice " * 3_000 + "rm x",
    "echo " + "{a,b}" * 30,
    "echo " + "$(echo " * 60 + "x" + ")" * 60,
    'echo "' + '$(printf "' * 25 + "x" + '")' * 25 + '"',
    "echo " + "$(sh -c 'ls' $(echo " * 30 + "x" + "))" * 30,
    "echo " + "$((" * 100 + "1" + "))" * 100,
    "awk '" + "{" * 9_000 + "'",
    "sed '" + "s/a/b/;" * 2_000 + "'",
    "ls \x00 rm",
    "ls \x1b[2J",
    "\ufeffrm x",
    "\ud800",
    "\U0010ffff" * 5_000,
    bytes(range(256)).decode("latin1") * 70,
    "f() { f; }; " * 1_000,
    "sh -c 'sh -c \"sh -c ls\"'" * 200,
    "perl -e '" + "s/a/b/;" * 500 + "'",
    "python3 -c '" + "(" * 5_000 + "'",
    "python3 -c '" + "not " * 3_000 + "1'",
    "psql -c '" + "/*" * 5_000 + "'",
    "curl http://" + "a." * 5_000,
    "curl http://" + "9" * 9_000,
    "cat " + "../" * 6_000,
    "cat " + "*" * 10_000 + "/x",
]


@pytest.fixture(scope="module", autouse=True)
def loaded_knowledge() -> None:
    command_knowledge()


def facts_of(kind: PayloadKind, text: str) -> Facts:
    return extract_facts(ActionView(tool="t", kind=kind, arguments={KEYS.get(kind, "text"): text}))


@pytest.mark.parametrize("text", HOSTILE, ids=lambda text: ascii(text[:12]))
@pytest.mark.parametrize("kind", KINDS)
def test_hostile_text_is_judged_within_half_a_second(kind: PayloadKind, text: str) -> None:
    started = time.thread_time()
    facts = facts_of(kind, text)
    assert time.thread_time() - started < 0.5
    assert len(facts.model_dump_json()) < 200_000


@pytest.mark.parametrize("text", HOSTILE, ids=lambda text: ascii(text[:12]))
def test_hostile_shell_text_is_never_allowed_unless_it_only_prints(text: str) -> None:
    facts = facts_of("shell", text)
    assert default_decision(facts) is not Decision.ALLOW or set(facts.binaries) <= HARMLESS


@given(st.text(max_size=300), st.sampled_from(KINDS))
@settings(max_examples=300, deadline=None)
def test_any_text_becomes_facts_and_the_same_facts_again(text: str, kind: PayloadKind) -> None:
    assert facts_of(kind, text) == facts_of(kind, text)


SHELL_PIECES = st.sampled_from(
    [
        "ls",
        "cat",
        "rm",
        "find",
        "awk",
        "sed",
        "xargs",
        "sh",
        "-c",
        "'",
        '"',
        "\\",
        "$",
        "(",
        ")",
        "`",
        "{",
        "}",
        "|",
        "&",
        ";",
        ">",
        "<",
        "<<",
        "EOF",
        "\n",
        "=",
        "*",
        "?",
        "[",
        "]",
        "x",
        "1",
        "-delete",
        "-exec",
        "+",
        "!",
        "#",
        "~",
        "/",
        "sudo",
        "env\n",
        "",
        "",
        "",
        "A=b",
        "timeout",
        "5",
        "$(echo",
        "${x",
        "if",
        "then",
        "fi",
        "for",
        "in",
        "do",
        "done",
        "while",
        "case",
        "esac",
        "function",
        "()",
        "eval",
        "exec",
        ".",
        "bash",
        "<<<",
        "@",
        ":",
        "time",
    ]
)


@given(st.lists(SHELL_PIECES, max_size=40), st.booleans())
@settings(max_examples=400, deadline=None)
def test_shell_like_noise_never_crashes(pieces: list[str], spaced: bool) -> None:  # noqa: FBT001 - a drawn value
    facts_of("shell", (" " if spaced else "").join(pieces))


@given(st.sampled_from(ONE_WORD_ASKS), st.data())
@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_splitting_a_command_word_with_quotes_never_turns_asking_into_allowing(
    command: str, data: st.DataObject
) -> None:
    word, _, rest = command.partition(" ")
    at = data.draw(st.integers(0, len(word)))
    inserted = data.draw(st.sampled_from(["''", '""', "\\", "$''", "\\\n"]))
    rewritten = f"{word[:at]}{inserted}{word[at:]} {rest}"
    assert default_decision(facts_of("shell", rewritten)) is not Decision.ALLOW


@given(
    st.sampled_from((DATA / "asks.txt").read_text().splitlines()),
    st.sampled_from(
        [
            "({})",
            "{{ {}; }}",
            "true; {}",
            "true && {}",
            "! {}",
            "if true; then {}; fi",
            "x=$({})",
            "echo $({})",
            "{} | cat",
        ]
    ),
)
@settings(max_examples=300, deadline=None)
def test_wrapping_what_asks_still_asks(command: str, wrapper: str) -> None:
    if "\\n" in command or "<<" in command or "#" in command or command.endswith("&"):
        return
    assert default_decision(facts_of("shell", wrapper.format(command))) is not Decision.ALLOW


fuzz_one_input = test_any_text_becomes_facts_and_the_same_facts_again.hypothesis.fuzz_one_input  # type: ignore[attr-defined] # added by hypothesis
"""The target for a coverage-guided fuzzer: bytes in, no exception out."""
