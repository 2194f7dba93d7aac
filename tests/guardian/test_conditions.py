"""Conditions: what is accepted, what is refused, and that nothing but true ever counts as true."""

import time
from contextlib import suppress

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from holdfast.guardian.conditions import Condition, ConditionFailed, ConditionProblem, bind
from holdfast.guardian.guards import Guard, guard_of
from holdfast.guardian.messages import check_message, fill
from holdfast.guardian.rules import Rule
from holdfast.guardian.trials import view_of
from schemas.facts import Facts
from schemas.policies import Example, ParameterType, PolicyDocument, PolicyVersion

VIEW = view_of(Example(arguments={"command": "ls -l /tmp", "count": 3}))

HOSTILE = [
    "(" * 5000 + "true" + ")" * 5000,
    "[" * 40 + "]" * 40 + " == []",
    "!" * 3000 + "true",
    "-" * 3000 + "1 == 1",
    "a" * 1_000_000,
    "'" + "x" * 1_000_000 + "' == ''",
    "facts.kind.matches('(a+)+$')",
    "facts.kind.matches('((a{1,99}){1,99}){1,99}')",
    "facts.kind.matches('(a?){500}a{500}')",
    "facts.kind.matches('" + "(a|b)*" * 200 + "')",
    "facts.kind.matches('(')",
    " || ".join(["facts.kind == 'x'"] * 100),
    " + ".join(["1"] * 100) + " == 1",
    "true ? " * 60 + "true" + " : false" * 60,
    "[1,2,3].exists(a, [1,2,3].exists(b, [1,2,3].exists(c, a + b + c == 99)))",
    "facts.binaries.exists(a, facts.binaries.exists(b, facts.binaries.exists(c, a + b + c == 'x')))",
    "'\ud800' == ''",
    "\0",
    "true // comment",
    '"""' * 900,
    "r'\\' == ''",
]


def rule(when: str, **changes: object) -> Rule:
    document = PolicyDocument.model_validate({"name": "rule", "effect": "deny", "when": when, **changes})
    return Rule(PolicyVersion(name="rule", version=1, document=document, resolved=document))


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("facts.bineries == []", "undeclared reference to 'facts.bineries'"),
        ("'a' == 1", "no matching overload"),
        ("facts.effects", "gives LIST"),
        ("action.arguments.count", "gives DYN"),
        ("1 +", "Syntax error"),
        ("facts.kind.matches('(')", "missing"),
        ("facts.kind.matches(facts.safety)", "with a literal or params.name"),
        ("matches(facts.kind, 'a')", "with a literal or params.name"),
        ("facts.kind.matches('a{1000}')", "100 times or more"),
        ("(" * 30 + "true" + ")" * 30, "nested deeper than 24"),
        ("true" + " " * 5000, "4000 are allowed"),
        ("params.hosts == []", "undeclared reference"),
    ],
)
def test_a_condition_is_refused_with_the_reason(text: str, why: str) -> None:
    with pytest.raises(ConditionProblem, match=why.replace("(", r"\(")):
        Condition(text)


@pytest.mark.parametrize(
    ("text", "holds"),
    [
        ("'ls' in facts.binaries", True),
        ("facts.commands.exists(c, c.binary == 'ls' && '/tmp' in c.args)", True),
        ("action.arguments.count == 3", True),
        ("has(action.arguments.missing) && action.arguments.missing == 1", False),
        ("facts.paths_read.exists(path, path.matches('^/tmp$'))", True),
        ("action.environment == 'prod'", False),
    ],
)
def test_a_condition_reads_the_action(text: str, holds: bool) -> None:  # noqa: FBT001 -- a parameter of the table
    assert Condition(text).holds(bind(VIEW.full)) is holds


@pytest.mark.parametrize(
    "text", ["facts.binaries[99] == 'x'", "action.arguments.missing == 1", "1 / (size(facts.hosts)) == 1"]
)
def test_what_cannot_be_evaluated_is_no_answer(text: str) -> None:
    with pytest.raises(ConditionFailed):
        Condition(text).holds(bind(VIEW.full))


def test_parameters_are_typed_and_bound() -> None:
    types = (("hosts", ParameterType.STRINGS),)
    condition = Condition("size(params.hosts) == 2", types)
    assert condition.holds(bind({"params.hosts": ["a", "b"]}, types))


@pytest.mark.parametrize("value", [{"n": 2**80}, {"x": object()}, {"t": "\ud800"}])
def test_arguments_no_condition_can_hold_are_a_failure(value: dict[str, object]) -> None:
    try:
        held = Condition("has(action.arguments.n)").holds(bind({"action.arguments": value}))
    except ConditionFailed:
        return
    assert held is False


@pytest.mark.parametrize("text", HOSTILE, ids=lambda text: text[:20].encode("ascii", "replace").decode())
def test_hostile_text_is_answered_or_refused_in_no_time(text: str) -> None:
    started = time.thread_time()
    judged_quietly(text)
    assert time.thread_time() - started < 1.0


WORDS = st.sampled_from(
    ["facts", ".", "binaries", "(", ")", "[", "]", "{", "}", "&&", "||", "!", "==", "'a'", '"', "'", "\\", "1", "in",
     "exists", "matches", "x", ",", "?", ":", "true", " ", "r'", "//", "\n", "params", "action", "arguments", "has"]
)  # fmt: skip


@given(st.one_of(st.text(max_size=400), st.lists(WORDS, max_size=60).map("".join)))
@example("'a'.matches('[')")
@settings(max_examples=400, deadline=None)
def test_no_text_breaks_the_reader(text: str) -> None:
    judged_quietly(text)


@given(st.binary(max_size=4000).map(lambda data: data.decode("latin-1")))
@settings(max_examples=100, deadline=None)
def test_no_regular_expression_breaks_the_engine(text: str) -> None:
    judged_quietly(f"facts.kind.matches({text!r})")


def judged_quietly(text: str) -> None:
    """A condition is refused, fails, or gives true or false; nothing else may come out."""
    with suppress(ConditionProblem, ConditionFailed):
        assert Condition(text).holds(bind(VIEW.full)) in (True, False)


@pytest.mark.parametrize(
    ("when", "guard"),
    [
        ("'ls' in facts.binaries && size(facts.hosts) > 0", Guard("member", "facts.binaries", "ls")),
        ("facts.kind == 'sql'", Guard("equal", "facts.kind", "sql")),
        ("'sql' == facts.kind && 'rm' in facts.binaries", Guard("member", "facts.binaries", "rm")),
        ("size(facts.hosts) > 0", Guard("filled", "facts.hosts")),
        ("facts.privileged && size(facts.unknowns) > 2", Guard("switch", "facts.privileged")),
        ("facts.hosts.exists(h, h == 'x' || true)", Guard("filled", "facts.hosts")),
        (
            "facts.commands.exists(c, c.binary == 'rm' && '-r' in c.flags)",
            Guard("binary", "facts.commands", "rm"),
        ),
        ("facts.commands.exists(c, c.binary == 'rm' || c.binary == 'dd')", None),
        ("facts.commands.exists(c, c.subcommand == 'rm')", None),
        ("facts.hosts.exists(h, h == 'x') == false", None),
        ("facts.hosts.all(h, h == 'x')", None),
        ("size(facts.hosts) == 0", None),
        ("size(facts.hosts) > 00", None),
        ("!facts.privileged", None),
        ("facts.privileged == false", None),
        ("'ls' in facts.binaries || 'rm' in facts.binaries", None),
        ("'ls' in facts.binaries ? true : false", None),
        ("!('ls' in facts.binaries)", None),
        ("('ls' in facts.binaries) && true", None),
        ("facts.kind == facts.safety", None),
        ("'a\\'b' in facts.binaries", None),
        (
            "facts.hosts.exists(h, h == 'x && y' || 'ls' in facts.binaries) && 'x' in facts.hosts",
            Guard("member", "facts.hosts", "x"),
        ),
    ],
)
def test_a_guard_is_found_only_where_it_must_hold(when: str, guard: Guard | None) -> None:
    assert guard_of(rule(when)) == guard


def test_a_message_is_filled_with_printable_text_only() -> None:
    facts = Facts(kind="shell", safety="mutating", paths_written=("/tmp/\x1b[31mred\n", "b", "c", "d"))
    view = VIEW.__class__(VIEW.action, VIEW.tool, facts)
    assert fill("writes {facts.paths_written} in {action.environment}", view) == (
        "writes /tmp/·[31mred·, b, c and 1 more in dev"
    )


def test_a_message_with_an_unknown_blank_is_refused() -> None:
    with pytest.raises(ConditionProblem, match=r"facts\.nothing"):
        check_message("{facts.nothing}")
    with pytest.raises(ConditionProblem, match=r"action\.arguments"):
        check_message("{action.arguments}")
