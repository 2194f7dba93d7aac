"""What holds for any set of rules and any action: properties, not examples."""

from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.guardian.bundles import RuleBook
from holdfast.guardian.combining import STRICTNESS
from holdfast.guardian.deciding import DEFAULT, Ruling, decide
from holdfast.guardian.rules import Bindings, arm
from holdfast.guardian.scope import covers
from holdfast.guardian.trials import request_of
from holdfast.guardian.vocabulary import View
from schemas.facts import CommandFact, Effect, Facts
from schemas.policies import Bundle, Example, PolicyDocument, PolicyVersion
from schemas.verdicts import Decision

NOW = datetime(2030, 1, 1, tzinfo=UTC)
FAILING = "facts.binaries[99] == 'x'"
CONDITIONS = st.sampled_from(
    ["", "true", "false", FAILING, "'rm' in facts.binaries", "facts.safety == 'read_only'",
     "'rm' in facts.binaries && " + FAILING, "size(facts.hosts) > 0 || 'ls' in facts.binaries",
     "action.environment == 'prod' && facts.kind == 'shell'", "'delete' in facts.effects", "facts.hosts.exists(h, h == 'x')", "size(facts.binaries) > 0",
     "facts.commands.exists(c, c.binary == 'rm' && c.args[5] == 'x')", "facts.privileged && " + FAILING,
     "facts.binaries.exists(b, b == 'rm') == false"]
)  # fmt: skip
NAMES = st.lists(st.sampled_from(["dev", "prod", "st*"]), max_size=2, unique=True)
RULES = st.fixed_dictionaries(
    {
        "effect": st.sampled_from(list(Decision)),
        "priority": st.integers(-2, 2),
        "locked": st.booleans(),
        "when": CONDITIONS,
        "unless": st.one_of(st.just(""), CONDITIONS),
        "on_error": st.sampled_from(["deny", "require_approval"]),
        "scope": st.fixed_dictionaries(
            {"environments": NAMES, "tools": st.lists(st.sampled_from(["shell", "sh*", "sql"]), max_size=2)}
        ),
        "rollout": st.sampled_from([{}, {"mode": "shadow"}, {"mode": "ab", "percent": 50}]),
        "expires_at": st.sampled_from([None, NOW - timedelta(days=1), NOW, NOW + timedelta(days=1)]),
    }
)


def view(environment: str, binaries: list[str], safety: Any, effects: list[Effect]) -> View:
    request = request_of(Example(arguments={"command": "x"}, environment=environment))
    facts = Facts(
        kind="shell",
        safety=safety,
        binaries=tuple(binaries),
        effects=tuple(effects),
        commands=tuple(CommandFact(binary=binary) for binary in binaries),
        privileged=len(binaries) > 1,
    )
    return View(request.action, request.tool, facts)


VIEWS = st.builds(
    view,
    st.sampled_from(["dev", "staging", "prod", "lab"]),
    st.lists(st.sampled_from(["ls", "rm", "kubectl"]), max_size=2, unique=True),
    st.sampled_from(["read_only", "mutating", "dangerous", "unknown"]),
    st.lists(st.sampled_from(list(Effect)), max_size=3, unique=True),
)


def bundle(rules: list[dict[str, Any]]) -> Bundle:
    documents = [PolicyDocument.model_validate({"name": f"r{n}", **rule}) for n, rule in enumerate(rules)]
    return Bundle(
        policies=tuple(PolicyVersion(name=d.name, version=1, document=d, resolved=d) for d in documents),
        defaults={"prod": "deny"},
    )


def told(ruling: Ruling) -> tuple[object, ...]:
    return (ruling.outcome.decision, ruling.reasons, ruling.outcome.terms, sorted(map(str, ruling.matches)))


@given(st.lists(RULES, max_size=8), VIEWS, st.randoms(use_true_random=False))
@settings(max_examples=200, deadline=None)
def test_the_order_of_rules_changes_nothing(
    rules: list[dict[str, Any]], looked_at: View, chance: Any
) -> None:
    given_order = bundle(rules)
    shuffled = list(given_order.policies)
    chance.shuffle(shuffled)
    other = given_order.model_copy(update={"policies": tuple(shuffled)})
    assert told(decide(RuleBook(given_order), looked_at, NOW)) == told(
        decide(RuleBook(other), looked_at, NOW)
    )
    assert given_order.digest == other.digest


@given(st.lists(RULES, max_size=8), VIEWS)
@settings(max_examples=300, deadline=None)
def test_what_is_decided_keeps_every_promise(rules: list[dict[str, Any]], looked_at: View) -> None:
    book = RuleBook(bundle(rules))
    ruling = decide(book, looked_at, NOW)
    decision = ruling.outcome.decision
    in_scope = [rule for rule in book.rules if covers(rule.scope, looked_at.action) and not rule.expired(NOW)]
    asked = [
        rule.ask(looked_at, Bindings(looked_at))
        for rule in in_scope
        if rule.enforced(looked_at.action.run_id)
    ]
    matches = [match for match in asked if match]
    # The index leaves out nothing that would have spoken.
    assert len(ruling.matches) == len(matches)
    # Locked rules are a floor, and so is every failure.
    for match in matches:
        if match.rule.locked or match.failure:
            assert STRICTNESS[decision] >= STRICTNESS[match.decision]
    # An error never allows, and nothing is allowed that no rule allowed.
    if any(match.failure for match in matches):
        assert decision is not Decision.ALLOW
    if decision is Decision.ALLOW:
        assert any(match.decision is Decision.ALLOW for match in matches)
    # Where nothing spoke, the environment's default did.
    if not matches:
        assert decision == book.default_for(looked_at.action.environment)
        assert ruling.reasons[0].policy == DEFAULT


@given(st.lists(RULES, min_size=1, max_size=5), RULES, VIEWS)
@settings(max_examples=200, deadline=None)
def test_no_rule_added_loosens_a_locked_one(
    rules: list[dict[str, Any]], added: dict[str, Any], looked_at: View
) -> None:
    locked = [rule | {"locked": True, "rollout": {}} for rule in rules]
    floors = [
        m
        for r in RuleBook(bundle(locked)).rules
        if _in_force(r, looked_at) and (m := r.ask(looked_at, Bindings(looked_at)))
    ]
    after = decide(RuleBook(bundle([*locked, added])), looked_at, NOW).outcome.decision
    assert all(STRICTNESS[after] >= STRICTNESS[match.decision] for match in floors)


def _in_force(rule: Any, looked_at: View) -> bool:
    return covers(rule.scope, looked_at.action) and not rule.expired(NOW)


@given(RULES, VIEWS)
@settings(max_examples=100, deadline=None)
def test_an_expired_rule_never_speaks(rule: dict[str, Any], looked_at: View) -> None:
    ruling = decide(RuleBook(bundle([rule | {"expires_at": NOW}])), looked_at, NOW)
    assert ruling.matches == ()
    assert ruling.shadow == ()


@given(RULES, VIEWS)
@settings(max_examples=100, deadline=None)
def test_a_shadow_rule_is_recorded_and_decides_nothing(rule: dict[str, Any], looked_at: View) -> None:
    shadow = rule | {"rollout": {"mode": "shadow"}}
    ruling = decide(RuleBook(bundle([shadow])), looked_at, NOW)
    assert ruling.outcome == decide(RuleBook(bundle([])), looked_at, NOW).outcome
    assert ruling.matches == ()


@given(st.text(max_size=30), st.text(max_size=30))
def test_an_arm_is_the_same_wherever_it_is_drawn(salt: str, run_id: str) -> None:
    drawn = arm(salt, run_id)
    assert 0 <= drawn < 100
    assert arm(salt, run_id) == drawn


def test_arms_split_runs_as_asked() -> None:
    drawn = [arm("salt", f"run_{number}") < 30 for number in range(5000)]
    assert 0.27 < sum(drawn) / len(drawn) < 0.33


def test_of_equal_priorities_the_narrower_rule_speaks_and_of_equals_the_stricter() -> None:
    wide = {"effect": "deny", "when": "true"}
    narrow = {"effect": "allow", "when": "true", "scope": {"tools": ["shell"]}}
    asks = {"effect": "require_approval", "when": "true", "scope": {"environments": ["dev"]}}
    looked_at = view("dev", [], "mutating", [])
    assert decide(RuleBook(bundle([wide, narrow])), looked_at, NOW).outcome.decision is Decision.ALLOW
    assert (
        decide(RuleBook(bundle([wide, narrow, asks])), looked_at, NOW).outcome.decision
        is Decision.REQUIRE_APPROVAL
    )


def test_the_hardest_terms_of_all_that_ask_hold() -> None:
    locked = {"effect": "require_approval", "locked": True, "approval": {"quorum": 2, "expires_s": 600}}
    winner = {"effect": "require_approval", "approval": {"four_eyes": True, "group": "dba"}, "priority": 9}
    terms = decide(RuleBook(bundle([locked, winner])), view("dev", [], "mutating", []), NOW).outcome.terms
    assert terms
    assert (terms.quorum, terms.expires_s, terms.four_eyes) == (2, 600, True)


def test_a_verdict_does_not_outlive_the_rule_it_rests_on() -> None:
    ends = NOW + timedelta(hours=1)
    ruling = decide(
        RuleBook(bundle([{"effect": "allow", "expires_at": ends}])), view("dev", [], "mutating", []), NOW
    )
    assert ruling.expires_at == ends
