"""Hostile policies and hostile actions, thrown together at random: never a crash, never a stall, never an allow by accident.

A couple of seconds with the other tests, minutes with `make fuzz`. A seed that fails is printed, and fails again.
"""

# ruff: noqa: S311 - what is thrown is no secret

import asyncio
import contextlib
import random
import time
from collections.abc import Callable

import pytest

from holdfast.errors import Unprocessable
from holdfast.guardian.admission import admit
from holdfast.guardian.bundles import RuleBook
from holdfast.guardian.guardian import PolicyGuardian
from holdfast.guardian.knowledge import command_knowledge
from holdfast.guardian.shipped import shipped_bundle
from holdfast.guardian.sources import FixedPolicies
from holdfast.guardian.trials import request_of
from schemas.policies import Bundle, Example, PolicyDocument, PolicyVersion
from schemas.verdicts import Decision
from tests.guardian.conftest import DocumentMaker

BUDGET_S, BUDGET_IN_FULL_S = 2.0, 120.0
pytestmark = pytest.mark.timeout(BUDGET_IN_FULL_S + 120)  # each test ends by its own budget
SLOWEST_S = 1.0
"""CPU of one thread; an admission compiles and tries its rule on an action as large as facts can be."""

CONDITION = [
    "facts.binaries", "facts.hosts", "facts.kind", "facts.commands", "action.arguments", "action.tool", "params.x", "nothing",
    ".exists(a, ", ".all(a, ", ".map(a, ", ".filter(a, ", ".matches(", ".size()", "size(", "has(", "type(", "string(", "in",
    "&&", "||", "!", "?", ":", "(", ")", "[", "]", "{", "}", ",", ".", "==", "<", "+", "*", "/", "%", "-", "1", "0", "9" * 30,
    "1e400", "true", "null", "'ls'", '"', "'", "'''", "r'(a+)+$'", "'((a*)*)*b'", "'" + "(" * 500 + "'", "'\\u0000'", "\\", "#",
    "//", "\n", "\x00", "\ufeff", "\U0001f600", "a" * 300, "a", "b", "__class__", "duration('1s')", "bytes('x')",
]  # fmt: skip
COMMAND = [
    "ls", "cat f", "rm -rf /", "curl http://169.254.169.254/", "sh -c '", "eval ", "$(", "`", "${x", "((", "))", "{", "}", "|",
    "&&", ";", "\n", "<<E\n", "\nE\n", "<(", ">(", "'", '"', "\\", "awk '{", "sed 's/", "python3 -c '", "psql -c '", "if ",
    "then ", "fi ", "case x in ", "esac ", "for i in ", "do ", "done ", "f() ", "x=", "$x", "*", "?", "[", "]", "\x00", "\x1b[",
    "\ud800", "\u202e", "\U0010ffff", "é", "a" * 5_000, "../" * 500, "xargs ", "env ", "busybox ", "find . -exec ",
]  # fmt: skip


@pytest.fixture(scope="module", autouse=True)
def knowledge() -> None:
    """Loaded once per process, and not what is timed here."""
    command_knowledge()


def budget(*, full: bool) -> float:
    return time.monotonic() + (BUDGET_IN_FULL_S if full else BUDGET_S)


def soup(chance: random.Random, pieces: list[str], most: int) -> str:
    """A few pieces in a row, one piece very often, or a nest of them."""
    count, kind = chance.randint(1, most), chance.random()
    if kind < 0.6:
        return "".join(chance.choice(pieces) + chance.choice(("", " ")) for _ in range(min(count, 40)))
    if kind < 0.8:
        return chance.choice(pieces) * count
    return chance.choice(pieces) * (count // 2) + "x" + chance.choice(pieces) * (count // 2)


def timed(work: Callable[[], object]) -> float:
    started = time.thread_time()
    work()
    return time.thread_time() - started


def test_any_text_is_a_policy_or_is_refused(document: DocumentMaker, *, full: bool) -> None:
    ends, seed, chance = budget(full=full), 0, random.Random()
    while time.monotonic() < ends:
        seed += 1
        chance.seed(seed)
        changes = {chance.choice(("when", "unless", "message")): soup(chance, CONDITION, 3_000)[:1_000_000]}

        def gate(changes: dict[str, str] = changes) -> None:
            with contextlib.suppress(Unprocessable, ValueError):
                admit(document(**changes), version=1)

        assert timed(gate) < SLOWEST_S, f"seed {seed}"


def bundle_of(versions: list[PolicyVersion]) -> Bundle:
    return shipped_bundle().model_copy(update={"policies": tuple(versions)})


def hostile_rules(chance: random.Random) -> list[PolicyVersion]:
    """Rules that compile, whatever they mean: some fail on every action."""
    found = []
    for number in range(5):
        try:
            draft = PolicyDocument(
                name=f"hostile-{number}",
                effect=chance.choice((Decision.DENY, Decision.REQUIRE_APPROVAL)),
                when=soup(chance, CONDITION, 12),
            )
            version = PolicyVersion(name=draft.name, version=1, document=draft, resolved=draft)
            RuleBook(bundle_of([version]))
            found.append(version)
        except ValueError:
            continue
    return found


def test_no_rule_and_no_command_stalls_a_verdict_or_allows_by_accident(*, full: bool) -> None:
    ends, seed, chance = budget(full=full), 0, random.Random()
    strict = PolicyGuardian.shipped()
    while time.monotonic() < ends:
        seed += 1
        chance.seed(seed)
        request = request_of(
            Example.model_validate(
                {"arguments": {"command": soup(chance, COMMAND, 4_000)}, "environment": "prod"}
            )
        )
        guardian = PolicyGuardian(policies=FixedPolicies(RuleBook(bundle_of(hostile_rules(chance)))))
        verdict = asyncio.run(guardian.judge(request)).verdict
        shipped = asyncio.run(strict.judge(request)).verdict
        if verdict.decision is Decision.ALLOW:
            assert shipped.decision is Decision.ALLOW, f"seed {seed}"
        spent = timed(lambda request=request: asyncio.run(strict.judge(request)))  # type: ignore[misc] # bound now
        assert spent < SLOWEST_S, f"seed {seed}"


@pytest.mark.parametrize("text", ["a" * 1_000_000, "'\"" * 10_000, "(" * 500_000, "x" + "\x00\xff" * 100_000])
def test_a_million_characters_are_refused_before_they_are_read(document: DocumentMaker, text: str) -> None:
    def gate() -> None:
        with pytest.raises((Unprocessable, ValueError)):
            admit(document(when=text), version=1)

    assert timed(gate) < SLOWEST_S
